"""What came in, and what of it waits for a person."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from config.logging import redaction
from worker.intake import deliveries, repository
from worker.store import Store
from worker.store.tables import DeliveryState

MOST_BODY_BYTES = 32 * 1024
"""Of a body that is shown."""


@dataclass(frozen=True, slots=True)
class DeliveryView:
    """One received webhook, without its body."""

    id: int
    channel: str
    topic: str
    delivery_id: str
    order_id: str | None
    """The order that it tells of, once it has been read."""
    state: DeliveryState
    received_at: datetime
    attempts: int
    outcome: str | None
    correlation_id: str
    has_body: bool
    """Whether its body is kept, so that it can be handled anew."""


@dataclass(frozen=True, slots=True)
class DeliveryStory:
    """One received webhook with everything that is kept of it. Headers are not: their names and secrets end with the
    request.
    """

    delivery: DeliveryView
    digest: str
    raw: bool
    """Whether the body is as it came: it could not be read, so that it may hold anything."""
    next_attempt_at: datetime | None
    handled_at: datetime | None
    body: str | None
    """Legible, secrets masked, cut where it is long; None once it has been dropped."""
    body_bytes: int
    """Of all of it."""


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

    def __init__(self, store: Store, secrets: Iterable[str] = ()) -> None:
        """`secrets` are masked in bodies."""
        self._store = store
        self._redact = redaction(secrets)

    def list(
        self,
        *,
        channel: str | None = None,
        state: DeliveryState | None = None,
        order_id: str | None = None,
        until: datetime | None = None,
        behind: tuple[datetime, int] | None = None,
        limit: int = 50,
    ) -> Sequence[DeliveryView]:
        """The latest first; `behind` is when the last one of the page before was received, and its id."""
        with self._store.read() as transaction:
            channels = None if channel is None else [channel]
            if channels is None and order_id is not None:
                channels = sorted(repository.known_channels(transaction))
            rows = deliveries.find_deliveries(
                transaction,
                channels=channels,
                state=state,
                order_id=order_id,
                until=until,
                behind=behind,
                limit=limit,
            )
            return [DeliveryView(*row) for row in rows]

    def story(self, delivery: int) -> DeliveryStory | None:
        """None when there is no such delivery, or none any more."""
        with self._store.read() as transaction:
            row = deliveries.delivery(transaction, delivery, MOST_BODY_BYTES)
        if row is None:
            return None
        *shown, digest, raw, next_attempt_at, handled_at, beginning, length = row
        return DeliveryStory(
            delivery=DeliveryView(*shown),
            digest=digest,
            raw=raw,
            next_attempt_at=next_attempt_at,
            handled_at=handled_at,
            body=None if beginning is None else self._legible(bytes(beginning)),
            body_bytes=length or 0,
        )

    def _legible(self, body: bytes) -> str:
        text = body.decode("utf-8", "replace")
        masked: str = self._redact(None, "", {"body": text})["body"]
        return "".join(sign if sign.isprintable() or sign in "\n\t" else "\ufffd" for sign in masked)

    def parked_orders(self, channel: str | None = None, *, limit: int | None = None) -> Sequence[ParkedOrderView]:
        """Oldest first."""
        with self._store.read() as transaction:
            return [ParkedOrderView(*row) for row in repository.parked_orders(transaction, channel, limit)]
