"""An Elastic Path store as the marketplace, on either inventory flavour."""

from __future__ import annotations

from random import Random
from typing import Any

import httpx
import orjson
from pydantic import SecretStr

from connectors.contract import Guard
from connectors.elasticpath import sandbox
from connectors.elasticpath.sandbox.entities import Location, OrderItem, Position, Product
from connectors.elasticpath.sandbox.errors import ApiError
from connectors.elasticpath.sandbox.inventory import Inventory
from connectors.elasticpath.sandbox.orders import Orders
from connectors.elasticpath.sandbox.store import COMMERCE_MANAGER, Store
from connectors.elasticpath.settings import ElasticPathMarketplaceSettings
from connectors.sandbox.clock import VirtualClock
from connectors.sandbox.log import Origin
from connectors.sandbox.stock import Adjustment, ListingStock
from tests.simulation.events import Buy, Call, Edit, EditStock, Step, StepOfPurchase, Turn, TurnListing
from tests.simulation.market import Market, Write

CLIENT_ID = "simulated-store"
CLIENT_SECRET = "simulated-marketplace-secret"
STATES = {"live": "published", "draft": "closed"}
STATUSES = {Turn.OPEN: "live", Turn.CLOSE: "draft"}
PERSON = Origin(COMMERCE_MANAGER)


