"""What goes wrong when, in a chaos run."""

from __future__ import annotations

from itertools import pairwise
from random import Random

import pytest

from tests.chaos import flow, plan
from tests.chaos.plan import LONG_OUTAGE_SECONDS, OUTAGES, Fault, Kind
from tests.chaos.run import windows
from tests.chaos.strikes import Struck
from worker.demo.replay import LineKey

SECONDS = 120.0


def planned(seed: int, number: int = 1) -> list[Fault]:
    return plan.faults(Random(seed), plan.service(("worker-1", "worker-2")), seconds=SECONDS, round_number=number)


@pytest.mark.parametrize("seed", range(20))
def test_no_part_has_two_faults_at_a_time_and_none_outlasts_the_round(seed: int) -> None:
    faults = planned(seed)
    assert max(fault.ends_seconds for fault in faults) <= SECONDS
    for target in {fault.target for fault in faults}:
        own = [fault for fault in faults if fault.target == target]
        assert all(before.ends_seconds < after.at_seconds for before, after in pairwise(own))


def test_a_seed_draws_the_same_faults_again() -> None:
    assert planned(3) == planned(3) != planned(4)


def test_thirty_minutes_hold_more_than_two_hundred_kills_and_outages() -> None:
    faults = [fault for number in range(15) for fault in planned(number, number)]
    assert sum(fault.kind in OUTAGES for fault in faults) > 250
    assert {fault.kind for fault in faults} == set(Kind) - {Kind.FULL}


def test_the_marketplace_is_down_for_a_minute_in_every_third_round() -> None:
    long = Fault(plan.FIRST_AFTER_SECONDS, Kind.REFUSE, "marketplace", LONG_OUTAGE_SECONDS)
    assert [long in planned(1, number) for number in range(4)] == [True, False, False, True]


def test_what_must_be_committed_grows_with_the_rounds() -> None:
    whole = flow.plan(3, 200, 1)
    line_ids = {key: f"{key.order}-{key.position}" for key in whole.replay.lines}
    expected = [whole.expected(rounds, line_ids) for rounds in range(4)]
    assert expected[0].committed == {}
    assert len(expected[1].committed) < len(expected[2].committed) < len(expected[3].committed)
    assert expected[3].committed == {line_ids[key]: units for key, units in whole.replay.committed.items()}
    assert LineKey(0, 0) in line_ids


def test_a_vendor_is_watched_for_a_storm_after_each_return() -> None:
    def away(kind: Kind, began: float, ended: float) -> Struck:
        return Struck(Fault(0, kind, "shop", 0), None, began, ended)  # type: ignore[arg-type]  # no moment is needed

    struck = [away(Kind.REFUSE, 10, 20), away(Kind.SLOW, 22, 24), away(Kind.PAUSE, 40, 50)]
    assert windows(struck, "shop", 0, 100) == ([(20, 40), (50, 80)], [(0, 10), (80, 100)])
    assert windows(struck, "marketplace", 0, 100) == ([], [(0, 100)])
