"""What would be sent to the marketplace, and why, without sending it.

The same pure plan as the real pass, over the same pairs; only channels that wait for a person's word (in shadow, or
with a plan that is too large) are counted in, because what they would do is what one wants to see before confirming
them. Never writes.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from itertools import groupby

from connectors.contract import UNDEFINED, Listing, ListingState, Marketplace, StockKind
from connectors.errors import NotFound
from worker.holds import CONFIRMED_BY_A_PERSON, ActiveHolds, Holds, HoldView
from worker.reconcile.plan import DuePair, plan
from worker.status import repository
from worker.store import AnyRow, Store, Transaction
from worker.store.tables import HoldScope


class Step(StrEnum):
    """What the next pass would do about a listing."""

    WRITE = "write"
    OFFSET = "offset"
    """Sales and returns cancel out: journalled without a call."""
    WAIVE = "waive"
    """The stock is unlimited or undefined, or the listing is deleted and is owed returns only."""
    SETTLE_FIRST = "settle first"
    """An earlier write is not settled, or the total is in doubt: the log is read before anything is planned."""
    READ_FIRST = "read first"
    """The stock is not known yet."""
    WAIT = "wait"
    """Nothing can be taken or given back now."""


@dataclass(frozen=True, slots=True)
class LinePreview:
    """One pair with pending units."""

    channel: str
    order_id: str
    line_id: str
    sku: str | None
    placed_at: datetime
    committed: int
    applied: int
    waived: int
    due_units: int
    """Above zero to be taken, below zero to be given back."""
    planned_units: int
    """What of it the next write would settle."""
    held: str | None
    """Why it is not part of the plan; None when it is."""


@dataclass(frozen=True, slots=True)
class ListingPreview:
    """One listing with pending units."""

    listing_id: str
    title: str
    step: Step
    why: str
    total: int | None
    fresh: bool
    """Whether the total was read just now, or is the best known one."""
    new_total: int | None
    short_units: int
    waiting_units: int
    held: str | None
    """The hold that keeps the write back for now; None when it would go out."""
    lines: Sequence[LinePreview]

    @property
    def change(self) -> int:
        return 0 if self.total is None or self.new_total is None else self.new_total - self.total


class Preview:
    """Plans without acting."""

    def __init__(self, store: Store, holds: Holds, marketplace: Marketplace, executor: Executor) -> None:
        self._store = store
        self._holds = holds
        self._marketplace = marketplace
        self._executor = executor

    def plan(
        self,
        *,
        channel: str | None = None,
        listing_id: str | None = None,
        fresh: bool = False,
        after: str | None = None,
        limit: int | None = None,
        on_read: Callable[[int, int], None] = lambda read, of: None,
    ) -> Sequence[ListingPreview]:
        """The plan of every listing with pending units, or of those a channel (or an id) names, by id; of at most
        `limit` listings, those behind `after`.

        `fresh` reads each listing first (one call each; `on_read` is told how many of how many) and keeps nothing of
        it.
        Raises what the connector raises.
        """
        with self._store.read() as transaction:
            rows = repository.pending_pairs(transaction, channel, listing_id, after=after, limit=limit)
            pairs = {name: list(group) for name, group in groupby(rows, key=lambda row: row.listing_id)}
            listings = repository.listings(transaction, pairs)
            unsettled = repository.open_operations(transaction, pairs)
        holds = self._holds.list()
        reads = self._read(list(pairs), on_read) if fresh else {}
        return [
            _previewed(
                listings[name],
                reads.get(name),
                of_listing,
                holds,
                unsettled=name in unsettled or listings[name].doubted,
            )
            for name, of_listing in pairs.items()
        ]

    @staticmethod
    def of_in(
        transaction: Transaction, listing_ids: Collection[str], holds: Sequence[HoldView]
    ) -> Sequence[ListingPreview]:
        """The plan of these (few) listings, from what is known, as things are within the caller's transaction."""
        rows = repository.pending_pairs(transaction, listing_ids=listing_ids)
        listings = repository.listings(transaction, listing_ids)
        unsettled = repository.open_operations(transaction, listing_ids)
        return [
            _previewed(
                listings[name], None, list(of_listing), holds, unsettled=name in unsettled or listings[name].doubted
            )
            for name, of_listing in groupby(rows, key=lambda row: row.listing_id)
        ]

    def _read(self, names: Sequence[str], on_read: Callable[[int, int], None]) -> dict[str, Listing]:
        def read(name: str) -> Listing:
            try:
                return self._marketplace.listing(name)
            except NotFound:
                return Listing(name, ListingState.DELETED, UNDEFINED)

        found: dict[str, Listing] = {}
        for name, listing in zip(names, self._executor.map(read, names), strict=True):
            found[name] = listing
            on_read(len(found), len(names))
        return found


