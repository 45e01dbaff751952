"""Doubles of the two ends, for tests of the rooms between them: a marketplace on the sandboxes' stock model, a channel
of orders by hand. Both implement the contract and nothing else; what they did is recorded.
"""

from __future__ import annotations

import itertools
import json
from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from random import Random

from connectors.contract import (
    UNDEFINED,
    UNLIMITED,
    Adjusted,
    Author,
    Change,
    ChangePage,
    Check,
    Evidence,
    Gone,
    Guard,
    Listing,
    ListingChange,
    ListingState,
    MarketplaceSale,
    Notice,
    Order,
    OrderLine,
    OrderPage,
    OrderRef,
    Receipt,
    RemoteAdjustment,
    Reservation,
    ReservationState,
    Stock,
    StockChange,
    Subscription,
    TrailEvent,
    UnreadableOrder,
)
from connectors.errors import InsufficientStock, InvalidSignature, NotFound, OutcomeUnknown, StockMismatch, Unreadable
from connectors.sandbox.clock import VirtualClock
from connectors.sandbox.log import Entry, Log, Origin, Shown
from connectors.sandbox.stock import ADJUSTMENT_CREATED, Adjustment, NotEnoughStockError, StockModel, TotalMismatchError
from connectors.sandbox.stock import Reservation as HeldUnits

OURS = "trueup"
UNLIMITED_FROM = 10**12
STATE_CHANGED = "listing/updated"


@dataclass(frozen=True)
class StateChange:
    listing_id: str
    state: ListingState


