"""One listing, and why its number is what it is: down to order lines and back.

Everything is read from our own tables, the latest first and bounded; no vendor is called.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from connectors.contract import Author, ListingState, StockKind
from worker.audit.causes import Cause, cause_of
from worker.status import repository
from worker.store import AnyRow, Store
from worker.store.tables import JournalKind, OperationKind, OperationState, WaiveReason

MOST_ADJUSTMENTS = 100
MOST_ATTEMPTS = 50
MOST_LINES = 500
"""Of all the attempts that are shown."""
MOST_WAITING = 100
JOURNAL_PAGE = 50
MOST_FOUND = 50


@dataclass(frozen=True, slots=True)
class ListingName:
    """A listing in a list."""

    listing_id: str
    title: str
    sku: str | None
    state: ListingState
    total: int | None


@dataclass(frozen=True, slots=True)
class ListingFacts:
    """What is known about a listing now."""

    listing_id: str
    title: str
    sku: str | None
    seller_id: str
    state: ListingState
    state_author: Author | None
    state_changed_at: datetime | None
    stock_kind: StockKind
    total: int | None
    doubted: bool
    first_seen_at: datetime
    next_attempt_at: datetime | None
    closed_by_us_at: datetime | None
    zero_since: datetime | None
    swept_at: datetime | None


@dataclass(frozen=True, slots=True)
class LinkView:
    """A SKU that is this listing, for a time."""

    channel: str
    sku: str
    units: int
    from_at: datetime
    until_at: datetime | None


@dataclass(frozen=True, slots=True)
class WaitingLine:
    """An order line whose units are not taken, or not given back, yet."""

    units: int
    """Below zero: to give back."""
    pair: int
    channel: str
    order_id: str
    line_id: str
    sku: str | None
    placed_at: datetime


@dataclass(frozen=True, slots=True)
class MovedLine:
    """What an attempt takes for one order line."""

    operation: int
    units: int
    pair: int
    channel: str
    order_id: str
    line_id: str
    sku: str | None
    placed_at: datetime


@dataclass(frozen=True, slots=True)
class Attempt:
    """One write that was tried: what was expected, what was wanted, what came of it."""

    operation: int
    kind: OperationKind
    state: OperationState
    expected_total: int
    new_total: int
    prepared_at: datetime
    settled_at: datetime | None
    answered: bool
    outcome: str | None
    adjustment: str | None
    """The remote adjustment that it was."""
    lines: Sequence[MovedLine]


@dataclass(frozen=True, slots=True)
class AdjustmentView:
    """One change of the number, as the marketplace's log has it."""

    adjustment: str
    at: datetime
    quantity: int
    cause: Cause
    total_after: int | None
    reservation: str | None
    transaction: str | None
    operation: int | None


@dataclass(frozen=True, slots=True)
class ReservationView:
    """What a transaction on the marketplace holds of a listing, by the adjustments that are shown."""

    name: str
    """Of the transaction, or of the reservation where that is all the marketplace tells."""
    units: int
    """Held now; 0 when all were given back."""
    last_at: datetime


@dataclass(frozen=True, slots=True)
class JournalView:
    """One entry of the journal."""

    id: int
    at: datetime
    kind: JournalKind
    units: int
    operation: int | None
    reason: WaiveReason | None
    note: str | None
    channel: str | None
    order_id: str | None
    line_id: str | None
    sku: str | None


@dataclass(frozen=True, slots=True)
class Story:
    """Everything about one listing that explains its number."""

    listing: ListingFacts
    links: Sequence[LinkView]
    waiting: Sequence[WaitingLine]
    adjustments: Sequence[AdjustmentView]
    """The latest first."""
    attempts: Sequence[Attempt]
    journal: Sequence[JournalView]
    older_journal: int | None
    """Ask with this for what comes before; None where that is all."""

    @property
    def reservations(self) -> Sequence[ReservationView]:
        """The one that changed last comes first."""
        by_name: dict[str, list[AdjustmentView]] = {}
        for entry in self.adjustments:
            if (name := entry.transaction or entry.reservation) is not None:
                by_name.setdefault(name, []).append(entry)
        return [
            ReservationView(name, -sum(entry.quantity for entry in entries), entries[0].at)
            for name, entries in by_name.items()
        ]

    @property
    def changes_of_state(self) -> Sequence[Attempt]:
        """Our closings and openings."""
        return [attempt for attempt in self.attempts if attempt.kind is not OperationKind.STOCK]

    @property
    def writes(self) -> Sequence[Attempt]:
        """Our writes of the number."""
        return [attempt for attempt in self.attempts if attempt.kind is OperationKind.STOCK]


