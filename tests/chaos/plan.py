"""What goes wrong when: a list drawn from a seed. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from random import Random

MOST_AT_ONCE = 3
"""Faults under way at the same time; with everything away nothing would be under test."""
MEAN_SECONDS_BETWEEN = 3.0
FIRST_AFTER_SECONDS = 2.0
LONG_OUTAGE_SECONDS = 60.0
LONG_OUTAGE_EVERY_ROUNDS = 3


class Kind(StrEnum):
    """What can be done to a part, or to the line that leads to it."""

    KILL = "SIGKILL"
    """The process dies at once, and is started again after a while."""
    KILL_BACKEND = "SIGKILL of a database session"
    """PostgreSQL then ends every session and recovers."""
    IMMEDIATE = "immediate stop"
    """`pg_ctl stop -m immediate`, then a start: recovery from the write-ahead log."""
    RESTART = "restart without what it held"
    FLUSH = "flush"
    """Everything the broker holds is thrown away; it goes on running."""
    PAUSE = "SIGSTOP"
    """The process stands still, then goes on as if nothing had been."""
    REFUSE = "connections refused"
    SILENCE = "silence"
    """Nothing gets through in either direction; what was sent meanwhile arrives afterwards."""
    FULL = "disk full"
    CUT = "answers cut"
    """Some answers break off in their middle."""
    SLOW = "answers slow"


OUTAGES = frozenset(Kind) - {Kind.CUT, Kind.SLOW}
"""What counts as a kill or an outage: something is gone, or gives no answer at all."""


@dataclass(frozen=True, slots=True)
class Possibility:
    """Something that may be done to one part."""

    kind: Kind
    target: str
    weight: int
    seconds: tuple[float, float]
    """How long it lasts; for a kill, how long until the process is started again."""


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that will be done."""

    at_seconds: float
    """After the round's start."""
    kind: Kind
    target: str
    seconds: float

    @property
    def ends_seconds(self) -> float:
        return self.at_seconds + self.seconds


def faults(random: Random, possibilities: Sequence[Possibility], *, seconds: float, round_number: int) -> list[Fault]:
    """The faults of one round, by their moment. None outlasts the round; no part has two at a time."""
    planned: list[Fault] = []
    if round_number % LONG_OUTAGE_EVERY_ROUNDS == 0 and seconds > LONG_OUTAGE_SECONDS * 1.5:
        planned.append(Fault(FIRST_AFTER_SECONDS, Kind.REFUSE, "marketplace", LONG_OUTAGE_SECONDS))
    moment = FIRST_AFTER_SECONDS
    while moment < seconds:
        under_way = {fault.target for fault in planned if fault.at_seconds <= moment <= fault.ends_seconds + 1}
        free = [one for one in possibilities if one.target not in under_way]
        if free and len(under_way) < MOST_AT_ONCE:
            chosen = random.choices(free, [one.weight for one in free])[0]
            lasts = min(random.uniform(*chosen.seconds), seconds - moment)
            planned.append(Fault(moment, chosen.kind, chosen.target, lasts))
        moment += random.expovariate(1 / MEAN_SECONDS_BETWEEN)
    return planned


def vendors_and_line() -> list[Possibility]:
    """What happens to both vendors, and between the shop and the receiver, in every mode."""
    return [
        *(
            Possibility(kind, vendor, weight, seconds)
            for vendor in ("marketplace", "shop")
            for kind, weight, seconds in (
                (Kind.CUT, 3, (2.0, 6.0)),
                (Kind.REFUSE, 2, (2.0, 15.0)),
                (Kind.SILENCE, 2, (2.0, 15.0)),
                (Kind.PAUSE, 1, (1.0, 12.0)),
                (Kind.SLOW, 1, (5.0, 12.0)),
            )
        ),
        Possibility(Kind.CUT, "webhooks", 2, (2.0, 6.0)),
        Possibility(Kind.REFUSE, "webhooks", 1, (1.0, 6.0)),
        Possibility(Kind.SILENCE, "webhooks", 1, (1.0, 7.0)),
    ]


def service(workers: Sequence[str]) -> list[Possibility]:
    """Service mode: the processes of trueup, PostgreSQL and Redis."""
    return [
        *vendors_and_line(),
        *(
            Possibility(kind, name, weight, seconds)
            for name in workers
            for kind, weight, seconds in ((Kind.KILL, 4, (0.0, 3.0)), (Kind.PAUSE, 2, (1.0, 12.0)))
        ),
        Possibility(Kind.KILL, "web", 4, (0.0, 2.0)),
        Possibility(Kind.PAUSE, "web", 2, (1.0, 7.0)),
        Possibility(Kind.KILL, "beat", 2, (0.0, 5.0)),
        Possibility(Kind.PAUSE, "beat", 1, (1.0, 10.0)),
        Possibility(Kind.IMMEDIATE, "postgresql", 3, (0.0, 4.0)),
        Possibility(Kind.KILL_BACKEND, "postgresql", 2, (0.0, 1.0)),
        Possibility(Kind.PAUSE, "postgresql", 1, (1.0, 6.0)),
        Possibility(Kind.CUT, "postgresql", 4, (1.0, 3.0)),
        Possibility(Kind.SILENCE, "postgresql", 1, (2.0, 8.0)),
        *broker("redis"),
    ]


def broker(name: str) -> list[Possibility]:
    """What happens to a message broker."""
    return [
        Possibility(Kind.KILL, name, 2, (0.0, 5.0)),
        Possibility(Kind.RESTART, name, 1, (0.0, 3.0)),
        Possibility(Kind.FLUSH, name, 3, (0.0, 0.0)),
        Possibility(Kind.PAUSE, name, 1, (1.0, 8.0)),
        Possibility(Kind.CUT, name, 2, (1.0, 3.0)),
        Possibility(Kind.SILENCE, name, 1, (2.0, 8.0)),
        Possibility(Kind.REFUSE, name, 1, (2.0, 8.0)),
    ]


def embedded() -> list[Possibility]:
    """Embedded mode: one process, SQLite."""
    return [
        *vendors_and_line(),
        Possibility(Kind.KILL, "trueup", 10, (0.0, 3.0)),
        Possibility(Kind.PAUSE, "trueup", 4, (1.0, 12.0)),
        Possibility(Kind.FULL, "disk", 8, (3.0, 15.0)),
    ]
