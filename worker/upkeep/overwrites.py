"""Sales that one of our writes may have overwritten, where a write sets a number whatever it is by then.

Nothing in the marketplace's answer tells, but its own sales do, a little later: whatever was sold between the read that
a write was planned from and one look after its answer is told to the operators. It may well be in the number; only a
person with the shelf in sight can say.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import structlog

from connectors.clock import Clock
from connectors.contract import Guard, Marketplace, MarketplaceSale, Sales
from worker.alerts import Anomalies, Finding, Kind
from worker.holds.accounts import Accounts
from worker.store import Store, cursors
from worker.store.tables import HoldScope
from worker.upkeep import repository

log = structlog.get_logger(__name__)

CURSOR = "overwrites"
"""In `cursors`: the last stock write whose neighbours have been looked at."""
MOST_WRITES = 500
CLOCKS_APART = timedelta(seconds=30)
LOOK_AFTER = timedelta(seconds=60)
"""How long after its answer a write is looked at: what was sold meanwhile is paid and shown by then."""
ANSWER_WITHIN = timedelta(minutes=10)
"""A write without an answer is looked at then: whether it was executed, somebody else finds out."""


@dataclass(frozen=True, slots=True)
class Write:
    """One stock write, and when it may have met a sale."""

    operation_id: int
    listing_id: str
    new_total: int
    begun: datetime
    ended: datetime

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

        Without such a write, and under any other guard, nobody is called. Idempotent: a sale is told once. Raises what
        the connector raises.
        """
        if self._marketplace.guard is not Guard.ABSOLUTE or not isinstance(self._marketplace, Sales):
            return 0
        now = self._clock.now()
        with self._store.read() as transaction:
            held = cursors.cursor(transaction, CURSOR)
            rows = repository.stock_writes_after(transaction, int(held or 0), MOST_WRITES)
        ripe = []
        for row in rows:
            ended = row.settled_at or row.prepared_at + ANSWER_WITHIN
            if ended + LOOK_AFTER > now:
                break
            ripe.append((row, ended))
        if not ripe:
            return 0
        writes = [
            Write(row.id, row.listing_id, row.new_total, row.prepared_at - CLOCKS_APART, ended + LOOK_AFTER)
            for row, ended in ripe
            if not row.rejected
        ]
        found = self._meetings(self._marketplace, writes) if writes else []
        with self._store.write() as transaction:
            self._anomalies.open_in(transaction, found)
            cursors.move_cursor(transaction, CURSOR, str(ripe[-1][0].id), now, current=False)
        return len(found)

    def _meetings(self, marketplace: Sales, writes: Sequence[Write]) -> list[Finding]:
        since = min(write.begun for write in writes)
        self._accounts.admit(HoldScope.MARKETPLACE, self._name)
        found: dict[str, Finding] = {}
        pages = iter(marketplace.sales(since=since))
        while True:
            with self._accounts.calling(HoldScope.MARKETPLACE, self._name):
                page: Any = next(pages, None)
            if page is None:
                return list(found.values())
            for sale in page:
                if not isinstance(sale, MarketplaceSale):
                    log.warning("sale_unreadable", order_id=sale.order_id, reason=sale.reason)
                    continue
                for write in writes:
                    if write.meets(sale):
                        finding = _at_risk(sale, write)
                        found.setdefault(finding.fingerprint, finding)


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
