"""The log of what people did: who, when, what, on what, why, and what it was before and after."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

import structlog

from connectors.clock import Clock
from worker.operators import repository
from worker.store import Store, Transaction
from worker.store.types import LONGEST_IDENTIFIER

log = structlog.get_logger(__name__)


class Via(StrEnum):
    """How somebody spoke to trueup."""

    CONSOLE = "console"
    COMMAND = "command"
    """The command line: the actor is a user of the system."""


class Verb(StrEnum):
    """What was done. The value is used in the table, in logs and on pages alike."""

    SIGNED_IN = "signed-in"
    SIGNED_OUT = "signed-out"
    SIGNED_OUT_EVERYWHERE = "signed-out-everywhere"
    OPERATOR_ADDED = "operator-added"
    OPERATOR_REMOVED = "operator-removed"
    PASSWORD_SET = "password-set"  # noqa: S105  # nosec B105  # a verb
    ROLE_SET = "role-set"
    OPERATION_SETTLED = "operation-settled"
    NUMBER_ACCEPTED = "number-accepted"
    LISTING_RETRIED = "listing-retried"
    ANOMALY_ACKNOWLEDGED = "anomaly-acknowledged"
    ANOMALY_RESOLVED = "anomaly-resolved"
    ANOMALY_SNOOZED = "anomaly-snoozed"
    SNOOZE_ENDED = "snooze-ended"
    PAUSED = "paused"
    HOLD_LIFTED = "hold-lifted"
    PLAN_CONFIRMED = "plan-confirmed"
    DELIVERY_REPLAYED = "delivery-replayed"
    ORDER_ACCEPTED = "order-accepted"
    ORDER_ASKED_FOR = "order-asked-for"
    ALERTS_TESTED = "alerts-tested"
    SKU_LINKED = "sku-linked"
    LINK_ENDED = "link-ended"
    LINKS_IMPORTED = "links-imported"
    """Too many at once for a line each."""


@dataclass(frozen=True, slots=True)
class Actor:
    """Who does something, and by which way."""

    name: str
    via: Via


@dataclass(frozen=True, slots=True)
class ActionView:
    """One thing that somebody did."""

    id: int
    at: datetime
    actor: str
    via: str
    verb: str
    subject_kind: str
    subject: str
    listing_id: str | None
    reason: str | None
    before: Mapping[str, Any]
    after: Mapping[str, Any]


class ActionLog:
    """Writes and reads the log. It is written in the transaction of the deed: neither stands without the other."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    def record_in(
        self,
        transaction: Transaction,
        actor: Actor,
        verb: Verb,
        subject_kind: str,
        subject: str,
        *,
        listing_id: str | None = None,
        reason: str | None = None,
        before: Mapping[str, Any] | None = None,
        after: Mapping[str, Any] | None = None,
    ) -> None:
        """Write down what `actor` is doing in this transaction."""
        repository.add_action(
            transaction,
            {
                "at": self._clock.now(),
                "actor": actor.name,
                "via": actor.via.value,
                "verb": verb.value,
                "subject_kind": subject_kind,
                "subject": subject[:LONGEST_IDENTIFIER],
                "listing_id": listing_id,
                "reason": reason,
                "before": dict(before or {}),
                "after": dict(after or {}),
            },
        )
        log.info("action", actor=actor.name, via=actor.via.value, verb=verb.value, subject=subject)

    def list(
        self,
        *,
        subject: tuple[str, str] | None = None,
        listing_id: str | None = None,
        before_id: int | None = None,
        limit: int = 50,
    ) -> Sequence[ActionView]:
        """Newest first; of one subject (its kind and name), or on one listing."""
        with self._store.read() as transaction:
            rows = repository.actions(
                transaction, subject=subject, listing_id=listing_id, before_id=before_id, limit=limit
            )
            return [ActionView(*row) for row in rows]
