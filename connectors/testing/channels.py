"""A channel at the bench: polled, asked and listened to, with every answer held against the contract."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta

from connectors.clock import Clock
from connectors.contract import MAX_QUANTITY, Askable, Channel, Gone, Hooks, Order, OrderPage, OrderRef, Polled
from connectors.http import Timeouts
from connectors.testing.bench import MAX_PAGES
from connectors.testing.channel_readings import channel_readings, units_by_sku
from connectors.testing.readings import Reading, ReadingBench
from connectors.testing.sandboxes import ChannelSandbox, Sold
from connectors.testing.verdict import ContractBroken, NotShown, require, value

SETTLED_SECONDS = 5
"""A poll reads up to the vendor's now less 3 s; so much later, what has happened must be there."""


class ChannelBench(ReadingBench[ChannelSandbox]):
    """A channel and its sandbox."""

    below_zero = False

    def __init__(self, sandbox: ChannelSandbox) -> None:
        super().__init__(sandbox)
        self.began = self.clock.now()
        self.account: Channel = self.open()
        self._prepared: str | None = None

    def open(self, *, clock: Clock | None = None, timeouts: Timeouts | None = None) -> Channel:
        """See `ReadingBench.open`."""
        opened: object = self.sandbox.open(self.toolbox(clock=clock, timeouts=timeouts))
        self.opened(opened)
        if isinstance(opened, Channel):
            return opened
        raise ContractBroken(
            "what a connector opens as a channel is a Channel",
            seen=f"{type(opened).__name__} has no check()",
            mend="implement connectors.contract.Channel, and of Polled, Askable and Hooks what the vendor offers",
        )

    # What the connector can do

    @property
    def polled(self) -> Polled:
        """The channel, where its orders can be read from a place on."""
        if isinstance(self.account, Polled):
            return self.account
        raise NotShown(
            "the channel is not Polled: it implements no orders(cursor) and cursor_at(moment)", lacks="Polled"
        )

    @property
    def askable(self) -> Askable:
        """The channel, where it can be asked for one order."""
        if isinstance(self.account, Askable):
            return self.account
        raise NotShown(
            "the channel is not Askable: it implements no order(order_id) and recent(since)", lacks="Askable"
        )

    @property
    def hooks(self) -> Hooks:
        """The channel, where it sends webhooks."""
        if isinstance(self.account, Hooks):
            return self.account
        raise NotShown(
            "the channel has no Hooks: it implements no receive, read, subscriptions and subscribe", lacks="Hooks"
        )

    # What it says

    def start(self) -> str:
        """The cursor that reads everything since the case began."""
        return value(lambda: self.polled.cursor_at(self.began), "cursor_at(moment)")

    def page(self, cursor: str, channel: Polled | None = None) -> OrderPage:
        """One page, as the contract wants it."""
        page = value(lambda: (channel or self.polled).orders(cursor), "orders(cursor)")
        for order in page.orders:
            well_formed(order)
        return page

    def pages(self, cursor: str, channel: Polled | None = None) -> Iterator[OrderPage]:
        """Page after page until no more is waiting."""
        seen = {cursor}
        for _ in range(MAX_PAGES):
            page = self.page(cursor, channel)
            yield page
            if not page.more:
                return
            require(
                page.cursor not in seen,
                "a page that says `more` leads on: its cursor was not there before (OrderPage.cursor)",
                seen=f"the cursor {page.cursor!r} came a second time while `more` was true: whoever follows it goes in "
                "circles",
                mend="put all that decides where to go on into the cursor (the moment and the id of the last order, or "
                "the vendor's page token), so that equal moments do not end at the same place",
            )
            seen.add(page.cursor)
            cursor = page.cursor
        raise ContractBroken(
            "following the cursor comes to an end",
            seen=f"`more` was still true after {MAX_PAGES} pages of a handful of orders",
            mend="`more` says whether another page is waiting right now; at the vendor's last page it is False",
        )

    def poll(self, cursor: str, channel: Polled | None = None) -> tuple[dict[str, Order], str]:
        """Every order from a place on, as it was told last, once the seconds are over; and where to go on."""
        self.clock.advance(SETTLED_SECONDS)
        found: dict[str, Order] = {}
        for page in self.pages(cursor, channel):
            all_readable(page)
            found.update((order.order_id, order) for order in page.orders)
            cursor = page.cursor
        return found, cursor

    def order(self, order_id: str) -> Order:
        """One order that is there, asked for by its id."""
        found = value(lambda: self.askable.order(order_id), f"order({order_id!r})")
        if isinstance(found, Gone):
            raise ContractBroken(
                "Gone says that an order does not exist any more",
                seen=f"order({order_id!r}) gave Gone though the order is there: the worker would take its units back",
                mend="give Gone only for the vendor's own word that there is no such order, never for another refusal",
            )
        well_formed(found)
        return found

    def recent(self, since: datetime) -> dict[str, int]:
        """Ids and revisions of what changed."""
        pages = value(lambda: [list(page) for page in self.askable.recent(since)], "recent(since)")
        return {each.order_id: each.revision for page in pages for each in page if isinstance(each, OrderRef)}

    # What the cases of trouble and of payloads read

    def prepare(self, quantity: int) -> None:
        """See `ReadingBench.prepare`."""
        self._prepared = self.sandbox.place(Sold("KIT-A", quantity))
        self.clock.advance(SETTLED_SECONDS)

    def readings(self, account: Channel | None = None) -> Sequence[Reading]:
        """See `ReadingBench.readings`."""
        if self._prepared is None:
            self.prepare(7)
        return channel_readings(account or self.account, str(self._prepared), self.began)

    # What is true

    def place(self, count: int, *, apart_seconds: float = 0.0) -> list[str]:
        """So many orders of one line each; their ids."""
        placed = []
        for number in range(count):
            placed.append(self.sandbox.place(Sold("KIT-A", 1 + number % 3)))
            self.clock.advance(apart_seconds)
        return placed

    def expect_units(self, order: Order, *, where: str) -> None:
        """Hold an order against what the sandbox counts."""
        counted = {sku: units for sku, units in self.sandbox.committed(order.order_id).items() if units}
        told = units_by_sku(order)
        require(
            told == counted,
            "OrderLine.committed is units ordered less cancelled less restocked, by the SKU as the channel spells it",
            seen=f"{where} tells {told or 'no units'} of order {order.order_id}; the sandbox counts "
            f"{counted or 'none'}",
            mend="reckon committed from the vendor's own quantities; where several fields could be meant, take the one "
            "that says what is gone for the seller now",
        )

    def read_everywhere(self, order_id: str) -> None:
        """Hold every way to read an order against what the sandbox counts."""
        if isinstance(self.account, Polled):
            found, _ = self.poll(self.start())
            self.expect_all(
                found,
                [order_id],
                promise="an order that changed is told again",
                mend="go by when an order changed, not by when it was placed",
            )
            self.expect_units(found[order_id], where="orders(cursor)")
        if isinstance(self.account, Askable):
            self.expect_units(self.order(order_id), where="order(order_id)")

    def expect_all(self, found: Mapping[str, object], placed: Sequence[str], *, promise: str, mend: str) -> None:
        """Every order that was placed was told."""
        missing = [order_id for order_id in placed if order_id not in found]
        require(
            not missing, promise, seen=f"{len(missing)} of {len(placed)} orders are missing: {missing[:5]}", mend=mend
        )


