"""Anomalies open once, count up, resolve by themselves when their cause is gone, and reopen if it comes back.

Each is identified by its fingerprint (kind and subject). Every change of state leaves, in the same transaction, one row
in `alerts`: the message owed to the operators. So none is lost, and none is sent twice for one change.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

import structlog

from connectors.clock import Clock
from worker.alerts import repository
from worker.store import AnyRow, Store, Transaction
from worker.store.tables import AlertState, AnomalyState, Severity

log = structlog.get_logger(__name__)


class Kind(StrEnum):
    """What can be wrong. The value is used in tables, logs, metrics and commands alike."""

    NEGATIVE_STOCK = "negative-stock"
    OVERSOLD = "oversold"
    UNLINKED_SKU = "unlinked-sku"
    OUTCOME_UNKNOWN = "outcome-unknown"
    ABSENT_REVOKED = "absent-revoked"
    SALE_AT_RISK = "sale-at-risk"
    UNREADABLE_SALE = "unreadable-sale"
    ORPHAN = "orphan"
    RESTORED = "restored"
    UNEXPLAINED_TOTAL = "unexplained-total"
    UNEXPLAINED_ADJUSTMENT = "unexplained-adjustment"
    WRITE_REJECTED = "write-rejected"
    LISTING_GONE = "listing-gone"
    RETURN_WAITING = "return-waiting"
    ITEM_CHANGED = "item-changed"
    PARKED_DELIVERY = "parked-delivery"
    PARKED_ORDER = "parked-order"
    NEEDS_REAUTHORISATION = "needs-reauthorisation"
    NOT_ANSWERING = "not-answering"
    UNUSABLE_ANSWER = "unusable-answer"
    WEBHOOK_MISSING = "webhook-missing"
    WEBHOOK_BROKEN = "webhook-broken"
    CHANNEL_SILENT = "channel-silent"
    FEED_LATE = "feed-late"
    CURSOR_TOO_OLD = "cursor-too-old"
    UNREADABLE_LISTING = "unreadable-listing"
    UNREADABLE_CHANGE = "unreadable-change"
    UNKNOWN_CHANGE_TYPE = "unknown-change-type"
    CLOCK_SKEW = "clock-skew"
    CLOSE_REFUSED = "close-refused"
    PLAN_TOO_LARGE = "plan-too-large"
    ALERTS_NOT_TAKEN = "alerts-not-taken"
    OPEN_AT_ZERO = "open-at-zero"
    CLOSED_WITH_STOCK = "closed-with-stock"
    RESERVATION_PENDING = "reservation-pending"
    DUPLICATE_LINK = "duplicate-link"


SEVERITIES: Mapping[Kind, Severity] = {
    Kind.NEGATIVE_STOCK: Severity.CRITICAL,
    Kind.OVERSOLD: Severity.CRITICAL,
    Kind.UNLINKED_SKU: Severity.WARNING,
    Kind.OUTCOME_UNKNOWN: Severity.WARNING,
    Kind.ABSENT_REVOKED: Severity.WARNING,
    Kind.SALE_AT_RISK: Severity.ERROR,
    Kind.UNREADABLE_SALE: Severity.ERROR,
    Kind.ORPHAN: Severity.CRITICAL,
    Kind.RESTORED: Severity.CRITICAL,
    Kind.UNEXPLAINED_TOTAL: Severity.ERROR,
    Kind.UNEXPLAINED_ADJUSTMENT: Severity.ERROR,
    Kind.WRITE_REJECTED: Severity.ERROR,
    Kind.LISTING_GONE: Severity.WARNING,
    Kind.RETURN_WAITING: Severity.ERROR,
    Kind.ITEM_CHANGED: Severity.WARNING,
    Kind.PARKED_DELIVERY: Severity.ERROR,
    Kind.PARKED_ORDER: Severity.ERROR,
    Kind.NEEDS_REAUTHORISATION: Severity.CRITICAL,
    Kind.NOT_ANSWERING: Severity.ERROR,
    Kind.UNUSABLE_ANSWER: Severity.ERROR,
    Kind.WEBHOOK_MISSING: Severity.ERROR,
    Kind.WEBHOOK_BROKEN: Severity.ERROR,
    Kind.CHANNEL_SILENT: Severity.WARNING,
    Kind.FEED_LATE: Severity.ERROR,
    Kind.CURSOR_TOO_OLD: Severity.ERROR,
    Kind.UNREADABLE_LISTING: Severity.ERROR,
    Kind.UNREADABLE_CHANGE: Severity.ERROR,
    Kind.UNKNOWN_CHANGE_TYPE: Severity.WARNING,
    Kind.CLOCK_SKEW: Severity.WARNING,
    Kind.CLOSE_REFUSED: Severity.WARNING,
    Kind.PLAN_TOO_LARGE: Severity.CRITICAL,
    Kind.ALERTS_NOT_TAKEN: Severity.WARNING,
    Kind.OPEN_AT_ZERO: Severity.WARNING,
    Kind.CLOSED_WITH_STOCK: Severity.WARNING,
    Kind.RESERVATION_PENDING: Severity.WARNING,
    Kind.DUPLICATE_LINK: Severity.WARNING,
}

WEIGHED_BY: Mapping[Kind, str] = {
    Kind.NEGATIVE_STOCK: "units_below_zero",
    Kind.OVERSOLD: "missing_units",
    Kind.RETURN_WAITING: "waiting_units",
    Kind.LISTING_GONE: "waiting_units",
    Kind.WEBHOOK_BROKEN: "orders",
    Kind.DUPLICATE_LINK: "listings",
}
"""Where a kind's detail says how bad it is: more is worse."""

