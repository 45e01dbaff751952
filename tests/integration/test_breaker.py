"""A vendor account that does not answer is left alone by all processes, tried by one, and called gently at first."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import timedelta
from itertools import pairwise

import pytest
from sqlalchemy import event

from connectors.errors import NotFound, OutcomeUnknown, RateLimited, Unavailable
from tests.world import CHANNEL, World
from worker.breaker import Breakers
from worker.breaker.rules import FAILURES, LONGEST_PAUSE, RAMP, State
from worker.store import Transaction
from worker.store.tables import BreakerRow, HoldScope
from worker.tasks import Tasks, _quietly

MARKET = (HoldScope.MARKETPLACE, "marketplace")
SHOP = (HoldScope.CHANNEL, CHANNEL)


def process(world: World) -> Breakers:
    """The breakers as another process sees them."""
    return Breakers(world.store, world.clock, world.services.anomalies, world.services.holds)


def fail(breakers: Breakers, account: tuple[HoldScope, str] = MARKET) -> None:
    with pytest.raises(Unavailable), breakers.watching(*account):
        raise Unavailable("down")


def answer(breakers: Breakers, account: tuple[HoldScope, str] = MARKET) -> None:
    with breakers.watching(*account):
        pass


def opened(world: World) -> Breakers:
    breakers = process(world)
    for _ in range(FAILURES):
        fail(breakers)
    return breakers


def test_failures_in_a_row_open_it_for_every_process(world: World) -> None:
    one, other = process(world), process(world)
    fail(one)
    fail(other)
    assert other.grant(*MARKET, 32) == 32
    fail(one)
    assert (one.grant(*MARKET, 32), other.grant(*MARKET, 32)) == (0, 0)
    assert other.grant(*SHOP, 32) == 32


def test_an_answer_between_failures_counts_them_anew(world: World) -> None:
    breakers = process(world)
    for _ in range(3 * FAILURES):
        fail(breakers)
        fail(breakers)
        answer(breakers)
    assert breakers.grant(*MARKET) == 1
    assert world.rows(BreakerRow.account) == []


def test_calls_lost_among_others_made_at_the_same_time_are_not_in_a_row(world: World) -> None:
    """Of a batch of calls side by side some may lose their answers, which shows when all others have theirs."""
    breakers = process(world)
    lost = [breakers.watching(*MARKET) for _ in range(3 * FAILURES)]
    for call in lost:
        call.__enter__()
    world.pass_time(0.001)
    answer(breakers)
    for call in lost:
        call.__exit__(OutcomeUnknown, OutcomeUnknown("no answer"), None)
    assert breakers.grant(*MARKET, 32) == 32
    assert world.rows(BreakerRow.account) == []


def test_failures_far_apart_are_not_in_a_row(world: World) -> None:
    breakers = process(world)
    for _ in range(3 * FAILURES):
        fail(breakers)
        world.pass_time(61)
    assert breakers.grant(*MARKET) == 1


@pytest.mark.parametrize("said", [NotFound("gone"), RateLimited("slow down")])
def test_what_is_an_answer_opens_nothing(world: World, said: Exception) -> None:
    breakers = process(world)
    for _ in range(2 * FAILURES):
        with pytest.raises(type(said)), breakers.watching(*MARKET):
            raise said
    assert breakers.grant(*MARKET) == 1


def test_a_lost_answer_is_a_failure(world: World) -> None:
    breakers = process(world)
    for _ in range(FAILURES):
        with pytest.raises(OutcomeUnknown), breakers.watching(*MARKET):
            raise OutcomeUnknown("no answer")
    assert breakers.grant(*MARKET) == 0


def test_a_process_that_saw_it_open_calls_nobody_in_the_batch_it_is_in(world: World) -> None:
    breakers = opened(world)
    called = False
    with pytest.raises(Unavailable, match="rests"), breakers.watching(*MARKET):
        called = True
    assert not called


def test_one_process_alone_tries_it_when_the_pause_is_over(world: World) -> None:
    opened(world)
    one, other = process(world), process(world)
    world.pass_time(2)
    assert (one.grant(*MARKET, 32), other.grant(*MARKET, 32)) == (1, 0)
    answer(one)
    assert other.states() == {"marketplace:marketplace": State.RAMP}


def test_a_process_that_died_trying_is_not_waited_for_for_ever(world: World) -> None:
    opened(world)
    world.pass_time(2)
    assert process(world).grant(*MARKET) == 1
    world.pass_time(91)
    assert process(world).grant(*MARKET) == 1


def test_each_failed_try_doubles_the_pause_up_to_a_minute_and_operators_are_told_once(world: World) -> None:
    breakers = opened(world)
    pauses = []
    for _ in range(8):
        until = breakers.rests_until(*MARKET)
        assert until is not None
        pauses.append((until - world.clock.now()).total_seconds())
        world.pass_time(pauses[-1])
        assert breakers.grant(*MARKET, 32) == 1
        fail(breakers)
    assert pauses == [2, 4, 8, 16, 32, 60, 60, 60]
    assert world.anomalies() == ["not-answering"]
    world.pass_time(LONGEST_PAUSE.total_seconds())
    assert breakers.grant(*MARKET) == 1
    answer(breakers)
    assert world.anomalies() == []


def test_after_it_came_back_calls_grow_second_by_second_for_all_processes_together(world: World) -> None:
    opened(world)
    one, other = process(world), process(world)
    world.pass_time(2)
    one.grant(*MARKET)
    answer(one)
    granted = []
    for _ in range(int(RAMP.total_seconds()) - 1):
        world.pass_time(1)
        granted.append(one.grant(*MARKET, 1000) + other.grant(*MARKET, 1000))
    assert granted[0] <= 2
    assert max(granted[:5]) <= 3
    assert max(granted) <= 64
    assert all(now >= before - 1 for before, now in pairwise(granted))
    world.pass_time(2)
    assert other.grant(*MARKET, 1000) == 1000
    assert world.rows(BreakerRow.account) == []


def ramping(world: World) -> Breakers:
    breakers = opened(world)
    world.pass_time(2)
    breakers.grant(*MARKET)
    answer(breakers)
    return breakers


def test_failures_in_a_row_while_calls_grow_open_it_again_for_longer(world: World) -> None:
    breakers = ramping(world)
    for _ in range(FAILURES):
        assert breakers.states() == {"marketplace:marketplace": State.RAMP}
        fail(breakers)
    assert breakers.grant(*MARKET) == 0
    assert breakers.rests_until(*MARKET) == world.clock.now() + timedelta(seconds=4)


def test_a_vendor_that_loses_an_answer_now_and_then_gets_through_the_ramp(world: World) -> None:
    breakers = ramping(world)
    for _ in range(int(RAMP.total_seconds())):
        world.pass_time(1)
        fail(breakers)
        answer(breakers)
        answer(breakers)
    assert breakers.grant(*MARKET, 1000) == 1000


def test_an_answer_that_meets_a_failure_being_written_does_not_hide_the_next_one(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    breakers = process(world)
    write = world.store.write
    meets = [False]

    def meeting() -> AbstractContextManager[Transaction]:
        if meets.pop():
            # Another call of this process is answered while the failure waits for its transaction.
            meets.append(False)
            answer(breakers)
        else:
            meets.append(False)
        return write()

    monkeypatch.setattr(world.store, "write", meeting)
    for _ in range(3 * FAILURES):
        fail(breakers)
        meets[:] = [True]
        fail(breakers)
        answer(breakers)
    assert breakers.grant(*MARKET, 32) == 32
    assert world.rows(BreakerRow.account) == []


def test_calls_lost_alone_are_not_in_a_row_though_each_waits_for_its_transaction(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    breakers = process(world)
    write = world.store.write
    waiting = False

    def waits_for_its_turn() -> AbstractContextManager[Transaction]:
        nonlocal waiting
        if not waiting:
            waiting = True
            world.pass_time(0.001)
            answer(breakers)
            waiting = False
        return write()

    monkeypatch.setattr(world.store, "write", waits_for_its_turn)
    for _ in range(3 * FAILURES):
        fail(breakers)
    monkeypatch.undo()
    assert breakers.grant(*MARKET, 32) == 32
    assert world.rows(BreakerRow.account) == []


def test_the_one_who_tries_is_waited_for_as_long_as_a_lease(world: World) -> None:
    opened(world)
    world.pass_time(2)
    lease = timedelta(seconds=world.services.settings.policy.lease_seconds)
    assert world.services.breakers.grant(*MARKET) == 1
    world.pass_time(lease.total_seconds() - 1)
    assert world.services.breakers.grant(*MARKET) == 0
    world.pass_time(2)
    assert world.services.breakers.grant(*MARKET) == 1


def test_an_answer_to_a_call_from_before_it_opened_says_nothing(world: World) -> None:
    breakers = process(world)
    fail(breakers)
    with breakers.watching(*MARKET):
        world.pass_time(1)
        fail(breakers)
        fail(breakers)
    assert breakers.grant(*MARKET) == 0


def test_an_account_that_works_costs_no_write(world: World) -> None:
    statements: list[str] = []

    def note(_c: object, _cursor: object, statement: str, *_more: object) -> None:
        statements.append(statement.split(maxsplit=1)[0])

    event.listen(world.store.engine, "before_cursor_execute", note)
    breakers = process(world)
    for _ in range(20):
        assert breakers.grant(*MARKET, 32) == 32
        answer(breakers)
    event.remove(world.store.engine, "before_cursor_execute", note)
    assert {word for word in statements if word not in {"SELECT", "BEGIN"}} == set()
    assert statements.count("SELECT") == 20


def backlog(world: World, listings: int = 40) -> None:
    for number in range(listings):
        world.marketplace.add(f"L{number:02}", 10)
    world.follow()
    world.services.sweeper.sweep()
    world.upkeep()
    world.pass_time(60)
    for number in range(listings):
        world.link(f"A{number}", f"L{number:02}")
    world.sell("1", {f"A{number}": 1 for number in range(listings)})


def down(world: World, *methods: str) -> Callable[[], None]:
    """The marketplace answers nothing until the returned function is called."""
    originals = {method: getattr(world.marketplace, method) for method in methods}

    def refuse(method: str) -> Callable[..., object]:
        def call(*_arguments: object, **_more: object) -> object:
            world.marketplace.calls.append((method,))
            raise Unavailable("down")

        return call

    for method in methods:
        setattr(world.marketplace, method, refuse(method))

    def up() -> None:
        for method, original in originals.items():
            setattr(world.marketplace, method, original)

    return up


def test_due_rows_wait_for_a_marketplace_that_is_down_and_no_storm_follows(world: World) -> None:
    backlog(world)
    up = down(world, "adjust", "listing", "changes", "adjustments", "listings")
    tasks = Tasks(world.services, _Deaf())  # type: ignore[arg-type]
    world.marketplace.calls.clear()
    for _ in range(600):
        _quietly(tasks.reconcile)()
        _quietly(tasks.feed)()
        _quietly(tasks.upkeep)()
        world.pass_time(1)
    # Ten minutes: the first failures, then one try after each pause.
    assert len(world.marketplace.calls) <= 32 + 20
    assert world.holds() == ["breaker"]
    up()
    per_second = []
    for _ in range(120):
        before = len(world.marketplace.calls)
        _quietly(tasks.reconcile)()
        _quietly(tasks.feed)()
        _quietly(tasks.upkeep)()
        per_second.append(len(world.marketplace.calls) - before)
        world.pass_time(1)
    assert [world.total(f"L{number:02}") for number in range(40)] == [9] * 40
    assert max(per_second) <= 20
    assert world.services.holds.list() == []
    world.assert_p1()


class _Deaf:
    def ring(self, task: str) -> None: ...


def test_a_listing_that_alone_gets_no_answer_does_not_keep_the_account_down(world: World) -> None:
    backlog(world, 5)
    adjust = world.marketplace.adjust

    def poisonous(listing_id: str, *, seen: int, delta: int) -> object:
        if listing_id == "L00":
            raise Unavailable("500 for this one")
        return adjust(listing_id, seen=seen, delta=delta)

    world.marketplace.adjust = poisonous  # type: ignore[method-assign, assignment]
    for _ in range(120):
        world.reconcile()
        world.pass_time(5)
    assert [world.total(f"L{number:02}") for number in range(5)] == [10, 9, 9, 9, 9]
    # Whatever comes now is written soon all the same.
    world.sell("2", {"A1": 2})
    for _ in range(24):
        world.reconcile()
        world.pass_time(5)
    assert world.total("L01") == 7


def test_a_channel_that_is_down_is_left_alone_and_the_other_work_goes_on(world: World) -> None:
    world.listing(total=10)
    world.link()
    world.channel.fail("orders", *[Unavailable("down")] * 10)
    for _ in range(FAILURES):
        with pytest.raises(Unavailable):
            world.services.poller.poll(CHANNEL)
    with pytest.raises(Unavailable, match="not called"):
        world.services.poller.poll(CHANNEL)
    assert len([call for call in world.channel.calls if call[0] == "orders"]) == FAILURES
    world.sell("1", {"A": 2})
    world.reconcile()
    assert world.total() == 8


def test_fetches_wait_in_their_rows_while_their_channel_rests(world: World) -> None:
    world.listing(total=10)
    world.link()
    order = world.sell("1", {"A": 3})
    world.deliver(world.channel.put("1", {"A": 1}, revision=order.revision))
    for _ in range(FAILURES):
        fail(world.services.breakers, SHOP)
    world.fetch()
    assert ("order", "1") not in world.channel.calls
    world.pass_time(2)
    world.fetch()
    world.reconcile()
    assert world.total() == 9


def test_the_account_is_called_as_ever_once_doctor_finds_it_well(world: World) -> None:
    breakers = opened(world)
    world.services.accounts.works(*MARKET)
    assert breakers.grant(*MARKET, 32) == 32


def test_a_sweep_cut_short_is_begun_anew_soon(world: World) -> None:
    world.listing(total=10)
    world.pass_time(100_000)
    tasks = Tasks(world.services, _Deaf())  # type: ignore[arg-type]
    world.marketplace.fail("listings", Unavailable("down"))
    _quietly(tasks.sweep)()
    swept = world.marketplace.count("listings")
    world.pass_time(timedelta(minutes=6).total_seconds())
    _quietly(tasks.sweep)()
    assert world.marketplace.count("listings") == swept + 1
