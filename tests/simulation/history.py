"""One history from its beginning to its verdict: a deployment, what happens to it, and the quiet afterwards."""

from __future__ import annotations

import logging
import uuid
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from random import Random
from unittest import mock

import structlog

from connectors.contract import Guard
from connectors.sandbox.clock import VirtualClock
from tests.simulation import promises
from tests.simulation.books import Books
from tests.simulation.broker import Beats, Broker, Message, Weather
from tests.simulation.courier import Courier, Post
from tests.simulation.database import Database
from tests.simulation.events import Event, Telling, TellOfOwn
from tests.simulation.happenings import Happenings
from tests.simulation.idle import Idle
from tests.simulation.network import Network, Vendor
from tests.simulation.operator import Operator
from tests.simulation.processes import Surroundings, Web, Worker
from tests.simulation.scenario import Scenario
from tests.simulation.scheduler import Scheduler
from tests.simulation.settings import BEGINNING, settings
from tests.simulation.trace import Trace
from tests.simulation.trouble import Troubles
from tests.simulation.vendors import MARKETS, SHOPS
from tests.simulation.witness import BrokenPromise, EyeWitness

SETTLING = ((15.0, 2), (60.0, 3), (300.0, 1), (900.0, 4))
MONTH = ((21_600.0, 2), (86_400.0, 1), (518_400.0, 1), (86_400.0, 1), (1_987_200.0, 1), (86_400.0, 1))
"""Past the looks after 1, 7 and 30 days."""
LULL = ((15.0, 4), (1250.0, 1), (15.0, 6))
"""How the beats ring once the faults have stopped: seconds, and times. What ran out last has time to be closed."""


MOST_QUESTIONS = 8
"""How often people are asked, one thing after the other, before nothing may be left to ask."""


PEOPLE_DECIDE = 0.1
"""How likely it is, after any event, that people answer what is asked; much is, where no log names the author."""


@dataclass(slots=True)
class Verdict:
    """What came of a history."""

    seed: int
    broken: BrokenPromise | None
    trace: Trace
    events: int
    counts: Counter[str] = field(default_factory=Counter)


_database: list[Database] = []


def database() -> Database:
    """The one of this operating system process."""
    if not _database:
        _database.append(Database())
    return _database[0]


