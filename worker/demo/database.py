"""trueup's own numbers, read with plain SQL from its database while it runs."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Any, Self

from sqlalchemy import URL, create_engine, text

from worker.demo.proof import Books, PairNumbers

SOON = timedelta(minutes=3)
"""Work that waits longer than this waits for stock or for a person, not for its turn; leases are shorter too."""
AT_ONCE = timedelta(seconds=3)
"""An oversold listing is looked at again from time to time: only one that is this close to its turn has work to do."""
LISTINGS_DUE = """
    SELECT count(*) FROM listings
    WHERE listing_id NOT IN (
            SELECT listing_id FROM anomalies WHERE kind = :for_people AND state <> 'resolved')
        AND (lease_owner IS NOT NULL OR next_attempt_at < :at_once
            OR next_attempt_at < :soon AND (attempts > 0 OR put_off_by IS NOT NULL OR listing_id NOT IN (
                SELECT listing_id FROM anomalies WHERE kind = 'oversold' AND state <> 'resolved')))
"""
PENDING = """
    SELECT count(*) FROM pairs
    WHERE applied <> committed - waived AND listing_id NOT IN (
        SELECT listing_id FROM anomalies WHERE kind IN ('oversold', :for_people) AND state <> 'resolved')
"""
OPERATIONS_OPEN = """
    SELECT count(*) FROM operations
    WHERE state IN ('prepared', 'unknown') AND listing_id NOT IN (
        SELECT listing_id FROM anomalies WHERE kind = :for_people AND state <> 'resolved')
"""
"""Where a person decides what became of a write, nothing more happens there until then."""
NOT_LOOKED_AT = """
    SELECT count(*) FROM operations
    WHERE kind = 'stock' AND id > coalesce((SELECT CAST(value AS bigint) FROM cursors WHERE name = 'overwrites'), 0)
"""
ABOUT_TIME = frozenset({"channel-silent", "feed-late", "webhook-broken"})
"""Anomalies that say how late something is known, and nothing of a number: on a slow machine a replay has them."""
SWEPT_AT = "SELECT min(swept_at) AS swept_at FROM listings"


@dataclass(frozen=True, slots=True)
class Work:
    """What trueup still has to do, and how far it has read."""

    deliveries: int
    fetches: int
    listings_due: int
    upkeep_due: int
    operations_open: int
    pending: int
    """Pairs that differ on listings without an open oversell."""
    feed_read_at: datetime | None
    poll_read_at: datetime | None
    swept_at: datetime | None
    """When the last sweep that met every listing began."""
    orders: int
    writes_not_looked_at: int
    """Stock writes around which nobody has looked for the marketplace's own sales."""

    @property
    def left(self) -> Mapping[str, int]:
        """What is not done, by name; empty when all is."""
        counts = {
            "deliveries waiting": self.deliveries,
            "orders to fetch": self.fetches,
            "listings to reconcile": self.listings_due,
            "listings to look after": self.upkeep_due,
            "operations without an outcome": self.operations_open,
            "pairs pending without an oversell": self.pending,
        }
        return {name: count for name, count in counts.items() if count}


@dataclass(frozen=True, slots=True)
class Operations:
    """What became of the writes."""

    unknown: int
    """Writes whose answer was lost."""
    settled: int
    """Of those, the ones that the marketplace's records have settled."""
    absent_revoked: int


