"""The fault plan, and what `play` makes of one fault. That connections really break is shown over HTTP elsewhere."""

from __future__ import annotations

import asyncio
from random import Random

import pytest
from pydantic import ValidationError
from starlette.responses import Response

from connectors.sandbox.clock import VirtualClock
from connectors.sandbox.connection import Dropped
from connectors.sandbox.faults import Fault, FaultKind, FaultPlan, play

CALL = "stock/compare_and_set"


@pytest.fixture
def plan() -> FaultPlan:
    return FaultPlan(Random(5))


def strikes(plan: FaultPlan, calls: int, operation: str = CALL) -> list[bool]:
    return [plan.strike(operation) is not None for _ in range(calls)]


def test_nothing_goes_wrong_unless_armed(plan: FaultPlan) -> None:
    assert strikes(plan, 3) == [False] * 3


def test_a_fault_strikes_as_often_as_armed(plan: FaultPlan) -> None:
    plan.arm(Fault(operation=CALL, kind=FaultKind.SLOW, times=2))
    assert strikes(plan, 4) == [True, True, False, False]
    assert plan.armed == []
    assert plan.struck == {(CALL, FaultKind.SLOW): 2}


def test_a_fault_strikes_only_its_operation(plan: FaultPlan) -> None:
    plan.arm(Fault(operation=CALL, kind=FaultKind.SLOW))
    assert strikes(plan, 2, "listings/show") == [False, False]
    assert strikes(plan, 1) == [True]


def test_a_star_strikes_every_operation(plan: FaultPlan) -> None:
    plan.arm(Fault(operation="*", kind=FaultKind.SLOW))
    assert strikes(plan, 1, "anything") == [True]


def test_calls_can_pass_before_a_fault(plan: FaultPlan) -> None:
    plan.arm(Fault(operation=CALL, kind=FaultKind.SLOW, skip=2))
    assert strikes(plan, 4) == [False, False, True, False]


def test_a_standing_rate_strikes_about_its_share_and_the_same_calls_for_one_seed() -> None:
    runs = []
    for _ in range(2):
        plan = FaultPlan(Random(5))
        plan.arm(Fault(operation=CALL, kind=FaultKind.DROP_AFTER, probability=0.1, times=None))
        runs.append(strikes(plan, 2_000))
    assert runs[0] == runs[1]
    assert 150 < sum(runs[0]) < 250


def test_the_first_armed_fault_that_strikes_wins(plan: FaultPlan) -> None:
    for kind in (FaultKind.SLOW, FaultKind.DELAY):
        plan.arm(Fault(operation=CALL, kind=kind))
    struck = [plan.strike(CALL), plan.strike(CALL)]
    assert [fault and fault.kind for fault in struck] == [FaultKind.SLOW, FaultKind.DELAY]


def test_disarming_ends_every_fault(plan: FaultPlan) -> None:
    plan.arm(Fault(operation=CALL, kind=FaultKind.SLOW, times=None))
    plan.disarm()
    assert strikes(plan, 1) == [False]


def test_a_misspelt_fault_is_refused() -> None:
    with pytest.raises(ValidationError):
        Fault.model_validate({"operation": CALL, "kind": "drop_sometimes"})


@pytest.mark.parametrize(
    ("fault", "executions", "status"),
    [
        (None, 1, 200),
        (Fault(operation=CALL, kind=FaultKind.DELAY, seconds=3), 1, 200),
        (Fault(operation=CALL, kind=FaultKind.SLOW, seconds=3), 1, 200),
        (Fault(operation=CALL, kind=FaultKind.TOO_MANY_REQUESTS, retry_after_seconds=7), 0, 429),
        (Fault(operation=CALL, kind=FaultKind.SERVER_ERROR), 0, 500),
        (Fault(operation=CALL, kind=FaultKind.SERVER_ERROR, executed=True), 1, 500),
        (Fault(operation=CALL, kind=FaultKind.BAD_GATEWAY), 0, 502),
        (Fault(operation=CALL, kind=FaultKind.ANSWER, status=418, body="<p>", executed=True), 1, 418),
        (Fault(operation=CALL, kind=FaultKind.DROP_BEFORE), 0, Dropped),
        (Fault(operation=CALL, kind=FaultKind.DROP_AFTER), 1, Dropped),
        (Fault(operation=CALL, kind=FaultKind.LATE, seconds=3), 0, Dropped),
    ],
)
def test_each_kind_executes_and_answers_as_it_says(
    fault: Fault | None, executions: int, status: int | type[Dropped]
) -> None:
    executed = []

    def execute() -> Response:
        executed.append(True)
        return Response("done")

    class Impatient(VirtualClock):
        """Lets a second pass whenever it is looked at, so that waiting ends without waiting."""

        def monotonic(self) -> float:
            self.advance(1)
            return super().monotonic()

    def refuse(seconds: int | None) -> Response:
        return Response("slow down", 429, headers={"Retry-After": str(seconds)})

    answer = asyncio.run(play(fault, execute, clock=Impatient(), too_many_requests=refuse))
    assert len(executed) == executions
    if isinstance(status, int):
        assert answer.status_code == status
    else:
        assert isinstance(answer, status)
    if answer.status_code == 429:
        assert answer.headers["retry-after"] == "7"
    if answer.status_code in {500, 502, 418}:
        assert answer.headers["content-type"].startswith("text/html")
