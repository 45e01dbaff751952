"""What the numbers say, and whose they are."""

from __future__ import annotations

from random import Random

import httpx
import pytest

from connectors.budget import Budgets, LocalBudgets, Priority, Scope
from connectors.clock import SystemClock
from connectors.redis_budget import RedisBudgets
from connectors.sandbox.clock import VirtualClock
from tests.world import CHANNEL, World
from worker.web import WebServer, create_worker_app
from worker.web.metrics.times import SETTLES, SaleTimes

RATE = Scope("metrics:calls", per_second=0.001, burst=4)
PLACES = Scope("metrics:places", per_second=None, in_flight=2)


def buckets(world: World, times: SaleTimes) -> dict[str, float]:
    """Upper bound -> sales that took so long at most."""
    samples = times.read(world.clock.now()).samples
    return {each.labels["le"]: each.value for each in samples if each.name.endswith("_bucket")}


def test_the_time_from_a_sale_to_the_stock_is_counted_once_it_has_settled(world: World) -> None:
    times = SaleTimes(world.store)
    world.listing(total=10)
    world.link()
    world.sell("before", {"A": 1})
    world.reconcile()
    world.pass_time(SETTLES.total_seconds() + 1)
    assert buckets(world, times) == {}
    world.sell("quick", {"A": 2})
    world.pass_time(4)
    world.reconcile()
    assert buckets(world, times) == {}
    world.pass_time(SETTLES.total_seconds() + 1)
    for _ in range(2):
        found = buckets(world, times)
        assert (found["2.0"], found["5.0"], found["+Inf"]) == (0, 1, 1)
    world.sell("quick", {"A": 0})
    world.reconcile()
    world.pass_time(SETTLES.total_seconds() + 1)
    assert buckets(world, times)["+Inf"] == 1


def test_a_worker_shows_what_it_did_itself_and_leaves_the_rest_to_the_receiver(world: World) -> None:
    world.listing(total=10)
    world.link()
    world.sell("1", {"A": 1})
    world.reconcile()
    server = WebServer(create_worker_app(world.services), "127.0.0.1", 0)
    try:
        with httpx.Client(base_url=server.start(), trust_env=False, timeout=60) as client:
            shown = client.get("/metrics").text
            assert client.get("/hooks/shop").status_code == 404
    finally:
        server.stop()
    assert 'trueup_reconciler_total{event="applied"} 1.0' in shown
    assert "trueup_listings_due" not in shown
    assert CHANNEL not in shown


@pytest.mark.parametrize("shared", [False, True])
def test_what_is_left_of_a_budget(redis_url: str, shared: bool) -> None:
    local = LocalBudgets(VirtualClock())
    budgets: list[Budgets] = [local, local]
    if shared:
        budgets = [RedisBudgets.from_url(redis_url, SystemClock(), Random(1)) for _ in budgets]
    one, other = budgets
    before = dict(one.left())
    assert before.keys().isdisjoint({RATE.key, PLACES.key})
    with one.spend(RATE, priority=Priority.READ), one.spend(PLACES, priority=Priority.READ):
        assert other.left() == before | {RATE.key: pytest.approx(0.75, abs=0.01), PLACES.key: 0.5}
    with other.spend(RATE, priority=Priority.READ):
        pass
    assert one.left() == before | {RATE.key: pytest.approx(0.5, abs=0.01), PLACES.key: 1.0}
    one.penalise(RATE, 60)
    assert one.left()[RATE.key] == 0
