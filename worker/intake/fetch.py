"""Fetching single orders that only the channel itself can tell us about."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import structlog

from connectors.clock import Clock
from connectors.contract import Askable, Channel, Gone, Order
from connectors.errors import ConnectorError, RateLimited, Unauthorized, Unavailable, Unreadable
from worker.alerts import Anomalies
from worker.holds.accounts import Accounts
from worker.intake import repository
from worker.intake.boundary import order_of
from worker.intake.findings import failure_reason, parked_order
from worker.intake.service import Intake, next_look
from worker.store import StorageUnavailable, Store, Transaction
from worker.store.tables import HoldScope
from worker.tracing import Tracing

log = structlog.get_logger(__name__)

BATCH_FETCHES = 20
MOST_ATTEMPTS = 8
LONGEST_BACKOFF = timedelta(minutes=15)
LONGEST_ASKED = timedelta(days=1)
"""What a vendor may ask for at most with `Retry-After`."""
RESTS = timedelta(seconds=2)
"""When a fetch is looked at again whose account may not be called just now."""


class Fetcher:
    """Fetches the orders that somebody asked for, each once however many asked."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        intake: Intake,
        anomalies: Anomalies,
        accounts: Accounts,
        channels: Mapping[str, Channel],
        *,
        lease: timedelta,
        tracing: Tracing | None = None,
    ) -> None:
        self._store = store
        self._clock = clock
        self._intake = intake
        self._anomalies = anomalies
        self._accounts = accounts
        self._channels = channels
        self._lease = lease
        self._tracing = tracing or Tracing()

    def drain(self, channel: str | None = None) -> int:
        """Fetch one batch, of one channel or of all; returns how many were tried. Safe to run several at once and to
        repeat.
        """
        now = self._clock.now()
        lease_until = now + self._lease
        silent = self._accounts.standing().silent
        with self._store.write() as transaction:
            rows = repository.claim_fetches(transaction, now, lease_until, BATCH_FETCHES, silent, channel)
        for row in rows:
            self._fetch(row, lease_until)
        return len(rows)

    def channels_due(self, silent: Collection[str]) -> Sequence[tuple[datetime, str]]:
        """The channels, configured or not, of orders that somebody asked for, but for those in `silent`; each with
        since when one of them has waited.
        """
        with self._store.read() as transaction:
            rows = repository.channels_to_fetch(transaction, self._clock.now(), silent)
        return [(row.since, row.channel) for row in rows]

    def _fetch(self, row: Any, lease_until: Any) -> None:
        channel = self._channels.get(row.channel)
        if channel is None:
            self._park(row, f"channel {row.channel} is not configured (any more)")
            return
        if not isinstance(channel, Askable):
            self._park(
                row,
                f"only its channel could tell what it is now, and {row.channel} cannot be asked: have it sent again"
                " with a higher revision, or import it from a file",
            )
            return
        if not self._accounts.grant(HoldScope.CHANNEL, row.channel):
            self._give_back(row, lease_until, self._clock.now() + RESTS, None)
            return
        try:
            with (
                self._tracing.span("read order", row.correlation_id, channel=row.channel, order=row.order_id),
                self._accounts.calling(HoldScope.CHANNEL, row.channel),
            ):
                snapshot = _later(order_of(row.channel, channel, row.order_id), row.fetched_at)
        except StorageUnavailable:
            raise
        except Exception as error:  # noqa: BLE001  whatever a connector raises, its neighbours are fetched
            if isinstance(error, Unreadable) and error.order_id is not None:
                self._park(row, str(error))
            else:
                # It says nothing about the order: a page of HTML, an account not found, a vendor that is down.
                self._postpone(row, lease_until, error)
        else:
            self._take(row, lease_until, snapshot)

    def _take(self, row: Any, lease_until: Any, snapshot: Order | Gone) -> None:
        try:
            with self._store.write() as transaction:
                self._intake.take_in(transaction, row.channel, [snapshot], row.correlation_id)
                repository.end_fetch(transaction, row.id, lease_until, next_at=None, reason=None)
        except OverflowError as error:
            self._park(row, str(error))
        except StorageUnavailable:
            raise
        except Exception as error:  # noqa: BLE001  an order that cannot be taken in holds up nobody
            self._postpone(row, lease_until, error)

    def _postpone(self, row: Any, lease_until: Any, error: Exception) -> None:
        if not isinstance(error, ConnectorError):
            log.error("order_fetch_failed", channel=row.channel, order_id=row.order_id, exc_info=error)
        reason = str(error) if isinstance(error, ConnectorError) else failure_reason(error)
        if row.fetch_attempts + 1 >= MOST_ATTEMPTS and not isinstance(error, Unauthorized | RateLimited | Unavailable):
            self._park(row, reason)
            return
        wait = min(LONGEST_BACKOFF, timedelta(seconds=2.0 ** min(row.fetch_attempts + 1, 12)))
        if isinstance(error, RateLimited):
            wait = max(wait, vendor_asks(error))
        log.warning("order_fetch_postponed", channel=row.channel, order_id=row.order_id, error=reason)
        self._give_back(row, lease_until, self._clock.now() + wait, reason)

    def _give_back(self, row: Any, lease_until: Any, next_at: datetime, reason: str | None) -> None:
        with self._store.write() as transaction:
            repository.end_fetch(transaction, row.id, lease_until, next_at=next_at, reason=reason)

    def _park(self, row: Any, reason: str) -> None:
        with self._store.write() as transaction:
            repository.park_order(transaction, row.id, reason)
            self._anomalies.open_in(transaction, [parked_order(row.channel, row.order_id, reason)])

    def look_again(self, limit: int = 100) -> int:
        """Ask for a fetch of orders that count whose late look (after 1, 7, 30 days) is due: units that wait would be
        taken as soon as stock comes in, so they are as wrong as applied ones if the order was deleted unheard.
        """
        now = self._clock.now()
        with self._store.write() as transaction:
            rows = repository.claim_looks(transaction, now, limit)
            for row in rows:
                done = row.looks + 1
                repository.set_look(transaction, row.id, done, next_look(row.placed_at, done))
                if row.counts and self.can_ask(row.channel):
                    repository.ask_for_fetch(transaction, row.channel, [row.order_id], now)
            return len(rows)

    def can_ask(self, channel: str) -> bool:
        """Whether a channel is configured that can be asked for an order."""
        return isinstance(self._channels.get(channel), Askable)

    def ask_again_in(self, transaction: Transaction, channel: str, order_id: str) -> bool:
        """Have an order fetched now, on a person's word: what the channel says then counts as any snapshot does.
        Returns False when the order is not known, or its channel cannot be asked.
        """
        return self.can_ask(channel) and repository.fetch_again(transaction, channel, order_id, self._clock.now())

    def accept(self, channel: str, order_id: str, by: str) -> bool:
        """Let a parked order count after all, on a person's word. Returns False when it is not parked.

        Where the channel cannot be asked for it, it counts when it comes again, sent or in a file.
        """
        with self._store.write() as transaction:
            return self.accept_in(transaction, channel, order_id, by)

    def accept_in(self, transaction: Transaction, channel: str, order_id: str, by: str) -> bool:
        """`accept`, inside the caller's transaction."""
        fetch_at = self._clock.now() if self.can_ask(channel) else None
        accepted = repository.accept_parked_order(transaction, channel, order_id, by, fetch_at)
        if accepted:
            resolved = parked_order(channel, order_id, "").fingerprint
            self._anomalies.resolve_in(transaction, [resolved], f"accepted by {by}")
        return accepted


def vendor_asks(error: RateLimited) -> timedelta:
    """How long the vendor wants to be left alone: what it says, within reason."""
    seconds = error.retry_after_seconds
    # What is no number at all is not above 0 either.
    if not isinstance(seconds, int | float) or not seconds > 0:
        return timedelta(0)
    return timedelta(seconds=min(seconds, LONGEST_ASKED.total_seconds()))


def _later(snapshot: Order | Gone, held_since: datetime | None) -> Order | Gone:
    """`snapshot`, which was asked for after another had been stored, so that it is the later of both: whichever host
    read that one, and whatever its clock said.
    """
    read_at = snapshot.fetched_at
    if read_at is None or held_since is None or read_at > held_since:
        return snapshot
    return replace(snapshot, fetched_at=held_since + timedelta(microseconds=1))