def all_readable(page: OrderPage) -> None:
    """Nothing of a page was put aside."""
    require(
        not page.unreadable,
        "an order that has its documented shape is read",
        seen="; ".join(f"order {each.order_id}: {each.reason}" for each in page.unreadable[:3]),
        mend="compare what the connector takes for the vendor's shape with what the sandbox sends",
    )


def well_formed(order: Order) -> None:
    """An order as the contract's types mean it."""
    broken = list(_malformed(order))
    require(
        not broken,
        "ids are texts, quantities integers from 0 to 2^63-1, times aware and in UTC, line ids unique in an order",
        seen=f"order {order.order_id!r}: {'; '.join(broken)}",
        mend="convert where the vendor's answer is parsed, and raise Unreadable for what cannot be converted",
    )


def _malformed(order: Order) -> Iterator[str]:
    if not _is_text(order.order_id) or not order.order_id:
        yield f"its id is {order.order_id!r}"
    if type(order.revision) is not int:
        yield f"its revision is {order.revision!r}"
    if order.placed_at.utcoffset() != timedelta(0):
        yield f"placed_at is {order.placed_at!r}"
    if len({line.line_id for line in order.lines}) < len(order.lines):
        yield "two lines have the same id"
    for line in order.lines:
        if type(line.committed) is not int or not 0 <= line.committed <= MAX_QUANTITY:
            yield f"line {line.line_id!r} commits {line.committed!r}"
        if not _is_text(line.line_id) or not _is_text(line.item_key):
            yield f"line {line.line_id!r} of item {line.item_key!r}"


def _is_text(found: object) -> bool:
    """Whether a connector without types kept to them all the same."""
    return isinstance(found, str)
