"""What waits for a person, or keeps failing: the one list of everything that does not go on by itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from worker.alerts import Anomalies, Kind
from worker.alerts.anomalies import AnomalyView
from worker.intake import repository as intake
from worker.status import trails
from worker.status.deliveries import Deliveries, DeliveryView, ParkedOrderView
from worker.store import AnyRow, Store
from worker.store.tables import DeliveryState, OperationKind, OperationState

MOST_SHOWN = 40
"""Of each kind; a form takes so many."""


@dataclass(frozen=True, slots=True)
class FailingFetch:
    """An order that was asked for in vain so far."""

    channel: str
    order_id: str
    first_seen_at: datetime
    reason: str | None
    attempts: int
    next_at: datetime


@dataclass(frozen=True, slots=True)
class UnsettledWrite:
    """A write that is under way, or whose outcome is not known."""

    operation: int
    listing_id: str
    title: str
    kind: OperationKind
    state: OperationState
    expected_total: int
    new_total: int
    prepared_at: datetime
    outcome: str | None
    anomaly: int | None
    """Where a person can settle it."""


@dataclass(frozen=True, slots=True)
class PutOffListing:
    """A listing that was tried in vain, or waits for a poll to catch up."""

    listing_id: str
    title: str
    attempts: int
    next_at: datetime
    reasons: Sequence[str]
    since: datetime | None
    """Of the oldest anomaly that is the reason; None where there is none."""


@dataclass(frozen=True, slots=True)
class Work:
    """Up to `MOST_SHOWN` of each, and whether there are more."""

    deliveries: Sequence[DeliveryView]
    orders: Sequence[ParkedOrderView]
    fetches: Sequence[FailingFetch]
    writes: Sequence[UnsettledWrite]
    listings: Sequence[PutOffListing]
    cut: frozenset[str]
    """The names of those of which there are more."""


class ParkedWork:
    """Gathers it."""

    def __init__(self, store: Store, anomalies: Anomalies, deliveries: Deliveries) -> None:
        self._store = store
        self._anomalies = anomalies
        self._deliveries = deliveries

    def now(self) -> Work:
        """From a few reads; nobody is called."""
        most = MOST_SHOWN + 1
        with self._store.read() as transaction:
            orders = [ParkedOrderView(*row) for row in intake.parked_orders(transaction, None, most)]
            fetches = [FailingFetch(*row) for row in trails.failing_fetches(transaction, most)]
            writes = trails.unsettled(transaction, most)
            listings = trails.put_off(transaction, most)
        parked = self._deliveries.list(state=DeliveryState.PARKED, limit=most)
        names = {row.listing_id for row in (*writes, *listings)}
        wrong: dict[str, list[AnomalyView]] = {}
        for anomaly in self._anomalies.concerning(listing_ids=names, limit=10 * most):
            wrong.setdefault(anomaly.listing_id or "", []).append(anomaly)
        found: Mapping[str, Sequence[object]] = {
            "deliveries": parked,
            "orders": orders,
            "fetches": fetches,
            "writes": writes,
            "listings": listings,
        }
        return Work(
            deliveries=parked[:MOST_SHOWN],
            orders=orders[:MOST_SHOWN],
            fetches=fetches[:MOST_SHOWN],
            writes=[_unsettled(row, wrong.get(row.listing_id, ())) for row in writes[:MOST_SHOWN]],
            listings=[_put_off(row, wrong.get(row.listing_id, ())) for row in listings[:MOST_SHOWN]],
            cut=frozenset(name for name, rows in found.items() if len(rows) > MOST_SHOWN),
        )


def _unsettled(row: AnyRow, wrong: Sequence[AnomalyView]) -> UnsettledWrite:
    return UnsettledWrite(
        operation=row.id,
        listing_id=row.listing_id,
        title=row.title,
        kind=row.kind,
        state=row.state,
        expected_total=row.expected_total,
        new_total=row.new_total,
        prepared_at=row.prepared_at,
        outcome=row.outcome,
        anomaly=next((anomaly.id for anomaly in wrong if anomaly.kind == Kind.OUTCOME_UNKNOWN), None),
    )


def _put_off(row: AnyRow, wrong: Sequence[AnomalyView]) -> PutOffListing:
    reasons = [anomaly.message for anomaly in wrong]
    if row.put_off_by is not None:
        reasons.append(f"The poll of {row.put_off_by} is catching up: it is written once for all that comes.")
    if row.doubted:
        reasons.append("Its number is in doubt: the marketplace's log is read first.")
    return PutOffListing(
        listing_id=row.listing_id,
        title=row.title,
        attempts=row.attempts,
        next_at=row.next_attempt_at,
        reasons=reasons or ["The marketplace did not answer about it."],
        since=min((anomaly.first_seen_at for anomaly in wrong), default=None),
    )
