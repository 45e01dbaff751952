"""The trail of one sale, line by line: received, read, linked, planned, attempted, taken; or why not.

Everything is read from our own tables and bounded; no vendor is called.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from connectors.contract import Guard, ListingState, StockKind
from worker.holds import ActiveHolds, Holds
from worker.intake import repository as intake
from worker.status import trails
from worker.status.deliveries import Deliveries, DeliveryView
from worker.store import AnyRow, Store, Transaction
from worker.store.tables import JournalKind, OperationState, OrderState, WaiveReason

LINES_PAGE = 50
MOST_TRIES = 200
MOST_ENTRIES = 200
"""Both of all the lines that are shown."""
MOST_DELIVERIES = 20


class Source(StrEnum):
    """What told of the snapshot of an order that counts now, or of the order before it was fetched."""

    WEBHOOK = "webhook"
    POLL = "poll"
    LATE_PASS = "late-pass"  # noqa: S105  # nosec B105  # a look
    """The look behind the poll's cursor, for what the vendor's index showed late."""
    IMPORT = "import"
    FORGOTTEN = "forgotten"
    """Dropped after the configured time."""


class Stage(StrEnum):
    """How far the units of a line have come."""

    UNLINKED = "unlinked"
    """No listing is known for the line."""
    WAITING = "waiting"
    HELD = "held"
    SETTLING = "settling"
    """A write is under way, or its outcome is not known yet."""
    TAKEN = "taken"
    """All that counts is written."""
    NOT_OURS = "not-ours"
    """Waived, every unit of it."""
    NOTHING = "nothing"
    """Nothing is sold (any more)."""


@dataclass(frozen=True, slots=True)
class OrderName:
    """An order in a list."""

    id: int
    """Of its row, for the next page."""
    channel: str
    order_id: str
    state: OrderState
    placed_at: datetime | None
    first_seen_at: datetime
    reason: str | None
    waits: bool
    """Some of its units are not taken, or not given back, yet."""
    unlinked: bool
    """No listing is known for some of its lines."""


@dataclass(frozen=True, slots=True)
class OrderFacts:
    """What is known of an order now."""

    channel: str
    order_id: str
    state: OrderState
    revision: int | None
    """None while no snapshot of it has been taken."""
    polled: bool
    """Whether a poll has shown this very revision."""
    fetched_at: datetime | None
    """Start of the request that read it; None when all of it was sent."""
    placed_at: datetime | None
    first_seen_at: datetime
    reason: str | None
    accepted_by: str | None
    fetch_at: datetime | None
    """When it is fetched again; None when nobody asked."""
    fetch_attempts: int
    look_at: datetime | None
    """When it is looked at again by its id, should its deletion not be told."""
    source: Source
    correlation_id: str


@dataclass(frozen=True, slots=True)
class Sums:
    """Of the whole order, in units of listings but for the unlinked."""

    lines: int
    unlinked: int
    sold: int
    taken: int
    waived: int
    to_take: int
    to_give_back: int


@dataclass(frozen=True, slots=True)
class Attempt:
    """One write, and what of it was for one line."""

    operation: int
    listing_id: str
    line_id: str
    sku: str | None
    units: int
    """Above zero taken, below zero given back."""
    state: OperationState
    expected_total: int
    found_total: int | None
    """The number right before it, as the marketplace's answer or log tells; None where neither does."""
    new_total: int
    prepared_at: datetime
    settled_at: datetime | None
    answered: bool
    """Whether the marketplace's own answer settled it."""
    outcome: str | None


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of the journal about one line."""

    at: datetime
    listing_id: str
    line_id: str
    sku: str | None
    kind: JournalKind
    units: int
    operation: int | None
    reason: WaiveReason | None
    note: str | None


@dataclass(frozen=True, slots=True)
class Share:
    """What a line comes to on one listing."""

    listing_id: str
    title: str
    units_each: int
    sold: int
    taken: int
    waived: int
    due: int
    """Above zero to be taken, below zero to be given back."""
    stage: Stage
    why: str


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the order."""

    line_id: str
    sku: str | None
    item_key: str
    units: int
    """Ordered less cancelled less restocked, as the channel says now."""
    units_at_first: int
    placed_at: datetime
    shares: Sequence[Share]
    """One for each listing: several make a kit."""
    why_unlinked: str | None
    """None when it is linked."""


