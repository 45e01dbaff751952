"""Polling: what makes the sales complete, however many webhooks were lost."""

from __future__ import annotations

import uuid
from collections.abc import Container, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import structlog

from connectors.clock import Clock
from connectors.contract import MAX_QUANTITY, Askable, Channel, Order, OrderPage, OrderRef, Polled, UnreadableOrder
from connectors.errors import ConnectorError, Unreadable
from worker.alerts import Anomalies
from worker.holds.accounts import Accounts
from worker.intake import arrivals, repository
from worker.intake.boundary import Passing, cursor_at, page_of
from worker.intake.findings import failure_reason, parked_order
from worker.intake.service import Intake
from worker.intake.snapshots import NEVER_SEEN, digest
from worker.store import StorageUnavailable, Store, Transaction, cursors
from worker.store.tables import HoldScope
from worker.store.types import LONGEST_IDENTIFIER

log = structlog.get_logger(__name__)

NO_ID = "(no id)"
LONGEST_PUT_OFF = timedelta(minutes=10)
"""What a poll puts off is due after this at the latest, should nobody ever end it."""
BATCH_LINES = 2000
"""Lines taken in with one commit, unless one order alone has more: nobody else writes meanwhile where there is only one
writer.
"""
LATE_INDEX = timedelta(minutes=10)
"""How long a vendor's index may take to show a change, for the late pass to find it."""
TOLD_WITHIN = timedelta(minutes=2)
"""After an order was placed its webhook has come, where webhooks work."""
CATCHES_UP_AFTER = timedelta(hours=1)
"""What the first poll after such a pause finds says nothing about webhooks: we may have been away ourselves."""