class Listings:
    """Looks listings up."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def name(self, listing_id: str) -> ListingName | None:
        """A listing in short; None when it is not known."""
        with self._store.read() as transaction:
            row = repository.listing(transaction, listing_id)
        return None if row is None else ListingName(row.listing_id, row.title, row.sku, row.state, row.total)

    def find(self, words: str, channels: Collection[str]) -> Sequence[ListingName]:
        """By id, by the marketplace's SKU, or by a SKU that one of these channels sells it as: exactly so spelled."""
        with self._store.read() as transaction:
            return [ListingName(*row) for row in repository.found_listings(transaction, words, channels, MOST_FOUND)]

    def waiting(self, listing_id: str, *, limit: int = MOST_WAITING) -> Sequence[WaitingLine]:
        """Lines whose units wait, the latest first."""
        with self._store.read() as transaction:
            return [WaitingLine(*row) for row in repository.waiting_lines(transaction, listing_id, limit)]

    def story(self, listing_id: str, *, journal_before: int | None = None) -> Story | None:
        """None when the listing is not known."""
        with self._store.read() as transaction:
            row = repository.listing(transaction, listing_id)
            if row is None:
                return None
            operations = repository.operations_of(transaction, listing_id, MOST_ATTEMPTS)
            lines = repository.lines_of_operations(transaction, [operation.id for operation in operations], MOST_LINES)
            journal = repository.journal_of(transaction, listing_id, journal_before, JOURNAL_PAGE + 1)
            return Story(
                listing=ListingFacts(*row),
                links=[LinkView(*link) for link in repository.links_of(transaction, listing_id)],
                waiting=[
                    WaitingLine(*line) for line in repository.waiting_lines(transaction, listing_id, MOST_WAITING)
                ],
                adjustments=[
                    _adjustment(entry) for entry in repository.adjustments_of(transaction, listing_id, MOST_ADJUSTMENTS)
                ],
                attempts=_attempts(operations, lines),
                journal=[JournalView(*entry) for entry in journal[:JOURNAL_PAGE]],
                older_journal=journal[JOURNAL_PAGE - 1].id if len(journal) > JOURNAL_PAGE else None,
            )


def _adjustment(row: AnyRow) -> AdjustmentView:
    return AdjustmentView(
        adjustment=row.adjustment_id,
        at=row.at,
        quantity=row.quantity,
        cause=cause_of(
            operation=row.operation_id,
            by_purchase=row.reservation_id is not None or row.transaction_id is not None,
            author=row.author,
            open_claim=row.open_claim,
        ),
        total_after=row.total_after,
        reservation=row.reservation_id,
        transaction=row.transaction_id,
        operation=row.operation_id,
    )


def _attempts(operations: Sequence[AnyRow], lines: Sequence[AnyRow]) -> Sequence[Attempt]:
    by_operation: Mapping[int, list[MovedLine]] = {row.id: [] for row in operations}
    for line in lines:
        by_operation[line.operation_id].append(MovedLine(*line))
    return [
        Attempt(
            operation=row.id,
            kind=row.kind,
            state=row.state,
            expected_total=row.expected_total,
            new_total=row.new_total,
            prepared_at=row.prepared_at,
            settled_at=row.settled_at,
            answered=row.answered,
            outcome=row.outcome,
            adjustment=row.adjustment_id,
            lines=by_operation[row.id],
        )
        for row in operations
    ]
