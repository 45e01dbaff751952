"""A connector that breaks its contract in every way anybody could think of. Registered by tests alone."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from pydantic import BaseModel

from connectors.contract import Channel, Check, Order, OrderLine, OrderPage, Receipt
from connectors.http import Toolbox
from connectors.registry import Connector

MOMENT = datetime(2026, 1, 1, tzinfo=UTC)
"""When every clock of the tests begins."""

Trick = Callable[[], Any]


class Unheard(BaseException):
    """What no `except Exception` catches."""


class UntellableError(Exception):
    """An error that cannot even be told."""

    def __str__(self) -> str:
        raise RuntimeError("no words")


class HostileChannel:
    """Every method does what `tricks` says of it, else what a quiet channel does."""

    refusal_status = 401

    def __init__(self) -> None:
        self.tricks: dict[str, Trick] = {}
        self.calls: list[str] = []
        self.asked = ""
        """The order that was asked for last."""
        self.kept = b""
        """The delivery that was read last."""

    def _play(self, method: str, otherwise: Trick) -> Any:
        self.calls.append(method)
        return self.tricks.get(method, otherwise)()

    @property
    def clock_skew_seconds(self) -> Any:
        return self._play("clock_skew_seconds", lambda: 0.0)

    def orders(self, cursor: str) -> Any:
        return self._play("orders", lambda: OrderPage([], cursor, more=False))

    def cursor_at(self, moment: datetime) -> Any:
        return self._play("cursor_at", lambda: "0")

    def recent(self, since: datetime) -> Any:
        return self._play("recent", lambda: iter(()))

    def order(self, order_id: str) -> Any:
        self.asked = order_id
        return self._play("order", lambda: order(order_id))

    def check(self) -> Any:
        return self._play("check", lambda: [Check("access", True, "fine")])

    def receive(self, headers: Mapping[str, str], body: bytes) -> Any:
        return self._play("receive", lambda: Receipt("1", "orders", body, raw=False))

    def read(self, topic: str, kept: bytes) -> Any:
        self.kept = kept
        return self._play("read", list)

    def subscriptions(self, address: str) -> Any:
        return self._play("subscriptions", list)

    def subscribe(self, address: str) -> Any:
        return self._play("subscribe", list)


def order(order_id: Any = "bad-1", lines: Any = (), **changes: Any) -> Order:
    """An order of these lines; what it is made of may be anything."""
    facts: dict[str, Any] = {"revision": 1, "placed_at": MOMENT, "fetched_at": MOMENT, **changes}
    return Order(order_id, lines=lines, **facts)


def line(**changes: Any) -> OrderLine:
    """A line of one unit of SKU A, with changes."""
    facts: dict[str, Any] = {"line_id": "1", "sku": "A", "item_key": "i", "committed": 1, **changes}
    return OrderLine(**facts)


def raising(error: BaseException) -> Trick:
    def trick() -> Any:
        raise error

    return trick


def recursing() -> Any:
    """Deeper than Python goes."""
    return recursing()


def without_memory() -> Any:
    """More than any machine has."""
    return [0] * sys.maxsize


def without_end() -> Iterator[Any]:
    """Never comes to an end."""
    while True:
        yield order()


def after_some(pages: Sequence[Any], error: BaseException) -> Iterator[Any]:
    """Pages, and then an error."""
    yield from pages
    raise error


FAILURES: Mapping[str, Trick] = {
    "an error": raising(RuntimeError("boom")),
    "a long error": raising(ValueError("x" * 10_000_000)),
    "an error with control characters": raising(ValueError("\x1b[2J\x00\ud800")),
    "an error without words": raising(UntellableError()),
    "a stop": raising(StopIteration("stop")),
    "recursion": recursing,
    "memory": without_memory,
    "exit": raising(SystemExit(1)),
    "no exception": raising(Unheard("unheard")),
    "an error group": raising(ExceptionGroup("many", [ValueError("one"), KeyError("two")])),
}

NO_PAGES: Mapping[str, Trick] = {
    "nothing": lambda: None,
    "a class": lambda: OrderPage,
    "a mapping": lambda: {"orders": [], "cursor": "1", "more": False},
    "orders that are nothing": lambda: OrderPage(None, "1", more=False),  # type: ignore[arg-type]
    "orders that are a text": lambda: OrderPage("abc", "1", more=False),  # type: ignore[arg-type]
    "orders without end": lambda: OrderPage(without_end(), "1", more=False),  # type: ignore[arg-type]
    "unreadable ones without end": lambda: OrderPage([], "1", False, without_end()),  # type: ignore[arg-type]
    "no cursor": lambda: OrderPage([], None, more=False),  # type: ignore[arg-type]
    "a cursor of bytes": lambda: OrderPage([], b"1", more=False),  # type: ignore[arg-type]
    "a cursor of 10 MB": lambda: OrderPage([], "x" * 10_000_000, more=False),
    "a cursor with NUL": lambda: OrderPage([], "1\x00", more=False),
    "a cursor that is half a character": lambda: OrderPage([], "\ud800", more=False),
    "more that is a text": lambda: OrderPage([], "1", more="no"),  # type: ignore[arg-type]
}

BAD_ORDERS: Mapping[str, Trick] = {
    "no order": lambda: "order 7",
    "nothing": lambda: None,
    "no id": lambda: order(None),
    "an empty id": lambda: order(""),
    "an id that is a number": lambda: order(7),
    "an id with NUL": lambda: order("bad\x00"),
    "an id that is half a character": lambda: order("bad\ud800"),
    "an id of 100 kB": lambda: order("bad" * 33_000),
    "a revision that is a text": lambda: order(revision="1"),
    "a revision that is a fraction": lambda: order(revision=1.5),
    "a revision that is true": lambda: order(revision=True),
    "a revision beyond all bounds": lambda: order(revision=10**5000),
    "no moment": lambda: order(placed_at=None),
    "a moment without a zone": lambda: order(placed_at=datetime(2026, 1, 1)),  # noqa: DTZ001  that is the point
    "the year 1": lambda: order(placed_at=datetime(1, 1, 1, tzinfo=UTC)),
    "the year 9999": lambda: order(placed_at=datetime(9999, 12, 31, tzinfo=UTC)),
    "read in the year 9999": lambda: order(fetched_at=datetime(9999, 12, 31, tzinfo=UTC)),
    "an exclusion that is true": lambda: order(excluded=True),
    "no lines": lambda: order(lines=None),
    "lines without end": lambda: order(lines=without_end()),
    "100,000 lines": lambda: order(lines=[line(line_id=str(number)) for number in range(100_000)]),
    "a line that is a text": lambda: order(lines=["A"]),
    "two lines of one id": lambda: order(lines=[line(), line()]),
    "a line without an id": lambda: order(lines=[line(line_id=None)]),
    "a line with an id of 100 kB": lambda: order(lines=[line(line_id="x" * 100_000)]),
    "a SKU with NUL": lambda: order(lines=[line(sku="A\x00")]),
    "a SKU that is a number": lambda: order(lines=[line(sku=1)]),
    "an item that is nothing": lambda: order(lines=[line(item_key=None)]),
    "negative units": lambda: order(lines=[line(committed=-1)]),
    "huge units": lambda: order(lines=[line(committed=2**63)]),
    "units that are no number": lambda: order(lines=[line(committed=float("nan"))]),
    "a fraction of units": lambda: order(lines=[line(committed=1.0)]),
    "units that are true": lambda: order(lines=[line(committed=True)]),
    "units that are a text": lambda: order(lines=[line(committed="1")]),
    "units that are nothing": lambda: order(lines=[line(committed=None)]),
}


# --- as a connector of its own, for real processes ----------------------------------------------------------------


class HostileSettings(BaseModel):
    """What it does when it is asked for orders."""

    trick: str


def blocking() -> Any:
    """Never comes back, whatever anybody bounds."""
    threading.Event().wait()


PROCESS_TRICKS: Mapping[str, Trick] = {
    "blocks": blocking,
    "raises": FAILURES["an error"],
    "no-exception": FAILURES["no exception"],
    "recursion": recursing,
    "memory": without_memory,
    "nothing": lambda: None,
    "circle": lambda: OrderPage([], "0", more=True),
}


def open_channel(name: str, settings: HostileSettings, _toolbox: Toolbox) -> Channel:
    channel: Any = HostileChannel()
    channel.tricks["orders"] = PROCESS_TRICKS[settings.trick]
    return channel  # type: ignore[no-any-return]


CONNECTOR = Connector("hostile", channel_settings=HostileSettings, open_channel=open_channel)
