"""The processes of one deployment: workers and a receiver, each the real code with a clock and a life of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from random import Random
from typing import Any

import httpx
from prometheus_client import CollectorRegistry

from config.settings import ChannelSettings, MarketplaceSettings, Settings
from connectors.budget import Priority, Scope
from connectors.clock import Clock
from connectors.contract import Channel, Marketplace
from connectors.errors import RateLimited
from connectors.http import Toolbox
from connectors.registry import connector
from tests.simulation.broker import Bell, Broker, Message
from tests.simulation.database import SimulatedStore
from tests.simulation.network import Answer, Network, ask
from tests.simulation.scheduler import ParkingLock, Process, ProcessClock, Scheduler, SideBySide
from worker.intake.inbox import Incoming
from worker.services import Services
from worker.store import StorageUnavailable
from worker.tasks import Tasks, register
from worker.web.batching import Batcher
from worker.web.metrics import Meters
from worker.web.receiver import Receiver

ANSWER_SECONDS = 5.0
"""How long a sender of webhooks waits."""
MOST_WAIT_SECONDS = 30.0


class Patience:
    """Rate budgets of one process that only obey penalties: who waits parks, instead of blocking the one thread."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._blocked_until: dict[str, float] = {}

    @contextmanager
    def spend(self, scope: Scope, *, priority: Priority, cost: float = 1.0) -> Iterator[None]:
        """See `Budgets.spend`."""
        wait = self._blocked_until.get(scope.key, 0.0) - self._clock.monotonic()
        if wait > MOST_WAIT_SECONDS:
            raise RateLimited("no turn; nothing was sent", code="budget", retry_after_seconds=wait)
        self._clock.sleep(wait)
        yield

    def penalise(self, scope: Scope, seconds: float) -> None:
        """See `Budgets.penalise`."""
        until = self._clock.monotonic() + seconds
        self._blocked_until[scope.key] = max(until, self._blocked_until.get(scope.key, 0.0))

    def left(self) -> Mapping[str, float]:
        """See `Budgets.left`: nothing is counted here."""
        return {}


class Surroundings:
    """What every process of a history is put into."""

    def __init__(
        self, scheduler: Scheduler, store: SimulatedStore, network: Network, settings: Settings, random: Random
    ) -> None:
        self.scheduler = scheduler
        self.store = store
        self.network = network
        self.settings = settings
        self.random = random

    def services(self, process: Process) -> Services:
        """Fresh rooms and connections for one life of a process."""
        clock, random = ProcessClock(self.scheduler, process), Random(self.random.getrandbits(64))
        toolbox = Toolbox(
            clock=clock,
            budgets=Patience(clock),
            random=random,
            transport=self.network.transport(process),
            lock=lambda: ParkingLock(self.scheduler),
        )
        return Services(
            self.settings,
            clock=clock,
            store=self.store,
            executor=SideBySide(self.scheduler, process),
            randomness=random,
            marketplace=_marketplace(self.settings.marketplace, toolbox),
            channels={name: _channel(name, channel, toolbox) for name, channel in self.settings.channels.items()},
        )


def _marketplace(settings: MarketplaceSettings, toolbox: Toolbox) -> Marketplace:
    opens = connector(settings.connector).open_marketplace
    assert opens is not None, "a marketplace of a pairing is one"
    return opens(settings.options, toolbox)


def _channel(name: str, settings: ChannelSettings, toolbox: Toolbox) -> Channel:
    opens = connector(settings.connector).open_channel
    assert opens is not None, "a shop of a pairing is a channel"
    return opens(name, settings.options, toolbox)


