"""The marketplace's people: buyers, providers, and what they do to listings. Acts on the real sandbox."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import Any

from pydantic import SecretStr

from connectors.sandbox.clock import VirtualClock
from connectors.sandbox.log import Shown
from connectors.sandbox.stock import NotEnoughStockError, StockRefusalError
from connectors.sharetribe import sandbox
from connectors.sharetribe.sandbox.control import STEPS
from connectors.sharetribe.sandbox.entities import Listing, ListingState
from connectors.sharetribe.sandbox.errors import ApiError
from connectors.sharetribe.sandbox.marketplace import Marketplace
from connectors.sharetribe.sandbox.options import UNLIMITED_TOTAL, Switches
from connectors.sharetribe.sandbox.process import DEFAULT_PURCHASE, PROPOSED_PURCHASE
from connectors.sharetribe.sandbox.purchases import Purchases
from tests.simulation.events import Buy, Edit, EditStock, Step, StepOfPurchase, Turn, TurnListing
from tests.simulation.settings import CLIENT_ID, MARKETPLACE_SECRET


@dataclass(frozen=True, slots=True)
class Turned:
    """One true change of a listing's state."""

    at: float
    state: str
    """What it became; `deleted` too."""
    by_us: bool


class Market:
    """One marketplace and everybody on it."""

    def __init__(self, clock: VirtualClock, *, seed: int) -> None:
        self._clock = clock
        self.app = sandbox.create_app(
            sandbox.Options(seed=seed, client_id=CLIENT_ID, client_secret=SecretStr(MARKETPLACE_SECRET)), clock
        )
        self.model: Marketplace = self.app.state.marketplace
        self._purchases: Purchases = self.app.state.purchases
        self.ids: list[str] = []
        """Listing ids by number."""
        self._transactions: dict[int, str] = {}
        self._half: set[int] = set()
        self.turned: dict[str, list[Turned]] = {}
        self.longest_delay_seconds = 0.0
        """Of an event, at any time so far."""
        self.uncounted: dict[str, float] = {}
        """Listings that were unlimited, undefined or deleted at some time, with when they last became so."""

    # --- setting up -------------------------------------------------------------------------------------------

    def add_listing(self, title: str, total: int) -> str:
        """A published listing with stock, as a provider makes it."""
        origin = self.model.by_storefront(self.model.provider.user_id)
        listing = self.model.add_listing(
            origin, title=title, author_id=self.model.provider.user_id, state=ListingState.PUBLISHED
        )
        self.model.stock.compare_and_set(listing.listing_id, None, total, origin)
        self.ids.append(listing.listing_id)
        self.turned[listing.listing_id] = []
        return listing.listing_id

    # --- what people do ---------------------------------------------------------------------------------------

    def pass_time(self) -> None:
        """Let what falls due by itself happen, such as checkouts that expire."""
        self._purchases.pass_time()

    def listing_of(self, purchase: int) -> str:
        """The name of the listing that a purchase is about; empty when there is no such purchase."""
        transaction_id = self._transactions.get(purchase)
        if transaction_id is None:
            return ""
        return f"L{self.ids.index(self.model.transactions[transaction_id].listing_id)}"

    def buy(self, event: Buy) -> str:
        """A checkout begins; says what came of it."""
        process = PROPOSED_PURCHASE if event.proposed else DEFAULT_PURCHASE
        try:
            started = self._purchases.start(self.ids[event.listing], event.units, process_name=process)
        except ApiError as error:
            return error.code
        self._transactions[event.purchase] = started.transaction_id
        return "reserved" if not event.proposed else "proposed"

    def step(self, event: StepOfPurchase) -> str:
        """A purchase goes on, if it can."""
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
        """Its units come back on sale; some time later (see `undo_releases`) the release is undone."""
        self._purchases.half_release(transaction_id)
        self._half.add(event.purchase)
        return "half released"

    def undo_release(self, purchase: int) -> str:
        """The release begun before fails now: the units are taken again, sold meanwhile or not."""
        if purchase not in self._half:
            return "nothing to undo"
        self._half.discard(purchase)
        self._purchases.undo_release(self._transactions[purchase])
        return "undone"

    def edit(self, event: EditStock) -> str:
        """A provider types in another number."""
        listing = self.listing(event.listing)
        if listing is None:
            return "deleted"
        stock, origin = self.model.stock, self.model.by_storefront(listing.author_id)
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
        """A provider closes, opens or deletes a listing."""
        listing = self.listing(event.listing)
        if listing is None:
            return "deleted"
        origin = self.model.by_storefront(listing.author_id)
        if event.turn is Turn.DELETE:
            self.uncounted[listing.listing_id] = self._clock.monotonic()
            self.model.delete_listing(listing, origin)
            self.note_turn(listing.listing_id, "deleted", by_us=False)
            return "deleted"
        state = ListingState.CLOSED if event.turn is Turn.CLOSE else ListingState.PUBLISHED
        if listing.state is state:
            return "unchanged"
        self.model.change_listing(listing, origin, state=state)
        self.note_turn(listing.listing_id, state.value, by_us=False)
        return state.value

    def note_turn(self, listing_id: str, state: str, *, by_us: bool) -> None:
        """Remember a true change of state, whatever the feed will tell of it."""
        self.turned[listing_id].append(Turned(self._clock.monotonic(), state, by_us))

    # --- what it shows ----------------------------------------------------------------------------------------

    def delay(self, feed_seconds: float, search_seconds: float) -> None:
        """Events become visible that much later, searches lag."""
        self.longest_delay_seconds = max(self.longest_delay_seconds, feed_seconds)
        self._switch(event_delay_seconds=feed_seconds, search_lag_seconds=search_seconds)

    def tell_of_own(self, telling: str) -> None:
        """How much the feed tells of our own writes."""
        self._switch(own_events=Shown(telling))

    def choose(self, random: Random) -> None:
        """Settle by chance what the vendor's documentation leaves open."""
        self._switch(
            missing_listing_code=random.choice(("listing-not-found", "conflict")),
            adjustment_order=random.choice(("newest_first", "oldest_first", "shuffled")),
            listing_updated_on_stock=random.choice(("never", "first", "always")),
            repeated_close=random.choice(("accepted", "refused")),
            mismatch_status=random.choice((409, 400)),
        )

    def _switch(self, **changes: Any) -> None:
        present: Switches = self.model.switches
        self.model.switches = present.model_copy(update=changes)

    def expire_tokens(self, *, refresh_tokens: bool) -> None:
        """Forget the tokens that were given out."""
        self.app.state.tokens.expire(refresh_tokens=refresh_tokens)

    # --- the truth --------------------------------------------------------------------------------------------

    def listing(self, number: int) -> Listing | None:
        """None when it was deleted."""
        return self.model.listing(self.ids[number])

    def total(self, listing_id: str) -> int | None:
        """Units for sale now."""
        return self.model.stock.stock(listing_id).total

    def own(self, listing_id: str) -> list[Any]:
        """Our own adjustments, whatever the feed tells."""
        return [
            adjustment
            for adjustment in self.model.stock.stock(listing_id).adjustments
            if adjustment.origin.client_id == CLIENT_ID
        ]

    def own_net(self, listing_id: str) -> int:
        """Units that our own adjustments took."""
        return -sum(int(adjustment.quantity) for adjustment in self.own(listing_id))

    def last_moved(self, listing_id: str) -> float:
        """When its total last changed, in seconds since the beginning."""
        ledger = self.model.stock.stock(listing_id).adjustments
        if not ledger:
            return 0.0
        last = ledger[-1]
        return self._clock.monotonic() - (self._clock.now() - last.at).total_seconds()

    def was_positive_since(self, listing_id: str, moment: float) -> bool:
        """Whether there was anything to sell at any time from `moment` on."""
        start = self._clock.now().timestamp() - (self._clock.monotonic() - moment)
        ledger = self.model.stock.stock(listing_id).adjustments
        before = [adjustment.total for adjustment in ledger if adjustment.at.timestamp() < start - 0.002]
        later = [adjustment.total for adjustment in ledger if adjustment.at.timestamp() >= start - 0.002]
        return any(total > 0 for total in (*before[-1:], *later))
