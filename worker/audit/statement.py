"""The account of a listing, line by line, for people: asked of our own tables alone."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from connectors.contract import Evidence, Feed, Guard, Ledger, Marketplace
from worker.alerts import Kind
from worker.alerts import repository as alerts
from worker.alerts.anomalies import fingerprint
from worker.audit import repository, rules
from worker.audit.causes import Cause, cause_of
from worker.audit.rules import Movement, Sums
from worker.audit.service import Run, last_run
from worker.status import repository as status
from worker.status.listings import Listings, MovedLine
from worker.store import AnyRow, Store, Transaction
from worker.store.tables import ProofState

PAGE = 200
MOST_ORDER_LINES = 2000
"""Of all the lines of one page."""

NO_LOG = (
    "This marketplace keeps no log of stock. Our own writes are accounted for, unit by unit; who moved the rest, nobody"
    " tells."
)
NO_AUTHORS = (
    "This marketplace's log names no authors. Ours are the adjustments that a write of ours claims; who made the"
    " others, nobody tells."
)
NO_PURCHASES = (
    "This marketplace's log names no purchases: what its buyers took and what people edited are both told as edits."
)
OVERWRITES = (
    "A write there sets a number, whatever it is by then: a sale that fell in between may have been overwritten, which"
    " is told as an anomaly of its own."
)

COLUMNS = (
    "at",
    "change",
    "number",
    "cause",
    "adjustment",
    "write",
    "reservation",
    "transaction",
    "channel",
    "order",
    "line",
    "sku",
    "units",
)
PROOF_COLUMNS = (
    "listing",
    "title",
    "sku",
    "state",
    "looked_at",
    "opening_at",
    "opening",
    "now",
    *(cause.value for cause in Cause),
    "note",
)


@dataclass(frozen=True, slots=True)
class Proof:
    """The last proof of a listing."""

    listing_id: str
    title: str
    sku: str | None
    state: ProofState
    looked_at: datetime
    opening_total: int | None
    opening_at: datetime
    total: int | None
    note: str | None
    sums: Sums
    without_cause: Sequence[Movement]
    """The first of them, by name."""

    @property
    def units_without_cause(self) -> int:
        """Net; below zero were taken."""
        return self.sums[Cause.UNEXPLAINED].units if Cause.UNEXPLAINED in self.sums else 0


@dataclass(frozen=True, slots=True)
class Line:
    """One change of the number."""

    at: datetime
    change: int
    total_after: int | None
    cause: Cause
    adjustment: str | None
    operation: int | None
    reservation: str | None
    transaction: str | None
    orders: Sequence[MovedLine]
    """What a write of ours was for."""


@dataclass(frozen=True, slots=True)
class Statement:
    """The account of a listing: what it began with, what moved it, what is there now."""

    listing_id: str
    title: str
    sku: str | None
    total: int | None
    """As it is known now."""
    proof: Proof | None
    """None before its first audit."""
    lines: Sequence[Line]
    """The latest first."""
    older: str | None
    """Ask with this for the lines before; None where that is all."""


class Statements:
    """Looks accounts up."""

    def __init__(self, store: Store, marketplace: Marketplace) -> None:
        self._store = store
        self._listings = Listings(store)
        self._marketplace = marketplace
        self._has_log = isinstance(marketplace, Ledger) and marketplace.evidence is not Evidence.NONE
        self._tells_authors = marketplace.evidence is Evidence.ATTRIBUTED

    @property
    def limits(self) -> Sequence[str]:
        """What this marketplace does not tell, and so no audit proves; empty where it tells everything."""
        if not self._has_log:
            return (NO_LOG, OVERWRITES) if self._marketplace.guard is Guard.ABSOLUTE else (NO_LOG,)
        if not self._tells_authors:
            return (NO_AUTHORS,)
        return () if isinstance(self._marketplace, Feed) else (NO_PURCHASES,)

    def last_run(self) -> Run | None:
        """What the last audit of all listings found; None before the first."""
        with self._store.read() as transaction:
            return last_run(transaction)

    def open_ones(self, state: ProofState, *, after: str = "", limit: int = PAGE) -> Sequence[Proof]:
        """Listings whose last proof is `unexplained` or `waiting`, by id."""
        with self._store.read() as transaction:
            return [_proof(row) for row in repository.open_proofs(transaction, state, after, limit)]

    def proofs(self) -> Iterator[Proof]:
        """Every proof, by listing."""
        after = ""
        while True:
            with self._store.read() as transaction:
                rows = repository.all_proofs(transaction, after, PAGE)
            yield from map(_proof, rows)
            if len(rows) < PAGE:
                return
            after = rows[-1].listing_id

    def statement(self, listing_id: str, *, before: str | None = None, limit: int = PAGE) -> Statement | None:
        """The account of a listing, a page of it; None when it is not known. `before` is what a page calls `older`."""
        named = self._listings.name(listing_id)
        if named is None:
            return None
        with self._store.read() as transaction:
            row = repository.proof(transaction, listing_id)
            since = datetime.min.replace(tzinfo=UTC) if row is None else row.opening_at
            read = self._adjustments if self._has_log else self._writes
            lines, older = read(transaction, listing_id, since, before, limit)
        return Statement(
            listing_id,
            named.title,
            named.sku,
            named.total,
            None if row is None else _proof(row),
            lines,
            older,
        )

    def lines(self, listing_id: str, *, on_line: Callable[[int], None] = lambda lines: None) -> Iterator[Line]:
        """Every line of an account, the latest first, read a page at a time."""
        before, count = None, 0
        while (page := self.statement(listing_id, before=before)) is not None:
            yield from page.lines
            count += len(page.lines)
            on_line(count)
            if (before := page.older) is None:
                return

    def _adjustments(
        self, transaction: Transaction, listing_id: str, since: datetime, before: str | None, limit: int
    ) -> tuple[Sequence[Line], str | None]:
        rows = repository.adjustments(transaction, listing_id, since, _place(before), limit + 1)
        shown = rows[:limit]
        causes = {
            row.adjustment_id: cause_of(
                operation=row.operation_id,
                by_purchase=row.reservation_id is not None or row.transaction_id is not None,
                author=row.author,
                open_claim=row.open_claim,
                tells_authors=self._tells_authors,
            )
            for row in shown
        }
        names = {
            name: fingerprint(Kind.UNEXPLAINED_ADJUSTMENT, listing_id=listing_id, key=name)
            for name, cause in causes.items()
            if cause is Cause.UNEXPLAINED
        }
        accepted = alerts.resolved(transaction, list(names.values()))
        causes |= {name: Cause.ACCEPTED for name, print_ in names.items() if print_ in accepted}
        orders = _orders(transaction, [row.operation_id for row in shown if row.operation_id is not None])
        lines = [
            Line(
                row.at,
                row.quantity,
                row.total_after,
                causes[row.adjustment_id],
                row.adjustment_id,
                row.operation_id,
                row.reservation_id,
                row.transaction_id,
                orders.get(row.operation_id, ()),
            )
            for row in shown
        ]
        last = shown[-1] if len(rows) > limit else None
        return lines, None if last is None else f"{last.at.isoformat()} {last.adjustment_id}"

    @staticmethod
    def _writes(
        transaction: Transaction, listing_id: str, since: datetime, before: str | None, limit: int
    ) -> tuple[Sequence[Line], str | None]:
        place = int(before) if before is not None and before.isascii() and before.isdecimal() else None
        rows = repository.writes(transaction, listing_id, since, place, limit + 1)
        shown = rows[:limit]
        orders = _orders(transaction, [row.id for row in shown])
        lines = [
            Line(
                row.settled_at,
                row.new_total - row.expected_total,
                row.new_total,
                Cause.OURS,
                None,
                row.id,
                None,
                None,
                orders.get(row.id, ()),
            )
            for row in shown
        ]
        return lines, str(shown[-1].id) if len(rows) > limit else None


def _proof(row: AnyRow) -> Proof:
    return Proof(
        row.listing_id,
        row.title,
        row.sku,
        row.state,
        row.looked_at,
        row.opening_total,
        row.opening_at,
        row.total,
        row.note,
        rules.sums_of(row.account),
        rules.open_of(row.account),
    )


def _place(before: str | None) -> tuple[datetime, str] | None:
    """The line that a page ended with; None for anything that no page has said."""
    at, _, adjustment = (before or "").partition(" ")
    try:
        moment = datetime.fromisoformat(at)
    except ValueError:
        return None
    return (moment, adjustment) if moment.tzinfo is not None else None


def _orders(transaction: Transaction, operations: Sequence[int]) -> Mapping[int, Sequence[MovedLine]]:
    found: dict[int, list[MovedLine]] = {}
    for row in status.lines_of_operations(transaction, operations, MOST_ORDER_LINES):
        found.setdefault(row.operation_id, []).append(MovedLine(*row))
    return found


# --- CSV --------------------------------------------------------------------------------------------------------


def lines_csv(lines: Iterable[Line]) -> Iterator[str]:
    """Lines as CSV, a row for each order line of a write, its change in the first of them alone."""
    yield _row(COLUMNS)
    for line in lines:
        what = (line.adjustment, line.operation, line.reservation, line.transaction)
        head: Sequence[Any] = (line.at, line.change, line.total_after, line.cause.value, *what)
        again: Sequence[Any] = (line.at, None, None, line.cause.value, *what)
        if not line.orders:
            yield _row((*head, None, None, None, None, None))
        for order in line.orders:
            yield _row((*head, order.channel, order.order_id, order.line_id, order.sku, order.units))
            head = again


def proofs_csv(proofs: Iterable[Proof]) -> Iterator[str]:
    """Proofs as CSV: by cause the net units that it moved."""
    yield _row(PROOF_COLUMNS)
    for proof in proofs:
        units = (proof.sums[cause].units if cause in proof.sums else 0 for cause in Cause)
        named = (proof.listing_id, proof.title, proof.sku, proof.state.value, proof.looked_at, proof.opening_at)
        yield _row((*named, proof.opening_total, proof.total, *units, proof.note))


def _row(cells: Iterable[Any]) -> str:
    out = io.StringIO(newline="")
    csv.writer(out, lineterminator="\n").writerow([_cell(cell) for cell in cells])
    return out.getvalue()


def _cell(value: Any) -> Any:
    match value:
        case datetime():
            return value.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        case str() if value.startswith(("=", "+", "-", "@", "\t", "\r")):
            # A spreadsheet would calculate what a vendor's text says.
            return f"'{value}"
        case _:
            return value
