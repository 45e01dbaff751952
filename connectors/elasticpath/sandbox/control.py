"""The control surface under `/_control`: what people do in the store, and what goes wrong with it.

JSON in and out, no authentication: it is for the machine the sandbox runs on. A refusal is `{"error"}` with the status
the person's own call would have got; a body that is not understood is a 422.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import orjson
from pydantic import TypeAdapter, ValidationError
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from connectors.sandbox.faults import Fault, FaultPlan
from connectors.sandbox.log import Origin

from . import inspection
from .api import Counts
from .auth import Tokens
from .control_requests import (
    Advance,
    Break,
    Create,
    NewItem,
    NewOrder,
    NewOrders,
    NewProduct,
    NewProducts,
    Nothing,
    Step,
    StockAct,
)
from .entities import Location, Order, OrderItem, Product
from .errors import ApiError, not_found
from .integrations import Integrations
from .inventory import Inventory
from .options import DeliveryFaults, Switches
from .orders import Orders
from .store import COMMERCE_MANAGER, Store

STEPS = ("authorize", "pay", "part_pay", "cancel", "fulfil", "refund", "touch")

Asked = TypeVar("Asked")


class Control:
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
        self._store = store
        self._inventory = inventory
        self._orders = orders
        self._integrations = integrations
        self._tokens = tokens
        self._faults = faults
        self._counts = counts

    def routes(self) -> list[Route]:
        """For mounting under `/_control`."""
        return [
            self._get("/state", lambda _: self._state()),
            self._get("/products/{id}", lambda request: self._product_state(request.path_params["id"])),
            self._get("/orders/{id}", lambda request: self._order_state(request.path_params["id"])),
            self._get("/counts", lambda _: self._counted()),
            self._get("/switches", lambda _: self._store.switches.model_dump()),
            self._get("/faults", lambda _: self._faulted()),
            self._get("/clock", lambda _: self._time()),
            self._get("/quiet", lambda _: self._quiet()),
            self._post("/products", NewProducts, lambda _, body: self._add_products(body)),
            self._post("/products/{id}/act", StockAct, self._act),
            self._post("/products/{id}/create", Create, self._create),
            self._post("/products/{id}/unmanage", Nothing, self._unmanage),
            self._post("/products/{id}/break", Break, self._break),
            self._post("/products/{id}/delete", Nothing, self._delete_product),
            self._post("/orders", NewOrders, lambda _, body: self._add_orders(body)),
            self._post("/orders/{id}/{step}", Step, self._step),
            self._post("/deliveries/flush", Nothing, lambda *_: self._flush()),
            self._post("/delivery_faults", DeliveryFaults, lambda _, body: self._fault_deliveries(body)),
            self._post("/faults", Fault, lambda _, body: self._arm(body)),
            self._post("/faults/clear", Nothing, lambda *_: self._disarm()),
            self._post("/switches", dict[str, Any], lambda _, body: self._turn(body)),
            self._post("/clock", Advance, lambda _, body: self._advance(body)),
            self._post("/tokens/expire", Nothing, lambda *_: self._expire_tokens()),
        ]

    # Looking.

    def _state(self) -> Any:
        return {**inspection.whole_state(self._store, self._orders), "counts": self._counted()}

    def _product_state(self, product_id: str) -> Any:
        return inspection.product_state(self._store, self._product(product_id))

    def _order_state(self, order_id: str) -> Any:
        order = self._store.order(order_id)
        if order is None:
            raise not_found(f"Order {order_id} was not found.")
        return inspection.order_state(order, self._orders)

    def _counted(self) -> Any:
        return {
            **self._counts.summary(),
            "faults": self._faulted()["struck"],
            "deliveries": self._integrations.counts,
            "last_sequence": self._store.log.last_sequence,
        }

    def _faulted(self) -> Any:
        struck: dict[str, dict[str, int]] = {}
        for (operation, kind), times in self._faults.struck.items():
            struck.setdefault(operation, {})[kind.value] = times
        return {"armed": [fault.model_dump() for fault in self._faults.armed], "struck": struck}

    def _time(self) -> Any:
        return {"now": self._store.clock.now()}

    def _quiet(self) -> Any:
        pending = self._integrations.pending
        return {**pending, "quiet": not any(pending.values())}

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

    def _flush(self) -> Any:
        self._integrations.flush()
        return self._quiet()

    def _fault_deliveries(self, asked: DeliveryFaults) -> Any:
        self._integrations.faults = asked
        return asked.model_dump()

    def _arm(self, fault: Fault) -> Any:
        self._faults.arm(fault)
        return self._faulted()

    def _disarm(self) -> Any:
        self._faults.disarm()
        return self._faulted()

    def _turn(self, changes: dict[str, Any]) -> Any:
        turned = Switches.model_validate({**self._store.switches.model_dump(), **changes})
        self._store.switches = turned
        return turned.model_dump()

    def _advance(self, asked: Advance) -> Any:
        self._store.clock.advance(asked.seconds)
        return self._time()

    def _expire_tokens(self) -> Any:
        self._tokens.expire()
        return {}

    # Plumbing.

    def _get(self, path: str, look: Callable[[Request], Any]) -> Route:
        async def endpoint(request: Request) -> Response:
            return self._guarded(lambda: look(request))

        return Route(path, endpoint, methods=["GET"])

    def _post(self, path: str, model: type[Asked], act: Callable[[Mapping[str, str], Asked], Any]) -> Route:
        adapter = TypeAdapter(model)

        async def endpoint(request: Request) -> Response:
            body = await request.body() or b"{}"
            return self._guarded(lambda: act(request.path_params, adapter.validate_json(body)))

        return Route(path, endpoint, methods=["POST"])

    def _guarded(self, work: Callable[[], Any]) -> Response:
        try:
            with self._store.lock:
                answer, status = work(), 200
        except ApiError as error:
            answer, status = {"error": str(error)}, error.status
        except ValidationError as error:
            details = error.errors(include_url=False, include_context=False, include_input=False)
            answer, status = {"error": "The body is not understood.", "details": details}, 422
        return Response(orjson.dumps(answer, option=orjson.OPT_UTC_Z), status, media_type="application/json")