class Database:
    """Read-only look at one database."""

    def __init__(self, url: str | URL, *, people_decide: bool = False) -> None:
        """`people_decide` what the marketplace's records never will: an unknown outcome that operators were told of."""
        self._engine = create_engine(url)
        self._for_people = {"for_people": "outcome-unknown" if people_decide else ""}

    def waiting_deliveries(self) -> int:
        """Webhooks stored and not handled yet."""
        return self._number("SELECT count(*) FROM deliveries WHERE state = 'new'")

    def work(self) -> Work:
        """What is left to do."""
        now = datetime.now(UTC)
        until: dict[str, Any] = {"soon": now + SOON, "at_once": now + AT_ONCE}
        if self._engine.dialect.name == "sqlite":
            # There a time is text without a zone.
            until = {name: moment.strftime("%Y-%m-%d %H:%M:%S.%f") for name, moment in until.items()}
        read_at = {row.name: _moment(row.current_at) for row in self._rows("SELECT name, current_at FROM cursors")}
        return Work(
            deliveries=self.waiting_deliveries(),
            fetches=self._number("SELECT count(*) FROM orders WHERE fetch_at IS NOT NULL"),
            listings_due=self._number(LISTINGS_DUE, {**until, **self._for_people}),
            upkeep_due=self._number(
                "SELECT count(*) FROM listings WHERE next_upkeep_at < :soon", {"soon": until["soon"]}
            ),
            operations_open=self._number(OPERATIONS_OPEN, self._for_people),
            pending=self._number(PENDING, self._for_people),
            feed_read_at=read_at.get("feed"),
            poll_read_at=next((moment for name, moment in read_at.items() if name.startswith("orders:")), None),
            swept_at=next((_moment(row.swept_at) for row in self._rows(SWEPT_AT)), None),
            orders=self._number("SELECT count(*) FROM orders"),
            writes_not_looked_at=self._number(NOT_LOOKED_AT),
        )

    def books(self) -> Books:
        """Every pair, what the journal says of it, and what operators are told."""
        journal = {
            row.pair_id: int(row.units)
            for row in self._rows(
                "SELECT pair_id, sum(units) AS units FROM journal WHERE kind IN ('applied', 'offset') GROUP BY pair_id"
            )
        }
        pairs = {
            (row.line_id, row.listing_id): PairNumbers(row.committed, row.applied, row.waived, journal.get(row.id, 0))
            for row in self._rows(
                "SELECT pairs.id, line_id, listing_id, pairs.committed, applied, waived"
                " FROM pairs JOIN order_lines ON order_lines.id = line_row"
            )
        }
        oversold, others, undecided = {}, [], set()
        at_risk: Counter[str] = Counter()
        for row in self._rows("SELECT kind, listing_id, message, detail FROM anomalies WHERE state <> 'resolved'"):
            if row.kind == "oversold":
                oversold[row.listing_id] = int(_detail(row)["missing_units"])
            elif row.kind == "sale-at-risk":
                at_risk[row.listing_id] += int(_detail(row)["units"])
            elif row.kind == self._for_people["for_people"]:
                undecided.add(row.listing_id)
            elif row.kind not in ABOUT_TIME:
                others.append(f"{row.kind}: {row.message}")
        return Books(pairs, oversold, others, at_risk, frozenset(undecided))

    def operations(self) -> Operations:
        """Lost answers, and what became of them."""
        states = {
            row.state: row.count
            for row in self._rows(
                "SELECT state, count(*) AS count FROM operations"
                " WHERE kind = 'stock' AND NOT answered AND state <> 'rejected' GROUP BY state"
            )
        }
        settled = states.get("applied", 0) + states.get("absent", 0)
        revoked = self._number("SELECT coalesce(sum(occurrences), 0) FROM anomalies WHERE kind = 'absent-revoked'")
        return Operations(unknown=sum(states.values()), settled=settled, absent_revoked=revoked)

    def anomalies(self) -> Mapping[str, Mapping[str, int]]:
        """By kind: how many are open, and how many have resolved themselves."""
        counts: dict[str, Counter[str]] = {}
        for row in self._rows("SELECT kind, state, count(*) AS count FROM anomalies GROUP BY kind, state"):
            state = "resolved" if row.state == "resolved" else "open"
            counts.setdefault(row.kind, Counter())[state] += row.count
        return {kind: {"open": count["open"], "resolved": count["resolved"]} for kind, count in sorted(counts.items())}

    def close(self) -> None:
        self._engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _number(self, statement: str, values: Mapping[str, Any] | None = None) -> int:
        with self._engine.connect() as connection:
            return int(connection.execute(text(statement), values or {}).scalar_one())

    def _rows(self, statement: str) -> Any:
        with self._engine.connect() as connection:
            return connection.execute(text(statement)).all()


def _detail(row: Any) -> Any:
    """SQLite keeps JSON as text."""
    return json.loads(row.detail) if isinstance(row.detail, str) else row.detail


def _moment(value: Any) -> datetime | None:
    """SQLite keeps times as text without a zone, in UTC."""
    moment = datetime.fromisoformat(value) if isinstance(value, str) else value
    return moment.replace(tzinfo=UTC) if moment is not None and moment.tzinfo is None else moment
