"""Waiting until everything that was going to happen has happened: a condition, watched from outside.

Quiet is when the shop has nothing left to send, trueup has read both vendors beyond their last change and has no work
due, and the marketplace did not change meanwhile. How long that takes does not matter as long as something moves.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from connectors.clock import Clock
from worker.demo.database import Database, Work
from worker.demo.vendors import Channel, Marketplace

LOOK_SECONDS = 0.2
PATIENCE_SECONDS = 240.0
"""For how long nothing may move before waiting is given up: longer than work may be put off and still count as due."""
SETTLING = timedelta(seconds=5)
"""A shop's seconds are read when they are over, and some more for the shop's answer to arrive."""


class NeverQuietError(Exception):
    """Nothing moved any more, and yet it was not quiet. The message says what was left."""


@dataclass(frozen=True, slots=True)
class _Sight:
    work: Work
    unsent: Mapping[str, int]
    sequence: int
    marketplace_read_at: datetime | None
    """Up to when its changes are known for certain."""
    not_looked_at: int
    """Writes that may have overwritten sales nobody has looked for."""


def wait_until_quiet(
    database: Database,
    shop: Channel,
    marketplace: Marketplace,
    *,
    orders: int,
    clock: Clock,
    on_look: Callable[[Mapping[str, int]], None] = lambda left: None,
) -> None:
    """Return once it is quiet with that many orders known. `on_look` is told what is left. Raises `NeverQuietError`."""
    changed_at = placed_at = clock.now()
    moved_at = clock.monotonic()
    before: _Sight | None = None
    quiet_before = False
    while True:
        sight = _look(database, shop, marketplace)
        if before is None or sight.sequence != before.sequence:
            changed_at = clock.now()
        if before is None or _moves(before) != _moves(sight):
            moved_at = clock.monotonic()
        left = _left(sight, orders, placed_at, changed_at)
        on_look(left)
        # Twice, because the sides are not looked at in the same instant.
        if not left and quiet_before and before is not None and before.sequence == sight.sequence:
            return
        quiet_before = not left
        if clock.monotonic() - moved_at > PATIENCE_SECONDS:
            what = ", ".join(f"{name}: {count}" for name, count in left.items())
            raise NeverQuietError(f"nothing has moved for {PATIENCE_SECONDS:.0f} seconds, but there is still: {what}")
        before = sight
        clock.sleep(LOOK_SECONDS)


def _look(database: Database, shop: Channel, marketplace: Marketplace) -> _Sight:
    waiting, sequence = shop.pending(), marketplace.changes()
    work = database.work()
    read_at = work.feed_read_at if marketplace.feed else work.swept_at
    return _Sight(work, waiting, sequence, read_at, work.writes_not_looked_at if marketplace.overwrites else 0)


def _moves(sight: _Sight) -> object:
    return sight.work.left, sight.unsent, sight.sequence, sight.work.orders


def _left(sight: _Sight, orders: int, placed_at: datetime, changed_at: datetime) -> Mapping[str, int]:
    left = dict(sight.work.left)
    left |= {f"webhooks {name}": count for name, count in sight.unsent.items() if count}
    if sight.not_looked_at:
        left["writes around which sales are not looked for"] = sight.not_looked_at
    if sight.work.orders < orders:
        left["orders not known"] = orders - sight.work.orders
    if sight.work.poll_read_at is None or sight.work.poll_read_at < placed_at + SETTLING:
        left["shop's last changes not polled"] = 1
    if sight.marketplace_read_at is None or sight.marketplace_read_at <= changed_at:
        left["marketplace's last changes not read"] = 1
    return left
