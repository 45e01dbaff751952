"""A Sharetribe marketplace."""

from __future__ import annotations

from random import Random
from typing import Any

import httpx
import orjson
from pydantic import SecretStr

from connectors.contract import Guard
from connectors.sandbox.clock import VirtualClock
from connectors.sandbox.log import Shown
from connectors.sandbox.stock import Adjustment, ListingStock, NotEnoughStockError, StockRefusalError
from connectors.sharetribe import sandbox
from connectors.sharetribe.sandbox.control import STEPS
from connectors.sharetribe.sandbox.entities import Listing, ListingState
from connectors.sharetribe.sandbox.errors import ApiError
from connectors.sharetribe.sandbox.marketplace import Marketplace
from connectors.sharetribe.sandbox.options import UNLIMITED_TOTAL, Switches
from connectors.sharetribe.sandbox.process import DEFAULT_PURCHASE, PROPOSED_PURCHASE
from connectors.sharetribe.sandbox.purchases import Purchases
from connectors.sharetribe.settings import SharetribeMarketplaceSettings
from tests.simulation.events import Buy, Call, Edit, EditStock, Step, StepOfPurchase, Turn, TurnListing
from tests.simulation.market import Market, Write

CLIENT_ID = "c11e0000-0000-4000-8000-000000000001"
CLIENT_SECRET = "simulated-marketplace-secret"

CALLS = {
    "stock/compare_and_set": Call.WRITE,
    "listings/close": Call.CLOSE,
    "listings/open": Call.OPEN,
    "listings/show": Call.SHOW,
    "stock_adjustments/query": Call.LOG,
    "events/query": Call.FEED,
    "listings/query": Call.SEARCH,
}


