"""The audit: every listing whose number may have moved is proved anew, against the marketplace's own records.

What a proof is worth depends on the marketplace. One with a log is asked for it and then for the number: the last
proved number plus every adjustment since must be the number now, and each adjustment must have a cause. Of one without
a log the number is read, and what our own writes explain of its movement.

It never writes stock. A listing of which nothing was written, read or heard since its last proof is not called for.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from typing import Any

import structlog

from connectors.clock import Clock
from connectors.contract import Evidence, Ledger, Listing, Marketplace, StockKind
from connectors.errors import ConnectorError, NotFound, Rejected, Unreadable
from worker.alerts import Anomalies
from worker.audit import repository
from worker.audit.judging import Case, Judge, Look
from worker.holds import Holds
from worker.holds.accounts import Accounts
from worker.reconcile.logs import read_log
from worker.store import AnyRow, Store, Transaction, cursors
from worker.store.bulk import in_chunks
from worker.store.tables import HoldScope, ProofState
from worker.upkeep import repository as upkeep
from worker.upkeep.feed import FeedFollower

log = structlog.get_logger(__name__)

PLACE = "audit"
"""In `cursors`: how far the audit that is under way has come, and what it found; empty when there is none."""
LAST = "audit-last"
"""In `cursors`: what the last audit of all listings found, and when it ended."""
PAGE = 500
"""Listings compared with their proofs at a time."""
BATCH = 20
"""Listings looked at at a time; what they come to is one transaction."""


@dataclass(slots=True)
class Run:
    """What an audit found."""

    compared: int = 0
    """Listings whose proofs were compared with what is known of them now."""
    unchanged: int = 0
    """Of these, those that were not looked at: nothing was written, read or heard of them since."""
    called_for: int = 0
    """Those that the marketplace was asked about."""
    gone: int = 0
    """Those that were deleted meanwhile."""
    states: Counter[str] = field(default_factory=Counter)
    """What the looks came to."""

    @property
    def is_right(self) -> bool:
        """Whether no unit is without a cause."""
        return not self.states[ProofState.UNEXPLAINED]

    @property
    def waits(self) -> bool:
        """Whether a cause was still on its way somewhere."""
        return bool(self.states[ProofState.WAITING])


class Auditor:
    """Proves numbers. Every run may be repeated, and run beside others."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        marketplace: Marketplace,
        feed: FeedFollower,
        anomalies: Anomalies,
        holds: Holds,
        accounts: Accounts,
        executor: Executor,
        *,
        marketplace_name: str = "marketplace",
    ) -> None:
        self._store = store
        self._clock = clock
        self._marketplace = marketplace
        self._feed = feed
        self._accounts = accounts
        self._executor = executor
        self._name = marketplace_name
        self._judge = Judge(clock, marketplace, anomalies, holds)
        self._has_log = isinstance(marketplace, Ledger) and marketplace.evidence is not Evidence.NONE

    def run(
        self,
        *,
        listing_id: str | None = None,
        fresh: bool = False,
        on_listing: Callable[[int], None] = lambda compared: None,
    ) -> Run:
        """Prove what has changed, or with `fresh` everything: of one listing, or of all from the first to the last.

        `on_listing` is told the number of listings so far. Reads the feed to its head first. Raises what the connector
        raises, and `Unavailable` or `Unauthorized` when the account rests or is stopped; what was proved is kept.
        """
        self._feed.follow()
        found, after = Run(), ""
        while (ended := self._page(found, after, listing_id=listing_id, fresh=fresh)) is not None:
            after = ended
            on_listing(found.compared)
        if listing_id is None:
            self._end(found)
        return found

    def go_on(self, *, keep_going: Callable[[], bool]) -> Run | None:
        """Go on with the audit of all listings where it was left, until it ends (then what it found) or `keep_going`
        says no (then None). Raises as `run` does; what was proved is kept, and so is the place.
        """
        self._feed.follow()
        with self._store.read() as transaction:
            after, found = _read_run(cursors.cursor(transaction, PLACE))
        while keep_going():
            ended = self._page(found, after)
            if ended is None:
                self._end(found)
                return found
            after = ended
            with self._store.write() as transaction:
                cursors.move_cursor(transaction, PLACE, _written(after, found), self._clock.now(), current=False)
        return None

    def _end(self, found: Run) -> None:
        now = self._clock.now()
        with self._store.write() as transaction:
            cursors.move_cursor(transaction, PLACE, "", now, current=False)
            cursors.move_cursor(transaction, LAST, _written("", found), now, current=True)
        log.info("audited", compared=found.compared, called_for=found.called_for, **found.states)

    # --- a page -----------------------------------------------------------------------------------------------

    def _page(self, found: Run, after: str, *, listing_id: str | None = None, fresh: bool = False) -> str | None:
        """Prove what has changed among the next listings; returns the last of these, None when there are none left."""
        with self._store.read() as transaction:
            rows = repository.walk(transaction, after, PAGE, listing_id=listing_id)
        if not rows:
            return None
        changed = [row.listing_id for row in rows if fresh or row.changed]
        for batch in in_chunks(changed, BATCH):
            self._prove(found, batch, fresh=fresh)
        found.compared += len(rows)
        found.unchanged += len(rows) - len(changed)
        return str(rows[-1].listing_id)

    def _prove(self, found: Run, listing_ids: Sequence[str], *, fresh: bool) -> None:
        with self._store.read() as transaction:
            met = repository.met(transaction, listing_ids)
            cases = [
                Case.of(row, met.get(row.listing_id), has_log=self._has_log)
                for row in repository.cases(transaction, listing_ids)
            ]
        asked = [case for case in cases if case.is_counted and (fresh or not case.is_untouched)]
        looks: Mapping[str, Look | ConnectorError] = {}
        if asked:
            self._accounts.admit(HoldScope.MARKETPLACE, self._name)
            answers = self._executor.map(self._look, asked)
            looks = {case.listing_id: answer for case, answer in zip(asked, answers, strict=True)}
            found.called_for += len(asked)
        gone = [name for name, look in looks.items() if isinstance(look, NotFound)]
        failed = [look for look in looks.values() if isinstance(look, ConnectorError) and not _concerns_one(look)]
        proofs: list[Mapping[str, Any]] = []
        with self._store.write() as transaction:
            rows = upkeep.lock(transaction, list(looks))
            # Upkeep finds out by itself what became of them, and the log tells why a number is not what we hold.
            stale = [name for name, look in looks.items() if isinstance(look, Look) and _is_news(look, rows[name])]
            upkeep.ask_for_look(transaction, [*gone, *stale], self._clock.now())
            for case in cases:
                look = looks.get(case.listing_id)
                if not isinstance(look, ConnectorError):
                    proofs.append(self._judge.judged_in(transaction, case, look))
                elif isinstance(look, Rejected | Unreadable):
                    proofs.append(self._judge.unread(case, str(look)))
            repository.keep(transaction, proofs)
        found.gone += len(gone)
        found.states.update(proof["state"].value for proof in proofs)
        if failed:
            raise failed[0]

    # --- a call -----------------------------------------------------------------------------------------------

    def _look(self, case: Case) -> Look | ConnectorError:
        """The log and then the number; where the one does not lead to the other, the log once more: what happened
        between the two stands there. Two calls, or three; without a log, one.
        """
        try:
            if not self._has_log:
                return Look(self._read(case), None, None, self._clock.now())
            assert isinstance(self._marketplace, Ledger)  # noqa: S101  has one
            with self._accounts.calling(HoldScope.MARKETPLACE, self._name):
                first = read_log(self._marketplace, case.listing_id, case.log_since)
            read_at = self._clock.now()
            listing = self._read(case)
            again = None
            if not case.is_led_to(first, listing):
                with self._accounts.calling(HoldScope.MARKETPLACE, self._name):
                    again = read_log(self._marketplace, case.listing_id, case.log_since)
            return Look(listing, first, again, read_at)
        except ConnectorError as error:
            return error

    def _read(self, case: Case) -> Listing:
        with self._accounts.calling(HoldScope.MARKETPLACE, self._name):
            return self._marketplace.listing(case.listing_id)


def _written(after: str, found: Run) -> str:
    return json.dumps({"after": after, "found": {name: getattr(found, name) for name in Run.__slots__}})


def _read_run(kept: str | None) -> tuple[str, Run]:
    """Behind which listing to go on, and what was found before it."""
    if not kept:
        return "", Run()
    held = json.loads(kept)
    return held["after"], Run(**{**held["found"], "states": Counter(held["found"]["states"])})


def last_run(transaction: Transaction) -> Run | None:
    """What the last audit of all listings found; None before the first."""
    kept = cursors.cursor(transaction, LAST)
    return None if kept is None else _read_run(kept)[1]


def _is_news(look: Look, row: AnyRow) -> bool:
    """Whether the number is another than the one we hold, and nobody is about to find out by writing it."""
    counted = look.listing.stock.kind is StockKind.COUNTED and row.stock_kind is StockKind.COUNTED
    return counted and row.next_attempt_at is None and look.listing.stock.total != row.total


def _concerns_one(error: ConnectorError) -> bool:
    """Whether the others can be looked at all the same."""
    return isinstance(error, NotFound | Rejected | Unreadable)
