"""Two beats and a broker that may lose, double and delay every message: nothing but time may depend on them (P2)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from config.settings import Settings
from tests.simulation.scheduler import Scheduler
from worker import schedule

LIVELY_SECONDS = 90.0
"""How long after anything happened the beats keep their full pace."""
LONGEST_STRETCH_SECONDS = 86_400.0


@dataclass(frozen=True, slots=True)
class Message:
    """One message under way."""

    task: str
    expires_at: float


@dataclass(slots=True)
class Weather:
    """How the broker behaves: shares of its messages."""

    lost: float = 0.0
    doubled: float = 0.0
    late: float = 0.0


class Broker:
    """Delivers messages to whichever worker takes them."""

    def __init__(
        self, scheduler: Scheduler, random: Random, weather: Weather, deliver: Callable[[Message], bool]
    ) -> None:
        """`deliver` hands a message to a living worker, if there is one."""
        self._scheduler = scheduler
        self._random = random
        self.weather = weather
        self._deliver = deliver
        self._flushes = 0

    def send(self, task: str, *, expires: float) -> None:
        """Take a message; what becomes of it is the weather's."""
        random, weather = self._random, self.weather
        message = Message(task, self._scheduler.now + expires)
        if random.random() < weather.lost:
            return
        for _ in range(2 if random.random() < weather.doubled else 1):
            late = random.uniform(1.0, 40.0) if random.random() < weather.late else random.uniform(0.001, 0.05)
            self._scheduler.after(late, lambda flushes=self._flushes: self._arrive(message, flushes))  # type: ignore[misc]

    def flush(self) -> None:
        """Lose everything under way."""
        self._flushes += 1

    def _arrive(self, message: Message, flushes: int) -> None:
        if flushes != self._flushes or self._scheduler.now > message.expires_at:
            return
        if not self._deliver(message):
            self._scheduler.after(2.0, lambda: self._arrive(message, flushes))


class Bell:
    """What a process rings with: several rings within a moment are one message, as `worker.doorbell` does it."""

    def __init__(self, scheduler: Scheduler, broker: Broker, is_dead: Callable[[], bool]) -> None:
        self._scheduler = scheduler
        self._broker = broker
        self._is_dead = is_dead
        self._rung: dict[str, None] = {}

    def ring(self, task: str) -> None:
        """See `Doorbell.ring`."""
        if self._is_dead():
            return
        if not self._rung:
            self._scheduler.after(0.05, self._send)
        self._rung[task] = None

    def _send(self) -> None:
        rung, self._rung = self._rung, {}
        if not self._is_dead():
            for task in sorted(rung):
                self._broker.send(task, expires=60)


class Beats:
    """Two beats on one schedule, neither knowing of the other.

    Where nothing has happened for a while they ring more and more seldom, so that a month of silence costs a few dozen
    rings; a ring that is not sent is a lost message, which nothing may depend on.
    """

    def __init__(self, scheduler: Scheduler, broker: Broker, settings: Settings) -> None:
        self._scheduler = scheduler
        self._broker = broker
        # Two beats at half the pace each ring as often as one does.
        self._rings = [schedule.Ring(ring.task, max(30.0, ring.every_seconds * 2)) for ring in schedule.rings(settings)]
        self._lively_until = LIVELY_SECONDS
        self._generation = 0
        self._hushed = False
        for phase in (0.0, 17.3):
            for ring in self._rings:
                self._follow(ring, phase)
        self._begin_stretch()

    def hush(self) -> None:
        """Ring no more by themselves: from now on, only `ring_all`."""
        self._generation += 1
        self._hushed = True

    def stir(self) -> None:
        """Something happened: keep the pace."""
        if self._hushed:
            return
        was_asleep = self._scheduler.now >= self._lively_until
        self._lively_until = self._scheduler.now + LIVELY_SECONDS
        if was_asleep:
            self._generation += 1
            for phase in (0.0, 17.3):
                for ring in self._rings:
                    self._follow(ring, phase)
            self._begin_stretch()

    def ring_all(self) -> None:
        """Ring everything once."""
        for number, ring in enumerate(self._rings):
            self._scheduler.after(number * 0.4, lambda task=ring.task: self._broker.send(task, expires=60))  # type: ignore[misc]

    def _follow(self, ring: schedule.Ring, phase: float) -> None:
        generation = self._generation

        def again() -> None:
            if generation != self._generation or self._scheduler.now >= self._lively_until:
                return
            self._broker.send(ring.task, expires=max(1.0, ring.every_seconds))
            self._scheduler.after(ring.every_seconds, again)

        self._scheduler.after(phase, again)

    def _begin_stretch(self) -> None:
        generation, stretch = self._generation, LIVELY_SECONDS / 4

        def slow(wait: float) -> None:
            if generation != self._generation:
                return
            if self._scheduler.now >= self._lively_until:
                self.ring_all()
                wait = min(wait * 2, LONGEST_STRETCH_SECONDS)
            self._scheduler.after(wait, lambda: slow(wait))

        self._scheduler.after(stretch, lambda: slow(stretch))
