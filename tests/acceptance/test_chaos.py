"""Real processes under kills and outages while orders flow: at the end every number is what it must be."""

from __future__ import annotations

import pytest

from tests.chaos import receiver
from tests.chaos.run import Options, run

pytestmark = pytest.mark.timeout(1800)


def test_two_minutes_of_kills_and_outages_leave_no_difference() -> None:
    outcome = run(Options(minutes=2, seed=2, round_seconds=60))
    assert outcome.differences == []
    assert len(outcome.rounds) == 2
    assert outcome.outages >= 20
    assert outcome.acknowledged > 0
    assert outcome.proof is not None
    assert outcome.proof.units_applied > 0


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_no_acknowledged_delivery_is_lost_when_the_receiver_is_killed(database: str, redis_url: str) -> None:
    outcome = receiver.measure(database, kills=4, seed=1, redis_url=redis_url)
    assert outcome.lost == 0
    assert outcome.stored == outcome.acknowledged > 4 * receiver.UNDER_WAY