class Host:
    """A place where one process after the other lives; its clock may be off, whoever lives there."""

    def __init__(self, name: str, around: Surroundings) -> None:
        self.name = name
        self.around = around
        self.skew_seconds = 0.0
        self.process = Process(name)
        self.process.dead = True

    @property
    def is_up(self) -> bool:
        return not self.process.dead

    def start(self) -> None:
        """Begin a new life, if there is none."""
        if self.is_up:
            return
        self.process = Process(self.name, skew_seconds=self.skew_seconds)
        self._build()

    def crash(self) -> None:
        """End this life; its tasks end at the boundary they are parked at."""
        self.process.dead = True

    def skew(self, seconds: float) -> None:
        """Set the host's clock wrong."""
        self.skew_seconds = self.process.skew_seconds = seconds

    def _build(self) -> None:
        raise NotImplementedError


class Worker(Host):
    """A worker process: the real tasks, run when a message arrives."""

    def __init__(self, name: str, around: Surroundings, broker: Broker) -> None:
        super().__init__(name, around)
        self._broker = broker
        self._runs: dict[str, Callable[[], None]] = {}
        self.tasks: dict[str, object] = {}
        """As `Celery.tasks`: it brings none of its own here."""
        self.services: Services | None = None

    def _build(self) -> None:
        process = self.process
        bell = Bell(self.around.scheduler, self._broker, lambda: process.dead)
        self.services = self.around.services(process)
        self._runs = {}
        register(self, Tasks(self.services, bell))  # type: ignore[arg-type]

        services = self.services

        def settle_in() -> None:
            try:
                services.register_channels()
            except StorageUnavailable:
                # It ends with an error, and whatever watches over it starts it again.
                process.dead = True
                self.around.scheduler.after(2.0, self.start)

        self.around.scheduler.spawn(process, settle_in)

    def task(self, run: Callable[[], None], *, name: str, **_how: Any) -> None:
        """As `Celery.task`: where the real code registers its tasks."""
        self._runs[name] = run

    def take(self, message: Message) -> None:
        """Run the task that a message names."""
        run = self._runs[message.task]
        self.around.scheduler.spawn(self.process, run)


class _AtOnce(Batcher):
    """Stores each delivery in the commit it would have had by itself: batching needs an event loop."""

    def __init__(self, put: Callable[[Sequence[Incoming]], object]) -> None:
        self._put_now = put

    async def store(self, delivery: Incoming) -> None:
        """See `Batcher.store`."""
        self._put_now([delivery])


class Web(Host):
    """The receiver's process: the real receiver behind the address that webhooks go to."""

    def __init__(self, name: str, around: Surroundings, broker: Broker) -> None:
        super().__init__(name, around)
        self._broker = broker
        self._receiver: Receiver | None = None

    def _build(self) -> None:
        process = self.process
        bell = Bell(self.around.scheduler, self._broker, lambda: process.dead)
        services = self.around.services(process)

        def put(deliveries: Sequence[Incoming]) -> None:
            services.inbox.put(deliveries)
            bell.ring("trueup.intake")

        self._receiver = Receiver(
            services.channels,
            services.clock,
            _AtOnce(put),
            Meters(CollectorRegistry(), services.channels),
            max_body_bytes=self.around.settings.web.max_body_bytes,
            ask_for_poll=lambda _channel: None,
        )

    def post(self, url: str, headers: dict[str, str], body: bytes, answered: Callable[[int | None], None]) -> None:
        """A delivery arrives; `answered` learns its status, None where nobody answered."""
        if not self.is_up or self._receiver is None:
            answered(None)
            return
        request = httpx.Request("POST", url, headers=headers, content=body)
        receiver: Any = self._receiver
        params = {"channel": request.url.path.rpartition("/")[2]}
        told: list[int | None] = []

        def tell(status: int | None) -> None:
            if not told:
                told.append(status)
                answered(status)

        def handle() -> None:
            answer: Answer = ask(receiver, request, "vendor", params)
            self.around.scheduler.after(0.0, lambda: tell(answer.status))

        # Whatever became of it here: the sender hangs up by then, and comes again.
        self.around.scheduler.after(ANSWER_SECONDS, lambda: tell(None))
        self.around.scheduler.spawn(self.process, handle)