class ModelMarketplace:
    """A compare-and-set marketplace with ledger, feed, closing and trail. Faults are queued per method."""

    guard = Guard.COMPARE_AND_SET
    evidence = Evidence.ATTRIBUTED
    unlimited_from: int | None = UNLIMITED_FROM

    def __init__(self, clock: VirtualClock, *, seed: int = 0) -> None:
        self.clock = clock
        self._random = Random(seed)
        self.log = Log(clock, self._random)
        ids = itertools.count(1)
        self.stock_model = StockModel(self.log, lambda: f"id-{next(ids)}")
        self.states: dict[str, ListingState] = {}
        self.sellers: dict[str, str] = {}
        self.calls: list[tuple[str, ...]] = []
        self.faults: dict[str, deque[Exception | str]] = {}
        self.before_adjust: Callable[[str], None] | None = None
        """Called right before a compare-and-set executes: where another's change slips in between."""
        self.own_events = Shown.ATTRIBUTED
        self.feed_hidden = False
        """Nothing new is visible in the feed while this is set."""
        self.feed_page = 100
        """Entries of a page."""
        self._visible = 0
        self.late: list[Callable[[], None]] = []
        """Writes that a test executes after their answer was lost."""

    # --- what tests do to it ----------------------------------------------------------------------------------

    def add(
        self, listing_id: str, total: int | None, *, state: ListingState = ListingState.PUBLISHED, seller: str = "s1"
    ) -> None:
        self.stock_model.add_listing(listing_id)
        self.states[listing_id] = state
        self.sellers[listing_id] = seller
        if total is not None:
            self.stock_model.compare_and_set(listing_id, None, total, Origin("provider", user_id="provider"))

    def total(self, listing_id: str) -> int | None:
        return self.stock_model.stock(listing_id).total

    def edit(self, listing_id: str, change: int) -> None:
        """A provider types in another number."""
        self.stock_model.adjust(listing_id, change, Origin("provider", user_id="provider"), allow_negative=True)

    def buy(self, listing_id: str, quantity: int) -> HeldUnits:
        """A buyer begins to pay: a pending reservation."""
        origin = Origin("transaction", user_id="buyer")
        return self.stock_model.reserve(
            listing_id,
            quantity,
            transaction_id=f"tx-{len(self.stock_model.reservations)}",
            proposed=False,
            origin=origin,
        )

    def abandon(self, reservation: HeldUnits) -> None:
        self.stock_model.decline(reservation, Origin("transaction"))

    def set_state(self, listing_id: str, state: ListingState, *, ours: bool = False) -> None:
        self.states[listing_id] = state
        shown = self.own_events if ours else Shown.ATTRIBUTED
        origin = Origin("api" if ours else "console", client_id=OURS if ours else None, user_id="operator", shown=shown)
        self.log.append(STATE_CHANGED, StateChange(listing_id, state), origin, (listing_id,))

    def fail(self, method: str, *faults: Exception | str) -> None:
        """Queue what the next calls of `method` do instead: raise, or for `adjust` be "lost_before", "lost_after" or
        "late"; None-like texts "ok" let one through."""
        self.faults.setdefault(method, deque()).extend(faults)

    def own_net(self, listing_id: str) -> int:
        """Units that our own adjustments took, as the model knows it."""
        adjustments = self.stock_model.stock(listing_id).adjustments
        return -sum(adjustment.quantity for adjustment in adjustments if adjustment.origin.client_id == OURS)

    def count(self, method: str) -> int:
        return sum(1 for call in self.calls if call[0] == method)

    # --- the contract -----------------------------------------------------------------------------------------

    def listing(self, listing_id: str) -> Listing:
        self._called("listing", listing_id)
        state = self.states.get(listing_id, ListingState.DELETED)
        if state is ListingState.DELETED:
            raise NotFound(f"there is no listing {listing_id}")
        return Listing(listing_id, state, self._stock(listing_id), self.sellers[listing_id], f"Listing {listing_id}")

    def _stock(self, listing_id: str) -> Stock:
        total = self.stock_model.stock(listing_id).total
        if total is None:
            return UNDEFINED
        return UNLIMITED if total >= UNLIMITED_FROM else Stock.counted(total)

    def adjust(self, listing_id: str, *, seen: int, delta: int) -> Adjusted:
        fault = self._called("adjust", listing_id, str(seen), str(delta))
        if fault == "lost_before":
            raise OutcomeUnknown("no answer")
        if fault == "late":
            self.late.append(lambda: self._execute_late(listing_id, seen, delta))
            raise OutcomeUnknown("no answer")
        if self.before_adjust is not None:
            self.before_adjust(listing_id)
        if self.states.get(listing_id) is ListingState.DELETED:
            raise NotFound(f"there is no listing {listing_id}")
        self._set(listing_id, seen, delta)
        if fault == "lost_after":
            raise OutcomeUnknown("no answer")
        return Adjusted(seen + delta)

    def _set(self, listing_id: str, seen: int, delta: int) -> None:
        try:
            self.stock_model.compare_and_set(
                listing_id, seen, seen + delta, Origin("api", client_id=OURS, shown=self.own_events)
            )
        except TotalMismatchError as error:
            raise StockMismatch(str(error)) from error

    def _execute_late(self, listing_id: str, seen: int, delta: int) -> None:
        if self.stock_model.stock(listing_id).total == seen:
            self._set(listing_id, seen, delta)

    def listings(self) -> Iterator[Sequence[Listing]]:
        self._called("listings")
        alive = [name for name, state in self.states.items() if state is not ListingState.DELETED]
        for start in range(0, len(alive), 100):
            yield [
                Listing(name, self.states[name], self._stock(name), self.sellers[name], f"Listing {name}")
                for name in alive[start : start + 100]
            ]

    def check(self) -> Sequence[Check]:
        return [Check("credentials", True, "accepted")]

    def adjustments(self, listing_id: str, *, since: datetime) -> Sequence[RemoteAdjustment]:
        self._called("adjustments", listing_id)
        return [
            self._remote(adjustment, author=None)
            for adjustment in self.stock_model.stock(listing_id).adjustments
            if adjustment.at >= since
        ]

    def _remote(self, adjustment: Adjustment, *, author: Author | None) -> RemoteAdjustment:
        reservation = None
        if adjustment.reservation_id is not None:
            held = self.stock_model.reservations[adjustment.reservation_id]
            reservation = Reservation(
                held.reservation_id, held.transaction_id, ReservationState(held.state.value), held.quantity
            )
        return RemoteAdjustment(
            adjustment.adjustment_id, adjustment.listing_id, adjustment.at, adjustment.quantity, author, reservation
        )

    def changes(self, cursor: str | None) -> ChangePage:
        self._called("changes")
        if not self.feed_hidden:
            self._visible = self.log.last_sequence
        after = int(cursor) if cursor is not None else None
        since = None if cursor is not None else self.clock.now() - timedelta(minutes=1)
        entries = self.log.page(until=self.clock.now(), since=since, after_sequence=after, limit=self.feed_page)
        shown = [entry for entry in entries if entry.sequence <= self._visible]
        changes = [change for entry in shown if (change := self._change(entry)) is not None]
        position = shown[-1].sequence if shown else self._visible if after is None else after
        return ChangePage(changes, str(position), more=len(shown) == self.feed_page)

    def _change(self, entry: Entry) -> Change | None:
        if entry.origin.shown is Shown.ANONYMOUS:
            author = None
        else:
            author = Author.OURS if entry.origin.client_id == OURS else Author.OTHER
        if entry.kind == ADJUSTMENT_CREATED:
            return StockChange(entry.sequence, self._remote(entry.subject, author=author))
        if entry.kind == STATE_CHANGED:
            change = entry.subject
            return ListingChange(entry.sequence, change.listing_id, entry.at, change.state, True, author)
        return None

    def close(self, listing_id: str) -> None:
        if self._called("close", listing_id) == "lost_after":
            self.set_state(listing_id, ListingState.CLOSED, ours=True)
            raise OutcomeUnknown("no answer")
        self.set_state(listing_id, ListingState.CLOSED, ours=True)

    def open(self, listing_id: str) -> None:
        self._called("open", listing_id)
        self.set_state(listing_id, ListingState.PUBLISHED, ours=True)

    def trail(self, transaction_id: str) -> Sequence[TrailEvent]:
        self._called("trail", transaction_id)
        return [
            TrailEvent(entry.at, "stock", entry.kind)
            for entry in self.log.page(until=self.clock.now(), about=transaction_id, limit=100)
        ]

    def _called(self, *call: str) -> str | None:
        self.calls.append(call)
        queued = self.faults.get(call[0])
        fault = queued.popleft() if queued else None
        if isinstance(fault, Exception):
            raise fault
        return fault


