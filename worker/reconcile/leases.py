"""Every query about who works on which due listing. A lease saves work, nothing more: correctness never rests on it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from sqlalchemy import bindparam, or_, select, update

from worker.reconcile.repository import PENDING, unsettled, update_listings
from worker.store import Transaction
from worker.store.bulk import in_chunks
from worker.store.tables import ListingRow, Pair

_ANY_DUE = select(ListingRow.listing_id).where(ListingRow.next_attempt_at <= bindparam("now")).limit(1)


def any_due(transaction: Transaction, now: datetime) -> bool:
    """Whether a claim would find anything, leases aside: a read, for the many times it would not."""
    return bool(transaction.scalar(_ANY_DUE, {"now": now}))


def claim_due(
    transaction: Transaction, *, owner: str, now: datetime, lease_until: datetime, limit: int
) -> Sequence[str]:
    """Lease due listings; until `lease_until` nobody else takes them. The lease saves work, nothing more.

    They are due again when the lease ends; an earlier moment found there at the release was set by somebody else.
    """
    free = or_(ListingRow.lease_until.is_(None), ListingRow.lease_until <= now)
    due = transaction.scalars(
        select(ListingRow.listing_id)
        .where(ListingRow.next_attempt_at <= now, free)
        .order_by(ListingRow.next_attempt_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
    ).all()
    if due:
        transaction.execute(
            update(ListingRow)
            .where(ListingRow.listing_id.in_(due))
            .values(lease_owner=owner, lease_until=lease_until, next_attempt_at=lease_until, put_off_by=None)
        )
    return due


def release(transaction: Transaction, owner: str, again_at: Mapping[str, datetime], *, leased_until: datetime) -> None:
    """Give leases back that `owner` still has. A listing with nothing pending and no doubt is not due any more, unless
    somebody asked for it during the lease: what the pass concluded may be out of date, and the next one says so without
    a call. Another is due at its moment, or earlier if somebody asked.
    """
    for chunk in in_chunks(sorted(again_at)):
        held = transaction.execute(
            select(ListingRow.listing_id, ListingRow.next_attempt_at, ListingRow.doubted)
            .where(ListingRow.listing_id.in_(chunk), ListingRow.lease_owner == owner)
            .order_by(ListingRow.listing_id)
            .with_for_update()
        ).all()
        names = [row.listing_id for row in held]
        busy = set(
            transaction.scalars(select(Pair.listing_id).where(Pair.listing_id.in_(names), PENDING).distinct())
        ) | set(unsettled(transaction, names))
        busy |= {row.listing_id for row in held if row.doubted}
        rows = []
        for row in held:
            asked = row.next_attempt_at is not None and row.next_attempt_at != leased_until
            following = row.next_attempt_at if asked else again_at[row.listing_id]
            rows.append(
                {
                    "row": row.listing_id,
                    "new_lease_owner": None,
                    "new_lease_until": None,
                    "new_next_attempt_at": following if asked or row.listing_id in busy else None,
                }
            )
        update_listings(transaction, rows)
