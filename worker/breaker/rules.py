"""When an account rests, who tries it again, and how calls grow once it answers. Pure.

    closed --failures in a row--> open --pause over--> half-open --answer--> ramp --time--> closed
                                   ^                      |                   |
                                   |--------failure-------'                   |
                                   `-----------failures in a row--------------'

Half-open, one call alone is tried: one process makes it, the others wait. While it ramps, every account is called a
little more with each second, so that what has waited does not fall on a vendor that has just come back. A vendor that
loses one answer in fifty works: it must get through the ramp, so that one failure there does not end it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

FAILURES = 3
"""Calls without an answer, in a row, that open a breaker: each began after the one before it had failed, and none was
answered meanwhile. Of many calls at once some may be lost, and come to light together: those are one failure.
"""
IN_A_ROW = timedelta(seconds=60)
"""Failures further apart than this are not in a row: what happened between them, other processes saw."""
FIRST_PAUSE = timedelta(seconds=2)
LONGEST_PAUSE = timedelta(seconds=60)
PROBE = timedelta(seconds=90)
"""How long the one who tries is waited for, unless told otherwise: longer than a read with all its retries usually
takes.
"""
RAMP = timedelta(seconds=30)
DOUBLES_EVERY = timedelta(seconds=5)
"""While it ramps: from one call a second, doubling."""


class State(StrEnum):
    """How an account may be called."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half-open"
    RAMP = "ramp"


@dataclass(frozen=True, slots=True)
class Breaker:
    """What is kept of an account in trouble."""

    failures: int
    failed_at: datetime
    pauses: int = 0
    open_until: datetime | None = None
    probe_until: datetime | None = None
    ramp_from: datetime | None = None
    granted: int = 0

    def state(self, now: datetime) -> State:
        if self.open_until is not None:
            return State.OPEN if now < self.open_until else State.HALF_OPEN
        if self.ramp_from is not None and now - self.ramp_from < RAMP:
            return State.RAMP
        return State.CLOSED

    def is_in_trouble(self, now: datetime) -> bool:
        """Whether its last call, not long ago, brought no answer."""
        if self.open_until is not None:
            return True
        return self.failures > 0 and now - self.failed_at <= IN_A_ROW

    @property
    def pause(self) -> timedelta:
        """How long it rests, opened this often."""
        return min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** min(self.pauses - 1, 10))


def after_failure(held: Breaker | None, asked_at: datetime, now: datetime) -> Breaker:
    """A call that began at `asked_at` brought no answer."""
    if held is None:
        return Breaker(1, now)
    match held.state(now):
        case State.OPEN:
            # It was sent before the breaker opened.
            return held
        case State.HALF_OPEN:
            return _opened(held, now)
        case _ if asked_at < held.failed_at:
            return held
        case State.RAMP:
            counted = replace(held, failures=held.failures + 1, failed_at=now)
            return _opened(counted, now) if counted.failures >= FAILURES else counted
        case State.CLOSED:
            # From its beginning: to get no answer may take longer than any pause between two calls.
            in_a_row = held.failures + 1 if asked_at - held.failed_at <= IN_A_ROW else 1
            counted = Breaker(in_a_row, now)
            return _opened(counted, now) if in_a_row >= FAILURES else counted


def after_answer(held: Breaker, asked_at: datetime, now: datetime) -> Breaker | None:
    """A call that began at `asked_at` was answered; None: the account works."""
    if held.open_until is not None:
        if asked_at < held.open_until:
            # It was sent before the breaker opened, and says nothing about now.
            return held
        return Breaker(0, held.failed_at, held.pauses, ramp_from=now, granted=1)
    return replace(held, failures=0) if held.state(now) is State.RAMP else None


def allowance(held: Breaker, now: datetime) -> int:
    """Calls that a ramping account may get now, by all processes together."""
    assert held.ramp_from is not None  # noqa: S101  asked of ramping ones only
    doublings = max(timedelta(0), now - held.ramp_from) / DOUBLES_EVERY
    calls = 1 + DOUBLES_EVERY.total_seconds() / math.log(2) * (2.0**doublings - 1)
    return max(0, int(calls) - held.granted)


def _opened(held: Breaker, now: datetime) -> Breaker:
    opened = Breaker(held.failures, now, held.pauses + 1)
    return Breaker(held.failures, now, opened.pauses, open_until=now + opened.pause)