class ElasticPathMarket(Market):
    """See `Market`. Nothing is held before it is paid, and a release never fails."""

    name = "elasticpath"
    connector = "elasticpath"
    guard = Guard.RELATIVE
    unlimited_by_deletion = True
    location: str | None = None

    def __init__(self, clock: VirtualClock, *, seed: int) -> None:
        super().__init__(clock, seed=seed)
        self.app = sandbox.create_app(
            sandbox.Options(seed=seed, client_id=CLIENT_ID, client_secret=SecretStr(CLIENT_SECRET)), clock
        )
        self._store: Store = self.app.state.store
        self._inventory = Inventory(self._store)
        self._orders: Orders = self.app.state.orders
        self._tokens: Any = self.app.state.tokens
        self._purchases: dict[int, tuple[str, str]] = {}
        """Number of the event's purchase -> order, and the product it is about."""
        self._shipped: set[str] = set()
        """Products of orders that were fulfilled: these stores write no transaction for that."""
        self._sole_writer = False

    @property
    def settings(self) -> ElasticPathMarketplaceSettings:
        return ElasticPathMarketplaceSettings(
            client_id=CLIENT_ID,
            client_secret=SecretStr(CLIENT_SECRET),
            base_url=f"https://{self.host}",
            inventory="basic" if self.location is None else "multi_location",
            location=self.location,
            close_by_status=True,
            sole_writer=self._sole_writer,
        )

    @property
    def secrets(self) -> tuple[str, ...]:
        return (CLIENT_SECRET,)

    def call_of(self, request: httpx.Request) -> Call:
        path, method = request.url.path, request.method
        if path == "/oauth/access_token":
            return Call.TOKEN
        if path.startswith("/pcm/products/") and method == "PUT":
            return Call.OPEN if _attributes(request)["status"] == "live" else Call.CLOSE
        if path in ("/pcm/products", "/v2/inventories/multiple"):
            return Call.SEARCH
        if path.endswith("/transactions"):
            return Call.WRITE if method == "POST" else Call.LOG
        return Call.SHOW

    def write_of(self, request: httpx.Request) -> Write:
        asked = _attributes(request)
        delta: int = asked["quantity"] * (1 if asked["action"] == "increment" else -1)
        return Write(request.url.path.split("/")[3], delta=delta)

    def turned_by(self, request: httpx.Request) -> str:
        return request.url.path.rpartition("/")[2]

    # --- setting up -------------------------------------------------------------------------------------------

    def choose(self, random: Random) -> None:
        self._sole_writer = random.random() < 0.4
        self._store.switches = self._store.switches.model_copy(
            update={
                "transaction_time": random.choice(("go", "rfc3339")),
                "transaction_order": random.choice(("oldest_first", "newest_first")),
                "transaction_paging": random.choice(("whole", "paged")),
                "unknown_ids": random.choice(("left_out", "refused", "refused_named")),
                "token_wrapped": random.random() < 0.5,
            }
        )

    def add_listing(self, title: str, total: int) -> str:
        store = self._store
        product = Product(store.new_id(), f"sku-{title}", title, "live", store.log.moment())
        store.products[product.product_id] = product
        if self.location is not None:
            store.locations.setdefault(self.location, Location(store.new_id(), self.location, self.location))
        self._inventory.create(product.product_id, {self.location: total}, PERSON)
        self.ids.append(product.product_id)
        self.turned[product.product_id] = []
        return product.product_id

    # --- what people do ---------------------------------------------------------------------------------------

    def listing_of(self, purchase: int) -> str:
        found = self._purchases.get(purchase)
        return "" if found is None else f"L{self.ids.index(found[1])}"

    def buy(self, event: Buy) -> str:
        """A checkout that is proposed is an order that is not paid yet."""
        product_id = self.ids[event.listing]
        product = self._store.products.get(product_id)
        if product is None or product.status != "live":
            return "not on sale"
        item = OrderItem(
            item_id=self._store.new_id(),
            product_id=product_id,
            sku=product.sku,
            name=product.name,
            quantity=event.units,
            unit_amount=1000,
            location=self.location,
        )
        try:
            order = self._orders.check_out((item,))
            self._purchases[event.purchase] = order.order_id, product_id
            if not event.proposed:
                self._orders.step(order.order_id, "pay")
        except ApiError as error:
            return error.title
        return "ordered" if event.proposed else "paid"

    def step(self, event: StepOfPurchase) -> str:
        found = self._purchases.get(event.purchase)
        if found is None:
            return "no such purchase"
        steps = {Step.PAY: "pay", Step.EXPIRE: "cancel", Step.CANCEL: "cancel", Step.DECLINE: "cancel"}
        name = "fulfil" if event.step is Step.ACCEPT else steps.get(event.step)
        if name is None:
            return "does not happen here"
        try:
            self._orders.step(found[0], name)
        except ApiError as error:
            return error.title
        if name == "fulfil":
            self._shipped.add(found[1])
        return "done"

    def edit(self, event: EditStock) -> str:
        """Where trueup alone makes increments and decrements, people set numbers."""
        product_id = self.ids[event.listing]
        if product_id not in self._store.products:
            return "deleted"
        before = self.total(product_id)
        try:
            if event.edit is Edit.UNLIMITED:
                self._inventory.delete(product_id, PERSON)
                self.uncounted[product_id] = self._clock.monotonic()
            elif event.edit is Edit.UNDEFINED:
                return "does not happen here"
            elif product_id in self._shipped and self._sets(event):
                # How much was allocated then stands nowhere, nor so by how much the number moved what is available.
                return "does not happen here"
            elif before is None:
                self._inventory.create(product_id, {self.location: event.units}, PERSON)
            else:
                self._act(product_id, event, before)
        except ApiError as error:
            return error.title
        return f"{before} -> {self.total(product_id)}"

    def _act(self, product_id: str, event: EditStock, present: int) -> None:
        wanted = {Edit.ADD: present + event.units, Edit.REMOVE: present - event.units, Edit.SET: event.units}[
            event.edit
        ]
        if self._sets(event):
            allocated = self._position(product_id).allocated
            self._inventory.act(product_id, "set", max(0, wanted) + allocated, self.location, PERSON)
            return
        action = "increment" if event.edit is Edit.ADD else "decrement"
        self._inventory.act(product_id, action, event.units, self.location, PERSON)

    def _sets(self, event: EditStock) -> bool:
        return event.edit is Edit.SET or self._sole_writer

    def turn(self, event: TurnListing) -> str:
        product_id = self.ids[event.listing]
        product = self._store.products.get(product_id)
        if product is None:
            return "deleted"
        if event.turn is Turn.DELETE:
            self.uncounted[product_id] = self._clock.monotonic()
            del self._store.products[product_id]
            self.note_turn(product_id, "deleted", by_us=False)
            return "deleted"
        status = STATUSES[event.turn]
        if product.status == status:
            return "unchanged"
        product.status = status
        self.note_turn(product_id, STATES[status], by_us=False)
        return STATES[status]

    # --- what it shows ----------------------------------------------------------------------------------------

    def expire_tokens(self, *, refresh_tokens: bool) -> None:
        self._tokens.expire()

    # --- the truth --------------------------------------------------------------------------------------------

    def state(self, listing_id: str) -> str | None:
        product = self._store.products.get(listing_id)
        return None if product is None else STATES[product.status]

    def stock_of(self, listing_id: str) -> ListingStock:
        return self._store.stock.stock(self._position(listing_id).key)

    def _position(self, listing_id: str) -> Position:
        return self._store.position(listing_id, self.location)

    def is_own(self, adjustment: Adjustment) -> bool:
        return adjustment.origin.client_id == CLIENT_ID


class MultiLocationMarket(ElasticPathMarket):
    """The same with stock at locations, of which one counts."""

    name = "elasticpath-multi"
    location = "warehouse"


def _attributes(request: httpx.Request) -> Any:
    data = orjson.loads(request.content)["data"]
    return data.get("attributes", data)