SEEN_AGAIN_AFTER = timedelta(hours=1)
"""What is looked at every minute counts up so often, while nothing about it changes."""
LONGEST_SNOOZE = timedelta(days=90)
SNOOZES_AT_ONCE = 500
"""That end in one transaction."""


_UNSEEN = -1
"""No weight: a finding that is not open, or was seen long ago, is told."""


class SnoozeRefusedError(Exception):
    """An anomaly cannot be snoozed as asked: its message says why, for people."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something seen now that an operator must know."""

    kind: Kind
    message: str
    """One sentence: what is wrong, where, and what to do."""
    channel: str | None = None
    listing_id: str | None = None
    order_id: str | None = None
    key: str = ""
    """What else tells it apart from others of its kind and subject, e.g. the SKU."""
    detail: dict[str, Any] = field(default_factory=dict)

    @property
    def weight(self) -> int | None:
        """How bad it is, where that is a number."""
        return _weight(self.kind, self.detail)

    @property
    def fingerprint(self) -> str:
        return fingerprint(
            self.kind, channel=self.channel, listing_id=self.listing_id, order_id=self.order_id, key=self.key
        )


def fingerprint(
    kind: Kind, *, channel: str | None = None, listing_id: str | None = None, order_id: str | None = None, key: str = ""
) -> str:
    """What identifies an anomaly: its kind and its subject."""
    return "|".join((kind.value, channel or "", listing_id or "", order_id or "", key))


def _weight(kind: str, detail: Mapping[str, Any]) -> int | None:
    weight = detail.get(WEIGHED_BY[Kind(kind)]) if kind in WEIGHED_BY else None
    return weight if isinstance(weight, int) else None


@dataclass(frozen=True, slots=True)
class AnomalyView:
    """One anomaly, for people and programs."""

    id: int
    kind: str
    severity: Severity
    state: AnomalyState
    channel: str | None
    listing_id: str | None
    order_id: str | None
    message: str
    detail: dict[str, Any]
    occurrences: int
    transitions: int
    """How often its state has changed, or operators were told anew after a snooze: opened is one."""
    first_seen_at: datetime
    last_seen_at: datetime
    acknowledged_by: str | None
    resolved_at: datetime | None
    fingerprint: str
    regressions: int
    """How often it has opened again after it had been resolved."""
    snoozed_until: datetime | None

    @property
    def came_back(self) -> bool:
        """Whether it had been resolved before."""
        return self.regressions > 0


@dataclass(frozen=True, slots=True)
class ChangeView:
    """An anomaly opened, opened again, or was resolved."""

    transition: int
    became: AnomalyState
    at: datetime
    message: str
    alert: AlertState
    """Whether operators were told."""


def _view(row: AnyRow) -> AnomalyView:
    return AnomalyView(**row._mapping)  # noqa: SLF001  public, whatever its name