def play(scenario: Scenario) -> Verdict:
    """Run one scenario to its verdict. The same scenario always gives the same trace."""
    with _seeded(scenario.seed), _silent():
        return Deployment(scenario, database()).play()


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Names that are made up at random are made up from the seed."""
    random = Random(f"names {seed}")

    def made_up() -> uuid.UUID:
        return uuid.UUID(int=random.getrandbits(128), version=4)

    with mock.patch("uuid.uuid4", made_up):
        yield


@contextmanager
def _silent() -> Iterator[None]:
    """What the processes log is not what a history is judged by, and writing it costs more than the rest."""
    before = structlog.get_config()
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL), cache_logger_on_first_use=False
    )
    try:
        yield
    finally:
        structlog.configure(**before)


MET_LATE = "SELECT channel, order_id FROM orders WHERE state = 'parked' AND reason LIKE 'first seen %'"


class Deployment:
    """Everything of one history, put together."""

    def __init__(self, scenario: Scenario, database: Database) -> None:
        profile = scenario.profile
        self.scenario = scenario
        self.random = Random(f"run {scenario.seed}")
        self.people = Random(f"people {scenario.seed}")
        self.clock = VirtualClock(BEGINNING)
        self.scheduler = Scheduler(self.clock)
        self.trace = Trace()
        self.database = database
        store = database.fresh()
        market, shop = MARKETS[scenario.pairing.market], SHOPS[scenario.pairing.shop]
        self.market = market(self.clock, seed=scenario.seed)
        self.market.choose(self.random)
        self.market.tell_of_own(profile.telling.value)
        self.tellings = {profile.telling} | {event.telling for event in scenario.events if isinstance(event, TellOfOwn)}
        self.books = Books(int(BEGINNING.timestamp()))
        self.shops = [
            shop(number, self.clock, self.books, seed=scenario.seed * 10 + number, random=self.random)
            for number in range(profile.shops)
        ]
        self.witness = EyeWitness(self.scheduler, database, self.market, self.trace)
        self.witness.feed_is_complete = self.market.has_feed and self.tellings == {Telling.ATTRIBUTED}
        self.market.writing = self.witness.is_writing
        self.network = Network(self.scheduler, self.random, self.witness)
        self.vendors = [
            Vendor("marketplace", self.market.app, self.market.call_of),
            *(Vendor(each.channel, each.app, each.call_of) for each in self.shops),
        ]
        self.network.vendors = {self.market.host: self.vendors[0]} | {
            each.host: vendor for each, vendor in zip(self.shops, self.vendors[1:], strict=True)
        }
        self.settings = settings(
            self.market,
            self.shops,
            close_after_seconds=profile.close_after_seconds,
            settle_after_seconds=profile.settle_after_seconds,
        )
        around = Surroundings(self.scheduler, store, self.network, self.settings, self.random)
        self.broker = Broker(self.scheduler, self.random, Weather(), self._deliver)
        self.workers = [Worker(f"worker-{number}", around, self.broker) for number in range(profile.workers)]
        self.web = Web("receiver", around, self.broker)
        self.hosts = [*self.workers, self.web]
        self.troubles = Troubles(self.scheduler, self.random, self.hosts, self.witness)
        store.before, store.committed = self.troubles.before, self.troubles.committed
        self.network.boundary = self.troubles.boundary
        self.operator = Operator(around, self.books, self.market, self.shops, self.witness)
        self.idle = Idle(database, self.clock, self.random, overwrites=self.market.guard is Guard.ABSOLUTE)
        self.beats = Beats(self.scheduler, self.broker, self.settings)
        self.couriers = [
            Courier(self.scheduler, self.web, Post(), shop, self.witness.note, self.beats.stir) for shop in self.shops
        ]

    def play(self) -> Verdict:
        """From beginning to end."""
        happenings = Happenings(self)
        try:
            self._begin()
            for event in self.scenario.events:
                if self._over():
                    break
                self.scheduler.run_until(event.at)
                self._happen(happenings, event)
            if not self._over():
                self._end(happenings)
        finally:
            self.scheduler.close()
        return Verdict(
            self.scenario.seed, self.witness.broken, self.trace, len(self.scenario.events), self._counts(happenings)
        )

    def _over(self) -> bool:
        for name, error in self.scheduler.failures:
            self.witness.breaks("task", "", f"{name} raised {type(error).__name__}: {error}")
        return self.witness.broken is not None

    def _deliver(self, message: Message) -> bool:
        if not self.idle.would_find_something(message):
            return True
        up = [worker for worker in self.workers if worker.is_up]
        if not up:
            return False
        self.random.choice(up).take(message)
        return True

    # --- the beginning ----------------------------------------------------------------------------------------

    def _begin(self) -> None:
        """A deployment that works: listings swept, SKUs linked, webhooks registered."""
        profile = self.scenario.profile
        for number, units in enumerate(profile.opening):
            listing_id = self.market.add_listing(f"L{number}", units)
            self.witness.note("setup", f"L{number} is {listing_id} with {units} units")
        self.operator.start()
        for host, skew in zip(self.hosts, profile.skews, strict=False):
            host.skew(skew)
            host.start()
        self.operator.set_up(profile.links)
        self.scheduler.run_until(4.5)
        if not self.operator.is_set_up:
            self.witness.breaks("setup", "", "the deployment is not ready in time")
        self.broker.weather = profile.weather
        self.market.delay(profile.feed_delay_seconds, profile.search_lag_seconds)
        self.network.flawless = self.troubles.calm = False
        for courier in self.couriers:
            courier.post = profile.post
            courier.tells_deletions = not profile.patient
        for shop in self.shops:
            shop.deletions_are_found = profile.patient or shop.tells_deletions
        self.beats.stir()

    def _happen(self, happenings: Happenings, event: Event) -> None:
        self._pass_time()
        self.beats.stir()
        happenings.happen(event)
        if self.market.guard is not Guard.COMPARE_AND_SET and self.people.random() < PEOPLE_DECIDE:
            self.operator.decide(all_of_them=False)

    def _pass_time(self) -> None:
        self.market.pass_time()
        for shop in self.shops:
            shop.pass_time()

    # --- the quiet --------------------------------------------------------------------------------------------

    def _end(self, happenings: Happenings) -> None:
        """The faults stop, time runs until nothing moves, and the promises are examined; then once more after people
        have decided what only they can."""
        happenings.stop_faults()
        self.beats.hush()
        self._rest(SETTLING + (MONTH if self.scenario.profile.patient else ()) + LULL)
        if self._over():
            return
        promises.examine(self, decided=False)
        if self._over():
            return
        for left in range(MOST_QUESTIONS, 0, -1):
            if not self.operator.decide():
                break
            self._rest(SETTLING + LULL)
            if self._over():
                return
            promises.examine(self, decided=left == 1)
        self._over()

    def _rest(self, rings: Sequence[tuple[float, int]]) -> None:
        for seconds, times in rings:
            for _ in range(times):
                self.beats.ring_all()
                self.scheduler.run_until(self.scheduler.now + seconds)
                self._pass_time()
                self.operator.accept_late_sales(self.database.rows(MET_LATE))
                if self._over():
                    return

    def _counts(self, happenings: Happenings) -> Counter[str]:
        counts = Counter(happenings.counts)
        counts.update({f"call {call.value}": number for call, number in self.witness.calls.items()})
        counts["commits"] = self.witness.commits
        counts["switches"] = self.scheduler.switches
        counts["written"] = sum(len(sent.executed) for sent in self.witness.operations.values())
        counts["named differences"] = self.witness.named_differences
        counts["attributed only"] = int(self.tellings == {Telling.ATTRIBUTED})
        return counts