class Poller:
    """Reads whole orders changed since the last poll, and ids and revisions a little further back."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        intake: Intake,
        anomalies: Anomalies,
        accounts: Accounts,
        channels: Mapping[str, Channel],
        *,
        hooked: Container[str] = (),
    ) -> None:
        """`hooked` names the channels whose webhooks are registered, so that they should tell of an order first."""
        self._store = store
        self._clock = clock
        self._intake = intake
        self._anomalies = anomalies
        self._accounts = accounts
        self._channels = channels
        self._hooked = hooked

    def poll(self, name: str, *, within: timedelta = timedelta(seconds=50)) -> bool:
        """Read one channel to its head, or for `within`; returns whether the head was reached.

        While it catches up over several pages, what a page makes due waits for the head, or for the poll to fail, so
        that a backlog is written once for each listing and not once for each page. Should this process die, the next
        poll ends the waiting.

        The cursor moves in the transaction that took in the last of its page, so a crash repeats at most a page,
        without harm. Raises what the connector raises, `Unreadable` when it breaks its contract or leads in a circle,
        and `Unavailable` or `Unauthorized` when the account rests or is stopped. A channel that cannot be read has
        nothing to be read.
        """
        channel = self._channels[name]
        if not isinstance(channel, Polled):
            return True
        self._accounts.admit(HoldScope.CHANNEL, name)
        deadline = self._clock.monotonic() + within.total_seconds()
        correlation = f"poll-{uuid.uuid4().hex[:16]}"
        passed: set[str] = set()
        try:
            while True:
                started_at = self._clock.now()
                with self._accounts.reading(HoldScope.CHANNEL, name):
                    cursor = self._cursor(name, channel)
                    page = page_of(name, channel, cursor)
                    passed.add(cursor)
                    if page.more and page.cursor in passed:
                        message = f"more orders wait, but its cursor leads back to where it was: {page.cursor[:100]}"
                        raise Unreadable(message, account=name)
                self._take_page(name, page, correlation, started_at)
                if not page.more:
                    self._end_putting_off(name)
                    return True
                if self._clock.monotonic() >= deadline:
                    return False
        except ConnectorError:
            self._end_putting_off(name)
            raise

    def late_pass(self, name: str, reaching_back: timedelta) -> int:
        """Compare ids and revisions of the time behind the cursor with what we hold, for entries that the vendor's
        index showed late; returns how many orders must be fetched. Cheap, and idempotent.

        It reaches back that far, or further if the last complete pass, or before the first one the day when the channel
        was met, is longer ago than usual, so that what became visible in between is not missed.
        """
        channel = self._channels[name]
        if not isinstance(channel, Askable):
            return 0
        began_at = self._clock.now()
        with self._store.read() as transaction:
            last = cursors.cursor(transaction, late_name(name))
            row = repository.channel(transaction, name)
        since = began_at - reaching_back
        if last is not None:
            since = min(since, datetime.fromisoformat(last) - LATE_INDEX)
        elif row is not None:
            since = min(since, row.created_at - LATE_INDEX)
        correlation = f"late-{uuid.uuid4().hex[:16]}"
        missing = 0
        self._accounts.admit(HoldScope.CHANNEL, name)
        passing = Passing(name, channel, since)
        while True:
            with self._accounts.calling(HoldScope.CHANNEL, name):
                page = passing.next_page()
            if page is None:
                break
            missing += self._ask_for_missing(name, page, correlation)
        with self._store.write() as transaction:
            cursors.move_cursor(transaction, late_name(name), began_at.isoformat(), began_at, current=False)
        if missing:
            log.info("late_orders_found", channel=name, count=missing)
        return missing

    def _cursor(self, name: str, channel: Polled) -> str:
        with self._store.read() as transaction:
            held = cursors.cursor(transaction, cursor_name(name))
            if held is not None:
                return held
            row = repository.channel(transaction, name)
        counted_from = self._clock.now() if row is None else row.counted_from
        return cursor_at(name, channel, counted_from)

    def _end_putting_off(self, name: str) -> None:
        """In a transaction of its own: these listings are locked in one order for everybody, after no others."""
        with self._store.write() as transaction:
            repository.end_putting_off(transaction, name, self._clock.now())

    def _take_page(self, name: str, page: OrderPage, correlation: str, started_at: datetime) -> None:
        self._park_unreadable(name, page, correlation)
        *before, last = _batches(page.orders)
        for batch in before:
            self._take(name, batch, page, correlation, None)
        self._take(name, last, page, correlation, started_at)

    def _take(
        self, name: str, orders: Sequence[Order], page: OrderPage, correlation: str, moves_on_at: datetime | None
    ) -> None:
        """Take some orders of a page in, and move on behind it if they are its last."""
        try:
            with self._store.write() as transaction:
                put_off = LONGEST_PUT_OFF if page.more or moves_on_at is None else None
                untold = self._untold(transaction, name, orders)
                self._intake.take_in(transaction, name, orders, correlation, put_off=put_off)
                _note_polled(transaction, name, orders)
                if untold:
                    arrivals.note_untold(transaction, name, untold, self._clock.now())
                if moves_on_at is not None:
                    self._move_on(transaction, name, page, moves_on_at)
        except StorageUnavailable:
            raise
        except Exception as error:
            if not isinstance(error, OverflowError):
                log.exception("order_page_failed", channel=name)
            self._take_one_by_one(name, orders, correlation)
            if moves_on_at is not None:
                with self._store.write() as transaction:
                    self._move_on(transaction, name, page, moves_on_at)

    def _untold(self, transaction: Transaction, name: str, orders: Sequence[Order]) -> int:
        """How many of these are new, although a webhook had time to tell of them."""
        if name not in self._hooked or not orders:
            return 0
        now = self._clock.now()
        read_to = cursors.read_to(transaction, cursor_name(name))
        if read_to is None or now - read_to > CATCHES_UP_AFTER:
            return 0
        due = {order.order_id for order in orders if read_to - LATE_INDEX <= order.placed_at <= now - TOLD_WITHIN}
        return len(due - repository.known_revisions(transaction, name, due).keys()) if due else 0

    def _move_on(self, transaction: Transaction, name: str, page: OrderPage, started_at: datetime) -> None:
        cursors.move_cursor(transaction, cursor_name(name), page.cursor, started_at, current=not page.more)

    def _take_one_by_one(self, name: str, orders: Sequence[Order], correlation: str) -> None:
        """A page that cannot be taken in: let its neighbours through and park the order that is to blame."""
        for order in orders:
            try:
                with self._store.write() as transaction:
                    self._intake.take_in(transaction, name, [order], correlation)
                    _note_polled(transaction, name, [order])
            except StorageUnavailable:
                raise
            except Exception as error:  # noqa: BLE001  logged with its page
                reason = str(error) if isinstance(error, OverflowError) else failure_reason(error)
                with self._store.write() as transaction:
                    self._park(transaction, name, order.order_id, reason, correlation)

    def _park_unreadable(self, name: str, page: OrderPage, correlation: str) -> None:
        """Before the page moves the cursor, and each by itself: beside others' locks, one more order could deadlock."""
        for unreadable in page.unreadable:
            with self._store.write() as transaction:
                self._park(transaction, name, unreadable.order_id or NO_ID, unreadable.reason, correlation)

    def _park(self, transaction: Transaction, name: str, order_id: str, reason: str, correlation: str) -> None:
        """Park an order by its id. One we hold already keeps its units; the next readable snapshot un-parks it."""
        now = self._clock.now()
        if len(order_id) > LONGEST_IDENTIFIER:
            # No row can be named by it; what is known of it is told.
            shortened = order_id[:LONGEST_IDENTIFIER]
            self._anomalies.open_in(transaction, [parked_order(name, shortened, f"its id is too long; {reason}")])
            return
        repository.ensure_orders(transaction, name, {order_id: correlation}, NEVER_SEEN, now)
        rows = repository.lock_orders(transaction, name, [order_id])
        repository.park_order(transaction, rows[order_id].id, reason)
        self._anomalies.open_in(transaction, [parked_order(name, order_id, reason)])

    def _ask_for_missing(self, name: str, page: Sequence[OrderRef | UnreadableOrder], correlation: str) -> int:
        revisions = {ref.order_id: ref.revision for ref in page if isinstance(ref, OrderRef)}
        for entry in page:
            if isinstance(entry, UnreadableOrder) and entry.order_id is not None:
                # Its revision cannot be told: what the order is now, a fetch tells, or parks it with the reason.
                revisions[entry.order_id] = MAX_QUANTITY
            elif isinstance(entry, UnreadableOrder):
                self._anomalies.open(parked_order(name, NO_ID, entry.reason))
        with self._store.read() as transaction:
            known = repository.known_revisions(transaction, name, revisions)
        missing = [order_id for order_id, revision in revisions.items() if _is_news(known.get(order_id), revision)]
        if missing:
            now = self._clock.now()
            with self._store.write() as transaction:
                repository.ensure_orders(transaction, name, dict.fromkeys(missing, correlation), NEVER_SEEN, now)
                repository.ask_for_fetch(transaction, name, missing, now)
        return len(missing)


def _batches(orders: Sequence[Order]) -> Sequence[Sequence[Order]]:
    """The orders of a page as they are taken in, one commit each; at least one, because the cursor moves with it."""
    batches: list[list[Order]] = [[]]
    lines = 0
    for order in orders:
        lines += len(order.lines)
        if batches[-1] and lines > BATCH_LINES:
            batches.append([])
            lines = len(order.lines)
        batches[-1].append(order)
    return batches


def _note_polled(transaction: Transaction, channel: str, orders: Sequence[Order]) -> None:
    repository.note_polled(transaction, channel, [(order.order_id, order.revision, digest(order)) for order in orders])


def _is_news(known: Any, revision: int) -> bool:
    """Whether an order of that revision is not known as it is. What a webhook or a fetch told may have been followed by
    another change of the same second, which carries the same number; a poll reads no second before it is over.
    """
    if known is None or known.revision < revision:
        return True
    return bool(known.revision == revision and known.polled_revision != revision)


def cursor_name(channel: str) -> str:
    """The name of a channel's poll cursor in `cursors`."""
    return f"orders:{channel}"


def late_name(channel: str) -> str:
    """The name in `cursors` of when a channel's last complete late pass began."""
    return f"late:{channel}"
