"""What a look at one listing comes to, and what follows from it: inside the audit's transaction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Self

from connectors.clock import Clock
from connectors.contract import Author, Evidence, Feed, Listing, Marketplace, RemoteAdjustment, StockKind
from worker.alerts import Anomalies, Finding, Kind
from worker.audit import repository, rules
from worker.audit.causes import Cause, cause_of
from worker.audit.rules import PATIENCE, Base, Movement
from worker.holds import Holds
from worker.reconcile import adjustments
from worker.reconcile import repository as operations
from worker.reconcile.logs import LogRead, log_order
from worker.store import AnyRow, Transaction
from worker.store.tables import HoldReason, HoldScope, OperationKind, OperationState, ProofState
from worker.upkeep import repository as upkeep

KIND = Kind.UNEXPLAINED_ADJUSTMENT


@dataclass(frozen=True, slots=True)
class Case:
    """A listing to be proved, as it is known before anybody is asked."""

    listing_id: str
    row: Any
    """See `repository.cases`."""
    base: Base | None
    """None: its account has not begun yet."""
    met_at: datetime
    """When its account begins, where it has not."""
    met_total: int | None
    """The total it begins with, as far as it was read then."""

    @classmethod
    def of(cls, row: AnyRow, met: AnyRow | None, *, has_log: bool) -> Self:
        """`met`: the total it was first met with, where there was one."""
        base = None if row.account is None else rules.base_of(row.account)
        if row.state is ProofState.UNCOUNTED:
            # It had no number in between: what it begins with anew is read.
            met_at, met_total = row.looked_at, None
        else:
            met_at = row.first_seen_at if met is None else met.at
            met_total = None if met is None else met.units
        if base is None and met_total is not None and not has_log:
            base = Base(met_total, met_at, met_at)
        return cls(row.listing_id, row, base, met_at, met_total)

    @property
    def is_counted(self) -> bool:
        return self.row.stock_kind is StockKind.COUNTED

    @property
    def is_untouched(self) -> bool:
        """Nothing was written, read or heard of it since it was first met: there is nothing to prove."""
        row = self.row
        quiet = (
            row.last_operation is None and row.last_heard is None and row.anchor_adjustment is None and not row.doubted
        )
        return quiet and row.state is None and self.met_total is not None and self.met_total == row.total

    @property
    def log_since(self) -> datetime:
        """From when on its log is read."""
        return self.met_at - rules.FIRST_LOOK_BACK if self.base is None else self.base.at

    def begun(self, log: LogRead, entries: Sequence[RemoteAdjustment], total: int) -> tuple[Base, datetime]:
        """Its base, and when its account was opened. A log that is not kept back to its beginning opens it later."""
        if self.base is not None:
            return self.base, self.row.opening_at
        if self._opens_by_log(log) and log.since > self.log_since:
            return rules.opened(entries, total, since=log.since, met_at=log.since, met_total=None)
        return rules.opened(entries, total, since=log.since, met_at=self.met_at, met_total=self.met_total)

    def _opens_by_log(self, log: LogRead) -> bool:
        return self.base is None and (self.met_total is None or log.since > self.log_since)

    def moved_meanwhile(self, log: LogRead, again: LogRead) -> bool:
        """Whether its account cannot be opened now, because it moved between the two looks."""
        return self.base is None and len(log.entries) != len(again.entries)

    def is_led_to(self, log: LogRead, listing: Listing) -> bool:
        """Whether the log leads from the base to the number, without a second look. Where the account is opened, with
        what the log leads to or at whatever place of it fits, only the second look can tell that nothing happened in
        between.
        """
        if listing.stock.kind is not StockKind.COUNTED:
            return True
        if self.base is None:
            return False
        moved = sum(entry.quantity for entry in rules.since_base(self.base, log.entries))
        return self.base.total + moved == listing.stock.total


@dataclass(frozen=True, slots=True)
class Look:
    """What the marketplace said."""

    listing: Listing
    log: LogRead | None
    """Read before the listing; None where there is none."""
    again: LogRead | None
    """Read after it, where the first did not lead to the number."""
    read_at: datetime


class Judge:
    """Draws the conclusions."""

    def __init__(self, clock: Clock, marketplace: Marketplace, anomalies: Anomalies, holds: Holds) -> None:
        self._clock = clock
        self._anomalies = anomalies
        self._holds = holds
        self._tells_authors = marketplace.evidence is Evidence.ATTRIBUTED
        self._has_feed = isinstance(marketplace, Feed)

    def judged_in(self, transaction: Transaction, case: Case, look: Look | None) -> Mapping[str, Any]:
        """The proof of a listing, as `repository.keep` takes it. Without a look: it has no number, or is untouched."""
        if look is None and case.is_counted:
            return self._kept(case, ProofState.PROVED, case.row.total, (case.met_total, case.met_at), None, {}, ())
        if look is None or look.listing.stock.kind is not StockKind.COUNTED:
            opening = (None, self._clock.now())
            return self._kept(case, ProofState.UNCOUNTED, None, opening, None, {}, ())
        if look.log is None:
            return self._by_number(transaction, case, look)
        return self._by_log(transaction, case, look, look.log)

    def unread(self, case: Case, why: str) -> Mapping[str, Any]:
        """The listing could not be read: what was proved of it stands."""
        row = case.row
        opening = (case.met_total, case.met_at) if row.opening_at is None else (row.opening_total, row.opening_at)
        sums = {} if row.account is None else rules.sums_of(row.account)
        note = f"it cannot be read: {why}"
        return self._kept(case, ProofState.WAITING, row.total, opening, case.base, sums, (), note=note)

    def _kept(
        self,
        case: Case,
        state: ProofState,
        total: int | None,
        opening: tuple[int | None, datetime],
        base: Base | None,
        sums: rules.Sums,
        movements: Sequence[Movement],
        *,
        note: str | None = None,
    ) -> Mapping[str, Any]:
        row = case.row
        without_cause = [entry for entry in movements if entry.cause is Cause.UNEXPLAINED]
        return {
            "listing_id": case.listing_id,
            "state": state,
            "looked_at": self._clock.now(),
            "opening_total": opening[0],
            "opening_at": opening[1],
            "total": total,
            "note": note,
            "account": rules.account(base, sums, without_cause),
            "known_kind": row.stock_kind,
            "known_total": row.total,
            "known_anchor": row.anchor_adjustment,
            "known_heard": row.last_heard,
            "known_operation": row.last_operation,
        }

    # --- by the log -------------------------------------------------------------------------------------------

    def _by_log(self, transaction: Transaction, case: Case, look: Look, log: LogRead) -> Mapping[str, Any]:
        total = look.listing.stock.total
        if look.again is not None and case.moved_meanwhile(log, look.again):
            note = "it moved while its log was read for the first time"
            return self._kept(case, ProofState.WAITING, total, (None, case.met_at), None, {}, (), note=note)
        shown = log.entries if look.again is None else look.again.entries
        known = adjustments.known_adjustments(transaction, {entry.adjustment_id for entry in (*log.entries, *shown)})
        first, again = (sorted(entries, key=lambda entry: log_order(entry, known)) for entries in (log.entries, shown))
        base, opening_at = case.begun(log, first, total)
        taken = rules.reaching(base, rules.since_base(base, first), rules.since_base(base, again), total)
        questions = self._questions(transaction, case.listing_id)
        movements = self._movements(transaction, case, look, taken, known, questions)
        gap = total - base.total - sum(entry.quantity for entry in taken)
        if gap:
            is_cut = log.since > case.log_since
            movements.append(self._gap(base, look, movements, gap, questions, is_cut=is_cut))
        movements = self._with_decisions(transaction, case.listing_id, base, movements)
        state = rules.state_of(movements, questions)
        opening_total = case.row.opening_total if case.base is not None else base.total
        sums = rules.added(base.sums, movements)
        self._tell(transaction, case.listing_id, base, movements, state)
        if state in (ProofState.PROVED, ProofState.IN_PART):
            if not self._has_feed:
                self._remember(transaction, base, taken, known)
            in_total = base.seen.union(entry.adjustment_id for entry in taken)
            held = [entry for entry in again if entry.adjustment_id in in_total]
            base = rules.advanced(base, held, movements, total=total, now=self._clock.now())
        opening = (opening_total, opening_at)
        return self._kept(case, state, total, opening, base, sums, movements, note="; ".join(questions) or None)

    @staticmethod
    def _questions(transaction: Transaction, listing_id: str) -> Sequence[str]:
        """Writes of ours of which it is not known yet what became of them, in words."""
        return [
            f"write {row.id} is not settled yet"
            if row.state in (OperationState.PREPARED, OperationState.UNKNOWN)
            else f"no adjustment of the log shows write {row.id} yet"
            for row in operations.unclaimed(transaction, [listing_id]).get(listing_id, [])
            if row.state is not OperationState.ABSENT and not (row.outcome or "").startswith(operations.DECIDED_BY)
        ]

    def _movements(
        self,
        transaction: Transaction,
        case: Case,
        look: Look,
        taken: Sequence[RemoteAdjustment],
        known: Mapping[str, Any],
        questions: Sequence[str],
    ) -> list[Movement]:
        claimed = {
            entry.adjustment_id: known[entry.adjustment_id].operation_id
            for entry in taken
            if entry.adjustment_id in known and known[entry.adjustment_id].operation_id is not None
        }
        moved = {claimed[entry.adjustment_id]: entry.quantity for entry in taken if entry.adjustment_id in claimed}
        short = self._short(transaction, case.listing_id, moved)
        restored = self._holds.active_in(transaction).has(HoldReason.RESTORED, HoldScope.LISTING, case.listing_id)
        found = []
        for entry in taken:
            row, name = known.get(entry.adjustment_id), entry.adjustment_id
            author = entry.author if entry.author is not None or row is None else row.author
            cause = cause_of(
                operation=claimed.get(name),
                by_purchase=entry.reservation is not None,
                author=author,
                open_claim=row is None or row.open_claim,
                tells_authors=self._tells_authors,
            )
            is_own = author is Author.OURS
            why, waits = "", False
            if cause is Cause.UNEXPLAINED and author is None and entry.at <= case.met_at:
                # From before the listing was met, and so maybe from before the feed was followed.
                cause = Cause.UNTOLD
            if cause is Cause.OURS and claimed[name] in short:
                cause, why = short[claimed[name]]
            elif cause is Cause.UNEXPLAINED:
                why = "it was made with our credentials, by no write of ours" if is_own else "nobody says who made it"
                waits = bool(questions) or (restored and is_own) or entry.at > look.read_at - PATIENCE
            operation = claimed.get(name)
            is_own = is_own and operation is None
            found.append(Movement(entry.at, entry.quantity, cause, name, operation, why, waits, is_own))
        return found

    @staticmethod
    def _short(transaction: Transaction, listing_id: str, moved: Mapping[int, int]) -> Mapping[int, tuple[Cause, str]]:
        """Writes that moved another number of units than their order lines say. A person may have decided that."""
        units = repository.units_of(transaction, moved)
        short = {name: units.get(name, 0) for name, quantity in moved.items() if units.get(name, 0) != -quantity}
        decided = repository.decided(transaction, listing_id, short) if short else set()
        return {
            name: (
                Cause.ACCEPTED if name in decided else Cause.UNEXPLAINED,
                f"write {name} moved {moved[name]:+} units, its order lines account for {-lines:+}",
            )
            for name, lines in short.items()
        }

    @staticmethod
    def _gap(
        base: Base, look: Look, movements: Sequence[Movement], units: int, questions: Sequence[str], *, is_cut: bool
    ) -> Movement:
        """Units that moved without an adjustment."""
        total = look.listing.stock.total
        if is_cut:
            why = "the marketplace no longer keeps what its log showed then"
            return Movement(look.read_at, units, Cause.UNTOLD, why=why)
        why = f"the log leads from {base.total} to {total - units}, and the number is {total}"
        waits = bool(questions) or any(entry.at > look.read_at - PATIENCE for entry in movements)
        return Movement(look.read_at, units, Cause.UNEXPLAINED, why=why, waits=waits)

    def _with_decisions(
        self, transaction: Transaction, listing_id: str, base: Base, movements: Sequence[Movement]
    ) -> list[Movement]:
        """What a person has looked at, and resolved the anomaly of, stands."""
        names = {
            index: _finding(listing_id, base, entry).fingerprint
            for index, entry in enumerate(movements)
            if entry.cause is Cause.UNEXPLAINED and not entry.waits
        }
        resolved = self._anomalies.resolved_in(transaction, list(names.values())) if names else set()
        return [
            replace(entry, cause=Cause.ACCEPTED) if names.get(index) in resolved else entry
            for index, entry in enumerate(movements)
        ]

    def _tell(
        self, transaction: Transaction, listing_id: str, base: Base, movements: Sequence[Movement], state: ProofState
    ) -> None:
        """Open an anomaly for each unit without a cause, and resolve those that have one now.

        An orphan has an anomaly of its own, which whoever settles opens: here its listing is only sent to be looked at.
        """
        without = [entry for entry in movements if entry.cause is Cause.UNEXPLAINED and not entry.waits]
        findings = [_finding(listing_id, base, entry) for entry in without if not entry.is_own]
        news = self._anomalies.untold_in(transaction, findings)
        self._anomalies.open_in(transaction, findings)
        if state is not ProofState.WAITING:
            told = self._anomalies.unresolved_on_listing_in(transaction, KIND, listing_id)
            explained = sorted(set(told) - {finding.fingerprint for finding in findings})
            self._anomalies.resolve_in(transaction, explained, "it has a cause now")
        held = self._holds.active_in(transaction)
        if any(held.has(reason, HoldScope.LISTING, listing_id) for reason in (HoldReason.ORPHAN, HoldReason.RESTORED)):
            return
        if news or len(without) > len(findings):
            # Before anything is written there, its log is read.
            upkeep.doubt(transaction, [listing_id], self._clock.now())

    @staticmethod
    def _remember(
        transaction: Transaction, base: Base, taken: Sequence[RemoteAdjustment], known: Mapping[str, Any]
    ) -> None:
        """Keep what was proved, for whoever reads it. Never where a feed is about to tell of it: it carries totals over
        what it is the first to show.
        """
        total, rows = base.total, []
        for entry in taken:
            total += entry.quantity
            if entry.adjustment_id not in known:
                rows.append(adjustments.adjustment_values(entry, sequence=None, total_after=total, claimed=False))
        adjustments.remember_adjustments(transaction, rows)

    # --- by the number ----------------------------------------------------------------------------------------

    def _by_number(self, transaction: Transaction, case: Case, look: Look) -> Mapping[str, Any]:
        """Where there is no log: what our writes explain of the movement, and that nobody tells of the rest."""
        total, listing_id = look.listing.stock.total, case.listing_id
        row, now = case.row, self._clock.now()
        base = case.base or Base(total, look.read_at, look.read_at, operation=row.last_operation or 0)
        began = row.opening_at is None or case.base is None
        opening = (base.total, base.proved_at) if began else (row.opening_total, row.opening_at)
        writes = repository.writes_after(transaction, listing_id, base.operation)
        questions = self._unsettled(transaction, case)
        moved = {write.id: write.new_total - write.expected_total for write in writes}
        short = self._short(transaction, listing_id, moved)
        movements = []
        for write in writes:
            cause, why = short.get(write.id, (Cause.OURS, ""))
            movements.append(Movement(write.settled_at, moved[write.id], cause, operation=write.id, why=why))
        rest = total - base.total - sum(moved.values())
        if rest:
            movements.append(Movement(look.read_at, rest, Cause.UNTOLD))
        movements = self._with_decisions(transaction, listing_id, base, movements)
        state = rules.state_of(movements, questions)
        sums = rules.added(base.sums, movements)
        self._tell(transaction, listing_id, base, movements, state)
        if state in (ProofState.PROVED, ProofState.IN_PART):
            last = max(moved, default=base.operation)
            base = replace(base, total=total, operation=last, proved_at=now, sums=sums)
        return self._kept(case, state, total, opening, base, sums, movements, note="; ".join(questions) or None)

    @staticmethod
    def _unsettled(transaction: Transaction, case: Case) -> Sequence[str]:
        unsettled = operations.unsettled(transaction, [case.listing_id]).get(case.listing_id)
        if unsettled is not None and unsettled.kind is OperationKind.STOCK:
            return [f"write {unsettled.id} is not settled yet"]
        if repository.last_operation(transaction, case.listing_id) != case.row.last_operation:
            return ["it was written to while it was read"]
        return ()


def _finding(listing_id: str, base: Base, entry: Movement) -> Finding:
    """A unit without a cause. What identifies it stays the same until it has one, or a person says what it was."""
    name = f"write {entry.operation}" if entry.operation is not None else f"since {base.proved_at.isoformat()}"
    which = "" if entry.adjustment is None else f" (adjustment {entry.adjustment})"
    did = "were added to" if entry.units > 0 else "were taken from"
    return Finding(
        KIND,
        f"{abs(entry.units)} units {did} listing {listing_id} without a cause{which}: {entry.why}. Seen"
        f" {entry.at:%Y-%m-%d %H:%M:%S} UTC. `trueup audit --listing {listing_id}` shows every other unit; compare with"
        " the marketplace's own history. Once you know what it was, resolve this with a reason, and the next audit goes"
        " on from there.",
        listing_id=listing_id,
        key=entry.adjustment or name,
        detail={"units": entry.units, "adjustment": entry.adjustment, "why": entry.why},
    )
