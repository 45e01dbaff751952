"""What must hold at every moment of a history, watched at every call and after every commit.

It sees the requests as they leave and as they are executed, the true ledger of the marketplace, and the rows; what the
code under test says about itself is believed only where the ledger agrees.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from tests.simulation.database import Database
from tests.simulation.events import Call, Fate, Trouble
from tests.simulation.market import UNLIMITED_FROM, Market
from tests.simulation.network import Answer, Exchange, Witness
from tests.simulation.scheduler import Scheduler
from tests.simulation.trace import Trace

STATE_CALLS = frozenset({Call.CLOSE, Call.OPEN})
COMPARE_PAIRS_EVERY = 16
"""Commits between two comparisons of all pairs with the journal, where the journal did not grow."""
READS_TRAVEL_SECONDS = 31.0
"""How old what is known may be when a request is made of it."""
CERTAINLY_REFUSED = frozenset(
    {Fate.TOKEN_EXPIRED.value, Fate.THROTTLED.value, Trouble.UNAUTHORISED.value, Trouble.THROTTLING.value}
)
"""Fates that tell the sender that nothing was executed."""
NEVER_EXECUTED = CERTAINLY_REFUSED | {
    Fate.REFUSED.value,
    Fate.LOST_BEFORE.value,
    Fate.ERROR_BEFORE.value,
    Trouble.DOWN.value,
}


class BrokenPromise(AssertionError):  # noqa: N818  it is what it says
    """Something that must never be."""

    def __init__(self, promise: str, subject: str, what: str) -> None:
        super().__init__(f"{promise} {subject}: {what}")
        self.promise = promise
        self.subject = subject
        """A listing's name, an order's id, or nothing."""
        self.what = what

    @property
    def like(self) -> tuple[str, str]:
        """What is the same in every history that breaks in this way: all but the numbers."""
        return self.promise, re.sub(r"\d+", "#", self.what)


@dataclass(slots=True)
class Sent:
    """One operation, as the network saw it."""

    listing_id: str
    expected: int
    new: int
    sent: int = 0
    refused: int = 0
    """Answered in a way that is certain not to have executed anything, as far as its sender can know."""
    executed: list[str] = field(default_factory=list)
    """Adjustments that it really made."""


@dataclass(frozen=True, slots=True)
class FeedRead:
    """The feed was read to its head."""

    begun: float
    committed: float


class EyeWitness(Witness):
    """Watches one history. Raises nothing: the first broken promise is kept, and ends the run."""

    def __init__(self, scheduler: Scheduler, database: Database, market: Market, trace: Trace) -> None:
        self._scheduler = scheduler
        self._database = database
        self._market = market
        self._trace = trace
        self.broken: BrokenPromise | None = None
        self.operations: dict[int, Sent] = {}
        self.calls: Counter[Call] = Counter()
        self._under_way: Counter[str] = Counter()
        """Stock writes by listing that left and may still be executed."""
        self.believed_closed: dict[str, float] = {}
        """Listings that were closed already when our request to close them was answered with a yes."""
        self.feed_is_complete = False
        """Whether the feed tells everything, with its author, all the time."""
        self.commits = 0
        self.named_differences = 0
        """Listings whose numbers differ as an open anomaly says."""
        self.turns_made: set[int] = set()
        """Closings and openings that really happened."""
        self.feed_reads: list[FeedRead] = []
        self._prepared: dict[int, float] = {}
        self._journal_to = 0
        self._journal_sums = (0, 0, 0)
        self._last_operation = 0
        self._unsettled: dict[int, str] = {}
        self._seen_head: str | None = None

    def name(self, listing_id: str) -> str:
        """A listing as the trace calls it."""
        return f"L{self._market.ids.index(listing_id)}" if listing_id in self._market.ids else listing_id

    def note(self, who: str, what: str) -> None:
        """Add a line to the trace."""
        self._trace.add(self._scheduler.now, who, what)

    def breaks(self, promise: str, subject: str, what: str) -> None:
        """Note a broken promise; the first one is the verdict."""
        self.note("CHECKER", f"{promise} broken: {subject} {what}")
        if self.broken is None:
            self.broken = BrokenPromise(promise, subject, what)

    # --- calls ------------------------------------------------------------------------------------------------

    def sending(self, exchange: Exchange) -> None:
        """See `Witness.sending`."""
        self.calls[exchange.call] += 1
        if exchange.call is Call.WRITE:
            exchange.notes = self._intent_of(exchange)
        elif exchange.call in STATE_CALLS:
            self._state_intent(exchange)

    def _intent_of(self, exchange: Exchange) -> int | None:
        """P3: a write that leaves is a committed row. P4: the same one never leaves twice."""
        write = self._market.write_of(exchange.request)
        name = self.name(write.listing_id)
        self._under_way[write.listing_id] += 1
        self.note(exchange.process.name, f"sends {name} {write}")
        if write.new is not None and write.new < 0:
            self.breaks("P5", name, f"a write to {write.new} units, below zero, was sent")
        condition, parameters = write.condition
        rows = self._database.rows(
            f"SELECT id, expected_total, new_total FROM operations WHERE listing_id = ? AND kind = 'stock'"
            f" AND {condition} AND state <> 'rejected' ORDER BY state IN ('prepared', 'unknown') DESC, id DESC",
            write.listing_id,
            *parameters,
        )
        if not rows:
            self.breaks("P3", name, f"a write {write} was sent without a committed intent")
            return None
        # Who stood still between its intent and its request may send when another with the same totals has been sent.
        unsent = [row for row in rows if not self._is_sent(row[0])]
        operation: int
        operation, expected, new = (unsent or rows)[0]
        sent = self.operations.setdefault(operation, Sent(write.listing_id, expected, new))
        sent.sent += 1
        if sent.sent - sent.refused > 1:
            self.breaks("P4", name, f"operation {operation} ({write}) was sent a second time")
        return operation

    def _is_sent(self, operation: int) -> bool:
        sent = self.operations.get(operation)
        return sent is not None and sent.sent > sent.refused

    def _state_intent(self, exchange: Exchange) -> None:
        listing_id = self._market.turned_by(exchange.request)
        name, act = self.name(listing_id), exchange.call.value
        self.note(exchange.process.name, f"sends {act} {name}")
        rows = self._database.rows(
            "SELECT id FROM operations WHERE listing_id = ? AND kind = ? AND state <> 'rejected' ORDER BY id DESC",
            listing_id,
            act,
        )
        if not rows:
            self.breaks("P3", name, f"{act} was sent without a committed intent")
            return
        exchange.notes = rows[0][0]

    def executing(self, exchange: Exchange) -> None:
        """See `Witness.executing`."""
        if exchange.call is Call.WRITE:
            listing_id = self._market.write_of(exchange.request).listing_id
            self._under_way[listing_id] -= 1
            exchange.notes = (exchange.notes, len(self._market.own(listing_id)))
        elif exchange.call in STATE_CALLS:
            exchange.notes = (exchange.notes, self._market.state(self._market.turned_by(exchange.request)))

    def executed(self, exchange: Exchange, answer: Answer) -> None:
        """See `Witness.executed`."""
        if exchange.call is Call.WRITE:
            self._executed_write(exchange, answer)
        elif exchange.call in STATE_CALLS:
            self._executed_turn(exchange)

    def _executed_write(self, exchange: Exchange, answer: Answer) -> None:
        operation, before = exchange.notes
        write = self._market.write_of(exchange.request)
        listing_id = write.listing_id
        name = self.name(listing_id)
        made = self._market.own(listing_id)[before:]
        self.note("marketplace", f"{name} {write}: {answer.status}")
        if answer.status in (401, 429) and operation is not None:
            self.operations[operation].refused += 1
        if answer.status in (400, 409) and b"old-total-mismatch" in answer.body and operation is not None:
            self._check_mismatch(listing_id, name, operation)
        for adjustment in made:
            if adjustment.total < 0:
                self.breaks("P5", name, f"our write left {adjustment.total} units")
            if operation is not None:
                self.operations[operation].executed.append(adjustment.adjustment_id)

    def _check_mismatch(self, listing_id: str, name: str, operation: int) -> None:
        """P7: a write planned from a total that the feed had told otherwise costs calls for nothing."""
        planned = self._prepared.get(operation)
        if (
            self.feed_is_complete
            and planned is not None
            and self._was_told(self._market.last_moved(listing_id), planned)
        ):
            self.breaks("P7", name, f"operation {operation} was planned from a total that the feed had told otherwise")

    def _executed_turn(self, exchange: Exchange) -> None:
        operation, before = exchange.notes
        listing_id = self._market.turned_by(exchange.request)
        after = self._market.state(listing_id)
        if after == before or after is None:
            if exchange.call is Call.CLOSE:
                self.believed_closed[listing_id] = self._scheduler.now
            return
        name = self.name(listing_id)
        self.note("marketplace", f"{name} is {after} by us")
        self.turns_made.add(operation)
        begun = self._prepared.get(operation, self._scheduler.now)
        if after == "published":
            self._check_opening(listing_id, name, begun)
        else:
            self._check_closing(listing_id, name, begun)
        self._market.note_turn(listing_id, after, by_us=True, operation=operation)

    def _check_opening(self, listing_id: str, name: str, begun: float) -> None:
        """P5: never reopen what we did not close. What the feed could not have told us yet is no fault of ours."""
        turned = self._market.turned[listing_id]
        if listing_id in self.believed_closed and turned and not self._was_told(turned[-1].at, begun):
            # Somebody closed it while our request to close it was on its way, and the vendor said yes to both.
            return
        if not any(turn.by_us and turn.state == "closed" for turn in turned):
            self.breaks("P5", name, "we opened a listing that we never closed")
            return
        ours = max(number for number, turn in enumerate(turned) if turn.by_us and turn.state == "closed")
        for turn in turned[ours + 1 :]:
            if not turn.by_us and self._was_told(turn.at, begun):
                self.breaks("P5", name, f"we opened it although somebody else changed its state at {turn.at:.0f} s")

    def _check_closing(self, listing_id: str, name: str, begun: float) -> None:
        """P5: nothing that has stock is closed, nothing closed twice in one zero episode."""
        total = self._market.total(listing_id)
        if total is None or total >= UNLIMITED_FROM:
            if self._market.uncounted[listing_id] < begun - READS_TRAVEL_SECONDS:
                self.breaks("P5", name, "we closed a listing without counted stock")
        elif not self._was_empty_since(listing_id, begun):
            self.breaks("P5", name, "we closed a listing that had stock all the time")
        turned = self._market.turned[listing_id]
        closings = [number for number, turn in enumerate(turned) if turn.by_us and turn.state == "closed"]
        if closings:
            for turn in turned[closings[-1] + 1 :]:
                reopened = not turn.by_us and turn.state == "published" and self._was_told(turn.at, begun)
                if reopened and not self._market.was_positive_since(listing_id, turned[closings[-1]].at):
                    self.breaks("P5", name, "we closed it again in the same zero episode after somebody reopened it")

    def _was_empty_since(self, listing_id: str, moment: float) -> bool:
        """Whether there was nothing to sell at any time from shortly before `moment` on: reads travel."""
        start = self._scheduler.clock.now().timestamp() - (self._scheduler.now - moment) - READS_TRAVEL_SECONDS
        ledger = self._market.stock_of(listing_id).adjustments
        before = [entry.total for entry in ledger if entry.at.timestamp() < start]
        later = [entry.total for entry in ledger if entry.at.timestamp() >= start]
        return any(total <= 0 for total in (*(before[-1:] or [0]), *later))

    def _was_told(self, at: float, moment: float) -> bool:
        """Whether the feed had been read past what happened at `at` by some reading that was committed by `moment`."""
        delay = self._market.longest_delay_seconds
        return any(read.begun >= at + delay + 1.0 and read.committed <= moment for read in self.feed_reads)

    def fated(self, exchange: Exchange, fate: str) -> None:
        """See `Witness.fated`."""
        self.note("network", f"{exchange.process.name}'s {exchange.call.value}: {fate}")
        if exchange.call is not Call.WRITE:
            return
        if fate in NEVER_EXECUTED:
            self._under_way[self._market.write_of(exchange.request).listing_id] -= 1
        if fate in CERTAINLY_REFUSED:
            operation = exchange.notes[0] if isinstance(exchange.notes, tuple) else exchange.notes
            if operation is not None:
                self.operations[operation].refused += 1

    def is_writing(self, listing_id: str) -> bool:
        """Whether a stock write to that listing is meant, under way, or of unknown outcome."""
        rows = self._database.rows(
            "SELECT 1 FROM operations WHERE listing_id = ? AND kind = 'stock' AND state IN ('prepared', 'unknown')",
            listing_id,
        )
        return bool(rows) or self._under_way[listing_id] > 0

    def is_over(self, operation: int, listing_id: str) -> bool:
        """Whether that stock write was sent, and nothing that was sent to its listing can be executed any more."""
        return self._is_sent(operation) and not self._under_way[listing_id]

    # --- commits ----------------------------------------------------------------------------------------------

    def committed(self) -> None:
        """Look at the rows after a commit."""
        self.commits += 1
        self._look_at_operations()
        grew = self._look_at_journal()
        self._look_at_feed()
        if grew or self.commits % COMPARE_PAIRS_EVERY == 0:
            self.compare_pairs()

    def _who(self) -> str:
        process = self._scheduler.process
        return "operator" if process is None else process.name

    def _look_at_operations(self) -> None:
        known = ",".join(str(operation) for operation in self._unsettled) or "0"
        rows = self._database.rows(
            "SELECT id, listing_id, kind, state, expected_total, new_total, outcome FROM operations"
            f" WHERE id > ? OR id IN ({known}) ORDER BY id",
            self._last_operation,
        )
        for operation, listing_id, kind, state, expected, new, outcome in rows:
            if operation > self._last_operation:
                self._last_operation = operation
                self._prepared[operation] = self._scheduler.now
                if kind == "stock":
                    self._market.write_is_meant(listing_id)
            if self._unsettled.get(operation) != state:
                what = f"{expected} -> {new}" if kind == "stock" else kind
                why = f" ({outcome[:70]})" if outcome else ""
                self.note(self._who(), f"operation {operation} on {self.name(listing_id)} {what} is {state}{why}")
            if state in ("prepared", "unknown"):
                self._unsettled[operation] = state
            else:
                self._unsettled.pop(operation, None)
        twice = self._database.rows(
            "SELECT listing_id FROM operations WHERE state IN ('prepared', 'unknown')"
            " GROUP BY listing_id HAVING count(*) > 1"
        )
        for (listing_id,) in twice:
            self.breaks("P3", self.name(listing_id), "two operations are unsettled at once")

    def _look_at_journal(self) -> bool:
        [sums] = self._database.rows(
            "SELECT count(*), coalesce(sum(units), 0), coalesce(sum(id), 0) FROM journal WHERE id <= ?",
            self._journal_to,
        )
        if sums != self._journal_sums:
            self.breaks("P1", "", "the journal was rewritten")
        rows = self._database.rows(
            "SELECT id, listing_id, pair_id, kind, units, operation_id, reason FROM journal WHERE id > ? ORDER BY id",
            self._journal_to,
        )
        for entry, listing_id, pair, kind, units, operation, reason in rows:
            self._journal_to = entry
            by = f" by operation {operation}" if operation else f" ({reason})" if reason else ""
            if kind != "total":
                self.note(self._who(), f"journal {self.name(listing_id)} pair {pair}: {kind} {units:+d}{by}")
        count, total, ids = self._journal_sums
        self._journal_sums = (
            count + len(rows),
            total + sum(row[4] for row in rows),
            ids + sum(row[0] for row in rows),
        )
        return bool(rows)

    def _look_at_feed(self) -> None:
        rows = self._database.rows("SELECT current_at FROM cursors WHERE name = 'feed'")
        head = rows[0][0] if rows else None
        if head is None or head == self._seen_head:
            return
        self._seen_head = head
        self.feed_reads.append(FeedRead(self._true_seconds(head), self._scheduler.now))

    def _true_seconds(self, stored: str) -> float:
        """A stored moment, written by the process that just committed, in seconds since the beginning."""
        from datetime import UTC, datetime  # noqa: PLC0415

        process = self._scheduler.process
        skew = 0.0 if process is None else process.skew_seconds
        moment = datetime.fromisoformat(stored).replace(tzinfo=UTC)
        return self._scheduler.now - (self._scheduler.clock.now() - moment).total_seconds() - skew

    def compare_pairs(self) -> None:
        """P1: what is applied and waived is what the journal explains."""
        rows: list[Any] = self._database.rows(
            "SELECT p.id, p.listing_id, p.applied, p.waived, coalesce(j.applied, 0), coalesce(j.waived, 0) FROM pairs p"
            " LEFT JOIN (SELECT pair_id, sum(CASE WHEN kind = 'waived' THEN 0 ELSE units END) applied,"
            " sum(CASE WHEN kind = 'waived' THEN units ELSE 0 END) waived FROM journal"
            " WHERE pair_id IS NOT NULL GROUP BY pair_id) j ON j.pair_id = p.id"
            " WHERE p.applied <> coalesce(j.applied, 0) OR p.waived <> coalesce(j.waived, 0)"
        )
        for pair, listing_id, applied, waived, told_applied, told_waived in rows:
            self.breaks(
                "P1",
                self.name(listing_id),
                f"pair {pair} has {applied} applied and {waived} waived, the journal explains {told_applied} and"
                f" {told_waived}",
            )
