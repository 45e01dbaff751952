"""Telling people, and machines: every change of an anomaly's state is a row first, and becomes part of a message.

    waiting --routed: a telling for each destination that wants it--> waiting --one destination took it--> sent
    waiting --nobody wants it-----------------------------------------------------------------> sent, without a time
                                                                       waiting --all gave it up----------> failed

Each destination is served by itself, by one process at a time, which has a lease. What it did not take it is sent
again, later and later, for `GIVE_UP_AFTER`, whatever became of the others. That it fails is an anomaly of its own, told
to the others.

What remains: a process that dies between sending and writing that down repeats that one message after the lease, and so
does a destination that took a message without saying so.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog

from connectors.clock import Clock
from worker.alerts import outbox
from worker.alerts.anomalies import Anomalies, Finding, Kind, fingerprint
from worker.alerts.carrying import SEND_SECONDS, Carried
from worker.alerts.message import StateChange
from worker.alerts.outbox import Standing
from worker.alerts.routing import Destination
from worker.store import AnyRow, Store, Transaction
from worker.store.tables import AlertState

log = structlog.get_logger(__name__)

MOST_ROUTED = 1000
"""Changes in one transaction."""
FIRST_RETRY = timedelta(seconds=30)
LONGEST_RETRY = timedelta(hours=1)
FAILING_AFTER = 3
"""Failures in a row that are no passing trouble any more."""
GIVE_UP_AFTER = timedelta(days=7)
"""A destination that was away for longer is not told of what is older."""
LEFT_AFTER = timedelta(days=1)
"""Until then a destination that is not configured may be one that another process knows already, or still."""
LEASE = timedelta(minutes=2)
"""Well beyond the time that one round of sending may take."""
NOBODY_TO_TELL = "nobody to tell: no alert address is configured"
NOBODY_WANTS_IT = "nobody to tell: no destination is told of this kind and severity"


@dataclass(frozen=True, slots=True)
class DestinationView:
    """One destination, for people: what it is told of, and how it does. Nothing of its address."""

    name: str
    kind: str
    """`mailto`, `slack`, …, or `webhook`; empty where its address names none."""
    told_of: str
    hours: str
    standing: Standing

    @property
    def is_failing(self) -> bool:
        """Whether it did not take what it was sent last."""
        return self.standing.failures > 0


@dataclass(frozen=True, slots=True)
class _Owed:
    """One thing to be told, and the alert it comes from."""

    alert_id: int
    change: StateChange


class AlertSender:
    """Sends what is owed. Safe to call from several processes at once: a destination is served by one of them."""

    def __init__(self, store: Store, clock: Clock, anomalies: Anomalies, destinations: Sequence[Destination]) -> None:
        self._store = store
        self._clock = clock
        self._anomalies = anomalies
        self._destinations = {destination.name: destination for destination in destinations}

    def send_due(self) -> int:
        """Send every destination what is due there; returns how many changes were told to at least one. Takes bounded
        time. Raises `StorageUnavailable`.
        """
        now = self._clock.now()
        with self._store.read() as transaction:
            if not outbox.anything_due(transaction, now):
                return 0
        while self._route():
            pass
        with self._store.read() as transaction:
            resting = outbox.resting(transaction, now)
            ready = [
                destination
                for name, destination in self._destinations.items()
                if name not in resting and self._owed_in(transaction, destination, now, most=1)
            ]
        if not ready:
            return 0
        for destination in ready:
            destination.carrier.prepare()
        with ThreadPoolExecutor(len(ready), thread_name_prefix="alert") as pool:
            return len(set().union(*pool.map(self._serve, ready)))

    def _route(self) -> int:
        """Find out whom the next changes concern; returns how many there were."""
        now = self._clock.now()
        with self._store.write() as transaction:
            rows = outbox.claim_unrouted(transaction, now, MOST_ROUTED)
            wanted = {
                row.id: [
                    name for name, each in self._destinations.items() if each.wants(row.kind, row.severity, row.detail)
                ]
                for row in rows
            }
            outbox.route(transaction, [(alert, name) for alert, names in wanted.items() for name in names])
            # Kept, but not waiting: whoever adds an address later is not told of last year.
            remark = NOBODY_WANTS_IT if self._destinations else NOBODY_TO_TELL
            outbox.close(transaction, [alert for alert, names in wanted.items() if not names], AlertState.SENT, remark)
        return len(rows)

    def _owed_in(self, transaction: Transaction, destination: Destination, now: datetime, most: int) -> Sequence[_Owed]:
        """What a destination is to be told now: nothing while the oldest of it still waits for company."""
        times = destination.times
        ready_before = times.ready_before(now)
        if not ready_before:
            return []
        rows = outbox.untold(transaction, destination.name, ready_before, most)
        if rows and rows[0].created_at > now - times.group:
            rows = []
        changed = {row.anomaly_id for row in rows}
        again: Sequence[AnyRow] = []
        if times.remind is not None and len(rows) < most:
            again = outbox.reminders(transaction, destination.name, now, ready_before, most - len(rows))
        return [_owed(row) for row in (*rows, *(row for row in again if row.anomaly_id not in changed))]

    def _serve(self, destination: Destination) -> set[int]:
        """Send one destination what is due there, some at a time; returns the alerts that it has taken."""
        told: set[int] = set()
        stop_at = self._clock.monotonic() + SEND_SECONDS
        while True:
            now = self._clock.now()
            lease_until = now + LEASE
            most = destination.carrier.most
            with self._store.write() as transaction:
                if not outbox.lease(transaction, destination.name, now, lease_until):
                    return told
                owed = self._owed_in(transaction, destination, now, most)
                if not owed:
                    outbox.end_lease(transaction, destination.name, lease_until)
                    return told
            carried = destination.carrier.send([each.change for each in owed], now)
            self._note(destination, owed, carried, lease_until)
            told |= {each.alert_id for each in owed[: carried.taken]}
            done = carried.reason is not None or len(owed) < most
            if done or not carried.taken or self._clock.monotonic() >= stop_at:
                return told

    def _note(self, destination: Destination, owed: Sequence[_Owed], carried: Carried, lease_until: datetime) -> None:
        """Write down what became of one sending, and give the destination back."""
        now = self._clock.now()
        taken = [each.alert_id for each in owed[: carried.taken]]
        too_old = [each.alert_id for each in owed[carried.taken :] if each.change.at < now - GIVE_UP_AFTER]
        with self._store.write() as transaction:
            outbox.ensure_destination(transaction, destination.name)
            outbox.note_told(transaction, destination.name, taken, now, remind=destination.times.remind)
            if carried.reason is not None:
                reason = f"destination {destination.name}: {carried.reason}"
                outbox.give_up(transaction, destination.name, too_old, reason)
            self._note_outcome_in(transaction, destination, carried.reason, rests=True)
            outbox.end_lease(transaction, destination.name, lease_until)
        if carried.reason is not None:
            log.warning("alert_destination_failed", destination=destination.name, reason=carried.reason)
            if too_old:
                log.error("alerts_given_up", destination=destination.name, count=len(too_old), error=carried.reason)

    def _note_outcome_in(
        self, transaction: Transaction, destination: Destination, reason: str | None, *, rests: bool
    ) -> None:
        now, name = self._clock.now(), destination.name
        if reason is None:
            if outbox.note_success(transaction, name, now) >= FAILING_AFTER:
                self._anomalies.resolve_in(transaction, [_fingerprint(name)], "it has taken a message")
            return
        failures = outbox.note_failure(transaction, name, now, reason)
        if rests:
            outbox.rest(transaction, name, now + min(FIRST_RETRY * 2 ** min(failures - 1, 16), LONGEST_RETRY))
        if failures >= FAILING_AFTER:
            self._anomalies.open_in(transaction, [_failing(name, reason)])

    # --- trying one -------------------------------------------------------------------------------------------

    def test(self, name: str) -> str | None:
        """Send a test to a destination, whatever its hours; returns None, or why it failed. Raises `KeyError` where
        there is none of this name. Write the outcome down with `note_test_in`.
        """
        carrier = self._destinations[name].carrier
        carrier.prepare()
        return carrier.test(name, self._clock.now())

    def note_test_in(self, transaction: Transaction, name: str, reason: str | None) -> None:
        """What became of a test: one that was taken ends a rest, so that what waits is sent at the next look."""
        outbox.ensure_destination(transaction, name)
        self._note_outcome_in(transaction, self._destinations[name], reason, rests=False)

    # --- looking ----------------------------------------------------------------------------------------------

    def problem(self, name: str) -> str | None:
        """Why a destination cannot work as it is configured, as far as that shows. Sends nothing."""
        return self._destinations[name].carrier.problem()

    def destinations(self) -> Sequence[DestinationView]:
        """All that are configured, in their order. Sends nothing."""
        with self._store.read() as transaction:
            standings = outbox.standings(transaction)
        return [
            DestinationView(name, each.carrier.kind, each.told_of, str(each.times), standings.get(name, Standing()))
            for name, each in self._destinations.items()
        ]

    def forget(self) -> None:
        """Let go of what nobody is reminded of any more; and, a day later, of what waits for destinations that were
        taken out of the configuration.
        """
        now, names = self._clock.now(), list(self._destinations)
        before = now - LEFT_AFTER
        with self._store.write() as transaction:
            outbox.drop_reminders(transaction, now)
            left: dict[str, list[int]] = {}
            for alert_id, name in outbox.left_over(transaction, names, before, MOST_ROUTED):
                left.setdefault(name, []).append(alert_id)
            for name, ids in sorted(left.items()):
                outbox.give_up(transaction, name, ids, f"destination {name} is not configured any more")
            gone = outbox.forget_destinations(transaction, names, before)
            self._anomalies.resolve_in(
                transaction, [_fingerprint(name) for name in gone], "the destination is not configured any more"
            )
        for name, ids in left.items():
            log.warning("alert_destination_left", destination=name, count=len(ids))


def _owed(row: AnyRow) -> _Owed:
    change = StateChange(
        row.anomaly_id,
        row.transition,
        row.became,
        row.severity,
        row.message,
        at=row.created_at,
        kind=row.kind,
        channel=row.channel,
        listing_id=row.listing_id,
        order_id=row.order_id,
        reminded_at=row.remind_at,
    )
    return _Owed(row.id, change)


def _fingerprint(name: str) -> str:
    return fingerprint(Kind.ALERTS_NOT_TAKEN, key=name)


def _failing(name: str, reason: str) -> Finding:
    return Finding(
        Kind.ALERTS_NOT_TAKEN,
        f"Alerts do not reach the destination {name} ({reason}). It is sent later what it has missed; once you have"
        f' seen to it, `trueup alerts test "{name}"` tries it.',
        key=name,
        detail={"destination": name, "reason": reason},
    )
