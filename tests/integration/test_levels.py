"""Levels, not edges: what was told, how often and in which order, does not change where things end."""

from __future__ import annotations

from itertools import permutations

import pytest

from tests.world import World


@pytest.mark.parametrize("linked_after", [0, 2, 4], ids=lambda number: f"linked-after-{number}")
@pytest.mark.parametrize("order", list(permutations(range(3))), ids=lambda order: "".join(map(str, order)))
def test_the_newest_snapshot_is_where_it_ends(world: World, order: tuple[int, ...], linked_after: int) -> None:
    """An order grows, is cancelled in part and grows again; each snapshot comes twice, and the link at some point."""
    world.listing(total=10)
    start = world.clock.now()
    snapshots = []
    for units in (5, 2, 4):
        world.pass_time(1)
        snapshots.append(world.channel.put("1", {"A": units}))
    told = [*order, *reversed(order)]
    for position, number in enumerate(told):
        if position == linked_after:
            world.link_by_import(from_at=start)
        world.deliver(snapshots[number], delivery_id=f"delivery-{position}")
        world.reconcile()

    assert world.pairs() == [("A", 4, 4, 0)]
    assert world.total() == 6
    assert world.anomalies() == []
    world.assert_p1()
