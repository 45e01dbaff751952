"""A channel whose connector is broken stands still: nothing is lost, its sender is told to come again."""

from __future__ import annotations

import pytest

from connectors.contract import Askable, Channel, Hooks, Polled
from connectors.errors import Rejected
from tests.world import CHANNEL, World
from worker.set_aside import SetAside
from worker.store import Store

REASON = "the connector 'acorn' (trueup_acorn:CONNECTOR) of trueup-acorn 0.1.0 cannot be loaded: ImportError"


@pytest.fixture
def aside() -> SetAside:
    return SetAside(CHANNEL, REASON)


def test_it_is_asked_whatever_its_connector_could_do(aside: SetAside) -> None:
    assert all(isinstance(aside, ability) for ability in (Channel, Polled, Askable, Hooks))
    assert aside.refusal_status == 503


def test_what_was_received_before_is_parked_and_taken_when_it_is_mended(store: Store, aside: SetAside) -> None:
    world = World(store)
    world.listing(total=10)
    world.link()
    world.deliver(world.channel.put("1", {"A": 3}), handle=False)
    broken = World(store, offered=lambda _channel: aside)
    broken.pass_time(60)
    broken.services.inbox.drain()
    assert broken.anomalies() == ["parked-delivery"]
    with pytest.raises(Rejected, match="cannot be loaded"):
        broken.services.poller.poll(CHANNEL)
    assert sorted(broken.anomalies()) == ["parked-delivery", "unusable-answer"]
    world.poll()
    world.reconcile()
    assert world.total() == 7
    assert world.anomalies() == ["parked-delivery"]
