"""A marketplace at the bench: read and written to, with every answer held against the contract."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta

import httpx

from connectors.clock import Clock
from connectors.contract import (
    Adjusted,
    Change,
    Closable,
    Feed,
    Guard,
    Ledger,
    Listing,
    Marketplace,
    Sales,
    Stock,
    UnreadableListing,
)
from connectors.http import Timeouts
from connectors.testing.bench import MAX_PAGES
from connectors.testing.marketplace_readings import marketplace_readings
from connectors.testing.readings import Reading, ReadingBench
from connectors.testing.sandboxes import MarketplaceSandbox
from connectors.testing.verdict import ANOTHER_GUARD, ContractBroken, NotShown, require, value
from connectors.testing.wire import Call


class MarketplaceBench(ReadingBench[MarketplaceSandbox]):
    """A marketplace and its sandbox."""

    below_zero = True

    def __init__(self, sandbox: MarketplaceSandbox) -> None:
        super().__init__(sandbox)
        self.began = self.clock.now()
        self.account: Marketplace = self.open()
        self._prepared: tuple[str, str | None] | None = None
        self._counted = True

    def open(self, *, clock: Clock | None = None, timeouts: Timeouts | None = None) -> Marketplace:
        """See `ReadingBench.open`."""
        opened: object = self.sandbox.open(self.toolbox(clock=clock, timeouts=timeouts))
        self.opened(opened)
        if isinstance(opened, Marketplace):
            return opened
        raise ContractBroken(
            "what a connector opens as a marketplace is a Marketplace",
            seen=f"{type(opened).__name__} lacks one of guard, evidence, unlimited_from, listing, adjust, listings and "
            "check",
            mend="implement connectors.contract.Marketplace, and of Ledger, Feed, Closable and Sales what the vendor "
            "offers",
        )

    # What the connector can do

    def only(self, *guards: Guard) -> None:
        """The case is about marketplaces with one of these guards."""
        if self.account.guard not in guards:
            reason = f"the guard is {self.account.guard}: this is about {' and '.join(guards)}"
            raise NotShown(reason, lacks=ANOTHER_GUARD)

    @property
    def ledger(self) -> Ledger:
        """The marketplace, where it keeps a log of adjustments."""
        if isinstance(self.account, Ledger):
            return self.account
        raise NotShown("the marketplace is no Ledger: it implements no adjustments(listing_id, since)", lacks="Ledger")

    @property
    def feed(self) -> Feed:
        """The marketplace, where it tells what changed."""
        if isinstance(self.account, Feed):
            return self.account
        raise NotShown("the marketplace has no Feed: it implements no changes(cursor)", lacks="Feed")

    @property
    def closable(self) -> Closable:
        """The marketplace, where listings can be closed."""
        if isinstance(self.account, Closable):
            return self.account
        raise NotShown(
            "the marketplace is not Closable: it implements no close(listing_id) and open(listing_id)", lacks="Closable"
        )

    @property
    def sales(self) -> Sales:
        """The marketplace, where it tells its own sales."""
        if isinstance(self.account, Sales):
            return self.account
        raise NotShown("the marketplace does not tell its Sales: it implements no sales(since)", lacks="Sales")

    # What it says

    def listing(self, listing_id: str) -> Listing:
        """One listing that is there."""
        return value(lambda: self.account.listing(listing_id), f"listing({listing_id!r})")

    def expect_total(self, listing_id: str, total: int, *, after: str) -> None:
        """What the sandbox counts, and what the connector reads of it."""
        counted = self.sandbox.total(listing_id)
        require(
            counted == total,
            f"after {after} the total is {total}",
            seen=f"the sandbox counts {counted}",
            mend="compare what the connector sends as the stock write with what the vendor takes it for",
        )
        stock = self.listing(listing_id).stock
        require(
            stock == Stock.counted(total),
            "listing(listing_id) is authoritative, now",
            seen=f"after {after} the sandbox counts {total}, listing(listing_id) says {stock}",
            mend="read the single listing, not a list or an index that lags, and nothing that was kept",
        )

    def adjust(self, listing_id: str, *, seen: int, delta: int) -> Adjusted:
        """A write that has no reason to fail."""
        adjusted = value(
            lambda: self.account.adjust(listing_id, seen=seen, delta=delta), f"adjust(seen={seen}, delta={delta:+d})"
        )
        self.clock.advance(1)
        return adjusted

    def sweep(self) -> list[Listing | UnreadableListing]:
        """Every listing."""
        return value(lambda: [each for page in self.account.listings() for each in page], "listings()")

    def follow(self, cursor: str | None) -> tuple[list[Change], str]:
        """The feed to its head."""
        changes: list[Change] = []
        for _ in range(MAX_PAGES):
            here = cursor
            page = value(lambda: self.feed.changes(here), "changes(cursor)")  # noqa: B023  # called at once
            require(
                not page.unreadable,
                "a change that has its documented shape is read",
                seen="; ".join(f"{each.name}: {each.reason}" for each in page.unreadable[:3]),
                mend="compare what the connector takes for the vendor's shape with what the sandbox sends",
            )
            changes += page.changes
            cursor = page.cursor
            if not page.more:
                return changes, cursor
        raise ContractBroken(
            "following the feed comes to an end",
            seen=f"`more` was still true after {MAX_PAGES} pages",
            mend="`more` says whether another page is waiting right now, and the cursor leads past each page",
        )

    # The write

    def write_of(self, act: Callable[[], object], truth: Callable[[], object]) -> Call:
        """Which request of `act` is the one that changes something: found out by looking before and after each."""
        before, found = truth(), list[Call]()

        def look(request: httpx.Request) -> None:
            if not found and truth() != before:
                found.append(Call.of(request))

        self.wire.watch = look
        try:
            value(act, "a write with nothing wrong")
        finally:
            self.wire.watch = None
        require(
            found,
            "a connector calls out through the transport of its toolbox, and a write that is answered has happened",
            seen="no request passed the wire after which the sandbox showed another state",
            mend="open the connector with connectors.http.Http(toolbox, ...); compare what the write sends with what "
            "the vendor expects",
        )
        self.clock.advance(1)
        return found[0]

    def stocked(self, total: int) -> tuple[str, Call]:
        """A listing of so many units, and which request is the stock write to it."""
        listing_id = self.sandbox.offer(total + 1)
        write = self.write_of(
            lambda: self.account.adjust(listing_id, seen=total + 1, delta=-1), lambda: self.sandbox.total(listing_id)
        )
        return listing_id, write

    def sent(self, write: Call) -> int:
        """How often a request of that kind was sent."""
        return sum(write(request) for request in self.wire.sent)

    # What the cases of trouble and of payloads read

    def prepare(self, quantity: int) -> None:
        """See `ReadingBench.prepare`."""
        cursor = None
        if isinstance(self.account, Feed):
            _, cursor = self.follow(None)
        listing_id = self.sandbox.offer(quantity)
        self.clock.advance(5)
        limit = self.account.unlimited_from
        self._counted = limit is None or limit > 2**62
        self._prepared = listing_id, cursor

    def readings(self, account: Marketplace | None = None) -> Sequence[Reading]:
        """See `ReadingBench.readings`."""
        if self._prepared is None:
            self.prepare(7)
        assert self._prepared is not None  # noqa: S101  # by the line above
        listing_id, cursor = self._prepared
        return marketplace_readings(account or self.account, listing_id, self.began - timedelta(minutes=1), cursor)
