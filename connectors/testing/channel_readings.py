"""Every way to read one order of a channel, and what a spoilt answer may make of it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from connectors.contract import Askable, Channel, Gone, Order, OrderPage, OrderRef, Polled
from connectors.testing.readings import Reading
from connectors.testing.verdict import NotShown, value

LOOKED_BACK = timedelta(hours=1)


def channel_readings(channel: Channel, order_id: str, began: datetime) -> Sequence[Reading]:
    """Of one order that is there, by what the channel can do."""
    readings = []
    if isinstance(channel, Polled):
        cursor = value(lambda: channel.cursor_at(began), "cursor_at(moment)")
        readings.append(
            Reading("orders(cursor)", lambda: channel.orders(cursor), _page_fact, _page_complaint, _page_units)
        )
    if isinstance(channel, Askable):
        readings.append(
            Reading("order(order_id)", lambda: channel.order(order_id), _order_fact, _order_complaint, _order_units)
        )
        since = began - LOOKED_BACK
        readings.append(
            Reading("recent(since)", lambda: [list(page) for page in channel.recent(since)], _refs, _refs_complaint)
        )
    if not readings:
        raise NotShown("the channel is neither Polled nor Askable: nothing of it is read")
    return readings


def units_by_sku(order: Order) -> dict[str, int]:
    """What is committed of each SKU; lines that commit nothing are as good as none."""
    units: dict[str, int] = {}
    for line in order.lines:
        if line.committed:
            units[line.sku or ""] = units.get(line.sku or "", 0) + line.committed
    return units


def _order_fact(order: Order | Gone) -> object:
    if isinstance(order, Gone):
        return "gone"
    return (order.order_id, order.revision, order.placed_at, list(order.lines), order.excluded)


def _page_fact(page: OrderPage) -> object:
    return [_order_fact(order) for order in page.orders], [each.order_id for each in page.unreadable], page.more


def _refs(pages: list[list[Any]]) -> object:
    return sorted({(each.order_id, each.revision) for page in pages for each in page if isinstance(each, OrderRef)})


def _order_complaint(true: Order, said: Order | Gone) -> str | None:
    if isinstance(said, Gone):
        return f"order {true.order_id} passes for deleted, and its units for returned"
    if said.excluded != true.excluded:
        return f"order {true.order_id} does not count any more: {said.excluded}"
    units = sum(line.committed for line in true.lines), sum(line.committed for line in said.lines)
    return None if units[0] == units[1] else f"order {true.order_id} commits {units[1]} units instead of {units[0]}"


def _page_complaint(true: OrderPage, said: OrderPage) -> str | None:
    if not all(each.order_id is None or _is_text(each.order_id) for each in said.unreadable):
        return f"UnreadableOrder.order_id is a text or None, not {said.unreadable[0].order_id!r:.100}"
    told = {order.order_id: order for order in said.orders}
    put_aside = {each.order_id for each in said.unreadable}
    for order in true.orders:
        if order.order_id in told:
            complaint = _order_complaint(order, told[order.order_id])
            if complaint:
                return complaint
        elif not put_aside & {order.order_id, None}:
            return f"order {order.order_id} is left out without a word, and the cursor leads past it"
    return None


def _refs_complaint(true: list[list[Any]], said: list[list[Any]]) -> str | None:
    named = {each.order_id for page in said for each in page}
    missing = {each.order_id for page in true for each in page} - named
    return None if not missing or None in named else f"order {missing.pop()} is left out without a word"


def _order_units(order: Order | Gone) -> int | None:
    return None if isinstance(order, Gone) else sum(line.committed for line in order.lines)


def _page_units(page: OrderPage) -> int | None:
    return sum(line.committed for order in page.orders for line in order.lines) if page.orders else None


def _is_text(found: object) -> bool:
    return isinstance(found, str)
