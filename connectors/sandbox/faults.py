"""Faults on purpose: which call goes wrong, and how.

A fault is armed for an operation (for instance `stock/compare_and_set`), for a number of calls or for good, and strikes
with a probability. The plan only decides; `play` carries a fault out around one call.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable
from enum import StrEnum
from random import Random

from pydantic import BaseModel, ConfigDict, Field
from starlette.background import BackgroundTask
from starlette.responses import Response

from connectors.clock import Clock

from .connection import Dropped

ANY_OPERATION = "*"

_POLL_SECONDS = 0.005
_ERROR_PAGE = "<!DOCTYPE html><html><head><title>{status}</title></head><body><h1>{status}</h1></body></html>"


class FaultKind(StrEnum):
    """What can go wrong with one call."""

    DROP_BEFORE = "drop_before"
    """Break the connection; the call is never executed."""
    DROP_AFTER = "drop_after"
    """Execute the call, then break the connection instead of answering."""
    LATE = "late"
    """Break the connection at once; execute the call `seconds` later."""
    DELAY = "delay"
    """Wait `seconds`, then execute and answer, whether or not the caller is still there."""
    SLOW = "slow"
    """Execute at once, answer `seconds` later."""
    TOO_MANY_REQUESTS = "too_many_requests"
    """Refuse as over the rate limit, with `Retry-After` when `retry_after_seconds` is set. Never executed."""
    SERVER_ERROR = "server_error"
    """500 with an HTML page."""
    BAD_GATEWAY = "bad_gateway"
    """502 with an HTML page."""
    ANSWER = "answer"
    """Any `status`, `body` and `content_type`."""


class Fault(BaseModel):
    """One armed fault."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    operation: str = Field(description="What it strikes; `*` strikes every operation.")
    kind: FaultKind = Field(description="What goes wrong.")
    times: int | None = Field(default=1, ge=1, description="How often it strikes before it is used up; null: for good.")
    skip: int = Field(default=0, ge=0, description="How many calls of the operation pass before it may strike.")
    probability: float = Field(default=1.0, ge=0, le=1, description="The chance to strike a call that it meets.")
    seconds: float = Field(default=0.0, ge=0, description="Sandbox time to wait, for late, delay and slow.")
    executed: bool = Field(
        default=False, description="Whether server_error, bad_gateway and answer come after the act."
    )
    reset: bool = Field(default=True, description="Break the connection by a reset rather than an orderly end.")
    retry_after_seconds: int | None = Field(default=None, ge=0, description="`Retry-After` of too_many_requests.")
    status: int = Field(default=200, description="Status of answer.")
    body: str = Field(default="", description="Body of answer.")
    content_type: str = Field(default="text/html", description="Content type of answer.")


class _Armed:
    def __init__(self, fault: Fault) -> None:
        self.fault = fault
        self.left = fault.times
        self.to_skip = fault.skip


class FaultPlan:
    """Which calls go wrong. Reproducible for one seed and one order of calls; used from the event loop only."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._armed: list[_Armed] = []
        self.struck: Counter[tuple[str, FaultKind]] = Counter()

    def arm(self, fault: Fault) -> None:
        """Add a fault. Several may be armed for one operation; the earliest that strikes wins the call."""
        self._armed.append(_Armed(fault))

    def disarm(self) -> None:
        """Remove every fault."""
        self._armed.clear()

    @property
    def armed(self) -> list[Fault]:
        """What may still strike."""
        return [armed.fault.model_copy(update={"times": armed.left, "skip": armed.to_skip}) for armed in self._armed]

    def strike(self, operation: str) -> Fault | None:
        """The fault that hits this call, if any; uses it up."""
        for armed in self._armed:
            fault = armed.fault
            if fault.operation not in (operation, ANY_OPERATION):
                continue
            if armed.to_skip:
                armed.to_skip -= 1
                continue
            if fault.probability < 1 and self._random.random() >= fault.probability:
                continue
            if armed.left is not None:
                armed.left -= 1
                if not armed.left:
                    self._armed.remove(armed)
            self.struck[operation, fault.kind] += 1
            return fault
        return None


def losing(random: Random, operations: Iterable[str], *, before_rate: float, after_rate: float) -> FaultPlan:
    """A plan that breaks the connection of so many calls of these operations, before or after they are executed."""
    plan = FaultPlan(random)
    for operation in operations:
        for kind, rate in ((FaultKind.DROP_BEFORE, before_rate), (FaultKind.DROP_AFTER, after_rate)):
            if rate:
                plan.arm(Fault(operation=operation, kind=kind, probability=rate, times=None))
    return plan


async def play(
    fault: Fault | None,
    execute: Callable[[], Response],
    *,
    clock: Clock,
    too_many_requests: Callable[[int | None], Response],
) -> Response:
    """Carry out one call under a fault, or undisturbed.

    `execute` does the act and returns its answer; it runs at most once. `too_many_requests` is the vendor's own way to
    refuse, given the `Retry-After`. Waiting goes by the sandbox's clock, so moving that clock ends it.
    """
    if fault is None:
        return execute()
    # Fixed before anything is sent: a caller that sees the connection break may move the clock at once.
    due = clock.monotonic() + fault.seconds
    match fault.kind:
        case FaultKind.DROP_BEFORE:
            return Dropped(reset=fault.reset)
        case FaultKind.DROP_AFTER:
            execute()
            return Dropped(reset=fault.reset)
        case FaultKind.LATE:

            async def execute_later() -> None:
                await _wait(clock, due)
                execute()

            return Dropped(reset=fault.reset, background=BackgroundTask(execute_later))
        case FaultKind.DELAY:
            await _wait(clock, due)
            return execute()
        case FaultKind.SLOW:
            answer = execute()
            await _wait(clock, due)
            return answer
        case FaultKind.TOO_MANY_REQUESTS:
            return too_many_requests(fault.retry_after_seconds)
        case FaultKind.SERVER_ERROR | FaultKind.BAD_GATEWAY | FaultKind.ANSWER:
            if fault.executed:
                execute()
            return _answer(fault)


def _answer(fault: Fault) -> Response:
    if fault.kind is FaultKind.ANSWER:
        return Response(fault.body, fault.status, media_type=fault.content_type)
    status = 500 if fault.kind is FaultKind.SERVER_ERROR else 502
    return Response(_ERROR_PAGE.format(status=status), status, media_type="text/html")


async def _wait(clock: Clock, due: float) -> None:
    # The clock may be moved from another thread, so there is nothing to wait on but the clock itself.
    while (left := due - clock.monotonic()) > 0:  # noqa: ASYNC110
        await asyncio.sleep(min(left, _POLL_SECONDS))
