"""Which snapshot of an order counts. Pure.

Snapshots are ordered by (revision, start of the request that read them). Vendors stamp whole seconds, so two contents
can share a revision: then only a fetch can tell which is the later, and the later fetch wins. The clocks of hosts
disagree, so where nothing but those makes a snapshot the older one, it is asked for once more: a fetch is later than
whatever was held when it began (`Fetcher`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from connectors.contract import MAX_QUANTITY, Gone, Order
from worker.store.tables import OrderState

NEVER_SEEN = -1
"""The revision of an order that is known by its id only."""


@dataclass(frozen=True, slots=True)
class Held:
    """What the store holds of an order."""

    state: OrderState
    revision: int
    fetched_at: datetime | None
    digest: str


class Judgement(StrEnum):
    """What to do with a snapshot."""

    TAKE = "take"
    KEEP = "keep"
    """It is older than, or the same as, what we hold."""
    FETCH = "fetch"
    """It cannot be told which is the later: ask the channel."""
    CONFLICT = "conflict"
    """Two contents of one revision, from a channel that promised that there are none: tell a person."""


def digest(order: Order) -> str:
    """The content of a snapshot that matters to stock, in a short text."""
    content = repr(
        (order.excluded, sorted((line.line_id, line.sku, line.item_key, line.committed) for line in order.lines))
    )
    return hashlib.blake2b(content.encode(), digest_size=16).hexdigest()


def judge(held: Held | None, snapshot: Order | Gone, snapshot_digest: str) -> Judgement:
    """Compare a snapshot with what is held."""
    if held is None or held.state is OrderState.UNSEEN:
        return Judgement.TAKE
    if isinstance(snapshot, Gone):
        if held.state is OrderState.GONE:
            return Judgement.KEEP
        older = held.fetched_at is not None and snapshot.fetched_at < held.fetched_at
        return Judgement.FETCH if older else Judgement.TAKE
    if held.state is OrderState.GONE:
        return _judge_after_tombstone(held, snapshot)
    if snapshot.revision != held.revision:
        return Judgement.TAKE if snapshot.revision > held.revision else Judgement.KEEP
    if snapshot_digest == held.digest:
        # Parked because it could not be read; now it can, and is the same.
        readable_again = held.state is OrderState.PARKED and snapshot.fetched_at is not None
        return Judgement.TAKE if readable_again else Judgement.KEEP
    if snapshot.revision_is_exact:
        return Judgement.CONFLICT
    later = snapshot.fetched_at is not None and (held.fetched_at is None or snapshot.fetched_at > held.fetched_at)
    return Judgement.TAKE if later else Judgement.FETCH


def _judge_after_tombstone(held: Held, snapshot: Order) -> Judgement:
    """A deleted order comes back only by a fetch that began after the one that missed it."""
    if snapshot.fetched_at is not None and (held.fetched_at is None or snapshot.fetched_at > held.fetched_at):
        return Judgement.TAKE
    return Judgement.FETCH if snapshot.revision > held.revision else Judgement.KEEP


@dataclass(frozen=True, slots=True)
class LinkVersion:
    """A SKU link as the plan of pairs needs it."""

    listing_id: str
    units: int
    from_at: datetime
    until_at: datetime | None


@dataclass(frozen=True, slots=True)
class NewPair:
    """A pair that a line must have."""

    listing_id: str
    units: int
    before_start: bool
    """The line was placed before the link's start: what is first known of it is waived."""


def pairs_for(placed_at: datetime, versions: Sequence[LinkVersion]) -> Sequence[NewPair]:
    """The pairs of a line placed at `placed_at`: one for each listing its SKU is linked to.

    A line belongs to what was in force when it was placed. Only if nothing was, it belongs to the earliest still to
    come; a line placed after everything had ended belongs to nothing.
    """
    alive = [version for version in versions if version.until_at is None or version.until_at > placed_at]
    in_force = [version for version in alive if version.from_at <= placed_at]
    next_start = min((version.from_at for version in alive), default=placed_at)
    chosen: dict[str, NewPair] = {}
    for version in in_force or [version for version in alive if version.from_at == next_start]:
        chosen.setdefault(version.listing_id, NewPair(version.listing_id, version.units, before_start=not in_force))
    return list(chosen.values())


def in_listing_units(committed: int, units: int) -> int:
    """Line units times the link's units. Raises OverflowError beyond what the store can hold."""
    product = committed * units
    if product > MAX_QUANTITY:
        message = f"{committed} x {units} units is more than a quantity can hold"
        raise OverflowError(message)
    return product
