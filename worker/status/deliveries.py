"""What came in, and what of it waits for a person."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from worker.intake import deliveries, repository
from worker.store import Store
from worker.store.tables import DeliveryState


@dataclass(frozen=True, slots=True)
class DeliveryView:
    """One received webhook, without its body."""

    id: int
    channel: str
    topic: str
    delivery_id: str
    state: DeliveryState
    received_at: datetime
    attempts: int
    outcome: str | None
    correlation_id: str


@dataclass(frozen=True, slots=True)
class ParkedOrderView:
    """One order whose units are not taken until a person says so."""

    channel: str
    order_id: str
    placed_at: datetime | None
    first_seen_at: datetime
    reason: str | None


class Deliveries:
    """Looks into the inbox."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def list(
        self, *, channel: str | None = None, state: DeliveryState | None = None, limit: int = 50
    ) -> Sequence[DeliveryView]:
        """Newest first."""
        with self._store.read() as transaction:
            rows = deliveries.list_deliveries(transaction, channel=channel, state=state, limit=limit)
            return [DeliveryView(*row) for row in rows]

    def parked_orders(self, channel: str | None = None) -> Sequence[ParkedOrderView]:
        """Oldest first."""
        with self._store.read() as transaction:
            return [ParkedOrderView(*row) for row in repository.parked_orders(transaction, channel)]
