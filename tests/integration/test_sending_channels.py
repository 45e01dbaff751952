"""Channels that only send: nothing about them fails, waits or alerts because they can be neither read nor asked."""

from __future__ import annotations

from datetime import timedelta

import pytest

from connectors.contract import Askable, Channel, Hooks, Polled
from tests.doubles import SendingChannel
from tests.world import CHANNEL, World
from worker.status.doctor import Doctor
from worker.store import Store
from worker.store.tables import OrderRow, OrderState
from worker.tasks import Tasks
from worker.web.health import Health

DAY = 86_400


@pytest.fixture
def sending(store: Store) -> World:
    world = World(store, offered=SendingChannel)
    world.listing(total=10)
    world.link()
    return world


class Rung:
    """Stands for the doorbell and the application: records what was sent to be done."""

    def ring(self, task: str) -> None: ...


def state(world: World) -> OrderState:
    (row,) = world.rows(OrderRow.state)
    found: OrderState = row.state
    return found


def test_the_double_can_do_what_it_says(world: World) -> None:
    assert isinstance(world.channel, Channel)
    assert isinstance(world.channel, Polled)
    assert isinstance(world.channel, Askable)
    only = SendingChannel(world.channel)
    assert isinstance(only, Channel)
    assert isinstance(only, Hooks)
    assert not isinstance(only, Polled)
    assert not isinstance(only, Askable)


def test_nobody_polls_it_and_nothing_is_late(sending: World) -> None:
    rung = Rung()
    tasks = Tasks(sending.services, rung)  # type: ignore[arg-type]
    sending.sell("1", {"A": 3})
    sending.reconcile()
    sending.pass_time(DAY)
    tasks.poll()
    sending.follow()
    tasks.housekeeping()
    sending.services.sweeper.sweep()
    assert sending.channel.calls == []
    assert sending.services.poller.poll(CHANNEL)
    assert sending.services.poller.late_pass(CHANNEL, timedelta(days=2)) == 0
    status = sending.services.overview.now()
    assert (status.stock_is_true, status.reasons) == (True, [])
    assert [reading.name for reading in status.readings] == ["feed"]
    assert set(Health(sending.services)._look()) == {"database", "schema", "deliveries", "feed"}
    assert sending.total() == 7


def test_doctor_says_that_there_is_nothing_to_register(sending: World) -> None:
    found = {examined.check.name: examined.check for examined in Doctor(sending.services).examine()}
    assert found["registrations"].ok
    assert "where to send to" in found["registrations"].detail


def test_its_orders_are_not_looked_at_again(sending: World) -> None:
    sending.sell("1", {"A": 3})
    sending.reconcile()
    sending.pass_time(31 * DAY)
    while sending.services.fetcher.look_again():
        sending.fetch()
    assert sending.services.overview.now().orders_to_fetch == 0
    assert sending.anomalies() == []
    assert state(sending) is OrderState.OPEN
    assert sending.total() == 7


def test_what_only_it_could_tell_is_parked_and_a_higher_revision_counts(sending: World) -> None:
    first = sending.sell("1", {"A": 3})
    other = sending.channel.put("1", {"A": 1}, revision=first.revision)
    sending.deliver(other)
    sending.fetch()
    sending.reconcile()
    assert (sending.total(), state(sending), sending.anomalies()) == (7, OrderState.PARKED, ["parked-order"])
    sending.pass_time(1)
    sending.sell("1", {"A": 1})
    sending.reconcile()
    assert (sending.total(), state(sending), sending.anomalies()) == (9, OrderState.OPEN, [])
    sending.assert_p1()


def test_a_parked_order_that_a_person_accepts_counts_when_it_comes_again(sending: World) -> None:
    sending.link("B", from_at=sending.clock.now() - timedelta(days=1))
    placed_at = sending.clock.now()
    sending.pass_time(100 * DAY)
    order = sending.sell("1", {"A": 3}, placed_at=placed_at)
    assert state(sending) is OrderState.PARKED
    assert sending.services.fetcher.accept(CHANNEL, "1", "ann")
    sending.fetch()
    assert (state(sending), sending.anomalies()) == (OrderState.UNSEEN, [])
    sending.deliver(order, delivery_id="again")
    sending.reconcile()
    assert (sending.total(), state(sending)) == (7, OrderState.OPEN)


@pytest.mark.parametrize("fetched", [False, True])
def test_two_contents_of_one_exact_revision_are_told_and_the_first_counts(world: World, *, fetched: bool) -> None:
    world.listing(total=10)
    world.link()
    world.channel.revision_is_exact = True
    order = world.sell("1", {"A": 3})
    world.pass_time(10)
    other = world.channel.put("1", {"A": 1}, revision=order.revision)
    if fetched:
        world.poll()
    else:
        world.deliver(other)
        world.fetch()
    world.reconcile()
    assert (world.total(), state(world), world.anomalies()) == (7, OrderState.PARKED, ["parked-order"])
    assert world.channel.calls == [call for call in world.channel.calls if call[0] == "orders"]
    world.pass_time(1)
    world.sell("1", {"A": 2})
    world.reconcile()
    assert (world.total(), state(world), world.anomalies()) == (8, OrderState.OPEN, [])
    world.assert_p1()


def test_a_conflict_and_what_solves_it_in_one_batch_is_none(world: World) -> None:
    world.listing(total=10)
    world.link()
    world.channel.revision_is_exact = True
    first = world.sell("1", {"A": 3})
    conflict = world.channel.put("1", {"A": 1}, revision=first.revision)
    world.deliver(conflict, handle=False)
    world.pass_time(1)
    world.sell("1", {"A": 2})
    world.reconcile()
    assert (world.total(), state(world), world.anomalies()) == (8, OrderState.OPEN, [])


def test_a_conflict_behind_what_would_have_unparked_it_keeps_it_parked(world: World) -> None:
    world.listing(total=10)
    world.link()
    world.channel.revision_is_exact = True
    first = world.sell("1", {"A": 3})
    world.deliver(world.channel.put("1", {"A": 1}, revision=first.revision))
    world.pass_time(1)
    second = world.channel.put("1", {"A": 2})
    world.deliver(second, handle=False)
    world.deliver(world.channel.put("1", {"A": 4}, revision=second.revision))
    world.reconcile()
    assert (world.total(), state(world), world.anomalies()) == (8, OrderState.PARKED, ["parked-order"])
