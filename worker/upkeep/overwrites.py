"""Sales that one of our writes may have overwritten, where a write sets a number whatever it is by then.

Nothing in the marketplace's answer tells, but its own sales do, a little later: whatever was sold between the read that
a write was planned from and one look after its answer is told to the operators. It may well be in the number; only a
person with the shelf in sight can say.

A write without an answer may be executed late, and set its number over whatever was sold until then: sales are held
against it once more when that time is over.

A sale that cannot be read is told as well, and asked for again, more and more seldom; once it can be read, it is held
against the writes of its time as if it had been readable at once.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import takewhile
from typing import Any

from connectors.clock import Clock
from connectors.contract import Guard, Marketplace, MarketplaceSale, Sales, UnreadableOrder
from worker.alerts import Anomalies, Finding, Kind
from worker.alerts.anomalies import AnomalyView, fingerprint
from worker.holds.accounts import Accounts
from worker.store import Store, Transaction, cursors
from worker.store.tables import HoldScope
from worker.store.ticks import claim_tick, tick_is_due
from worker.upkeep import repository

CURSOR = "overwrites"
"""In `cursors`: the last stock write whose neighbours have been looked at."""
MOST_WRITES = 500
NO_ID = "(no id)"
CLOCKS_APART = timedelta(seconds=30)
LOOK_AFTER = timedelta(seconds=60)
"""How long after its answer a write is looked at: what was sold meanwhile is paid and shown by then."""
ANSWER_WITHIN = timedelta(minutes=10)
"""A write without an answer is looked at then: whether it was executed, somebody else finds out."""
LATE = "overwrites-late"
"""In `cursors`: the numbers of writes that may have been executed late, in JSON."""
LATE_WITHIN = timedelta(minutes=15)
"""How long after its preparation a write of which there is no proof may be executed yet, for all that is known."""
UNREADABLE = "unreadable-sales"
"""The tick that asks again for sales that could not be read."""
UNREADABLE_AGAIN_AFTER = timedelta(minutes=5)
"""At the soonest; afterwards when a tenth of the time has passed since the oldest was first seen."""


@dataclass(frozen=True, slots=True)
class Write:
    """One stock write, and when it may have met a sale."""

    operation_id: int
    listing_id: str
    new_total: int
    begun: datetime
    ended: datetime

    @classmethod
    def of(cls, row: Any, *, late: bool = False) -> Write:
        """A row of `stock_writes_after`; `late`: up to when it may have been executed late."""
        ended = row.prepared_at + LATE_WITHIN if late else _ended(row)
        return cls(row.id, row.listing_id, row.new_total, row.prepared_at - CLOCKS_APART, ended + LOOK_AFTER)

    def meets(self, sale: MarketplaceSale) -> bool:
        """Whether stock may have fallen for that sale while the write was under way."""
        concerned = sale.listing_id is None or sale.listing_id == self.listing_id
        return concerned and sale.placed_at <= self.ended and sale.paid_at >= self.begun


class Overwrites:
    """Looks at the marketplace's sales around our absolute writes."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        marketplace: Marketplace,
        anomalies: Anomalies,
        accounts: Accounts,
        *,
        marketplace_name: str = "marketplace",
    ) -> None:
        self._store = store
        self._clock = clock
        self._marketplace = marketplace
        self._anomalies = anomalies
        self._accounts = accounts
        self._name = marketplace_name

    def look(self) -> int:
        """Tell of every sale that a write answered a minute ago or earlier may have overwritten; returns how many.

        Without such a write, or a sale that could not be read and is to be asked for again, and under any other guard,
        nobody is called. Idempotent: a sale is told once. Raises what the connector raises.
        """
        if self._marketplace.guard is not Guard.ABSOLUTE or not isinstance(self._marketplace, Sales):
            return 0
        now = self._clock.now()
        doubts = {doubt.key: doubt for doubt in map(_Doubt.of, self._anomalies.list(kind=Kind.UNREADABLE_SALE))}
        with self._store.read() as transaction:
            held = int(cursors.cursor(transaction, CURSOR) or 0)
            rows = repository.stock_writes_after(transaction, held, MOST_WRITES)
            asked = list(doubts.values()) if tick_is_due(transaction, UNREADABLE, now) else []
            unproved = _Unproved.read(transaction, now)
            earlier = [*self._writes_before(transaction, asked, held), *unproved.over]
        ripe = list(takewhile(lambda row: _ended(row) + LOOK_AFTER <= now, rows))
        unproved.add(ripe)
        writes = [Write.of(row) for row in ripe if not row.rejected]
        if not (writes or asked or unproved.over):
            with self._store.write() as transaction:
                self._move_in(transaction, ripe, unproved, now)
            return 0
        since = min([*(write.begun for write in (*writes, *unproved.over)), *(doubt.since for doubt in asked)])
        met, met_earlier, unreadable = self._meetings(self._marketplace, since, writes, earlier)
        told = [_unreadable(sale, doubts[key].since if key in doubts else since) for key, sale in unreadable.items()]
        readable = {doubt.fingerprint for doubt in asked} - {finding.fingerprint for finding in told}
        with self._store.write() as transaction:
            # Of those from earlier a person may have judged some long ago.
            found = met + self._anomalies.untold_in(transaction, met_earlier)
            self._anomalies.open_in(transaction, found + told)
            self._anomalies.resolve_in(transaction, sorted(readable), "the marketplace shows it readable, or no more")
            if asked or told:
                ages = [(now - doubt.first_seen_at) / 10 for doubt in asked]
                claim_tick(transaction, UNREADABLE, now, max([UNREADABLE_AGAIN_AFTER, *ages]))
            self._move_in(transaction, ripe, unproved, now)
        return len(found)

    def _writes_before(self, transaction: Transaction, doubts: Sequence[_Doubt], last_operation: int) -> list[Write]:
        """Those that one of these sales may have met, among what has been looked at: such a write was under way before
        the sale was first seen.
        """
        if not doubts:
            return []
        since = min(doubt.since for doubt in doubts) + CLOCKS_APART
        until = max(doubt.first_seen_at for doubt in doubts) + CLOCKS_APART
        rows = repository.stock_writes_between(transaction, since, until, last_operation)
        return [Write.of(row) for row in rows if not row.rejected]

    def _move_in(self, transaction: Transaction, looked_at: Sequence[Any], unproved: _Unproved, now: datetime) -> None:
        if looked_at:
            cursors.move_cursor(transaction, CURSOR, str(looked_at[-1].id), now, current=False)
        unproved.write(transaction, now)

    def _meetings(
        self, marketplace: Sales, since: datetime, writes: Sequence[Write], earlier: Sequence[Write]
    ) -> tuple[list[Finding], list[Finding], dict[str, UnreadableOrder]]:
        """The sales since then that met one of these writes, and one of the earlier ones, and those without a shape."""
        self._accounts.admit(HoldScope.MARKETPLACE, self._name)
        met: dict[str, Finding] = {}
        met_earlier: dict[str, Finding] = {}
        unreadable: dict[str, UnreadableOrder] = {}
        pages = iter(marketplace.sales(since=since))
        while True:
            with self._accounts.calling(HoldScope.MARKETPLACE, self._name):
                page: Any = next(pages, None)
            if page is None:
                return list(met.values()), list(met_earlier.values()), unreadable
            for sale in page:
                if not isinstance(sale, MarketplaceSale):
                    unreadable[sale.order_id or NO_ID] = sale
                    continue
                for found, among in ((met, writes), (met_earlier, earlier)):
                    for write in among:
                        if write.meets(sale):
                            finding = _at_risk(sale, write)
                            found.setdefault(finding.fingerprint, finding)


