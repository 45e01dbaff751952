"""What must be so once the faults have stopped and nothing moves any more: P1 to P8, from the vendors' own state.

The books say what must be taken, the marketplace's true ledger what was taken, the shop's model what it shows. The
tables are asked only whether they say the same, and whether whatever is not settled waits under its own name.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from math import inf
from typing import TYPE_CHECKING, Any

import orjson

from connectors.contract import Guard
from tests.simulation.books import Taken
from tests.simulation.market import UNLIMITED_FROM, Turned
from tests.simulation.shop import sku_name

if TYPE_CHECKING:
    from tests.simulation.history import Deployment


@dataclass(slots=True)
class PairRow:
    """A pair as the tables have it."""

    committed: int
    applied: int
    waived: int

    @property
    def due(self) -> int:
        """Units to take, or below zero to give back."""
        return self.committed - self.waived - self.applied


@dataclass(slots=True)
class Open:
    """The anomalies that are open, by kind and subject."""

    by_listing: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    at_risk: Counter[str] = field(default_factory=Counter)
    """By listing: units of the marketplace's own sales that a write may have overwritten."""
    keys: set[tuple[str, str, str]] = field(default_factory=set)
    """Kind, channel, and what else tells it apart."""


def examine(on: Deployment, *, decided: bool) -> None:
    """Examine everything; what is broken is noted with the witness."""
    _Examination(on, decided=decided).run()


