"""Every query about holds."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime

from sqlalchemy import ColumnElement, bindparam, or_, select, update

from worker.store import AnyRow, Transaction, cursors
from worker.store.bulk import in_chunks, insert_missing
from worker.store.tables import Cursor, Hold, HoldReason, HoldScope, ListingRow, Pair, RemoteAdjustmentRow

_IN_FORCE = select(Hold.id, Hold.reason, Hold.scope, Hold.subject, Hold.note, Hold.since, Hold.until).where(
    Hold.lifted_at.is_(None), or_(Hold.until.is_(None), Hold.until > bindparam("now"))
)
# Asked more often than anything else, so built once.
_ACTIVE = _IN_FORCE.order_by(Hold.since, Hold.id)


def active(transaction: Transaction, now: datetime) -> Sequence[AnyRow]:
    return transaction.execute(_ACTIVE, {"now": now}).all()


def find(
    transaction: Transaction,
    now: datetime,
    *,
    reasons: Collection[HoldReason],
    scope: HoldScope | None,
    after: int | None,
    limit: int | None,
) -> Sequence[AnyRow]:
    """Those in force for one of these reasons, by id."""
    statement = _IN_FORCE.where(Hold.reason.in_(reasons)).order_by(Hold.id).limit(limit)
    if scope is not None:
        statement = statement.where(Hold.scope == scope)
    if after is not None:
        statement = statement.where(Hold.id > after)
    return transaction.execute(statement, {"now": now}).all()


def place(
    transaction: Transaction,
    *,
    reason: HoldReason,
    scope: HoldScope,
    subject: str,
    note: str,
    now: datetime,
    until: datetime | None,
) -> bool:
    """Place or prolong a hold; returns whether it is new."""
    # A hold that ran out by itself still occupies the unique place of an active one: close it first.
    transaction.execute(
        update(Hold)
        .where(Hold.reason == reason, Hold.scope == scope, Hold.subject == subject)
        .where(Hold.lifted_at.is_(None), Hold.until <= now)
        .values(lifted_at=Hold.until, lifted_by="time")
    )
    placed = insert_missing(
        transaction,
        Hold,
        [{"reason": reason, "scope": scope, "subject": subject, "note": note, "since": now, "until": until}],
    )
    if not placed:
        transaction.execute(
            update(Hold)
            .where(Hold.reason == reason, Hold.scope == scope, Hold.subject == subject, Hold.lifted_at.is_(None))
            .values(note=note, until=until)
        )
    return bool(placed)


def lift(
    transaction: Transaction,
    *,
    reason: HoldReason | None,
    scope: HoldScope,
    subject: str,
    note: str | None,
    by: str,
    now: datetime,
) -> int:
    statement = update(Hold).where(*_active_on(reason, scope, subject, note))
    return transaction.execute(statement.values(lifted_at=now, lifted_by=by)).rowcount


def _active_on(
    reason: HoldReason | None, scope: HoldScope, subject: str, note: str | None
) -> list[ColumnElement[bool]]:
    conditions = [Hold.scope == scope, Hold.subject == subject, Hold.lifted_at.is_(None)]
    if reason is not None:
        conditions.append(Hold.reason == reason)
    if note is not None:
        conditions.append(Hold.note == note)
    return conditions


def any_on_listings(transaction: Transaction, reason: HoldReason) -> bool:
    """Whether any listing is held for this reason."""
    found = select(Hold.id).where(Hold.reason == reason, Hold.scope == HoldScope.LISTING, Hold.lifted_at.is_(None))
    return transaction.scalar(found.limit(1)) is not None


def own_unclaimed(transaction: Transaction, listing_id: str) -> Sequence[str]:
    """Own adjustments of a listing that no operation has claimed."""
    return transaction.scalars(
        select(RemoteAdjustmentRow.adjustment_id).where(
            RemoteAdjustmentRow.listing_id == listing_id, RemoteAdjustmentRow.open_claim
        )
    ).all()


def let_stand(transaction: Transaction, listing_id: str) -> None:
    """Nobody needs to claim these any more."""
    transaction.execute(
        update(RemoteAdjustmentRow)
        .where(RemoteAdjustmentRow.listing_id == listing_id, RemoteAdjustmentRow.open_claim)
        .values(open_claim=False)
    )


def is_held(
    transaction: Transaction, *, reason: HoldReason | None, scope: HoldScope, subject: str, note: str | None
) -> bool:
    """Whether there is a hold to lift."""
    statement = select(Hold.id).where(*_active_on(reason, scope, subject, note))
    return transaction.scalar(statement.limit(1)) is not None


def _let_through(channel: str) -> str:
    """Of the row in `cursors` that says up to what size a channel's plan has been seen."""
    return f"let-through:{channel}"


def let_through(transaction: Transaction, channel: str, listings: int, now: datetime) -> None:
    """Note that a plan for so many listings of the channel has been seen."""
    cursors.move_cursor(transaction, _let_through(channel), str(listings), now, current=False)


def last_let_through(transaction: Transaction, channel: str) -> AnyRow | None:
    """How many listings, as text, and when."""
    return transaction.execute(
        select(Cursor.value, Cursor.moved_at).where(Cursor.name == _let_through(channel))
    ).one_or_none()


def lock_waiting(transaction: Transaction, *, scope: HoldScope, subject: str) -> Sequence[str]:
    """The listings with pending units within a hold, locked in one order for everybody."""
    pending = select(Pair.listing_id).where(Pair.applied != Pair.committed - Pair.waived)
    if scope is HoldScope.CHANNEL:
        pending = pending.where(Pair.channel == subject)
    statement = select(ListingRow.listing_id).where(ListingRow.listing_id.in_(pending))
    if scope is HoldScope.LISTING:
        statement = statement.where(ListingRow.listing_id == subject)
    return transaction.scalars(statement.order_by(ListingRow.listing_id).with_for_update()).all()


def wake(transaction: Transaction, listing_ids: Sequence[str], now: datetime) -> None:
    """Make these listings due at once."""
    for chunk in in_chunks(listing_ids):
        transaction.execute(update(ListingRow).where(ListingRow.listing_id.in_(chunk)).values(next_attempt_at=now))
