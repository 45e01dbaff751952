"""An anomaly that can wait: snoozed until a time, told again when it is over, worse or back."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from tests.world import World
from worker.alerts import Finding, Kind
from worker.alerts.anomalies import LONGEST_SNOOZE, AnomalyView, SnoozeRefusedError
from worker.operators import Actor, Via
from worker.store.tables import Alert, AlertState, AnomalyState

ADA = Actor("ada", Via.COMMAND)
HOUR = timedelta(hours=1)


def find(world: World, units: int = 3, listing_id: str = "L") -> AnomalyView:
    detail = {"missing_units": units, "total": 0}
    finding = Finding(Kind.OVERSOLD, f"{listing_id} is oversold by {units}.", listing_id=listing_id, detail=detail)
    world.services.anomalies.open(finding)
    return next(view for view in world.services.anomalies.list() if view.listing_id == listing_id)


def snooze(world: World, anomaly: AnomalyView, hours: float = 1) -> bool:
    until = world.clock.now() + hours * HOUR
    return world.services.desk.snooze(anomaly.id, until, by=ADA, reason="counted tonight")


def owed(world: World) -> list[str]:
    """What operators are going to be told."""
    rows = world.rows(Alert.id, Alert.state, Alert.message)
    return [row.message for row in sorted(rows) if row.state is AlertState.WAITING]


def tell(world: World) -> None:
    """Nobody is configured, so that it counts as told."""
    world.pass_time(61)
    world.services.alerts.send_due()


def test_nobody_is_told_of_a_snoozed_one_until_its_time_is_over(world: World) -> None:
    anomaly = find(world)
    assert snooze(world, anomaly)
    assert owed(world) == []
    find(world)
    find(world, units=2)
    world.pass_time(3599)
    assert world.services.anomalies.end_snoozes() == 0
    assert owed(world) == []
    world.pass_time(1)
    assert world.services.anomalies.end_snoozes() == 1
    assert owed(world) == ["L is oversold by 2. Its snooze is over."]
    assert world.services.anomalies.end_snoozes() == 0
    [again] = world.services.anomalies.list()
    assert (again.state, again.snoozed_until, again.came_back) == (AnomalyState.OPEN, None, False)


def test_one_that_gets_worse_than_it_was_when_snoozed_is_told_at_once(world: World) -> None:
    anomaly = find(world, units=3)
    world.services.desk.acknowledge(anomaly.id, by=ADA)
    snooze(world, anomaly)
    find(world, units=1)
    find(world, units=3)
    assert owed(world) == []
    worse = find(world, units=4)
    assert owed(world) == ["L is oversold by 4. It had been snoozed, and is worse now."]
    assert (worse.state, worse.snoozed_until, worse.came_back) == (AnomalyState.OPEN, None, False)


def test_one_that_comes_back_is_told_as_such(world: World) -> None:
    anomaly = find(world)
    tell(world)
    snooze(world, anomaly, hours=24)
    world.services.anomalies.resolve([anomaly.fingerprint], "stock came in")
    assert owed(world) == ["L is oversold by 3. Resolved: stock came in."]
    tell(world)
    back = find(world, units=1)
    assert owed(world) == ["L is oversold by 1."]
    assert (back.came_back, back.regressions, back.snoozed_until) == (True, 1, None)
    world.pass_time(86_400)
    assert world.services.anomalies.end_snoozes() == 0


def test_a_snooze_is_ended_early_and_both_are_in_the_log(world: World) -> None:
    anomaly = find(world)
    snooze(world, anomaly)
    assert world.services.desk.unsnooze(anomaly.id, by=ADA)
    assert not world.services.desk.unsnooze(anomaly.id, by=ADA)
    actions = world.services.actions.list(subject=("anomaly", str(anomaly.id)))
    assert [(action.verb, action.reason, action.listing_id) for action in actions] == [
        ("snooze-ended", None, "L"),
        ("anomaly-snoozed", "counted tonight", "L"),
    ]
    assert actions[1].after == actions[0].before == {"snoozed_until": (world.clock.now() + HOUR).isoformat()}


def test_what_is_resolved_is_not_snoozed(world: World) -> None:
    anomaly = find(world)
    world.services.anomalies.resolve([anomaly.fingerprint], "stock came in")
    assert not snooze(world, anomaly)
    assert not world.services.desk.snooze(99, world.clock.now() + HOUR, by=ADA, reason="it is not there")
    assert world.services.actions.list() == []


@pytest.mark.parametrize("length", [timedelta(0), -HOUR, LONGEST_SNOOZE + HOUR])
def test_a_snooze_ends_some_time_and_not_yet(world: World, length: timedelta) -> None:
    anomaly = find(world)
    with pytest.raises(SnoozeRefusedError):
        world.services.desk.snooze(anomaly.id, world.clock.now() + length, by=ADA, reason="why not")
    assert world.services.actions.list() == []


def test_lists_show_those_that_are_snoozed_or_those_that_are_not(world: World) -> None:
    snooze(world, find(world, listing_id="L"))
    find(world, listing_id="M")

    def listed(**more: Any) -> list[str]:
        return sorted(view.listing_id or "" for view in world.services.anomalies.list(**more))

    assert (listed(), listed(snoozed=True), listed(snoozed=False)) == (["L", "M"], ["L"], ["M"])
    assert world.services.anomalies.count_snoozed() == 1
