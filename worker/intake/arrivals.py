"""Every query about how orders arrive: how many in each hour, and which ones no webhook had told of."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from itertools import pairwise

from sqlalchemy import and_, case, func, select

from worker.store import Transaction
from worker.store.bulk import in_chunks
from worker.store.cursors import cursor, move_cursor
from worker.store.tables import Cursor, OrderRow

UNTOLD_FOR = timedelta(days=1)
"""How long it counts that polling found an order first."""


def orders_by_hour(transaction: Transaction, channel: str, begin: datetime, hours: int) -> list[int]:
    """How many orders of a channel were placed in each of so many hours from `begin` on."""
    moments = [begin + timedelta(hours=hour) for hour in range(hours + 1)]
    counted = (
        func.count(case((and_(OrderRow.placed_at >= since, OrderRow.placed_at < until), 1)))
        for since, until in pairwise(moments)
    )
    within = (OrderRow.channel == channel, OrderRow.placed_at >= moments[0], OrderRow.placed_at < moments[-1])
    return list(transaction.execute(select(*counted).where(*within)).one())


def note_untold(transaction: Transaction, channel: str, orders: int, now: datetime) -> None:
    """A poll has found so many orders that a webhook should have told of before."""
    kept = _kept(cursor(transaction, _untold_name(channel)) or "[]", now)
    move_cursor(
        transaction, _untold_name(channel), json.dumps([*kept, (int(now.timestamp()), orders)]), now, current=False
    )


def untold(transaction: Transaction, channels: Collection[str], now: datetime) -> Mapping[str, int]:
    """How many orders polling found first, of the channels where it did lately."""
    found: dict[str, int] = {}
    for chunk in in_chunks(sorted(channels)):
        names = {_untold_name(channel): channel for channel in chunk}
        rows = transaction.execute(select(Cursor.name, Cursor.value).where(Cursor.name.in_(names)))
        found.update({names[row.name]: sum(orders for _, orders in _kept(row.value, now)) for row in rows})
    return found


def _kept(value: str, now: datetime) -> list[tuple[int, int]]:
    since = int((now - UNTOLD_FOR).timestamp())
    return [(moment, orders) for moment, orders in json.loads(value) if moment > since]


def _untold_name(channel: str) -> str:
    return f"untold:{channel}"