class SharetribeMarket(Market):
    """See `Market`."""

    name = "sharetribe"
    connector = "sharetribe"
    guard = Guard.COMPARE_AND_SET
    has_feed = True

    def __init__(self, clock: VirtualClock, *, seed: int) -> None:
        super().__init__(clock, seed=seed)
        self.app = sandbox.create_app(
            sandbox.Options(seed=seed, client_id=CLIENT_ID, client_secret=SecretStr(CLIENT_SECRET)), clock
        )
        self._model: Marketplace = self.app.state.marketplace
        self._purchases: Purchases = self.app.state.purchases
        self._tokens: Any = self.app.state.tokens
        self._transactions: dict[int, str] = {}
        self._half: set[int] = set()

    @property
    def settings(self) -> SharetribeMarketplaceSettings:
        return SharetribeMarketplaceSettings(
            client_id=CLIENT_ID, client_secret=SecretStr(CLIENT_SECRET), base_url=f"https://{self.host}"
        )

    @property
    def secrets(self) -> tuple[str, ...]:
        return (CLIENT_SECRET,)

    def call_of(self, request: httpx.Request) -> Call:
        if request.url.path == "/v1/auth/token":
            return Call.TOKEN
        return CALLS.get(request.url.path.removeprefix("/v1/integration_api/"), Call.OTHER)

    def write_of(self, request: httpx.Request) -> Write:
        body = orjson.loads(request.content)
        return Write(body["listingId"], expected=body["oldTotal"], new=body["newTotal"])

    def turned_by(self, request: httpx.Request) -> str:
        listing_id: str = orjson.loads(request.content)["id"]
        return listing_id

    # --- setting up -------------------------------------------------------------------------------------------

    def choose(self, random: Random) -> None:
        self._switch(
            missing_listing_code=random.choice(("listing-not-found", "conflict")),
            adjustment_order=random.choice(("newest_first", "oldest_first", "shuffled")),
            listing_updated_on_stock=random.choice(("never", "first", "always")),
            repeated_close=random.choice(("accepted", "refused")),
            mismatch_status=random.choice((409, 400)),
        )

    def add_listing(self, title: str, total: int) -> str:
        origin = self._model.by_storefront(self._model.provider.user_id)
        listing = self._model.add_listing(
            origin, title=title, author_id=self._model.provider.user_id, state=ListingState.PUBLISHED
        )
        self._model.stock.compare_and_set(listing.listing_id, None, total, origin)
        self.ids.append(listing.listing_id)
        self.turned[listing.listing_id] = []
        return listing.listing_id

    # --- what people do ---------------------------------------------------------------------------------------

    def pass_time(self) -> None:
        self._purchases.pass_time()

    def listing_of(self, purchase: int) -> str:
        transaction_id = self._transactions.get(purchase)
        if transaction_id is None:
            return ""
        return f"L{self.ids.index(self._model.transactions[transaction_id].listing_id)}"

    def buy(self, event: Buy) -> str:
        process = PROPOSED_PURCHASE if event.proposed else DEFAULT_PURCHASE
        try:
            started = self._purchases.start(self.ids[event.listing], event.units, process_name=process)
        except ApiError as error:
            return error.code
        self._transactions[event.purchase] = started.transaction_id
        return "reserved" if not event.proposed else "proposed"

    def step(self, event: StepOfPurchase) -> str:
        transaction_id = self._transactions.get(event.purchase)
        if transaction_id is None:
            return "no such purchase"
        try:
            if event.step is Step.FAIL_RELEASE:
                return self._fail_release(event, transaction_id)
            self._purchases.transition(transaction_id, STEPS[event.step.value])
        except ApiError as error:
            return error.code
        return "done"

    def _fail_release(self, event: StepOfPurchase, transaction_id: str) -> str:
        """Its units come back on sale; some time later (see `undo_release`) the release is undone."""
        self._purchases.half_release(transaction_id)
        self._half.add(event.purchase)
        return "half released"

    def undo_release(self, purchase: int) -> str:
        if purchase not in self._half:
            return "nothing to undo"
        self._half.discard(purchase)
        self._purchases.undo_release(self._transactions[purchase])
        return "undone"

    def edit(self, event: EditStock) -> str:
        listing = self._listing(event.listing)
        if listing is None:
            return "deleted"
        stock, origin = self._model.stock, self._model.by_storefront(listing.author_id)
        present = stock.stock(listing.listing_id).total
        try:
            match event.edit:
                case Edit.ADD:
                    stock.adjust(listing.listing_id, event.units, origin)
                case Edit.REMOVE:
                    stock.adjust(listing.listing_id, -event.units, origin)
                case Edit.SET:
                    stock.compare_and_set(listing.listing_id, present, event.units, origin)
                case Edit.UNLIMITED:
                    stock.compare_and_set(listing.listing_id, present, UNLIMITED_TOTAL, origin)
                    self.uncounted[listing.listing_id] = self._clock.monotonic()
                case Edit.UNDEFINED:
                    stock.undefine(listing.listing_id, origin)
                    self.uncounted[listing.listing_id] = self._clock.monotonic()
        except (StockRefusalError, NotEnoughStockError) as error:
            return type(error).__name__
        return f"{present} -> {stock.stock(listing.listing_id).total}"

    def turn(self, event: TurnListing) -> str:
        listing = self._listing(event.listing)
        if listing is None:
            return "deleted"
        origin = self._model.by_storefront(listing.author_id)
        if event.turn is Turn.DELETE:
            self.uncounted[listing.listing_id] = self._clock.monotonic()
            self._model.delete_listing(listing, origin)
            self.note_turn(listing.listing_id, "deleted", by_us=False)
            return "deleted"
        state = ListingState.CLOSED if event.turn is Turn.CLOSE else ListingState.PUBLISHED
        if listing.state is state:
            return "unchanged"
        self._model.change_listing(listing, origin, state=state)
        self.note_turn(listing.listing_id, state.value, by_us=False)
        return state.value

    # --- what it shows ----------------------------------------------------------------------------------------

    def delay(self, feed_seconds: float, search_seconds: float) -> None:
        self.longest_delay_seconds = max(self.longest_delay_seconds, feed_seconds)
        self._switch(event_delay_seconds=feed_seconds, search_lag_seconds=search_seconds)

    def tell_of_own(self, telling: str) -> None:
        self._switch(own_events=Shown(telling))

    def _switch(self, **changes: Any) -> None:
        present: Switches = self._model.switches
        self._model.switches = present.model_copy(update=changes)

    def expire_tokens(self, *, refresh_tokens: bool) -> None:
        self._tokens.expire(refresh_tokens=refresh_tokens)

    # --- the truth --------------------------------------------------------------------------------------------

    def _listing(self, number: int) -> Listing | None:
        return self._model.listing(self.ids[number])

    def state(self, listing_id: str) -> str | None:
        listing = self._model.listing(listing_id)
        return None if listing is None else listing.state.value

    def stock_of(self, listing_id: str) -> ListingStock:
        return self._model.stock.stock(listing_id)

    def is_own(self, adjustment: Adjustment) -> bool:
        return adjustment.origin.client_id == CLIENT_ID
