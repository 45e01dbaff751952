"""The control surface under `/_control`: what people do in the store, and what goes wrong with it.

JSON in and out, no authentication: it is for the machine the sandbox runs on. A refusal is `{"error"}` with the status
the person's own call would have got; a body that is not understood is a 422.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.routing import Route

from connectors.sandbox.control import ControlSurface, Nothing
from connectors.sandbox.faults import FaultPlan
from connectors.sandbox.log import Origin

from . import inspection
from .api import Counts
from .auth import Tokens
from .control_requests import (
    Break,
    Create,
    NewItem,
    NewOrder,
    NewOrders,
    NewProduct,
    NewProducts,
    Step,
    StockAct,
)
from .entities import Location, Order, OrderItem, Product
from .errors import ApiError, not_found
from .integrations import Integrations
from .inventory import Inventory
from .options import Switches
from .orders import Orders
from .store import COMMERCE_MANAGER, Store

STEPS = ("authorize", "pay", "part_pay", "cancel", "fulfil", "refund", "touch")


class Control(ControlSurface):
    """Everything the control surface can do. Each request holds the store's lock."""

    def __init__(
        self,
        store: Store,
        inventory: Inventory,
        orders: Orders,
        integrations: Integrations,
        tokens: Tokens,
        faults: FaultPlan,
        counts: Counts,
    ) -> None:
        super().__init__(
            clock=store.clock, faults=faults, lock=store.lock, deliveries=integrations, spoilt=integrations
        )
        self._store = store
        self._inventory = inventory
        self._orders = orders
        self._integrations = integrations
        self._tokens = tokens
        self._counted = counts

    def own_routes(self) -> list[Route]:
        """What people do there."""
        return [
            self.get("/products/{id}", lambda request: self._product_state(request.path_params["id"])),
            self.get("/orders/{id}", lambda request: self._order_state(request.path_params["id"])),
            self.post("/products", NewProducts, lambda _, body: self._add_products(body)),
            self.post("/products/{id}/act", StockAct, self._act),
            self.post("/products/{id}/create", Create, self._create),
            self.post("/products/{id}/unmanage", Nothing, self._unmanage),
            self.post("/products/{id}/break", Break, self._break),
            self.post("/products/{id}/delete", Nothing, self._delete_product),
            self.post("/orders", NewOrders, lambda _, body: self._add_orders(body)),
            self.post("/orders/{id}/{step}", Step, self._step),
            self.post("/tokens/expire", Nothing, lambda *_: self._expire_tokens()),
        ]

    # What every surface has.

    def switches(self) -> Switches:
        """The present ones."""
        return self._store.switches

    def turn(self, switches: Switches) -> None:
        """Other switches, from now on."""
        self._store.switches = switches

    def refused(self, error: Exception) -> tuple[dict[str, Any], int] | None:
        """With the status the person's own call would have got."""
        if not isinstance(error, ApiError):
            return None
        return {"error": str(error)}, error.status

    # Looking.

    def state(self, request: Request) -> Any:
        """The whole, as the vendor itself knows it."""
        return {**inspection.whole_state(self._store, self._orders), "counts": self.counts()}

    def _product_state(self, product_id: str) -> Any:
        return inspection.product_state(self._store, self._product(product_id))

    def _order_state(self, order_id: str) -> Any:
        order = self._store.order(order_id)
        if order is None:
            raise not_found(f"Order {order_id} was not found.")
        return inspection.order_state(order, self._orders)

    def counts(self) -> dict[str, Any]:
        """What was asked of the API, and what became of it."""
        return {
            **self._counted.summary(),
            "faults": self.faulted()["struck"],
            "deliveries": self._integrations.counts,
            "last_sequence": self._store.log.last_sequence,
        }

    # Products and their stock.

    def _add_products(self, asked: NewProducts) -> Any:
        return {
            "products": [inspection.product_summary(self._store, self._add_product(each)) for each in asked.products]
        }

    def _add_product(self, asked: NewProduct) -> Product:
        store = self._store
        product_id = asked.id or store.new_id()
        if product_id in store.products:
            raise ApiError(409, "Conflict", f"Product {product_id} exists already.")
        product = Product(
            product_id,
            asked.sku or f"sku-{product_id[:8]}",
            asked.name,
            asked.status,
            asked.created_at or store.log.moment(),
        )
        store.products[product_id] = product
        for slug in asked.locations:
            store.locations.setdefault(slug, Location(store.new_id(), slug, slug))
        quantities: dict[str | None, int] = dict(asked.locations.items())
        if asked.stock is not None:
            quantities[None] = asked.stock
        if quantities:
            self._inventory.create(product_id, quantities, self._person())
        # After its stock was made, elsewhere: what this store may do to it is another matter.
        product.organization = asked.organization
        return product

    def _act(self, path: Mapping[str, str], asked: StockAct) -> Any:
        self._product(path["id"])
        self._inventory.act(path["id"], asked.action, asked.quantity, asked.location, self._person())
        return self._product_state(path["id"])

    def _create(self, path: Mapping[str, str], asked: Create) -> Any:
        self._product(path["id"])
        self._inventory.create(path["id"], {None: asked.quantity}, self._person())
        return self._product_state(path["id"])

    def _unmanage(self, path: Mapping[str, str], _: Nothing) -> Any:
        self._inventory.delete(path["id"], self._person())
        return self._product_state(path["id"])

    def _break(self, path: Mapping[str, str], asked: Break) -> Any:
        position = self._store.position(path["id"], asked.location)
        self._inventory.break_level(position, asked.available, asked.discrepancy, self._person())
        return self._product_state(path["id"])

    def _delete_product(self, path: Mapping[str, str], _: Nothing) -> Any:
        del self._store.products[self._product(path["id"]).product_id]
        return {}

    def _product(self, product_id: str) -> Product:
        product = self._store.products.get(product_id)
        if product is None:
            raise not_found(f"Product {product_id} was not found.")
        return product

    @staticmethod
    def _person() -> Origin:
        return Origin(COMMERCE_MANAGER)

    # Orders.

    def _add_orders(self, asked: NewOrders) -> Any:
        return {"orders": [inspection.order_state(self._add_order(each), self._orders) for each in asked.orders]}

    def _add_order(self, asked: NewOrder) -> Order:
        items = tuple(self._item(each) for each in asked.items)
        order = self._orders.check_out(
            items, placed_at=asked.placed_at, external_ref=asked.external_ref, order_number=asked.order_number
        )
        for step in asked.steps:
            order = self._step_of(order.order_id, step, None)
        return order

    def _item(self, asked: NewItem) -> OrderItem:
        product_id = asked.product_id
        if product_id is None:
            products = self._store.products.values()
            product_id = next((each.product_id for each in products if each.sku == asked.sku), None)
        return OrderItem(
            item_id=self._store.new_id(),
            product_id=self._store.new_id() if product_id is None else product_id,
            sku=asked.sku,
            name=asked.sku or "An item",
            quantity=asked.quantity,
            unit_amount=asked.unit_amount,
            location=asked.location,
        )

    def _step(self, path: Mapping[str, str], asked: Step) -> Any:
        return inspection.order_state(self._step_of(path["id"], path["step"], asked.amount), self._orders)

    def _step_of(self, order_id: str, step: str, amount: int | None) -> Order:
        if step not in STEPS:
            raise not_found(f"A step called {step}")
        return self._orders.step(order_id, step, amount=amount)

    # Trouble and time.

    def _expire_tokens(self) -> Any:
        self._tokens.expire()
        return {}