class RelativeMarketplace(ModelMarketplace):
    """One that adds and takes, never below zero, and has no feed; its log names no author unless we alone write."""

    guard = Guard.RELATIVE
    evidence = Evidence.ANONYMOUS
    unlimited_from = None
    changes = None  # type: ignore[assignment]  # so that it is no `Feed`

    def adjust(self, listing_id: str, *, seen: int, delta: int) -> Adjusted:
        fault = self._called("adjust", listing_id, str(seen), str(delta))
        if fault == "lost_before":
            raise OutcomeUnknown("no answer")
        if fault == "late":
            self.late.append(lambda: self._execute_late(listing_id, seen, delta))
            raise OutcomeUnknown("no answer")
        if self.stock_model.stock(listing_id).total != seen:
            raise StockMismatch("there is something else")
        if self.before_adjust is not None:
            self.before_adjust(listing_id)
        made = self._move(listing_id, delta)
        if fault == "lost_after":
            raise OutcomeUnknown("no answer")
        return Adjusted(seen + delta, made)

    def _execute_late(self, listing_id: str, seen: int, delta: int) -> None:
        self._move(listing_id, delta)

    def _move(self, listing_id: str, delta: int) -> str:
        try:
            return self.stock_model.adjust(listing_id, delta, Origin("api", client_id=OURS)).adjustment_id
        except NotEnoughStockError as error:
            raise InsufficientStock(str(error)) from error

    def _remote(self, adjustment: Adjustment, *, author: Author | None) -> RemoteAdjustment:
        if self.evidence is Evidence.ATTRIBUTED:
            author = Author.OURS if adjustment.origin.client_id == OURS else Author.OTHER
        return super()._remote(adjustment, author=author)


class AbsoluteMarketplace(ModelMarketplace):
    """One that only sets numbers, has neither feed nor log, and tells its sales."""

    guard = Guard.ABSOLUTE
    evidence = Evidence.NONE
    unlimited_from = None
    changes = None  # type: ignore[assignment]  # so that it is no `Feed`
    adjustments = None  # type: ignore[assignment]  # nor a `Ledger`

    unreadable_sales: Collection[str] = ()
    """Whose shape nobody knows."""

    def adjust(self, listing_id: str, *, seen: int, delta: int) -> Adjusted:
        fault = self._called("adjust", listing_id, str(seen), str(delta))
        if fault == "lost_before":
            raise OutcomeUnknown("no answer")
        if fault == "late":
            self.late.append(lambda: self._execute_late(listing_id, seen, delta))
            raise OutcomeUnknown("no answer")
        if self.stock_model.stock(listing_id).total != seen:
            raise StockMismatch("there is something else")
        if self.before_adjust is not None:
            self.before_adjust(listing_id)
        self._execute_late(listing_id, seen, delta)
        if fault == "lost_after":
            raise OutcomeUnknown("no answer")
        return Adjusted(self.stock_model.stock(listing_id).total or 0)

    def _execute_late(self, listing_id: str, seen: int, delta: int) -> None:
        """The number that was asked for, whatever is there."""
        there = self.stock_model.stock(listing_id).total or 0
        if seen + delta != there:
            self.stock_model.adjust(listing_id, seen + delta - there, Origin("api", client_id=OURS))

    def sales(self, *, since: datetime) -> Iterator[Sequence[MarketplaceSale | UnreadableOrder]]:
        self._called("sales")
        yield [
            UnreadableOrder(made.reservation_id, "it has no status", b"{}")
            if made.reservation_id in self.unreadable_sales
            else MarketplaceSale(made.reservation_id, name, -made.quantity, made.at, made.at)
            for name in self.states
            for made in self.stock_model.stock(name).adjustments
            if made.reservation_id is not None and made.quantity < 0 and made.at >= since
        ]


