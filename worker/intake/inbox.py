"""The inbox of deliveries: stored before they are answered, handled from their row, never from the request."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import structlog

from connectors.clock import Clock
from connectors.contract import AccessEnded, Channel, Gone, Hooks, Ignored, Look, Order
from connectors.errors import Unreadable
from worker.alerts import Anomalies, Finding, Kind
from worker.alerts.anomalies import fingerprint
from worker.intake import deliveries
from worker.intake.boundary import ConnectorFailed, id_of, notices_of
from worker.intake.findings import failure_reason
from worker.intake.service import Intake
from worker.store import Store, Transaction
from worker.store.engine import StorageUnavailable
from worker.store.tables import DeliveryState
from worker.store.ticks import pull_tick
from worker.tracing import Tracing

log = structlog.get_logger(__name__)

BATCH_DELIVERIES = 200
MOST_ATTEMPTS = 5
RETRY_AFTER = timedelta(seconds=30)


@dataclass(frozen=True, slots=True)
class Incoming:
    """A verified delivery, ready to be stored."""

    channel: str
    delivery_id: str
    digest: str
    topic: str
    kept: bytes
    raw: bool
    received_at: datetime
    correlation_id: str


@dataclass(slots=True)
class _Batch:
    """What the deliveries of one channel say, gathered."""

    snapshots: list[Order | Gone] = field(default_factory=list)
    looks: dict[str, str] = field(default_factory=dict)
    """Orders to fetch, each with the correlation id of the delivery that says so."""
    told_by: dict[str, str] = field(default_factory=dict)
    """Order of a snapshot -> correlation id of the last delivery that brought one."""
    access_ended: bool = False


class Inbox:
    """Stores deliveries and turns them into snapshots or fetches."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        intake: Intake,
        anomalies: Anomalies,
        channels: Mapping[str, Channel],
        *,
        sharing_a_secret: Container[str] = (),
        tracing: Tracing | None = None,
    ) -> None:
        """What is signed with a secret that two channels share may be either's: for these, an order in a body is only a
        reason to fetch it.
        """
        self._store = store
        self._clock = clock
        self._intake = intake
        self._anomalies = anomalies
        self._channels = channels
        self._sharing_a_secret = sharing_a_secret
        self._tracing = tracing or Tracing()

    def put(self, incoming: Sequence[Incoming]) -> int:
        """Store deliveries in one commit; returns how many were new. Idempotent by (channel, delivery id, digest)."""
        rows = [
            {
                "channel": delivery.channel,
                "delivery_id": delivery.delivery_id,
                "digest": delivery.digest,
                "topic": delivery.topic,
                "kept": delivery.kept,
                "raw": delivery.raw,
                "received_at": delivery.received_at,
                "correlation_id": delivery.correlation_id,
                "state": DeliveryState.NEW,
                "next_attempt_at": delivery.received_at,
            }
            for delivery in incoming
        ]
        with self._store.write() as transaction:
            return deliveries.store_deliveries(transaction, rows)

    def drain(self) -> int:
        """Handle a batch of one channel's waiting deliveries; returns how many. Safe to run several at once, and again.

        One that cannot be read is parked with an anomaly; one that fails for another reason is tried again a bounded
        number of times, then parked. Neither holds up its neighbours.
        """
        try:
            with self._store.write() as transaction:
                rows = deliveries.claim_deliveries(transaction, self._clock.now(), BATCH_DELIVERIES)
                self._handle(transaction, rows)
                return len(rows)
        except StorageUnavailable:
            raise
        except Exception:
            log.exception("delivery_batch_failed")
        return self._drain_one_by_one()

    def _drain_one_by_one(self) -> int:
        """After a batch failed as a whole: find the one that fails, and let the others through."""
        handled = 0
        for _ in range(BATCH_DELIVERIES):
            rows: Sequence[Any] = ()
            try:
                with self._store.write() as transaction:
                    rows = deliveries.claim_deliveries(transaction, self._clock.now(), 1)
                    self._handle(transaction, rows)
            except StorageUnavailable:
                raise
            except Exception as error:
                log.exception("delivery_failed", delivery=rows[0].id, channel=rows[0].channel)
                with self._store.write() as transaction:
                    self._failed(transaction, rows[0], error)
            if not rows:
                break
            handled += 1
        return handled

    def _failed(self, transaction: Transaction, row: Any, error: Exception) -> None:
        reason = failure_reason(error)
        if row.attempts + 1 >= MOST_ATTEMPTS:
            self._park(transaction, row, reason)
        else:
            deliveries.postpone_delivery(transaction, row.id, self._clock.now() + RETRY_AFTER, reason)

    def _handle(self, transaction: Transaction, rows: Sequence[Any]) -> None:
        batches: dict[str, _Batch] = defaultdict(_Batch)
        ended: list[dict[str, Any]] = []
        for row in rows:
            try:
                with self._tracing.span("read webhook", row.correlation_id, channel=row.channel, delivery=row.id):
                    outcome, order_id = self._read(row, batches[row.channel])
            except ConnectorFailed:
                # That may pass.
                raise
            except Unreadable as error:
                self._park(transaction, row, str(error), error.order_id)
                continue
            ended.append({"row": row.id, "new_outcome": outcome, "new_order_id": order_id})
        for channel, batch in batches.items():
            self._take(transaction, channel, batch)
        deliveries.finish_deliveries(transaction, ended, DeliveryState.HANDLED, self._clock.now())

    def _read(self, row: Any, batch: _Batch) -> tuple[str, str | None]:
        """What a delivery comes to, and the order that it tells of, if it is one."""
        channel = self._channels.get(row.channel)
        if not isinstance(channel, Hooks):
            message = f"channel {row.channel} is not configured (any more); configure it, then replay this delivery"
            raise Unreadable(message, account=row.channel)
        if row.kept is None:
            raise Unreadable("its body was dropped after the configured time", account=row.channel)
        notices = notices_of(row.channel, channel, row.topic, bytes(row.kept))
        said = "nothing"
        named = {notice.order_id for notice in notices if isinstance(notice, Order | Look)}
        for notice in notices:
            match notice:
                case Order(order_id) if row.channel in self._sharing_a_secret:
                    batch.looks[order_id] = row.correlation_id
                    said = "look"
                case Order():
                    batch.snapshots.append(notice)
                    batch.told_by[notice.order_id] = row.correlation_id
                    said = "order"
                case Look(order_id):
                    batch.looks[order_id] = row.correlation_id
                    said = "look"
                case AccessEnded():
                    batch.access_ended = True
                    said = "access_ended"
                case Ignored(reason):
                    said = f"ignored: {reason}"
        return said, named.pop() if len(named) == 1 else None

    def _take(self, transaction: Transaction, channel: str, batch: _Batch) -> None:
        self._intake.take_in(transaction, channel, batch.snapshots, {**batch.looks, **batch.told_by}, looks=batch.looks)
        if batch.access_ended:
            # The header that says so is not signed: a poll with our own credentials tells whether it is true.
            pull_tick(transaction, f"poll:{channel}", self._clock.now())

    def _park(self, transaction: Transaction, row: Any, reason: str, order_id: str | None = None) -> None:
        ended = {"row": row.id, "new_outcome": reason, "new_order_id": id_of(order_id)}
        deliveries.finish_deliveries(transaction, [ended], DeliveryState.PARKED, self._clock.now())
        of = "" if order_id is None else f", order {order_id}"
        self._anomalies.open_in(
            transaction,
            [
                Finding(
                    Kind.PARKED_DELIVERY,
                    f"Delivery {row.id} of channel {row.channel} (topic {row.topic}{of}) could not be handled:"
                    f" {reason}. Once the cause is mended: `trueup deliveries replay {row.id}`.",
                    channel=row.channel,
                    key=str(row.id),
                    detail={"delivery": row.id, "topic": row.topic, "order": order_id},
                )
            ],
        )

    def replay(self, ids: Sequence[int]) -> Sequence[int]:
        """Handle deliveries anew, from their stored body; returns the ids that will be."""
        with self._store.write() as transaction:
            return self.replay_in(transaction, ids)

    def replay_in(self, transaction: Transaction, ids: Sequence[int]) -> Sequence[int]:
        """`replay`, inside the caller's transaction."""
        replayed = deliveries.replay_deliveries(transaction, ids, self._clock.now())
        self._anomalies.resolve_in(transaction, parked_fingerprints(replayed), "it is handled anew")
        return [row.id for row in replayed]


def parked_fingerprints(rows: Sequence[Any]) -> list[str]:
    """What identifies the anomalies of these deliveries, if they are parked."""
    return [fingerprint(Kind.PARKED_DELIVERY, channel=row.channel, key=str(row.id)) for row in rows]
