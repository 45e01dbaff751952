"""The marketplace's people: buyers, providers, and what they do to listings. Each vendor's own is in `vendors`.

They act on the real sandbox, beside every connector. What really happened is read from the stock model that all
sandboxes share: an immutable ledger of who moved what.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import ClassVar

import httpx
from pydantic import BaseModel
from starlette.types import ASGIApp

from connectors.contract import Guard
from connectors.sandbox.clock import VirtualClock
from connectors.sandbox.stock import Adjustment, ListingStock
from tests.simulation.events import Buy, Call, EditStock, StepOfPurchase, TurnListing

UNLIMITED_FROM = 10**12
"""Totals from here on stand for unlimited stock where no other sign does."""


@dataclass(frozen=True, slots=True)
class Turned:
    """One true change of a listing's state."""

    at: float
    state: str
    """What it became; `deleted` too."""
    by_us: bool
    operation: int | None = None
    """Of ours, where it was."""


@dataclass(frozen=True, slots=True)
class Write:
    """What a stock write asks for: two totals, a delta or a number, by the marketplace's guard."""

    listing_id: str
    expected: int | None = None
    new: int | None = None
    delta: int | None = None

    def __str__(self) -> str:
        if self.delta is not None:
            return f"{self.delta:+d}"
        return f"{'' if self.expected is None else self.expected} -> {self.new}"

    @property
    def condition(self) -> tuple[str, tuple[int, ...]]:
        """Which operations of the listing it can be: SQL on the operations' table, and its parameters."""
        if self.delta is not None:
            return "new_total - expected_total = ?", (self.delta,)
        assert self.new is not None, "a write says what it wants"
        if self.expected is None:
            return "new_total = ?", (self.new,)
        return "expected_total = ? AND new_total = ?", (self.expected, self.new)


