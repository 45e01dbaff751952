"""The states, kinds and reasons that rows carry: the same texts in tables, logs, metrics and commands."""

from __future__ import annotations

from enum import StrEnum


class DeliveryState(StrEnum):
    """How far a delivery has come."""

    NEW = "new"
    HANDLED = "handled"
    PARKED = "parked"


class OrderState(StrEnum):
    """What an order counts for."""

    OPEN = "open"
    EXCLUDED = "excluded"
    """An exclusion rule keeps it out: every line is committed 0."""
    GONE = "gone"
    """The channel says it does not exist any more; only a fetch can lift this."""
    PARKED = "parked"
    """First seen long after it was placed, or not readable: a person decides."""
    UNSEEN = "unseen"
    """Known by id only; to be fetched."""


class OperationKind(StrEnum):
    """What an operation changes."""

    STOCK = "stock"
    CLOSE = "close"
    OPEN = "open"


class OperationState(StrEnum):
    """
    prepared --answered--> applied
    prepared --refused---> rejected
    prepared --no answer-> unknown --evidence--> applied
                           unknown --evidence--> absent --late evidence--> applied
    """

    PREPARED = "prepared"
    APPLIED = "applied"
    REJECTED = "rejected"
    UNKNOWN = "unknown"
    ABSENT = "absent"


UNSETTLED = (OperationState.PREPARED, OperationState.UNKNOWN)


class JournalKind(StrEnum):
    """What a journal entry says."""

    APPLIED = "applied"
    """Units moved by a settled operation."""
    OFFSET = "offset"
    """A sale and a return that cancelled out: `applied` moved between pairs without a call."""
    WAIVED = "waived"
    """Units that are not ours to take (or, below zero, to give back)."""
    TOTAL = "total"
    """A total first known for certain: where the listing's account begins."""


class WaiveReason(StrEnum):
    """Why units are not ours to take or to give back."""

    BEFORE_START = "before_start"
    UNLIMITED = "unlimited"
    UNDEFINED = "undefined"
    DELETED = "deleted"
    ACCEPTED = "accepted"
    LOWERED = "lowered"
    """Committed fell below what was waived, and took it along."""


class HoldReason(StrEnum):
    """Why nothing is written."""

    SHADOW = "shadow"
    PAUSED = "paused"
    REAUTHORISATION = "re-authorisation"
    ORPHAN = "orphan"
    RESTORED = "restored"
    PLAN_TOO_LARGE = "plan-too-large"
    BREAKER = "breaker"


class HoldScope(StrEnum):
    """What a hold stops."""

    LISTING = "listing"
    CHANNEL = "channel"
    MARKETPLACE = "marketplace"


class AnomalyState(StrEnum):
    """How far an anomaly has come."""

    OPEN = "open"
    ACKNOWLEDGED = "acknowledged"
    RESOLVED = "resolved"


class Severity(StrEnum):
    """How urgent an anomaly is."""

    WARNING = "warning"
    ERROR = "error"
    CRITICAL = "critical"


class AlertState(StrEnum):
    """How far a message has come."""

    WAITING = "waiting"
    SENT = "sent"
    FAILED = "failed"


class Role(StrEnum):
    """What an operator may do in the console."""

    VIEWER = "viewer"
    """Look at everything."""
    OPERATOR = "operator"
    """Decide as well."""


class ProofState(StrEnum):
    """What the last audit of a listing came to."""

    PROVED = "proved"
    """Every unit has a cause."""
    IN_PART = "in-part"
    """Our writes are accounted for; who moved the rest, this marketplace does not tell."""
    WAITING = "waiting"
    """A cause may be on its way: a write of ours is not settled, an author is not told yet."""
    UNEXPLAINED = "unexplained"
    """A unit is without a cause."""
    UNCOUNTED = "uncounted"
    """Its stock is unlimited or undefined: there is no number to prove."""
