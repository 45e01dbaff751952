"""Credentials are refused: that account stops, one alert, its work waits, and goes on by itself after `doctor`."""

from __future__ import annotations

import pytest

from connectors.contract import Check
from connectors.errors import Unauthorized
from tests.world import CHANNEL, World
from worker.status.doctor import Doctor
from worker.store.tables import Alert
from worker.tasks import Tasks, _quietly


class Service:
    """Everything the schedule rings, as it is rung."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.tasks = Tasks(world.services, self)  # type: ignore[arg-type]

    def ring(self, task: str) -> None: ...

    def run(self, rounds: int) -> None:
        for _ in range(rounds):
            for run in (
                self.tasks.poll,
                self.tasks.intake,
                self.tasks.reconcile,
                self.tasks.feed,
                self.tasks.upkeep,
                self.tasks.sweep,
                self.tasks.housekeeping,
                self.tasks.alerts,
            ):
                _quietly(run)()
            self.world.pass_time(30)


@pytest.fixture
def service(world: World) -> Service:
    world.listing("L", 10)
    world.link()
    service = Service(world)
    service.run(10)
    return service


def refuse(world: World, account: object, *methods: str) -> None:
    for method in methods:
        world_faults = [Unauthorized("revoked")] * 100
        account.fail(method, *world_faults)  # type: ignore[attr-defined]


def accept(account: object) -> None:
    account.faults.clear()  # type: ignore[attr-defined]


def test_a_channel_stops_alone_and_goes_on_after_doctor(service: Service) -> None:
    world = service.world
    refuse(world, world.channel, "orders", "order", "recent")
    world.sell("1", {"A": 1})
    service.run(20)
    calls = len(world.channel.calls)
    service.run(200)
    assert len(world.channel.calls) == calls
    assert world.holds() == ["re-authorisation"]
    assert world.anomalies() == ["needs-reauthorisation"]
    assert len(world.rows(Alert.id)) == 1
    # What it sold before waits: whether it was undone since, nobody can ask.
    accept(world.channel)
    world.channel.put("2", {"A": 2})
    list(Doctor(world.services).examine())
    service.run(20)
    assert world.total() == 7
    assert (world.holds(), world.anomalies()) == ([], [])
    world.assert_p1()


def test_the_marketplace_stops_and_everything_goes_on_after_doctor(service: Service) -> None:
    world = service.world
    refuse(world, world.marketplace, "adjust", "changes", "listing", "listings", "adjustments")
    world.sell("1", {"A": 3})
    service.run(5)
    calls = len(world.marketplace.calls)
    world.channel.put("2", {"A": 1})
    service.run(200)
    assert len(world.marketplace.calls) == calls
    assert world.anomalies() == ["needs-reauthorisation"]
    assert len(world.rows(Alert.id)) == 1
    accept(world.marketplace)
    service.run(20)
    assert world.total() == 10, "it is not tried before doctor has found it well"
    list(Doctor(world.services).examine())
    service.run(20)
    assert world.total() == 6
    assert (world.holds(), world.anomalies()) == ([], [])
    world.assert_p1()


def test_doctor_that_fails_frees_nothing(service: Service) -> None:
    world = service.world
    refuse(world, world.channel, "orders")
    service.run(20)
    world.channel.check = lambda: [Check("access", False, "refused")]  # type: ignore[method-assign]
    list(Doctor(world.services).examine())
    assert world.holds() == ["re-authorisation"]


def test_a_command_says_that_the_account_is_stopped_without_calling_it(service: Service) -> None:
    world = service.world
    refuse(world, world.channel, "orders")
    service.run(20)
    calls = len(world.channel.calls)
    with pytest.raises(Unauthorized, match="trueup doctor"):
        world.services.poller.poll(CHANNEL)
    assert len(world.channel.calls) == calls
    assert len(world.rows(Alert.id)) == 1
