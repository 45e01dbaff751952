"""One look at everything: is the stock true, and if not, what is in the way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from connectors.clock import Clock
from worker.alerts import Anomalies
from worker.alerts.anomalies import SEVERITIES
from worker.holds import Holds, HoldView
from worker.intake.poll import cursor_name
from worker.status import repository
from worker.store import Store
from worker.store.tables import OperationState, Severity
from worker.upkeep.repository import FEED, SWEEP

NAMES_TOLD = 5
"""Of many in a sentence."""
LATE_AFTER_INTERVALS = 3
"""A reading is late when this many of its intervals have passed without one."""
LEAST_LATE = timedelta(seconds=30)
_SEVERITY = {kind.value: severity for kind, severity in SEVERITIES.items()}


@dataclass(frozen=True, slots=True)
class Reading:
    """How far a feed or a channel has been read."""

    name: str
    """`feed`, or the channel's name."""
    current_at: datetime | None
    """Everything before this moment has been read; None: never."""
    lag_seconds: float | None
    late: bool


@dataclass(frozen=True, slots=True)
class PendingUnits:
    """What waits to be written for one channel."""

    channel: str
    to_take: int
    to_give_back: int
    listings: int


@dataclass(frozen=True, slots=True)
class Status:
    """The state of things at `at`."""

    at: datetime
    stock_is_true: bool
    """Nothing waits, nothing is unknown, everything has been read lately, and no serious anomaly is unresolved."""
    reasons: Sequence[str]
    """Why it is not, most telling first; empty when it is."""
    listings: int | None
    """None where nobody asked: counting them reads every one."""
    listings_below_zero: int
    closed_by_us: int
    last_swept_at: datetime | None
    pending: Sequence[PendingUnits]
    operations_prepared: int
    operations_unknown: int
    oldest_unsettled_at: datetime | None
    deliveries_waiting: int
    oldest_delivery_at: datetime | None
    orders_to_fetch: int
    deliveries_parked: int
    orders_parked: int
    unlinked_units: int
    readings: Sequence[Reading]
    holds: Sequence[HoldView]
    anomalies: Mapping[str, int]
    """Unresolved ones by kind."""
    alerts_unsent: int
    not_answering: Sequence[str] = ()
    """Accounts that are left alone for now, or tried by one call, because they did not answer."""


class Overview:
    """Gathers the status."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        holds: Holds,
        anomalies: Anomalies,
        *,
        feed_seconds: float | None,
        poll_seconds: Mapping[str, float],
    ) -> None:
        """`feed_seconds` is None for a marketplace without a change feed; `poll_seconds` is by polled channel."""
        self._store = store
        self._clock = clock
        self._holds = holds
        self._anomalies = anomalies
        self._feed_seconds = feed_seconds
        self._poll_seconds = poll_seconds

    def now(self, *, count_listings: bool = True) -> Status:
        """The status, from a few reads; never waits for a writer, calls nobody."""
        at = self._clock.now()
        holds, anomalies = self._holds.list(), self._anomalies.count_open()
        with self._store.read() as transaction:
            below_zero, closed = repository.listings_to_see(transaction)
            current = repository.cursors(transaction)
            unsettled = {row[0]: (row[1], row[2]) for row in repository.unsettled(transaction)}
            deliveries, oldest_delivery = repository.waiting_deliveries(transaction)
            deliveries_parked, orders_parked = repository.parked(transaction)
            facts = Status(
                at=at,
                stock_is_true=False,
                reasons=(),
                listings=repository.count_listings(transaction) if count_listings else None,
                listings_below_zero=below_zero,
                closed_by_us=closed,
                last_swept_at=current.get(SWEEP),
                pending=[
                    PendingUnits(channel, int(to_take), int(to_give_back), listings)
                    for channel, to_take, to_give_back, listings in repository.pending_by_channel(transaction)
                ],
                operations_prepared=unsettled.get(OperationState.PREPARED, (0, None))[0],
                operations_unknown=unsettled.get(OperationState.UNKNOWN, (0, None))[0],
                oldest_unsettled_at=min((oldest for _, oldest in unsettled.values()), default=None),
                deliveries_waiting=deliveries,
                oldest_delivery_at=oldest_delivery,
                orders_to_fetch=repository.orders_to_fetch(transaction),
                deliveries_parked=deliveries_parked,
                orders_parked=orders_parked,
                unlinked_units=repository.unlinked_units(transaction),
                readings=self._readings(current, at),
                holds=holds,
                anomalies=anomalies,
                alerts_unsent=repository.unsent_alerts(transaction),
                not_answering=repository.not_answering(transaction),
            )
        reasons = _reasons(facts)
        return replace(facts, stock_is_true=not reasons, reasons=reasons)

    def count_listings(self) -> int:
        """All that the marketplace has, as far as we know them. Reads every one."""
        with self._store.read() as transaction:
            return repository.count_listings(transaction)

    def _readings(self, current: Mapping[str, datetime | None], at: datetime) -> Sequence[Reading]:
        readings = []
        if self._feed_seconds is not None:
            readings.append(reading(FEED, current.get(FEED), at, self._feed_seconds))
        for name, seconds in self._poll_seconds.items():
            readings.append(reading(name, current.get(cursor_name(name)), at, seconds))
        return readings


def reading(name: str, current_at: datetime | None, at: datetime, every_seconds: float) -> Reading:
    """How far something is read that is read so often."""
    if current_at is None:
        return Reading(name, None, None, late=True)
    lag = at - current_at
    late = lag > max(LEAST_LATE, timedelta(seconds=LATE_AFTER_INTERVALS * every_seconds))
    return Reading(name, current_at, round(lag.total_seconds(), 1), late)


def named(names: Sequence[str], most: int = NAMES_TOLD) -> str:
    """A few names, and how many more there are: a sentence stays one."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def _reasons(status: Status) -> Sequence[str]:
    serious = {kind: count for kind, count in status.anomalies.items() if _SEVERITY.get(kind) is not Severity.WARNING}
    to_take = sum(pending.to_take for pending in status.pending)
    to_give_back = sum(pending.to_give_back for pending in status.pending)
    late = [reading for reading in status.readings if reading.late]
    counted = (
        (status.operations_unknown, "write has an unknown outcome", "writes have an unknown outcome"),
        (to_take, "sold unit waits to be taken", "sold units wait to be taken"),
        (to_give_back, "returned unit waits to be given back", "returned units wait to be given back"),
        (status.unlinked_units, "sold unit has no link to a listing", "sold units have no link to a listing"),
        (status.deliveries_waiting, "delivery waits to be handled", "deliveries wait to be handled"),
        (status.orders_to_fetch, "order waits to be fetched", "orders wait to be fetched"),
        (status.deliveries_parked, "delivery is parked", "deliveries are parked"),
        (status.orders_parked, "order is parked", "orders are parked"),
        (status.operations_prepared, "write is under way", "writes are under way"),
        (len(status.holds), "hold keeps writes back", "holds keep writes back"),
    )
    reasons = [f"{count:,} {one if count == 1 else many}" for count, one, many in counted if count]
    if serious:
        reasons.insert(0, f"unresolved: {', '.join(f'{kind} ({count})' for kind, count in sorted(serious.items()))}")
    if status.not_answering:
        reasons.append(f"accounts do not answer, and rest: {named(status.not_answering)}")
    if late:
        reasons.append(f"not read lately: {named([reading.name for reading in late])}")
    return reasons