@dataclass(frozen=True, slots=True)
class Trail:
    """The trail of one order."""

    order: OrderFacts
    sums: Sums
    deliveries: Sequence[DeliveryView]
    """Those still kept that told of it, the latest first."""
    lines: Sequence[Line]
    more_lines: int | None
    """Ask with this for the lines behind; None where that is all."""
    attempts: Sequence[Attempt]
    """Of these lines, the latest first."""
    journal: Sequence[Entry]

    @property
    def listing_ids(self) -> Sequence[str]:
        """The listings of these lines."""
        return sorted({share.listing_id for line in self.lines for share in line.shares})


class Orders:
    """Looks orders up."""

    def __init__(self, store: Store, holds: Holds, guard: Guard, deliveries: Deliveries) -> None:
        """`guard` is the marketplace's: whether an applied write proves what it found."""
        self._store = store
        self._holds = holds
        self._guard = guard
        self._deliveries = deliveries

    def find(
        self,
        words: str = "",
        *,
        channel: str | None = None,
        parked: bool = False,
        before_id: int | None = None,
        limit: int = 50,
    ) -> Sequence[OrderName]:
        """The newest first: all, or those of this id or with a line of this SKU, exactly so spelled."""
        with self._store.read() as transaction:
            channels = [channel] if channel is not None else sorted(intake.known_channels(transaction))
            rows = trails.found_orders(
                transaction,
                words=words,
                channels=channels,
                one_channel=channel is not None,
                parked=parked,
                before_id=before_id,
                limit=limit,
            )
            return [OrderName(*row) for row in rows]

    def trail(self, channel: str, order_id: str, *, after: int = 0) -> Trail | None:
        """None when the order is not known."""
        with self._store.read() as transaction:
            row = trails.order(transaction, channel, order_id)
            if row is None:
                return None
            lines = trails.lines(transaction, row.id, after, LINES_PAGE + 1)
            more, lines = len(lines) > LINES_PAGE, lines[:LINES_PAGE]
            pairs = trails.pairs(transaction, [line.id for line in lines])
            by_row = {line.id: line for line in lines}
            of_pair = {pair.id: by_row[pair.line_row] for pair in pairs}
            tries = trails.tries(transaction, list(of_pair), MOST_TRIES)
            entries = trails.entries(transaction, list(of_pair), MOST_ENTRIES)
            unsettled = trails.unsettled_on(transaction, {pair.listing_id for pair in pairs})
            sums = trails.sums(transaction, row.id)
            why_unlinked = _why_unlinked(transaction, channel, lines)
            holds = self._holds.active_in(transaction)
        waived_for = defaultdict(set)
        for entry in entries:
            if entry.reason is not None:
                waived_for[entry.pair_id].add(entry.reason)
        shares: dict[int, list[Share]] = defaultdict(list)
        for pair in pairs:
            stage, why = _standing(channel, pair, unsettled, holds, waived_for[pair.id])
            shares[pair.line_row].append(_share(pair, stage, why))
        return Trail(
            order=_facts(row),
            sums=Sums(*(int(value or 0) for value in sums)),
            deliveries=self._deliveries.list(channel=channel, order_id=order_id, limit=MOST_DELIVERIES),
            lines=[
                Line(
                    line_id=line.line_id,
                    sku=line.sku,
                    item_key=line.item_key,
                    units=line.committed,
                    units_at_first=line.first_committed,
                    placed_at=line.placed_at,
                    shares=shares[line.id],
                    why_unlinked=why_unlinked.get(line.id),
                )
                for line in lines
            ],
            more_lines=lines[-1].id if more else None,
            attempts=[self._attempt(entry, of_pair[entry.pair_id]) for entry in tries],
            journal=[_entry(entry, of_pair[entry.pair_id]) for entry in entries],
        )

    def _attempt(self, row: AnyRow, line: AnyRow) -> Attempt:
        found = row.found_total
        if found is None and row.answered and self._guard is Guard.COMPARE_AND_SET:
            found = row.expected_total
        return Attempt(
            operation=row.id,
            listing_id=row.listing_id,
            line_id=line.line_id,
            sku=line.sku,
            units=row.units,
            state=row.state,
            expected_total=row.expected_total,
            found_total=found,
            new_total=row.new_total,
            prepared_at=row.prepared_at,
            settled_at=row.settled_at,
            answered=row.answered,
            outcome=row.outcome,
        )