@dataclass(frozen=True, slots=True)
class _Doubt:
    """A sale that could not be read when it was last asked for."""

    fingerprint: str
    key: str
    since: datetime
    """From when on writes may have met it."""
    first_seen_at: datetime

    @classmethod
    def of(cls, view: AnomalyView) -> _Doubt:
        key = view.order_id or NO_ID
        since = datetime.fromisoformat(view.detail["since"])
        return cls(fingerprint(Kind.UNREADABLE_SALE, order_id=key), key, since, view.first_seen_at)


@dataclass(slots=True)
class _Unproved:
    """Writes that may be executed late, or have been: no answer proves them, and nothing else does."""

    before: Sequence[int]
    """Their numbers, as they were kept."""
    waiting: list[int]
    over: list[Write]
    """Of which the time is over now."""

    @classmethod
    def read(cls, transaction: Transaction, now: datetime) -> _Unproved:
        """What is kept, divided by whether its time is over."""
        kept: list[int] = json.loads(cursors.cursor(transaction, LATE) or "[]")
        rows = repository.stock_writes_of(transaction, kept)
        over = {row.id: row for row in rows if row.prepared_at + LATE_WITHIN + LOOK_AFTER <= now}
        waiting = [number for number in kept if number not in over]
        return cls(kept, waiting, [Write.of(row, late=True) for row in over.values() if row.unproved])

    def add(self, looked_at: Sequence[Any]) -> None:
        """Those of these rows that no answer proves."""
        self.waiting += [row.id for row in looked_at if row.unproved]

    def write(self, transaction: Transaction, now: datetime) -> None:
        """Keep what waits, if it is not what was kept."""
        if self.waiting != self.before:
            cursors.move_cursor(transaction, LATE, json.dumps(self.waiting), now, current=False)


def _ended(row: Any) -> datetime:
    ended: datetime = row.settled_at or row.prepared_at + ANSWER_WITHIN
    return ended


def _unreadable(sale: UnreadableOrder, since: datetime) -> Finding:
    key = sale.order_id or NO_ID
    return Finding(
        Kind.UNREADABLE_SALE,
        f"Sale {key} of the marketplace cannot be read: {sale.reason}. Whether it fell together with a stock write of"
        f" trueup since {since:%Y-%m-%d %H:%M} UTC, and was overwritten, is not known: look at it in the marketplace,"
        " and compare the listings that it names with the shelf. It is asked for again, and judged once it can be read;"
        " see whether an upgrade of trueup knows this shape.",
        order_id=key,
        detail={"reason": sale.reason, "since": since.isoformat()},
    )


def _at_risk(sale: MarketplaceSale, write: Write) -> Finding:
    what = f"listing {write.listing_id}"
    if sale.listing_id is None:
        what = f"a listing that it does not name, maybe {write.listing_id},"
    return Finding(
        Kind.SALE_AT_RISK,
        f"The marketplace sold {sale.quantity} units of {what} (sale {sale.sale_id}) about when trueup set its stock to"
        f" {write.new_total}. If the sale came first, the marketplace has forgotten it: these units may be for sale a"
        " second time. Compare with the shelf, correct the number on the marketplace if need be, then `trueup"
        f" operations accept {write.listing_id}`.",
        listing_id=write.listing_id,
        key=sale.sale_id,
        detail={"sale": sale.sale_id, "units": sale.quantity, "operation": write.operation_id},
    )