class Anomalies:
    """The rules of anomalies. Every `*_in` method works inside the caller's transaction."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    def open_in(self, transaction: Transaction, findings: Iterable[Finding]) -> None:
        """Open what is new or has come back; count up what is open already. Idempotent but for the count."""
        now = self._clock.now()
        # In one order for everybody, so that two transactions never wait for each other.
        for finding in sorted(findings, key=lambda finding: finding.fingerprint):
            changed = repository.open_or_count(
                transaction,
                finding.fingerprint,
                now,
                {
                    "kind": finding.kind.value,
                    "severity": SEVERITIES[finding.kind],
                    "channel": finding.channel,
                    "listing_id": finding.listing_id,
                    "order_id": finding.order_id,
                    "message": finding.message,
                    "detail": finding.detail,
                },
                finding.weight,
            )
            if changed:
                log.warning(
                    "anomaly_opened",
                    kind=finding.kind.value,
                    channel=finding.channel,
                    listing_id=finding.listing_id,
                    order_id=finding.order_id,
                    message=finding.message,
                )

    def open_seldom_in(self, transaction: Transaction, findings: Sequence[Finding]) -> None:
        """`open_in`, for what is found again and again: those that are open already count up once an hour."""
        since = self._clock.now() - SEEN_AGAIN_AFTER
        lately = repository.seen_since(transaction, [finding.fingerprint for finding in findings], since)
        known = {name: _weight(kind, detail) for name, kind, detail in lately}
        self.open_in(
            transaction,
            [finding for finding in findings if known.get(finding.fingerprint, _UNSEEN) != finding.weight],
        )

    def keep(self, kind: Kind, findings: Sequence[Finding], why: str, *, undecided: Collection[str] = ()) -> None:
        """Let exactly these of a kind be open, from now on: the others are resolved, because of `why`. Whether the
        `undecided` fingerprints still are cannot be told now: they stay as they are. Writes nothing where nothing is
        new.
        """
        held = {view.fingerprint for view in self.list(kind=kind)}
        found = {finding.fingerprint: finding for finding in findings if finding.fingerprint not in undecided}
        gone = held - found.keys() - set(undecided)
        if not found and not gone:
            return
        with self._store.write() as transaction:
            self.open_seldom_in(transaction, list(found.values()))
            self.resolve_in(transaction, sorted(gone), why)

    def untold_in(self, transaction: Transaction, findings: Sequence[Finding]) -> list[Finding]:
        """Of these, those that were never told, not even long ago and resolved since."""
        told = repository.told(transaction, [finding.fingerprint for finding in findings])
        return [finding for finding in findings if finding.fingerprint not in told]

    def resolved_in(self, transaction: Transaction, fingerprints: Sequence[str]) -> set[str]:
        """Of these, those that were told and are resolved."""
        return repository.resolved(transaction, fingerprints)

    def unresolved_on_listing_in(self, transaction: Transaction, kind: Kind, listing_id: str) -> Sequence[str]:
        """The fingerprints of a kind on one listing that are not resolved."""
        return repository.unresolved_on(transaction, kind.value, listing_id)

    def open(self, *findings: Finding) -> None:
        """`open_in` in a transaction of its own."""
        with self._store.write() as transaction:
            self.open_in(transaction, findings)

    def resolve_in(self, transaction: Transaction, fingerprints: Sequence[str], why: str) -> int:
        """Resolve those of these that are not resolved yet: their cause is gone. Returns how many."""
        resolved = repository.resolve(transaction, fingerprints, why, self._clock.now())
        if resolved:
            log.info("anomalies_resolved", count=resolved, why=why)
        return resolved

    def resolve_on_listing_in(self, transaction: Transaction, kind: Kind, listing_id: str, why: str) -> int:
        """`resolve_in` for all of a kind on one listing, whatever else tells them apart."""
        return self.resolve_in(transaction, repository.unresolved_on(transaction, kind.value, listing_id), why)

    def resolve(self, fingerprints: Sequence[str], why: str) -> int:
        """`resolve_in` in a transaction of its own; writes nothing when none of them is open."""
        with self._store.read() as transaction:
            open_ones = repository.unresolved(transaction, fingerprints)
        if not open_ones:
            return 0
        with self._store.write() as transaction:
            return self.resolve_in(transaction, open_ones, why)

    def acknowledge(self, anomaly_id: int, by: str) -> bool:
        """Mark one as seen by a person. Returns False when there is no such open anomaly. Idempotent."""
        with self._store.write() as transaction:
            return self.acknowledge_in(transaction, anomaly_id, by)

    def acknowledge_in(self, transaction: Transaction, anomaly_id: int, by: str) -> bool:
        """`acknowledge`, inside the caller's transaction."""
        return repository.acknowledge(transaction, anomaly_id, by)

    def snooze_in(self, transaction: Transaction, held: AnomalyView, until: datetime) -> bool:
        """Tell nobody of this anomaly before `until`, unless it gets worse, or is resolved and comes back; what is owed
        by now is not told either. Its state stays as it is. Returns False when it has been resolved meanwhile. Raises
        `SnoozeRefusedError` for a moment that is over, or too far away.
        """
        now = self._clock.now()
        if until <= now:
            message = "the snooze would be over already"
            raise SnoozeRefusedError(message)
        if until > now + LONGEST_SNOOZE:
            message = f"a snooze may last {LONGEST_SNOOZE.days} days"
            raise SnoozeRefusedError(message)
        if not repository.snooze(transaction, held.id, until, _weight(held.kind, held.detail)):
            return False
        repository.silence(transaction, held.id, "snoozed before anybody was told")
        return True

    def unsnooze_in(self, transaction: Transaction, held: AnomalyView) -> bool:
        """End a snooze early; returns False when there was none, or the anomaly has been resolved."""
        return held.snoozed_until is not None and repository.snooze(transaction, held.id, None, None)

    def end_snoozes(self) -> int:
        """Open those again whose snooze is over, and owe a message about each. Returns how many."""
        now = self._clock.now()
        with self._store.read() as transaction:
            if not repository.any_snooze_over(transaction, now):
                return 0
        with self._store.write() as transaction:
            ended = repository.end_snoozes(transaction, now, SNOOZES_AT_ONCE)
        log.info("snoozes_over", count=ended)
        return ended

    def count_snoozed(self) -> int:
        """How many are snoozed."""
        with self._store.read() as transaction:
            return repository.count_snoozed(transaction)

    def held_in(self, transaction: Transaction, anomaly_id: int) -> AnomalyView | None:
        """One anomaly, locked until the transaction ends; None when there is none of this id, or none any more."""
        row = repository.locked(transaction, anomaly_id)
        return None if row is None else _view(row)

    def list(
        self,
        *,
        unresolved_only: bool = True,
        kind: str | None = None,
        severity: Severity | None = None,
        listing_id: str | None = None,
        channel: str | None = None,
        snoozed: bool | None = None,
        before_id: int | None = None,
        limit: int | None = None,
    ) -> Sequence[AnomalyView]:
        """Newest first: by when they were last seen; with `before_id`, by when they first were, from there on. Snoozed
        ones among them, unless `snoozed` says only those, or none.
        """
        with self._store.read() as transaction:
            rows = repository.listed(
                transaction,
                unresolved_only=unresolved_only,
                kind=kind,
                severity=severity,
                listing_id=listing_id,
                channel=channel,
                snoozed=snoozed,
                before_id=before_id,
                limit=limit,
            )
            return [_view(row) for row in rows]

    def concerning(
        self,
        *,
        order: tuple[str, str] | None = None,
        listing_ids: Collection[str] = (),
        fingerprints: Collection[str] = (),
        limit: int = 50,
    ) -> Sequence[AnomalyView]:
        """Unresolved ones about an order (its channel and id), about any of these listings, or of these fingerprints;
        those seen last first.
        """
        with self._store.read() as transaction:
            rows = repository.concerning(
                transaction, order=order, listing_ids=listing_ids, fingerprints=fingerprints, limit=limit
            )
            return [_view(row) for row in rows]

    def get(self, anomaly_id: int) -> AnomalyView | None:
        """One anomaly; None when there is none of this id, or none any more."""
        with self._store.read() as transaction:
            row = repository.one(transaction, anomaly_id)
            return None if row is None else _view(row)

    def changes(self, anomaly_id: int) -> Sequence[ChangeView]:
        """Every change of its state that is still kept, oldest first."""
        with self._store.read() as transaction:
            return [ChangeView(*row) for row in repository.changes(transaction, anomaly_id)]

    def count_open(self) -> Mapping[str, int]:
        """Unresolved anomalies by kind."""
        with self._store.read() as transaction:
            return repository.count_unresolved(transaction)
