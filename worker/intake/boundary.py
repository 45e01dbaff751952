"""What a channel's connector hands over is looked at here, once, before anything is booked.

A connector may be wrong in any way: raise what it must not, hand over something else than it promised, never come to
an end. Whatever it is becomes one of two things: an order that is parked under its own id, or `Unreadable`, which names
the channel and ends the call. Nothing of it reaches the tables, and the channels beside it go on.
"""

from __future__ import annotations

import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import structlog

from connectors.contract import (
    MAX_QUANTITY,
    AccessEnded,
    Askable,
    Gone,
    Hooks,
    Ignored,
    Look,
    Notice,
    Order,
    OrderLine,
    OrderPage,
    OrderRef,
    Polled,
    UnreadableOrder,
)
from connectors.errors import ConnectorError, Unreadable
from connectors.text import is_storable, legible
from worker.intake.findings import failure_reason
from worker.store.types import LONGEST_IDENTIFIER

log = structlog.get_logger(__name__)

MOST_LINES = 10_000
"""Of one order: it is taken in as a whole, in one transaction."""
LONGEST_CURSOR = 65_536
MOST_PAGES = 100_000
"""Of one pass over ids and revisions."""
LONGEST_REASON = 500
FRAMES_LOGGED = 8
FIRST_YEAR, LAST_YEAR = 1970, 2199
"""Moments outside are mistakes; those at the ends of the calendar cannot even be calculated with."""


class ConnectorFailed(Unreadable):
    """A connector raised what is no error of the contract."""


@contextmanager
def handed_over(channel: str) -> Iterator[None]:
    """Around a call of a connector: whatever it raises besides the errors of the contract is `ConnectorFailed`."""
    try:
        yield
    except (ConnectorError, KeyboardInterrupt, GeneratorExit):
        raise
    except BaseException as error:
        if isinstance(error, SystemExit) and type(error) is not SystemExit:
            # This process is told to end; `sys.exit()`, which a connector may call, ends nothing.
            raise
        reason = failure_reason(error)
        # Not the whole traceback: its message, and how deep it goes, are the connector's to choose.
        where = "".join(traceback.format_tb(error.__traceback__, limit=-FRAMES_LOGGED))
        log.error("connector_failed", channel=channel, error=reason, where=where)  # noqa: TRY400
        message = f"its connector failed: {reason}"
        raise ConnectorFailed(message, account=channel) from None


def page_of(name: str, channel: Polled, cursor: str) -> OrderPage:
    """The page of changed orders behind `cursor`; what of it is no order is among its unreadable ones."""
    with handed_over(name):
        page: Any = channel.orders(cursor)
        if not isinstance(page, OrderPage) or not _is_list(page.orders) or not _is_list(page.unreadable):
            raise _broken(name, "a page of orders", page)
        more: Any = page.more
        following: Any = page.cursor
        if type(more) is not bool or type(following) is not str:
            raise _broken(name, "the cursor of a page", following)
        if len(page.cursor) > LONGEST_CURSOR or not _fits_a_text(page.cursor):
            message = f"its connector handed over a cursor that cannot be kept, of {len(page.cursor)} characters"
            raise Unreadable(message, account=name)
        return _sorted_out(page)


def order_of(name: str, channel: Askable, order_id: str) -> Order | Gone:
    """What the channel says that this order is now."""
    with handed_over(name):
        answer: Any = channel.order(order_id)
        if not isinstance(answer, Order | Gone):
            raise _broken(name, "an order", answer)
        if answer.order_id != order_id:
            message = "asked for one order, its connector handed over another"
            raise Unreadable(message, account=name, order_id=order_id)
        problem = problem_of(answer) if isinstance(answer, Order) else _problem_of_moment(answer.fetched_at)
        if problem is not None:
            raise Unreadable(problem, account=name, order_id=order_id)
        return answer


def cursor_at(name: str, channel: Polled, moment: datetime) -> str:
    """The cursor that reads from `moment` on."""
    with handed_over(name):
        cursor: Any = channel.cursor_at(moment)
        if not isinstance(cursor, str):
            raise _broken(name, "a cursor", cursor)
        return cursor


class Passing:
    """One pass over ids and revisions, a page at a time."""

    def __init__(self, name: str, channel: Askable, since: datetime) -> None:
        self._name = name
        self._channel = channel
        self._since = since
        self._pages: Iterator[Any] | None = None
        self._seen = 0

    def next_page(self) -> Sequence[OrderRef | UnreadableOrder] | None:
        """The next page; None at the end."""
        with handed_over(self._name):
            if self._pages is None:
                self._pages = iter(self._channel.recent(self._since))
            page = next(self._pages, None)
            if page is None:
                return None
            self._seen += 1
            if self._seen > MOST_PAGES:
                message = f"its connector hands over more than {MOST_PAGES} pages of changed orders"
                raise Unreadable(message, account=self._name)
            if not _is_list(page):
                raise _broken(self._name, "a page of ids and revisions", page)
            return [_ref(entry) for entry in page]


def notices_of(name: str, hooks: Hooks, topic: str, kept: bytes) -> Sequence[Notice]:
    """What a kept delivery says. An order in it that cannot be booked makes the whole of it `Unreadable`."""
    with handed_over(name):
        notices: Any = hooks.read(topic, kept)
        if not _is_list(notices):
            raise _broken(name, "the notices of a delivery", notices)
        for notice in notices:
            if isinstance(notice, Order):
                problem = problem_of(notice)
                if problem is not None:
                    raise Unreadable(problem, account=name, order_id=id_of(notice.order_id))
            elif isinstance(notice, Look):
                if not _is_id(notice.order_id):
                    raise _broken(name, "the id of an order", notice.order_id)
            elif not isinstance(notice, AccessEnded | Ignored):
                raise _broken(name, "a notice", notice)
        return tuple(notices)