class ScriptedChannel:
    """A channel whose orders a test writes by hand; its webhooks are JSON, signed by the header `x-signature: good`."""

    refusal_status = 401

    def __init__(self, clock: VirtualClock) -> None:
        self.clock = clock
        self.held: dict[str, Order] = {}
        self.late_in_index: set[str] = set()
        """Orders that a poll does not show yet, but `recent` and `order` do."""
        self.revision_is_exact = False
        """Whether it promises that no two contents share a revision."""
        self.calls: list[tuple[str, ...]] = []
        self.faults: dict[str, deque[Exception]] = {}

    def put(
        self,
        order_id: str,
        lines: Mapping[str, int] | Sequence[OrderLine],
        *,
        revision: int | None = None,
        placed_at: datetime | None = None,
        excluded: str | None = None,
    ) -> Order:
        """The order now has these lines: SKU to committed units (line ids are then the SKUs), or lines as they are."""
        before = self.held.get(order_id)
        if isinstance(lines, Mapping):
            lines = [OrderLine(sku, sku, f"item-{sku}", units) for sku, units in lines.items()]
        order = Order(
            order_id,
            revision if revision is not None else int(self.clock.now().timestamp()),
            placed_at or (before.placed_at if before else self.clock.now()),
            tuple(lines),
            excluded,
            revision_is_exact=self.revision_is_exact,
        )
        self.held[order_id] = order
        return order

    def fail(self, method: str, *faults: Exception) -> None:
        self.faults.setdefault(method, deque()).extend(faults)

    def _called(self, *call: str) -> None:
        self.calls.append(call)
        queued = self.faults.get(call[0])
        if queued:
            raise queued.popleft()

    # --- the contract -----------------------------------------------------------------------------------------

    def cursor_at(self, moment: datetime) -> str:
        return str(int(moment.timestamp()))

    def orders(self, cursor: str) -> OrderPage:
        self._called("orders", cursor)
        until = int(self.clock.now().timestamp()) - 3
        found = sorted(
            (
                order
                for order in self.held.values()
                if int(cursor) <= order.revision <= until and order.order_id not in self.late_in_index
            ),
            key=lambda order: (order.revision, order.order_id),
        )
        page = found[:10]
        following = str(page[-1].revision) if len(found) > len(page) else str(max(int(cursor), until))
        fetched = [replace(order, fetched_at=self.clock.now()) for order in page]
        return OrderPage(fetched, following, more=len(found) > len(page))

    def recent(self, since: datetime) -> Iterator[Sequence[OrderRef]]:
        self._called("recent")
        yield [
            OrderRef(order.order_id, order.revision)
            for order in self.held.values()
            if order.revision >= int(since.timestamp())
        ]

    def order(self, order_id: str) -> Order | Gone:
        self._called("order", order_id)
        held = self.held.get(order_id)
        if held is None:
            return Gone(order_id, self.clock.now())
        return replace(held, fetched_at=self.clock.now())

    def check(self) -> Sequence[Check]:
        return [Check("credentials", True, "accepted")]

    def receive(self, headers: Mapping[str, str], body: bytes) -> Receipt:
        if headers.get("x-signature") != "good":
            raise InvalidSignature("bad signature")
        return Receipt(headers.get("x-id", "1"), headers.get("x-topic", "orders"), body, raw=False)

    def read(self, topic: str, kept: bytes) -> Sequence[Notice]:
        try:
            said = json.loads(kept)
            lines = tuple(OrderLine(sku, sku, f"item-{sku}", units) for sku, units in said["lines"].items())
            placed_at = datetime.fromisoformat(said["placed_at"])
            exact = self.revision_is_exact
            return [Order(said["order"], said["revision"], placed_at, lines, revision_is_exact=exact)]
        except (ValueError, KeyError, TypeError) as error:
            raise Unreadable(f"cannot be read: {error}") from error

    def subscriptions(self, address: str) -> Sequence[Subscription]:
        return [Subscription("orders", address)]

    def subscribe(self, address: str) -> Sequence[Subscription]:
        return self.subscriptions(address)


class SendingChannel:
    """A channel that tells of its orders, and can be neither read nor asked."""

    def __init__(self, channel: ScriptedChannel) -> None:
        self.refusal_status = channel.refusal_status
        self.check = channel.check
        self.receive = channel.receive
        self.read = channel.read
        self.subscriptions = channel.subscriptions
        self.subscribe = channel.subscribe


def webhook_body(order: Order) -> bytes:
    """What `ScriptedChannel.read` reads."""
    return json.dumps(
        {
            "order": order.order_id,
            "revision": order.revision,
            "placed_at": order.placed_at.isoformat(),
            "lines": {line.sku: line.committed for line in order.lines},
        }
    ).encode()