class _Examination:
    def __init__(self, on: Deployment, *, decided: bool) -> None:
        self._on = on
        self._decided = decided
        self._rows = on.database.rows
        self._breaks = on.witness.breaks
        self._open = self._open_anomalies()
        self._unknown = self._unknown_operations()

    def run(self) -> None:
        self._on.witness.compare_pairs()
        self._shops_agree_with_books()
        if self._on.market.guard is not Guard.ABSOLUTE:
            self._operations()
        self._told()
        pairs = self._pairs()
        taken = defaultdict(list)
        for each in self._on.books.taken():
            taken[each.listing].append(each)
        for number, listing_id in enumerate(self._on.market.ids):
            self._listing(number, listing_id, taken[number], pairs.pop(listing_id, {}))
        self._holds()
        self._kept()
        self._little()

    # --- what is known ----------------------------------------------------------------------------------------

    def _open_anomalies(self) -> Open:
        found = Open()
        for kind, channel, listing_id, order_id, fingerprint, detail in self._rows(
            "SELECT kind, channel, listing_id, order_id, fingerprint, detail FROM anomalies WHERE state <> 'resolved'"
        ):
            if listing_id is not None:
                told = found.by_listing[kind, listing_id] = orjson.loads(detail)
                if kind == "sale-at-risk":
                    found.at_risk[listing_id] += told["units"]
            found.keys.add((kind, channel or "", order_id or fingerprint.rpartition("|")[2]))
        return found

    def _unknown_operations(self) -> dict[str, int]:
        """The operation that waits for a person, by listing."""
        return {
            listing_id: operation
            for operation, listing_id in self._rows(
                "SELECT id, listing_id FROM operations WHERE state IN ('prepared', 'unknown')"
            )
        }

    def _pairs(self) -> dict[str, dict[tuple[str, str], PairRow]]:
        found: dict[str, dict[tuple[str, str], PairRow]] = defaultdict(dict)
        for listing_id, channel, line_id, committed, applied, waived in self._rows(
            "SELECT p.listing_id, l.channel, l.line_id, p.committed, p.applied, p.waived FROM pairs p"
            " JOIN order_lines l ON l.id = p.line_row"
        ):
            found[listing_id][channel, line_id] = PairRow(committed, applied, waived)
        return found

    def _named(self, kind: str, listing_id: str) -> dict[str, Any] | None:
        return self._open.by_listing.get((kind, listing_id))

    # --- the two ends -----------------------------------------------------------------------------------------

    def _shops_agree_with_books(self) -> None:
        """The shop's own count of every line, against ours: a difference is a mistake of this model."""
        for shop in self._on.shops:
            for order_id, line_id, committed in shop.committed():
                held = self._on.books.orders[shop.channel, order_id]
                if held.lines[line_id].committed != committed:
                    self._breaks("books", order_id, f"line {line_id}: the shop says {committed}")

    def _operations(self) -> None:
        """P1: an operation is applied exactly if the marketplace executed it; else it waits for a person.

        Where a write sets a number, setting the one that is there leaves no trace: there only units are counted.
        """
        executed: Counter[tuple[str, tuple[int, ...]]] = Counter()
        applied: Counter[tuple[str, tuple[int, ...]]] = Counter()
        waiting: Counter[tuple[str, tuple[int, ...]]] = Counter()
        same = self._on.market.same_write
        for sent in self._on.witness.operations.values():
            executed[sent.listing_id, same(sent.expected, sent.new)] += len(sent.executed)
        for listing_id, state, expected, new in self._rows(
            "SELECT listing_id, state, expected_total, new_total FROM operations WHERE kind = 'stock'"
        ):
            key = (listing_id, same(expected, new))
            applied[key] += state == "applied"
            # People are asked about one write of a listing after the other; not about one of a listing that is gone.
            asked = listing_id in self._unknown or self._is_beyond_evidence(listing_id)
            waiting[key] += state in ("prepared", "unknown") or (state == "absent" and asked)
        for key in executed.keys() | applied.keys():
            listing_id, write = key
            name = self._on.witness.name(listing_id)
            shown = " -> ".join(map(str, write))
            what = f"{shown} was executed {executed[key]} times and is applied {applied[key]} times"
            if not applied[key] <= executed[key] <= applied[key] + waiting[key]:
                self._breaks("P1", name, what)

    def _told(self) -> None:
        """P4: what is unsettled is named by an open anomaly, and once people have decided, nothing is."""
        for listing_id, operation in self._unknown.items():
            name = self._on.witness.name(listing_id)
            detail = self._named("outcome-unknown", listing_id)
            if detail is None or detail.get("operation") != operation:
                self._breaks("P4", name, f"operation {operation} is unsettled and no open anomaly names it")
            if self._decided:
                self._breaks("P4", name, f"operation {operation} is unsettled although people have decided")

    def _is_beyond_evidence(self, listing_id: str) -> bool:
        """Of a deleted listing nothing can be read any more; and what was executed late there, without our name in the
        feed, nobody had told.
        """
        deleted = self._on.market.state(listing_id) is None
        return deleted and not self._on.witness.feed_is_complete

    # --- one listing ------------------------------------------------------------------------------------------

    def _listing(self, number: int, listing_id: str, taken: list[Taken], rows: dict[tuple[str, str], PairRow]) -> None:
        name = f"L{number}"
        for each in taken:
            row = rows.get((each.channel, each.line_id))
            if row is None:
                if each.committed:
                    self._breaks("P6", name, f"line {each.line_id} ({each.committed} units) is not known")
                continue
            if row.committed != each.committed:
                self._breaks("P1", name, f"line {each.line_id} commits {each.committed}, trueup says {row.committed}")
            if row.waived not in each.waived and listing_id not in self._on.market.uncounted:
                self._breaks("P1", name, f"line {each.line_id} has {row.waived} waived, not {sorted(each.waived)}")
        expected = {(each.channel, each.line_id) for each in taken}
        for key, row in rows.items():
            if key not in expected and row.committed:
                self._breaks("P1", name, f"line {key[1]} commits {row.committed} and is not linked to it")
        if listing_id in self._unknown:
            # Until a person has decided, nothing more is written there.
            return
        applied = sum(row.applied for row in rows.values())
        own = self._on.market.own_net(listing_id)
        most = self._units_at_risk(listing_id)
        # What was overwritten leaves less taken than is booked. A write that nobody saw executed leaves more, and is
        # told as a total that nothing explains.
        least = -most if most == inf else 0
        self._on.witness.named_differences += applied != own
        if not least <= applied - own <= most and not self._is_beyond_evidence(listing_id):
            self._breaks(
                "P1",
                name,
                f"{applied} units are applied, our own adjustments took {own}; {most} are told to be at risk",
            )
        self._waived_for_a_reason(name, listing_id)
        self._pending(name, listing_id, list(rows.values()))
        self._state(name, listing_id)

    def _units_at_risk(self, listing_id: str) -> float:
        """Units that open anomalies name as maybe overwritten: where a write sets a number, that is all there is."""
        if self._named("unexplained-total", listing_id) is not None:
            return inf if self._on.market.guard is Guard.ABSOLUTE else 0
        return self._open.at_risk[listing_id]

    def _waived_for_a_reason(self, name: str, listing_id: str) -> None:
        """Units are written off only where the listing really had no number to take them from."""
        if listing_id in self._on.market.uncounted:
            return
        for (reason,) in self._rows(
            "SELECT DISTINCT reason FROM journal WHERE listing_id = ? AND kind = 'waived'", listing_id
        ):
            if reason not in ("before_start", "lowered"):
                self._breaks("P5", name, f"units were waived as {reason}")

    def _pending(self, name: str, listing_id: str, rows: list[PairRow]) -> None:
        """P1: nothing is pending but what an open anomaly names, to the unit."""
        owed = sum(max(0, row.due) for row in rows)
        returned = -sum(min(0, row.due) for row in rows)
        total = self._on.market.total(listing_id)
        state = self._on.market.state(listing_id)
        told = {
            kind: self._named(kind, listing_id)
            for kind in ("oversold", "return-waiting", "listing-gone", "negative-stock")
        }
        missing = (told["oversold"] or {}).get("missing_units", 0)
        waiting = (told["return-waiting"] or {}).get("waiting_units", 0)
        gone = (told["listing-gone"] or {}).get("waiting_units", 0)
        if state is None:
            if (owed, returned) != (gone, 0):
                self._breaks("P1", name, f"is deleted; {owed} units are owed, {returned} to return, {gone} told")
            return
        counted = total is not None and total < UNLIMITED_FROM
        below_zero = counted and total is not None and total + returned < 0
        if returned and not below_zero:
            self._breaks("P1", name, f"{returned} units are not given back, with {total} in stock")
        if owed and not (below_zero or total == 0):
            self._breaks("P1", name, f"{owed} units are not taken, with {total} in stock")
        if (missing, waiting, gone) != (owed, returned, 0):
            self._breaks(
                "P1", name, f"{owed} units are owed and {returned} to return, told are {missing}, {waiting}, {gone}"
            )
        if (told["negative-stock"] is not None) != (counted and total is not None and total < 0):
            self._breaks(
                "P5", name, f"has {total} units; the anomaly about negative stock says {told['negative-stock']}"
            )
        unexplained: tuple[str, ...] = ()
        if not self._on.market.unlimited_by_deletion or listing_id not in self._on.market.uncounted:
            unexplained += ("unexplained-adjustment",)
        if self._on.market.guard is not Guard.ABSOLUTE:
            unexplained += ("unexplained-total",)
        for kind in (*unexplained, "write-rejected", "absent-revoked", "orphan", "close-refused"):
            if self._named(kind, listing_id) is not None:
                self._breaks("P1", name, f"an anomaly is open that should not be: {kind}")
        if self._named("outcome-unknown", listing_id) is not None:
            self._breaks("P4", name, "an anomaly names an unknown outcome where none is")

    def _state(self, name: str, listing_id: str) -> None:
        """P5: closed where there is nothing to sell, open again where there is, unless people want it otherwise."""
        state = self._on.market.state(listing_id)
        total = self._on.market.total(listing_id)
        turned = self._on.market.turned[listing_id]
        ours = bool(turned) and turned[-1].by_us
        if state is None:
            return
        if state == "closed" and ours and self._was_late_and_hidden(turned[-1]):
            return
        told = self._named("closed-with-stock", listing_id) is not None
        if state == "closed" and ours and told and not self._on.witness.feed_is_complete:
            # Where the feed hides what we do, somebody's opening told late can hide our closing: then a person is told.
            return
        if state == "closed" and ours and total is not None and total > 0:
            self._breaks("P5", name, f"we closed it, and it has {total} units")
        if state == "published" and total is not None and total <= 0:
            closings = [turn for turn in turned if turn.by_us and turn.state == "closed"]
            since = closings[-1].at if closings else 0.0
            reopened = bool(closings) and any(
                not turn.by_us and turn.state == "published" and turn.at >= since for turn in turned
            )
            if not reopened:
                self._breaks("P5", name, f"has {total} units and is still on sale")

    def _was_late_and_hidden(self, turn: Turned) -> bool:
        """A closing that was executed after it had been taken for absent, in a feed that does not name us: nobody can
        know that it was ours.
        """
        rows = self._rows("SELECT state FROM operations WHERE id = ?", turn.operation)
        return rows == [("absent",)] and not self._on.witness.feed_is_complete

    # --- everything else --------------------------------------------------------------------------------------

    def _holds(self) -> None:
        for reason, scope, subject in self._rows("SELECT reason, scope, subject FROM holds WHERE lifted_at IS NULL"):
            if reason != "breaker":
                self._breaks("P6", self._on.witness.name(subject), f"a hold is left on this {scope}: {reason}")

    def _kept(self) -> None:
        """P6: what could not be handled is kept and visible; the rest is handled."""
        for delivery, channel, state, has_body in self._rows(
            "SELECT id, channel, state, kept IS NOT NULL FROM deliveries WHERE state <> 'handled'"
        ):
            if state == "new":
                self._breaks("P6", "", f"delivery {delivery} is not handled")
            elif has_body and ("parked-delivery", channel, str(delivery)) not in self._open.keys:
                self._breaks("P6", "", f"delivery {delivery} is parked and no anomaly says so")
        waiting = set()
        for order, line in self._on.books.unlinked():
            committed = order.committed(line)
            if not committed:
                continue
            waiting.add((order.channel, sku_name(line.sku)))
            rows = self._rows(
                "SELECT l.committed FROM order_lines l JOIN orders o ON o.id = l.order_row"
                " WHERE o.channel = ? AND o.order_id = ? AND l.line_id = ? AND NOT l.linked",
                order.channel,
                order.order_id,
                line.line_id,
            )
            if rows != [(committed,)]:
                self._breaks("P6", order.order_id, f"its unlinked line commits {committed}, kept is {rows}")
        for channel, sku in waiting:
            if ("unlinked-sku", channel, sku) not in self._open.keys:
                self._breaks("P6", sku, f"waits for a link on {channel}, and no anomaly says so")
        for order in self._on.books.orders.values():
            if (
                order.old
                and not order.test
                and not order.deleted
                and ("parked-order", order.channel, order.order_id) not in self._open.keys
            ):
                self._breaks("P6", order.order_id, "was imported long after it was placed, and no anomaly says so")
        for courier in self._on.couriers:
            if courier.carried.forged_accepted:
                self._breaks("P6", courier.carried.__class__.__name__, "a forged delivery was accepted")

    def _little(self) -> None:
        """P8: nothing personal, no secret."""
        words = [*self._on.market.secrets, *(word for shop in self._on.shops for word in shop.secrets)]
        hidden = {word: word.encode().hex().upper() for word in words}
        within_days = not self._on.scenario.profile.patient
        for statement in self._on.database.dump():
            if within_days and statement.startswith('INSERT INTO "deliveries"'):
                # A body that cannot be read is kept raw for some days.
                continue
            for word, code in hidden.items():
                if word in statement or code in statement:
                    self._breaks("P8", "", f"{word!r} is in the database: {statement[:60]}")
                    return