def source_of(correlation_id: str) -> Source:
    """What a correlation id says of the work that it belongs to."""
    if not correlation_id:
        return Source.FORGOTTEN
    prefixes = {"poll": Source.POLL, "late": Source.LATE_PASS, "import": Source.IMPORT}
    prefix, dash, _ = correlation_id.partition("-")
    return prefixes.get(prefix, Source.WEBHOOK) if dash else Source.WEBHOOK


def _facts(row: AnyRow) -> OrderFacts:
    seen = row.state is not OrderState.UNSEEN and row.revision >= 0
    return OrderFacts(
        channel=row.channel,
        order_id=row.order_id,
        state=row.state,
        revision=row.revision if seen else None,
        polled=seen and row.polled_revision == row.revision,
        fetched_at=row.fetched_at,
        placed_at=row.placed_at,
        first_seen_at=row.first_seen_at,
        reason=row.reason,
        accepted_by=row.accepted_by,
        fetch_at=row.fetch_at,
        fetch_attempts=row.fetch_attempts,
        look_at=row.look_at,
        source=source_of(row.correlation_id),
        correlation_id=row.correlation_id,
    )


def _share(pair: AnyRow, stage: Stage, why: str) -> Share:
    return Share(
        listing_id=pair.listing_id,
        title=pair.title,
        units_each=pair.units,
        sold=pair.committed,
        taken=pair.applied,
        waived=pair.waived,
        due=pair.committed - pair.waived - pair.applied,
        stage=stage,
        why=why,
    )


def _entry(row: AnyRow, line: AnyRow) -> Entry:
    return Entry(
        at=row.at,
        listing_id=row.listing_id,
        line_id=line.line_id,
        sku=line.sku,
        kind=row.kind,
        units=row.units,
        operation=row.operation_id,
        reason=row.reason,
        note=row.note,
    )


def _why_unlinked(transaction: Transaction, channel: str, lines: Sequence[AnyRow]) -> Mapping[int, str]:
    """Row of each line without a listing -> why it has none."""
    unlinked = [line for line in lines if not line.linked]
    known = {
        link.sku for link in intake.link_versions(transaction, channel, {line.sku for line in unlinked if line.sku})
    }
    return {
        line.id: "the line has no SKU"
        if not line.sku
        else "every link of its SKU had ended when it was sold"
        if line.sku in known
        else "its SKU is linked to no listing"
        for line in unlinked
    }


def _standing(
    channel: str, pair: AnyRow, unsettled: Mapping[str, int], holds: ActiveHolds, waived_for: Iterable[WaiveReason]
) -> tuple[Stage, str]:
    """How far the units have come, and what they wait for; in the order in which a pass would find it."""
    due = pair.committed - pair.waived - pair.applied
    if due == 0:
        return _done(pair, waived_for)
    for hold in (holds.on_listing(pair.listing_id), holds.on_channel(channel)):
        if hold is not None:
            return Stage.HELD, f"{hold.reason.value} hold on {hold.scope.value} {hold.subject}: {hold.note}"
    if (operation := unsettled.get(pair.listing_id)) is not None:
        return Stage.SETTLING, f"write {operation} of this listing has no outcome yet"
    if pair.state is ListingState.DELETED:
        return Stage.WAITING, "the listing was deleted"
    if pair.doubted:
        return Stage.WAITING, "the number is in doubt: the marketplace's log is read first"
    if pair.put_off_by is not None:
        return Stage.WAITING, f"the poll of {pair.put_off_by} is catching up"
    if pair.stock_kind is not StockKind.COUNTED or pair.total is None:
        return Stage.WAITING, "the number is not known yet: it is read first"
    if due > pair.total > -1:
        return Stage.WAITING, f"more were sold than there are: the number is {pair.total}"
    if pair.total < 0:
        return Stage.WAITING, f"the number is below zero: {pair.total}"
    if pair.next_attempt_at is None:
        return Stage.WAITING, "nothing is planned: look again, or see what is wrong"
    return Stage.WAITING, f"its listing is looked at next at {pair.next_attempt_at:%H:%M:%S} UTC"


def _done(pair: AnyRow, waived_for: Iterable[WaiveReason]) -> tuple[Stage, str]:
    reasons = ", ".join(sorted(reason.value.replace("_", " ") for reason in waived_for))
    why = f"not ours to take: {reasons}" if pair.waived and reasons else "not ours to take" if pair.waived else ""
    if pair.applied:
        return Stage.TAKEN, f"{pair.waived} of them {why}" if pair.waived else why
    return (Stage.NOT_OURS, why) if pair.waived else (Stage.NOTHING, "nothing is sold")