class Market(ABC):
    """One marketplace and everybody on it."""

    name: ClassVar[str]
    """In pairings."""
    connector: ClassVar[str]
    guard: ClassVar[Guard]
    has_feed: ClassVar[bool] = False
    """Whether it tells what changed; else only sweeps do."""
    unlimited_by_deletion: ClassVar[bool] = False
    """Whether stock that becomes unlimited is deleted with what it held, which no log tells."""
    app: ASGIApp
    host: str = "marketplace.example"

    def __init__(self, clock: VirtualClock, *, seed: int) -> None:
        """A marketplace without listings; the seed makes its ids reproducible."""
        self._clock = clock
        self.ids: list[str] = []
        """Listing ids by number."""
        self.turned: dict[str, list[Turned]] = {}
        self.longest_delay_seconds = 0.0
        """Of an event, at any time so far."""
        self.uncounted: dict[str, float] = {}
        """Listings that were unlimited, undefined or deleted at some time, with when they last became so."""
        self.writing: Callable[[str], bool] = lambda _listing_id: False
        """Whether a write of ours to that listing is under way: what people must not meet where it overwrites them."""

    # --- how trueup gets in -----------------------------------------------------------------------------------

    @property
    @abstractmethod
    def settings(self) -> BaseModel:
        """What the connector is configured with."""

    @property
    @abstractmethod
    def secrets(self) -> tuple[str, ...]:
        """What must never be found in the database."""

    @abstractmethod
    def call_of(self, request: httpx.Request) -> Call:
        """What a request is."""

    @abstractmethod
    def write_of(self, request: httpx.Request) -> Write:
        """What a stock write asks for."""

    @abstractmethod
    def turned_by(self, request: httpx.Request) -> str:
        """The listing that a closing or opening is about."""

    # --- setting up -------------------------------------------------------------------------------------------

    def choose(self, random: Random) -> None:
        """Settle by chance what the vendor's documentation leaves open."""

    @abstractmethod
    def add_listing(self, title: str, total: int) -> str:
        """A published listing with stock, as a provider makes it."""

    # --- what people do ---------------------------------------------------------------------------------------

    def pass_time(self) -> None:
        """Let what falls due by itself happen, such as checkouts that expire."""

    def write_is_meant(self, listing_id: str) -> None:
        """A stock write of ours to that listing is written down, and will be sent."""

    @abstractmethod
    def listing_of(self, purchase: int) -> str:
        """The name of the listing that a purchase is about; empty when there is no such purchase."""

    @abstractmethod
    def buy(self, event: Buy) -> str:
        """A checkout begins; says what came of it."""

    @abstractmethod
    def step(self, event: StepOfPurchase) -> str:
        """A purchase goes on, if it can."""

    def undo_release(self, purchase: int) -> str:
        """The release begun before fails now: the units are taken again, sold meanwhile or not."""
        return f"purchase {purchase}: nothing to undo"

    @abstractmethod
    def edit(self, event: EditStock) -> str:
        """A provider types in another number."""

    @abstractmethod
    def turn(self, event: TurnListing) -> str:
        """A provider closes, opens or deletes a listing."""

    def note_turn(self, listing_id: str, state: str, *, by_us: bool, operation: int | None = None) -> None:
        """Remember a true change of state, whatever anybody is told of it."""
        self.turned[listing_id].append(Turned(self._clock.monotonic(), state, by_us, operation))

    # --- what it shows ----------------------------------------------------------------------------------------

    def delay(self, feed_seconds: float, search_seconds: float) -> None:
        """Events become visible that much later, searches lag."""

    def tell_of_own(self, telling: str) -> None:
        """How much the feed tells of our own writes."""

    def expire_tokens(self, *, refresh_tokens: bool) -> None:
        """Forget the tokens that were given out."""

    # --- the truth --------------------------------------------------------------------------------------------

    @abstractmethod
    def state(self, listing_id: str) -> str | None:
        """`published` or `closed`, ...; None when it was deleted."""

    @abstractmethod
    def stock_of(self, listing_id: str) -> ListingStock:
        """Its total and its ledger, also after it was deleted."""

    @abstractmethod
    def is_own(self, adjustment: Adjustment) -> bool:
        """Whether trueup made it, whatever anybody is told of it."""

    def same_write(self, expected: int, new: int) -> tuple[int, ...]:
        """What cannot be told apart of two writes of one listing."""
        match self.guard:
            case Guard.COMPARE_AND_SET:
                return expected, new
            case Guard.RELATIVE:
                return (new - expected,)
            case Guard.ABSOLUTE:
                return (new,)

    def exists(self, number: int) -> bool:
        """Whether that listing was not deleted."""
        return self.state(self.ids[number]) is not None

    def total(self, listing_id: str) -> int | None:
        """Units for sale now; None where there is no number."""
        return self.stock_of(listing_id).total

    def own(self, listing_id: str) -> list[Adjustment]:
        """Our own adjustments."""
        return [adjustment for adjustment in self.stock_of(listing_id).adjustments if self.is_own(adjustment)]

    def own_net(self, listing_id: str) -> int:
        """Units that our own adjustments took."""
        return -sum(adjustment.quantity for adjustment in self.own(listing_id))

    def last_moved(self, listing_id: str) -> float:
        """When its total last changed, in seconds since the beginning."""
        ledger = self.stock_of(listing_id).adjustments
        if not ledger:
            return 0.0
        last = ledger[-1]
        return self._clock.monotonic() - (self._clock.now() - last.at).total_seconds()

    def was_positive_since(self, listing_id: str, moment: float) -> bool:
        """Whether there was anything to sell at any time from `moment` on."""
        start = self._clock.now().timestamp() - (self._clock.monotonic() - moment)
        ledger = self.stock_of(listing_id).adjustments
        before = [adjustment.total for adjustment in ledger if adjustment.at.timestamp() < start - 0.002]
        later = [adjustment.total for adjustment in ledger if adjustment.at.timestamp() >= start - 0.002]
        return any(total > 0 for total in (*before[-1:], *later))