def problem_of(order: Order) -> str | None:
    """Why this order cannot be booked as it is; None when it can. Runs for every line that is taken in."""
    lines: Any = order.lines
    excluded: Any = order.excluded
    if not _is_list(lines):
        return f"its lines are {_named(lines)}"
    if len(lines) > MOST_LINES:
        return f"it has {len(lines)} lines, of which {MOST_LINES} can be taken in"
    if not _is_id(order.order_id):
        return f"its id is {_named(order.order_id)}"
    if type(order.revision) is not int or abs(order.revision) > MAX_QUANTITY:
        return f"its revision is {_named(order.revision)}"
    problem = _problem_of_moment(order.placed_at)
    if problem is None and order.fetched_at is not None:
        problem = _problem_of_moment(order.fetched_at)
    if problem is not None:
        return problem
    if excluded is not None and not (isinstance(excluded, str) and _fits_a_text(excluded)):
        return f"why it is excluded is {_named(excluded)}"
    line_ids = set()
    for line in lines:
        if not isinstance(line, OrderLine):
            return f"one of its lines is {_named(line)}"
        line_id, sku, key, units = line.line_id, line.sku, line.item_key, line.committed
        if not _is_id(line_id):
            return f"the id of one of its lines is {_named(line_id)}"
        # A truth value is a number to Python, and none of units.
        if type(units) is not int or not 0 <= units <= MAX_QUANTITY:
            return f"line {legible(line_id)} has {_named(units)} units"
        if sku is not None and sku != "" and not _is_id(sku):
            return f"the SKU of line {legible(line_id)} is {_named(sku)}"
        if key != "" and not _is_id(key):
            return f"the item of line {legible(line_id)} is {_named(key)}"
        line_ids.add(line_id)
    if len(line_ids) != len(lines):
        return "two of its lines have the same id"
    return None


def _sorted_out(page: OrderPage) -> OrderPage:
    """The same page, what cannot be booked of it among the unreadable ones."""
    poison = {}
    for position, order in enumerate(page.orders):
        problem = _problem_of_entry(order)
        if problem is not None:
            poison[position] = UnreadableOrder(id_of(getattr(order, "order_id", None)), problem, b"")
    unreadable = [_unreadable(entry) for entry in page.unreadable]
    if not poison:
        return OrderPage(page.orders, page.cursor, page.more, unreadable)
    good = [order for position, order in enumerate(page.orders) if position not in poison]
    return OrderPage(good, page.cursor, page.more, [*unreadable, *poison.values()])


def _problem_of_entry(entry: Any) -> str | None:
    return problem_of(entry) if isinstance(entry, Order) else f"what should be an order is {_named(entry)}"


def _unreadable(entry: Any) -> UnreadableOrder:
    if not isinstance(entry, UnreadableOrder):
        return UnreadableOrder(None, f"what should be an order is {_named(entry)}", b"")
    reason: Any = entry.reason
    reason = reason if isinstance(reason, str) else _named(reason)
    return UnreadableOrder(id_of(entry.order_id), legible(reason[:LONGEST_REASON]), b"")


def _ref(entry: Any) -> OrderRef | UnreadableOrder:
    if isinstance(entry, OrderRef):
        if _is_id(entry.order_id) and type(entry.revision) is int and abs(entry.revision) <= MAX_QUANTITY:
            return entry
        reason = f"its revision is {_named(entry.revision)}"
        return UnreadableOrder(entry.order_id if _is_id(entry.order_id) else None, reason, b"")
    return _unreadable(entry)


def _problem_of_moment(moment: Any) -> str | None:
    if not isinstance(moment, datetime) or moment.tzinfo is None:
        return f"a moment of it is {_named(moment)}"
    if not FIRST_YEAR <= moment.year <= LAST_YEAR:
        return f"a moment of it is in the year {moment.year}"
    return None


def _is_list(value: Any) -> bool:
    return isinstance(value, list | tuple)


def _is_id(text: Any) -> bool:
    """Whether the store can hold it as an id, on any database. Most are plain ASCII, which is told at once."""
    if type(text) is not str or not text:
        return False
    if len(text) <= LONGEST_IDENTIFIER and text.isascii():
        return "\x00" not in text
    return is_storable(text)


def _fits_a_text(text: str) -> bool:
    return "\x00" not in text and (text.isascii() or _encodes(text))


def _encodes(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def id_of(order_id: Any) -> str | None:
    """An order's id, as far as a row can be named by it: cut where it is too long, for a person to find it."""
    if not isinstance(order_id, str) or not order_id:
        return None
    return legible(order_id[:LONGEST_IDENTIFIER])


def _named(value: Any) -> str:
    """A value in an error: what it is, and bounded. Asking a hostile object for its text may fail, or be long."""
    if value is None or isinstance(value, bool | int | float | str):
        try:
            return legible(repr(value)[:60])
        except ValueError:
            # Python refuses to spell integers of many thousand digits.
            return "a number beyond all bounds"
    return f"of type {type(value).__name__[:60]}"


def _broken(name: str, what: str, value: Any) -> Unreadable:
    return Unreadable(f"instead of {what} its connector handed over {_named(value)}", account=name)