def _previewed(
    row: AnyRow, read: Listing | None, pairs: Sequence[AnyRow], views: Sequence[HoldView], *, unsettled: bool
) -> ListingPreview:
    state = row.state if read is None else read.state
    kind = row.stock_kind if read is None else read.stock.kind
    counted = kind is StockKind.COUNTED
    total = row.total if read is None else (read.stock.total if counted else None)
    # What waits for a word keeps no pair out of the plan: the plan is what it is for.
    kept_back = {
        view.subject: view.reason.value
        for view in views
        if view.scope is HoldScope.CHANNEL and view.reason not in CONFIRMED_BY_A_PERSON
    }
    counting = [pair for pair in pairs if pair.channel not in kept_back]
    due = [DuePair(pair.id, _due(pair), pair.placed_at) for pair in counting]
    owed = sum(pair.due_units for pair in due if pair.due_units > 0)
    returned = -sum(pair.due_units for pair in due if pair.due_units < 0)
    moves: dict[int, int] = {}
    new_total, short, waiting = total, 0, 0
    if not due:
        step, why = Step.WAIT, "every pending unit belongs to a channel that is held"
    elif state is ListingState.DELETED:
        step = Step.WAIT if owed else Step.WAIVE
        why = f"the listing was deleted: {returned} returned units are written off, {owed} sold units wait for a person"
    elif unsettled:
        step, why = (
            Step.SETTLE_FIRST,
            "an earlier write is not settled or the total is in doubt: the log comes first",
        )
    elif total is None and (read is not None or kind is StockKind.UNLIMITED):
        step, why = (
            Step.WAIVE,
            f"the stock is {kind.value}: {owed} sold, {returned} returned do not count there",
        )
    elif total is None:
        step, why = Step.READ_FIRST, "its stock is not known yet (`--fresh` reads it)"
    else:
        planned = plan(total, due)
        moves = {move.pair_id: move.units for move in planned.moves}
        new_total, short, waiting = total + planned.delta, planned.short_units, planned.waiting_units
        step = Step.WRITE if planned.delta else Step.OFFSET if moves else Step.WAIT
        why = _because(owed, returned, short, waiting)
    holds = ActiveHolds(views)
    hold = holds.on_listing(row.listing_id)
    waiting_for_a_word = {
        pair.channel: on_channel.reason.value
        for pair in counting
        if (on_channel := holds.on_channel(pair.channel)) is not None
    }
    held = None
    if hold is not None:
        held = f"{hold.reason.value} hold on {hold.scope.value} {hold.subject}"
    elif waiting_for_a_word:
        held = ", ".join(f"{reason}: {channel}" for channel, reason in sorted(waiting_for_a_word.items()))
    return ListingPreview(
        listing_id=row.listing_id,
        title=row.title,
        step=step,
        why=why,
        total=total,
        fresh=read is not None,
        new_total=new_total,
        short_units=short,
        waiting_units=waiting,
        held=held,
        lines=[
            LinePreview(
                channel=pair.channel,
                order_id=pair.order_id,
                line_id=pair.line_id,
                sku=pair.sku,
                placed_at=pair.placed_at,
                committed=pair.committed,
                applied=pair.applied,
                waived=pair.waived,
                due_units=_due(pair),
                planned_units=moves.get(pair.id, 0),
                held=kept_back.get(pair.channel),
            )
            for pair in pairs
        ],
    )


def _due(pair: AnyRow) -> int:
    return int(pair.committed - pair.waived - pair.applied)


def _because(owed: int, returned: int, short: int, waiting: int) -> str:
    said = []
    if owed:
        said.append(f"{owed} sold")
    if returned:
        said.append(f"{returned} returned")
    if short:
        said.append(f"{short} more sold than there are: they wait")
    if waiting:
        said.append("its stock is below zero and would stay so: returns wait")
    return ", ".join(said)
