"""Every query about how much the plan of one channel would change at once.

What is pending is found by `ix_pairs_pending`, what has moved lately by the journal's index on `at`: neither grows with
the catalogue.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Any

from sqlalchemy import Select, and_, case, func, or_, select, text, union

from worker.reconcile.size import MANY_UNITS, PlanSize
from worker.store import Transaction
from worker.store.bulk import in_chunks
from worker.store.tables import JournalEntry, JournalKind, Link, ListingRow, Pair

MOST_MOVES = 5000
"""Of the journal, the latest: what a look at the last hour costs has a bound."""

_DUE = Pair.committed - Pair.waived - Pair.applied
_PENDING = text("pairs.committed - pairs.waived - pairs.applied <> 0")
"""As the partial index `ix_pairs_pending` has it."""


def _unusual(late_before: datetime) -> Select[*tuple[Any, ...]]:
    """Channel and listing, where what is pending is not what trade looks like: more is given back than taken, a sale is
    late, or half of the number or more would go and that is more than an ordinary order or two takes. A listing without
    any number left cannot be lowered.
    """
    due = func.sum(_DUE)
    late = func.sum(case((and_(_DUE > 0, Pair.placed_at < late_before), 1), else_=0))
    can_be_lowered = or_(ListingRow.total.is_(None), ListingRow.total > 0)
    halves = and_(due >= MANY_UNITS, 2 * due >= ListingRow.total)
    return (
        select(Pair.channel, Pair.listing_id)
        .join(ListingRow, ListingRow.listing_id == Pair.listing_id)
        .where(_PENDING)
        .group_by(Pair.channel, Pair.listing_id, ListingRow.total)
        .having(or_(due < 0, and_(due > 0, can_be_lowered, or_(late > 0, halves))))
    )


def unusual_channels(transaction: Transaction, listing_ids: Collection[str], late_before: datetime) -> frozenset[str]:
    """The channels for which something unusual is pending on any of these listings."""
    found: set[str] = set()
    for chunk in in_chunks(listing_ids):
        unusual = _unusual(late_before).where(Pair.listing_id.in_(chunk)).subquery()
        found.update(transaction.scalars(select(unusual.c.channel).distinct()))
    return frozenset(found)


def unusual_listings(transaction: Transaction, channel: str, late_before: datetime, moved_since: datetime) -> int:
    """On how many listings something unusual is pending for a channel, or has been written since."""
    pending = _unusual(late_before).where(Pair.channel == channel).subquery()
    latest = (
        select(JournalEntry.listing_id, JournalEntry.units, Pair.channel, Pair.placed_at)
        .join(Pair, Pair.id == JournalEntry.pair_id)
        .where(JournalEntry.at >= moved_since, JournalEntry.kind == JournalKind.APPLIED)
        .order_by(JournalEntry.at.desc())
        .limit(MOST_MOVES)
        .subquery()
    )
    moved = select(latest.c.listing_id).where(
        latest.c.channel == channel, or_(latest.c.units < 0, latest.c.placed_at < late_before)
    )
    changed = union(select(pending.c.listing_id), moved).subquery()
    return transaction.scalar(select(func.count()).select_from(changed)) or 0


def linked_listings(transaction: Transaction, channel: str) -> int:
    """How many listings the channel is linked to now."""
    return (
        transaction.scalar(
            select(func.count(Link.listing_id.distinct())).where(Link.channel == channel, Link.until_at.is_(None))
        )
        or 0
    )


def pending(transaction: Transaction, channel: str) -> PlanSize:
    """All that waits to be written for a channel, usual or not."""
    row = transaction.execute(
        select(
            func.count(Pair.listing_id.distinct()),
            func.coalesce(func.sum(case((_DUE > 0, _DUE), else_=0)), 0),
            func.coalesce(func.sum(case((_DUE < 0, -_DUE), else_=0)), 0),
        ).where(_PENDING, Pair.channel == channel)
    ).one()
    return PlanSize(*(int(number) for number in row))
