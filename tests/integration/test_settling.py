"""What becomes of a write whose answer was lost: never a guess (P4), never two effects (P1)."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Literal

import pytest
from sqlalchemy import delete, insert, update
from sqlalchemy.exc import DBAPIError, IntegrityError

from connectors.contract import Adjusted, Listing, Stock
from connectors.errors import OutcomeUnknown, Unavailable
from connectors.sandbox.log import Shown
from tests.doubles import UNLIMITED_FROM
from tests.world import World
from worker.alerts import Kind
from worker.reconcile.decide import Decisions
from worker.store.tables import (
    Claim,
    HoldScope,
    JournalEntry,
    Operation,
    OperationKind,
    OperationState,
    RemoteAdjustmentRow,
)
from worker.upkeep import repository as upkeep


def lose(world: World, how: str, units: int = 3) -> None:
    """One sale whose write loses its answer."""
    world.listing(total=10)
    world.link()
    world.marketplace.fail("adjust", how)
    world.sell("1", {"A": units})
    world.reconcile()
    assert [state for state, *_ in world.operations()] == ["unknown"]


def test_positive_evidence_settles_at_once(world: World) -> None:
    lose(world, "lost_after")
    world.follow()
    assert [state for state, *_ in world.operations()] == ["applied"]
    assert world.pairs() == [("A", 3, 3, 0)]
    world.reconcile()
    assert (world.total(), world.marketplace.count("adjust")) == (7, 1)
    world.assert_p1()


def test_a_lost_answer_is_never_resent_blindly(world: World) -> None:
    lose(world, "lost_after")
    world.marketplace.feed_hidden = True
    for _ in range(20):
        world.pass_time(10)
        world.follow()
        world.reconcile()
    assert world.marketplace.count("adjust") == 1
    world.marketplace.feed_hidden = False
    world.follow()
    world.reconcile()
    assert world.pairs() == [("A", 3, 3, 0)]
    world.assert_p1()


def test_absent_needs_settle_after_to_elapse(world: World) -> None:
    lose(world, "lost_before")
    world.pass_time(30)
    world.follow()
    world.reconcile()
    assert [state for state, *_ in world.operations()] == ["unknown"]
    world.pass_time(40)
    world.follow()
    world.reconcile()
    assert [state for state, *_ in world.operations()] == ["absent", "applied"]
    assert world.total() == 7
    world.assert_p1()


def test_totals_that_return_to_a_former_value_do_not_book_a_sale_twice(world: World) -> None:
    """The abandoned checkout: 10 -> 7 by us (answer lost), a cancellation brings 10 back."""
    world.listing(total=13)
    world.link()
    reservation = world.marketplace.buy("L", 3)
    world.follow()
    world.marketplace.fail("adjust", "lost_after")
    world.sell("1", {"A": 3})
    world.reconcile()
    world.marketplace.abandon(reservation)
    assert world.total() == 10
    world.settle_down()
    assert world.total() == 10
    assert world.pairs() == [("A", 3, 3, 0)]
    world.assert_p1()


def test_an_unknown_outcome_is_told_even_if_its_evidence_cannot_be_read(world: World) -> None:
    lose(world, "lost_before")
    world.marketplace.feed_hidden = True
    for _ in range(30):
        world.marketplace.fail("adjustments", Unavailable("down"))
        world.pass_time(30)
        world.reconcile()
    assert "outcome-unknown" in world.anomalies()


def test_a_total_that_the_log_does_not_explain_is_told_even_if_nothing_is_due(world: World) -> None:
    world.listing(total=10)
    world.link()
    world.sell("1", {"A": 1})
    world.reconcile()
    world.follow()
    assert world.listing_row().anchor_certain
    listing = world.marketplace.listing
    beside = 5

    def shown(listing_id: str) -> Listing:
        read = listing(listing_id)
        return replace(read, stock=Stock.counted(read.stock.total + beside))

    world.marketplace.listing = shown  # type: ignore[method-assign]
    with world.store.write() as transaction:
        upkeep.ask_for_look(transaction, ["L"], world.clock.now())
    world.settle_down(seconds=900, step=30)
    assert world.anomalies() == ["unexplained-total"]
    looks = world.marketplace.count("adjustments")
    world.settle_down(seconds=3600, step=30)
    # A look reads the log before and after the total.
    assert world.marketplace.count("adjustments") - looks <= 2 * 5
    beside = 0
    world.settle_down(seconds=1800, step=30)
    assert world.anomalies() == []


def test_a_total_that_nothing_explains_is_no_question_any_more_when_the_stock_is_unlimited(world: World) -> None:
    world.listing(total=10)
    world.link()
    world.sell("1", {"A": 1})
    world.reconcile()
    world.follow()
    listing = world.marketplace.listing

    def shown(listing_id: str) -> Listing:
        read = listing(listing_id)
        return replace(read, stock=Stock.counted(read.stock.total + 5))

    world.marketplace.listing = shown  # type: ignore[method-assign]
    with world.store.write() as transaction:
        upkeep.ask_for_look(transaction, ["L"], world.clock.now())
    world.settle_down(seconds=900, step=30)
    assert world.anomalies() == ["unexplained-total"]
    world.marketplace.listing = listing  # type: ignore[method-assign]
    world.marketplace.edit("L", UNLIMITED_FROM)
    world.settle_down(seconds=900, step=30)
    assert world.anomalies() == []


def test_a_change_while_a_listing_is_looked_at_is_nothing_to_tell(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its looks have waited for an outcome for long."""
    lose(world, "lost_after")
    world.marketplace.own_events = Shown.ANONYMOUS
    world.marketplace.feed_hidden = True
    world.settle_down(seconds=3600, step=30)
    assert world.anomalies() == ["outcome-unknown"]
    read = world.marketplace.listing

    def overtaken(listing_id: str) -> Listing:
        world.marketplace.edit("L", 1)
        return read(listing_id)

    monkeypatch.setattr(world.marketplace, "listing", overtaken)
    world.settle_down(seconds=900, step=30)
    assert world.anomalies() == ["outcome-unknown"]


@pytest.mark.parametrize("refused", [False, True])
def test_a_late_answer_ends_what_was_told_of_an_unknown_outcome(
    world: World, monkeypatch: pytest.MonkeyPatch, *, refused: bool
) -> None:
    """The sender stands still; meanwhile another process finds its operation and nothing about it in the records."""
    world.listing(total=10)
    world.link()
    other = world.rooms(world.store)
    adjust = world.marketplace.adjust

    def stand_still(listing_id: str, *, seen: int, delta: int) -> Adjusted:
        monkeypatch.setattr(world.marketplace, "adjust", adjust)
        for _ in range(12):
            world.pass_time(61)
            world.marketplace.fail("adjustments", Unavailable("down"))
            other.reconciler.drain()
        assert world.anomalies() == ["outcome-unknown"]
        world.marketplace.faults.clear()
        if refused:
            raise Unavailable("refused", code="connect")
        return adjust(listing_id, seen=seen, delta=delta)

    monkeypatch.setattr(world.marketplace, "adjust", stand_still)
    world.sell("1", {"A": 3})
    world.services.reconciler.drain()
    assert [state for state, *_ in world.operations()] == ["rejected" if refused else "applied"]
    assert world.anomalies() == []
    world.settle_down()
    assert (world.total(), world.anomalies()) == (7, [])
    world.assert_p1()


def test_absent_is_revocable_when_the_request_is_executed_late(world: World) -> None:
    lose(world, "late")
    world.pass_time(100)
    world.follow()
    world.marketplace.before_adjust = lambda _listing: (
        world.marketplace.late.pop()() if world.marketplace.late else None
    )
    world.reconcile()
    world.settle_down()
    states = [state for state, *_ in world.operations()]
    assert "absent" not in states
    assert world.total() == 7
    assert world.pairs() == [("A", 3, 3, 0)]
    world.assert_p1()


def test_a_late_execution_that_the_feed_hides_is_not_taken_for_anothers_change(world: World) -> None:
    """Who reads the listing next, to be sure of a shortage, would believe its total if the log were not asked."""
    world.marketplace.own_events = Shown.MISSING
    lose(world, "late", units=10)
    world.marketplace.fail("adjust", Unavailable("refused"))
    world.pass_time(70)
    world.reconcile()
    assert [state for state, *_ in world.operations()] == ["absent", "rejected"]
    world.marketplace.late.pop()()
    world.sell("2", {"A": 1})
    world.settle_down()
    decide_applied(world)
    world.settle_down()
    assert (world.total(), world.pairs()) == (0, [("A", 10, 10, 0), ("A", 1, 0, 0)])
    assert world.anomalies() == ["oversold"]
    world.assert_p1()


def decide_applied(world: World) -> None:
    """What nobody has signed, a person says was ours."""
    [doubted] = [view for view in world.services.anomalies.list() if view.kind == Kind.OUTCOME_UNKNOWN]
    decisions = Decisions(world.store, world.clock, world.services.anomalies)
    decisions.settle(doubted.detail["operation"], "applied", by="somebody", reason="the marketplace's history")


def test_a_late_return_that_the_feed_hides_is_not_taken_for_anothers_change(world: World) -> None:
    """At zero stock, upkeep believes what it reads; not so where one of our writes may have been executed late."""
    world.listing(total=10)
    world.link()
    world.sell("1", {"A": 10})
    world.settle_down(seconds=60)
    world.marketplace.own_events = Shown.MISSING
    world.marketplace.fail("adjust", "late", Unavailable("refused"))
    world.sell("1", {"A": 6})
    world.reconcile()
    world.pass_time(70)
    world.reconcile()
    assert [state for state, *_ in world.operations()] == ["applied", "absent", "rejected"]
    world.sell("1", {"A": 10})
    world.settle_down(seconds=60)
    world.marketplace.late.pop()()
    assert world.total() == 4
    world.services.sweeper.sweep()
    # Upkeep reads the listing when it is about to close it.
    world.settle_down(seconds=1500, step=30)
    decide_applied(world)
    world.settle_down()
    assert (world.total(), world.pairs()) == (0, [("A", 10, 10, 0)])
    world.assert_p1()


def test_a_hidden_write_of_ours_does_not_spoil_the_anchor_for_good(world: World) -> None:
    """The feed shows others' changes after it, and carries the anchor past it."""
    world.listing(total=10)
    world.link()
    world.sell("1", {"A": 1})
    world.settle_down(seconds=900, step=30)
    assert world.listing_row().anchor_certain
    world.marketplace.own_events = Shown.MISSING
    world.marketplace.fail("adjust", "lost_after")
    world.sell("2", {"A": 3})
    world.reconcile()
    world.pass_time(5)
    world.marketplace.edit("L", 4)
    world.settle_down(seconds=900, step=20)
    assert world.anomalies() == ["outcome-unknown"]
    decide_applied(world)
    world.settle_down(seconds=900, step=20)
    assert (world.total(), world.listing_row().doubted, world.anomalies()) == (10, False, [])
    world.assert_p1()


def test_a_running_total_that_was_wrong_for_a_hidden_write_is_put_right_by_the_log(world: World) -> None:
    """The feed counts others' changes on from a total that was only read, past a write of ours that it never shows."""
    world.marketplace.own_events = Shown.MISSING
    world.listing(total=10)
    world.link()
    world.sell("1", {"A": 1})
    world.reconcile()
    world.pass_time(5)
    world.marketplace.edit("L", 4)
    world.follow()
    assert (14,) in world.rows(RemoteAdjustmentRow.total_after)
    look(world)
    world.settle_down(seconds=3600, step=60)
    assert (14,) not in world.rows(RemoteAdjustmentRow.total_after)

    world.marketplace.fail("adjust", "lost_after")
    world.sell("2", {"A": 3})
    world.reconcile()
    world.pass_time(5)
    world.marketplace.edit("L", 1)
    world.settle_down(seconds=900, step=20)
    decide_applied(world)
    world.settle_down(seconds=900, step=20)
    assert (world.total(), world.listing_row().doubted, world.anomalies()) == (11, False, [])
    world.assert_p1()


def test_entries_of_one_instant_may_be_shown_in_another_order_later(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The log orders them by their ids until the feed has shown them."""
    world.listing(total=10)
    world.link()
    first, second = world.marketplace.buy("L", 1), world.marketplace.buy("L", 2)
    world.sell("1", {"A": 1})
    world.reconcile()
    world.follow()
    assert world.listing_row().anchor_certain
    world.pass_time(5)
    world.marketplace.feed_hidden = True
    with monkeypatch.context() as patched:
        names = iter(["z", "a"])
        patched.setattr(world.marketplace.stock_model, "_new_id", lambda: next(names))
        world.marketplace.abandon(first)
        world.marketplace.abandon(second)
    look(world)
    assert world.listing_row().anchor_adjustment == "z"
    world.marketplace.feed_hidden = False
    world.follow()
    look(world)
    assert not world.listing_row().doubted


def look(world: World) -> None:
    """The log of the listing is read."""
    with world.store.write() as transaction:
        upkeep.doubt(transaction, ["L"], world.clock.now())
    world.reconcile()


def test_the_feed_is_ahead_of_the_answer_of_a_write_that_repeats_an_absent_one(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second write has the totals of the first: its adjustment must not be taken for the first one's."""
    lose(world, "lost_before")
    adjust = world.marketplace.adjust

    def answered_after_the_feed(listing_id: str, *, seen: int, delta: int) -> Adjusted:
        answer = adjust(listing_id, seen=seen, delta=delta)
        world.follow()
        return answer

    monkeypatch.setattr(world.marketplace, "adjust", answered_after_the_feed)
    world.pass_time(70)
    world.reconcile()
    world.follow()
    world.settle_down()

    assert [state for state, *_ in world.operations()] == ["absent", "applied"]
    assert world.pairs() == [("A", 3, 3, 0)]
    assert (world.total(), world.anomalies()) == (7, [])
    world.assert_p1()


def test_who_stood_still_with_an_answer_does_not_tell_of_a_shortage_that_is_over(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.listing(total=3)
    world.link()
    order = world.sell("1", {"A": 5})
    adjust = world.marketplace.adjust

    def slept(listing_id: str, *, seen: int, delta: int) -> Adjusted:
        answer = adjust(listing_id, seen=seen, delta=delta)
        monkeypatch.undo()
        world.settle_down(seconds=600, step=20)
        assert world.anomalies() == ["oversold"]
        world.sell("1", {"A": 3}, placed_at=order.placed_at)
        world.settle_down(seconds=600, step=20)
        assert world.anomalies() == []
        return answer

    monkeypatch.setattr(world.marketplace, "adjust", slept)
    world.reconcile()
    world.settle_down(seconds=600, step=20)
    assert (world.total(), world.pairs(), world.anomalies()) == (0, [("A", 3, 3, 0)], [])
    world.assert_p1()


def test_an_own_adjustment_seen_before_its_answer_is_claimed_when_the_answer_is_there(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.listing(total=10)
    world.link()
    adjust = world.marketplace.adjust

    def answered_after_the_feed(listing_id: str, *, seen: int, delta: int) -> Adjusted:
        answer = adjust(listing_id, seen=seen, delta=delta)
        world.follow()
        return answer

    monkeypatch.setattr(world.marketplace, "adjust", answered_after_the_feed)
    world.sell("1", {"A": 3})
    world.reconcile()
    assert world.rows(Claim.operation_id) == []
    world.follow()
    assert world.rows(Claim.operation_id) == world.rows(Operation.id)
    assert world.marketplace.count("adjustments") == 0


def test_a_late_execution_while_the_second_write_waits_is_the_first_ones(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    lose(world, "late")
    (late,) = world.marketplace.late
    adjust = world.marketplace.adjust

    def overtaken(listing_id: str, *, seen: int, delta: int) -> Adjusted:
        late()
        world.follow()
        return adjust(listing_id, seen=seen, delta=delta)

    monkeypatch.setattr(world.marketplace, "adjust", overtaken)
    world.pass_time(70)
    world.reconcile()
    monkeypatch.undo()
    world.settle_down()

    assert [state for state, *_ in world.operations()] == ["applied", "rejected"]
    assert world.pairs() == [("A", 3, 3, 0)]
    assert world.total() == 7
    world.assert_p1()


def test_a_late_execution_after_our_second_write_gives_the_surplus_back(world: World) -> None:
    """10 -> 7 late; meanwhile absent, 10 -> 7 again, a return brings 10, then the first is executed."""
    lose(world, "late")
    world.pass_time(100)
    world.follow()
    world.reconcile()
    assert world.total() == 7
    world.marketplace.edit("L", 3)
    world.marketplace.late.pop()()
    assert world.total() == 7
    world.settle_down()
    assert world.total() == 10
    assert world.pairs() == [("A", 3, 3, 0)]
    assert "absent-revoked" in world.anomalies(resolved=True)
    world.assert_p1()


def test_an_adjustment_claims_by_its_totals_and_never_by_size_alone(world: World) -> None:
    """Two writes of the same size: the first lost before execution, the second applied and lost after."""
    lose(world, "lost_before")
    world.pass_time(100)
    world.follow()
    world.marketplace.edit("L", 5)
    world.marketplace.fail("adjust", "lost_after")
    world.reconcile()
    world.settle_down()
    assert world.operations() == [("absent", 10, 7), ("applied", 15, 12)]
    assert world.total() == 12
    assert world.pairs() == [("A", 3, 3, 0)]
    world.assert_p1()


def test_anothers_write_with_our_credentials_is_not_taken_for_a_lost_one_of_the_same_size(world: World) -> None:
    lose(world, "lost_before")
    world.marketplace.edit("L", 2)
    world.marketplace._set("L", 12, -3)
    world.settle_down(seconds=120)
    assert world.operations() == [("absent", 10, 7)]
    assert world.pairs() == [("A", 3, 0, 0)]
    assert world.holds() == ["orphan"]


def test_while_an_adjustment_has_no_author_the_operation_stays_unknown(world: World) -> None:
    world.marketplace.own_events = Shown.ANONYMOUS
    lose(world, "lost_after")
    for _ in range(100):
        world.pass_time(10)
        world.follow()
        world.reconcile()
    assert [state for state, *_ in world.operations()] == ["unknown"]
    assert world.marketplace.count("adjust") == 1
    assert world.anomalies() == ["outcome-unknown"]


def test_missing_own_events_leave_the_operation_unknown_for_a_person(world: World) -> None:
    world.marketplace.own_events = Shown.MISSING
    lose(world, "lost_after")
    for _ in range(100):
        world.pass_time(10)
        world.follow()
        world.reconcile()
    assert [state for state, *_ in world.operations()] == ["unknown"]
    assert world.anomalies() == ["outcome-unknown"]


def test_evidence_from_before_the_feed_moved_on_proves_no_absence(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the log and the total of one look the write is executed; the feed shows it, but not whose it is."""
    world.marketplace.own_events = Shown.ANONYMOUS
    lose(world, "late")
    (late,) = world.marketplace.late
    read = world.marketplace.listing

    def overtaken(listing_id: str) -> Listing:
        monkeypatch.undo()
        late()
        world.follow()
        return read(listing_id)

    monkeypatch.setattr(world.marketplace, "listing", overtaken)
    world.pass_time(70)
    world.reconcile()
    assert [state for state, *_ in world.operations()] == ["unknown"]
    assert world.marketplace.count("adjust") == 1


def look_while_it_moves(world: World, monkeypatch: pytest.MonkeyPatch, change: int) -> None:
    """A look whose total has a change that its log has not; then the feed shows everything, and time passes."""
    read = world.marketplace.listing

    def overtaken(listing_id: str) -> Listing:
        monkeypatch.undo()
        world.marketplace.edit("L", change)
        return read(listing_id)

    monkeypatch.setattr(world.marketplace, "listing", overtaken)
    world.pass_time(70)
    world.reconcile()
    world.marketplace.feed_hidden = False
    world.settle_down(seconds=3600, step=60)


def test_a_change_between_log_and_total_proves_no_wrong_place_of_an_anchor_that_was_only_a_read(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With -2 in the total and not yet in the log, the 8 units seem to have been read before the first -2."""
    world.listing(total=8)
    world.link()
    world.marketplace.feed_hidden = True
    world.marketplace.edit("L", 2)
    world.marketplace.edit("L", -2)
    world.marketplace.fail("adjust", "lost_before")
    world.sell("1", {"A": 1})
    world.reconcile()
    look_while_it_moves(world, monkeypatch, -2)
    assert (world.total(), world.anomalies()) == (5, [])
    world.assert_p1()


def test_a_change_between_log_and_total_proves_no_wrong_place_of_an_anchor_of_several_changes_at_once(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Our write and +3 are of one instant. With -3 in the total and not yet in the log, the 9 units that our write left
    seem to have been there after the +3.
    """
    world.listing(total=10)
    world.link()
    world.sell("1", {"A": 1})
    world.reconcile()
    world.follow()
    world.marketplace.edit("L", 3)
    world.marketplace.feed_hidden = True
    world.marketplace.fail("adjust", "lost_before")
    world.sell("2", {"A": 1})
    world.reconcile()
    look_while_it_moves(world, monkeypatch, -3)
    assert (world.total(), world.anomalies()) == (8, [])
    world.assert_p1()


def test_a_marketplace_whose_clock_runs_behind_hides_no_write_of_ours(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(world.marketplace.log, "moment", lambda: world.clock.now() - timedelta(seconds=30))
    lose(world, "lost_after")
    world.marketplace.feed_hidden = True
    world.settle_down(seconds=200)
    assert [state for state, *_ in world.operations()] == ["unknown"]
    world.marketplace.feed_hidden = False
    world.settle_down(seconds=60)
    assert [state for state, *_ in world.operations()] == ["applied"]
    assert world.total() == 7
    world.assert_p1()


def test_a_log_that_lags_behind_a_certain_total_proves_no_absence_and_is_told_if_it_stays_so(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.listing(total=10)
    world.link()
    world.sell("1", {"A": 1})
    world.reconcile()
    world.follow()
    world.marketplace.feed_hidden = True
    adjustments = world.marketplace.adjustments
    known = len(adjustments("L", since=world.clock.now() - timedelta(days=1)))
    monkeypatch.setattr(
        world.marketplace, "adjustments", lambda listing_id, *, since: adjustments(listing_id, since=since)[:known]
    )
    world.marketplace.fail("adjust", "lost_after")
    world.sell("2", {"A": 3})
    world.reconcile()
    for look in range(1, 10):
        assert "unexplained-total" not in world.anomalies(), look
        world.pass_time(301)
        world.reconcile()
    assert [state for state, *_ in world.operations()] == ["applied", "unknown"]
    assert world.anomalies() == ["outcome-unknown", "unexplained-total"]

    monkeypatch.undo()
    world.marketplace.feed_hidden = False
    world.settle_down(seconds=60)
    assert [state for state, *_ in world.operations()] == ["applied", "applied"]
    assert (world.total(), world.anomalies()) == (6, [])
    world.assert_p1()


def test_an_answer_that_the_feed_never_shows_is_looked_for_in_the_log(world: World) -> None:
    world.marketplace.own_events = Shown.MISSING
    world.listing(total=10)
    world.link()
    world.sell("1", {"A": 1})
    world.reconcile()
    looks = []
    for minutes in (9, 2, 60):
        world.pass_time(minutes * 60)
        world.follow()
        world.reconcile()
        looks.append(world.marketplace.count("adjustments"))
    # One look, which reads the log before and after the total.
    assert looks == [0, 2, 2]
    assert world.rows(Claim.operation_id) == world.rows(Operation.id)


def test_a_return_that_was_executed_twice_once_late_is_taken_again(world: World) -> None:
    world.listing(total=10)
    world.link()
    order = world.sell("1", {"A": 1})
    world.reconcile()
    world.follow()
    world.pass_time(2)
    world.marketplace.fail("adjust", "late")
    world.sell("1", {"A": 0}, placed_at=order.placed_at)
    world.settle_down(seconds=120)
    assert world.total() == 10
    world.marketplace.edit("L", -1)
    world.marketplace.late.pop()()
    assert world.total() == 10
    world.settle_down(seconds=60)
    assert (world.total(), world.pairs()) == (9, [("A", 0, 0, 0)])
    assert world.anomalies() == []
    world.assert_p1()


@pytest.mark.parametrize("decision", ["applied", "absent"])
@pytest.mark.parametrize("shown", [Shown.ANONYMOUS, Shown.MISSING])
def test_a_late_execution_that_nobody_signs_puts_its_absence_in_doubt_and_a_person_decides(
    world: World, shown: Shown, decision: Literal["applied", "absent"]
) -> None:
    """Else the sale would be booked twice, and nobody would know."""
    world.marketplace.own_events = shown
    lose(world, "late")
    world.settle_down(seconds=120)
    assert [state for state, *_ in world.operations()] == ["absent", "applied"]
    world.marketplace.edit("L", 3)
    world.follow()
    world.marketplace.late.pop()()
    assert world.total() == 7
    world.sell("2", {"A": 1})
    world.settle_down(seconds=900, step=20)
    assert [state for state, *_ in world.operations()].count("unknown") == 1
    assert world.anomalies() == ["outcome-unknown"]
    [doubted] = world.services.anomalies.list()
    decisions = Decisions(world.store, world.clock, world.services.anomalies)
    decisions.settle(doubted.detail["operation"], decision, by="somebody", reason="the marketplace's history")
    world.settle_down(seconds=900, step=20)
    assert world.anomalies() == []
    assert world.total() == (9 if decision == "applied" else 6)


def test_an_absence_that_is_in_doubt_is_asked_about_although_the_stock_has_become_unlimited_meanwhile(
    world: World,
) -> None:
    """The second write, which has the same totals, is asked about first. Its answer leaves the first one's question."""
    world.marketplace.own_events = Shown.ANONYMOUS
    lose(world, "late")
    world.marketplace.fail("adjust", "lost_before")
    world.pass_time(70)
    world.reconcile()
    assert [state for state, *_ in world.operations()] == ["absent", "unknown"]
    world.marketplace.late.pop()()
    world.settle_down(seconds=600, step=20)
    world.marketplace.edit("L", UNLIMITED_FROM)
    world.settle_down(seconds=600, step=20)
    decisions = Decisions(world.store, world.clock, world.services.anomalies)
    decided: tuple[tuple[int, Literal["applied", "absent"]], ...] = ((2, "absent"), (1, "applied"))
    for operation, decision in decided:
        [asked] = world.services.anomalies.list()
        assert (asked.kind, asked.detail["operation"]) == ("outcome-unknown", operation)
        decisions.settle(operation, decision, by="somebody", reason="the marketplace's history")
        world.settle_down(seconds=600, step=20)
    assert [state for state, *_ in world.operations()] == ["applied", "absent"]
    assert (world.pairs(), world.anomalies()) == ([("A", 3, 3, 0)], [])


def test_a_persons_word_that_a_write_was_executed_claims_its_adjustment(world: World) -> None:
    """Else the adjustment would seem to be an earlier absent write with the same totals, and people be asked again."""
    world.marketplace.own_events = Shown.ANONYMOUS
    lose(world, "lost_before")
    world.marketplace.fail("adjust", "lost_after")
    world.settle_down(seconds=1000, step=20)
    assert [state for state, *_ in world.operations()] == ["absent", "unknown"]
    decide_applied(world)
    world.settle_down(seconds=900, step=20)
    assert [state for state, *_ in world.operations()] == ["absent", "applied"]
    assert (world.total(), world.anomalies()) == (7, [])


@pytest.mark.parametrize("shown", [Shown.ANONYMOUS, Shown.MISSING])
def test_answered_writes_go_on_without_attribution(world: World, shown: Shown) -> None:
    world.marketplace.own_events = shown
    world.listing(total=10)
    world.link()
    for number in range(3):
        world.pass_time(700)
        world.sell(str(number), {"A": 1})
        world.reconcile()
        world.follow()
        world.reconcile()
    assert world.total() == 7
    assert world.anomalies() == []
    world.assert_p1()


def test_a_crash_between_intent_and_answer_leaves_an_intent_to_settle(world: World) -> None:
    world.listing(total=10)
    world.link()

    def die(_listing: str) -> None:
        world.marketplace.before_adjust = None
        raise KeyboardInterrupt

    world.marketplace.before_adjust = die
    world.sell("1", {"A": 3})
    with pytest.raises(KeyboardInterrupt):
        world.reconcile()
    assert [state for state, *_ in world.operations()] == ["prepared"]
    world.settle_down()
    assert [state for state, *_ in world.operations()] == ["absent", "applied"]
    assert world.total() == 7
    world.assert_p1()


def test_a_crash_after_the_write_settles_as_applied(world: World) -> None:
    world.listing(total=10)
    world.link()
    adjust = world.marketplace.adjust

    def adjust_then_die(listing_id: str, *, seen: int, delta: int) -> None:
        adjust(listing_id, seen=seen, delta=delta)
        raise KeyboardInterrupt

    world.marketplace.adjust = adjust_then_die  # type: ignore[method-assign, assignment]
    world.sell("1", {"A": 3})
    with pytest.raises(KeyboardInterrupt):
        world.reconcile()
    world.marketplace.adjust = adjust  # type: ignore[method-assign]
    world.settle_down()
    assert [state for state, *_ in world.operations()] == ["applied"]
    assert world.total() == 7
    world.assert_p1()


def test_a_lease_that_runs_out_while_its_holder_sleeps_costs_no_unit(world: World) -> None:
    """The holder sleeps before its answer is recorded; another pass takes the listing over meanwhile."""
    world.listing(total=10)
    world.link()
    adjust = world.marketplace.adjust
    taken_over = False

    def sleepy(listing_id: str, *, seen: int, delta: int) -> object:
        nonlocal taken_over
        answer = adjust(listing_id, seen=seen, delta=delta)
        if not taken_over:
            taken_over = True
            world.pass_time(120)
            world.reconcile()
        return answer

    world.marketplace.adjust = sleepy  # type: ignore[method-assign, assignment]
    world.sell("1", {"A": 3})
    world.reconcile()
    world.settle_down()
    assert world.total() == 7
    assert world.pairs() == [("A", 3, 3, 0)]
    world.assert_p1()


def test_at_most_one_unsettled_operation_per_listing(world: World) -> None:
    """P3: the unique index refuses a second."""
    lose(world, "lost_before")
    values = {
        "listing_id": "L",
        "kind": OperationKind.STOCK,
        "state": OperationState.PREPARED,
        "expected_total": 1,
        "new_total": 0,
        "prepared_at": world.clock.now(),
        "correlation_id": "x",
    }
    with pytest.raises(DBAPIError), world.store.write() as transaction:
        transaction.execute(insert(Operation).values(values))


def test_journal_and_claims_are_append_only(world: World) -> None:
    lose(world, "lost_after")
    world.follow()
    for table, column in ((JournalEntry, "units"), (Claim, "operation_id")):
        assert world.rows(table)
        for statement in (update(table).values({column: 99}), delete(table)):
            with pytest.raises(DBAPIError), world.store.write() as transaction:
                transaction.execute(statement)


@pytest.mark.parametrize("again", ["operation_id", "adjustment_id"])
def test_an_operation_and_an_adjustment_are_claimed_once_each(world: World, again: str) -> None:
    """The keys refuse a second claim, whatever the code believes."""
    lose(world, "lost_after")
    world.marketplace.buy("L", 1)
    world.follow()
    world.sell("2", {"A": 1})
    world.reconcile()
    (claimed,) = world.rows(Claim.adjustment_id, Claim.operation_id)
    adjustments = {row.adjustment_id for row in world.rows(RemoteAdjustmentRow.adjustment_id)}
    operations = {row.id for row in world.rows(Operation.id)}
    free = {
        "adjustment_id": (adjustments - {claimed.adjustment_id}).pop(),
        "operation_id": (operations - {claimed.operation_id}).pop(),
        "claimed_at": world.clock.now(),
    }
    with pytest.raises(IntegrityError), world.store.write() as transaction:
        transaction.execute(insert(Claim).values({**free, again: getattr(claimed, again)}))
    with world.store.write() as transaction:
        transaction.execute(insert(Claim).values(free))


def test_an_orphan_holds_the_listing(world: World) -> None:
    world.listing(total=10)
    world.link()
    world.marketplace._set("L", 10, -2)  # our credentials, no operation of ours
    world.follow()
    world.reconcile()
    world.sell("1", {"A": 1})
    world.reconcile()
    assert world.holds() == ["orphan"]
    assert world.anomalies() == ["orphan"]
    assert world.total() == 8
    calls = len(world.marketplace.calls)
    for _ in range(5):
        world.follow()
        world.reconcile()
    assert len(world.marketplace.calls) - calls == 5


def test_an_orphan_that_a_person_has_looked_at_does_not_hold_the_listing_again(world: World) -> None:
    world.listing(total=10)
    world.link()
    world.marketplace._set("L", 10, -2)
    world.follow()
    world.reconcile()
    assert world.holds() == ["orphan"]
    world.services.holds.lift(HoldScope.LISTING, "L", by="ann")
    world.sell("1", {"A": 1})
    calls = len(world.marketplace.calls)
    for _ in range(3):
        world.follow()
        world.reconcile()
    assert world.holds() == []
    assert world.anomalies() == []
    assert world.total() == 7
    # One write, and one look at the feed in each round: nothing is examined over and over.
    assert len(world.marketplace.calls) - calls == 4


def test_the_evidence_of_a_listing_first_read_from_a_lagging_index_is_found_again(world: World) -> None:
    world.listing(total=10)
    world.link()
    world.marketplace.feed_hidden = True
    world.marketplace.edit("L", 4)
    world.pass_time(500)
    world.marketplace.fail("adjust", "ok", "lost_after")
    world.sell("1", {"A": 3})
    world.reconcile()
    world.marketplace.feed_hidden = False
    world.settle_down()
    assert world.total() == 11
    assert world.pairs() == [("A", 3, 3, 0)]
    world.assert_p1()


def test_an_unexpected_error_in_a_connector_counts_as_unknown(world: World) -> None:
    lose(world, "lost_after")
    world.follow()
    world.reconcile()
    world.marketplace.fail("adjust", ValueError("a bug"))
    world.sell("2", {"A": 1})
    world.reconcile()
    assert world.operations()[-1][0] == "unknown"
    world.settle_down()
    assert world.total() == 6
    world.assert_p1()


def test_the_late_answer_of_an_absent_operation_counts(world: World) -> None:
    lose(world, "lost_before")
    world.marketplace.fail("adjust", OutcomeUnknown("still nothing"))
    world.pass_time(100)
    world.follow()
    world.reconcile()
    row = world.rows(Operation.id, Operation.state)[0]
    assert row.state is OperationState.ABSENT
    with world.store.write() as transaction:
        assert world.services.settler.late_answer_in(transaction, row.id)
        assert not world.services.settler.late_answer_in(transaction, row.id)


def test_an_outcome_that_becomes_known_resolves_its_anomaly(world: World) -> None:
    lose(world, "lost_after", units=12)
    world.marketplace.feed_hidden = True
    for _ in range(40):
        world.pass_time(10)
        world.follow()
        world.reconcile()
    assert world.anomalies() == ["outcome-unknown"]
    world.marketplace.feed_hidden = False
    world.settle_down(seconds=60)
    assert world.anomalies() == ["oversold"]


def test_a_sleeper_that_repeats_an_absent_write_and_answers_late_is_counted_once(world: World) -> None:
    """10 -> 7 was lost and found absent; it is sent again, its sender sleeps past its lease, another pass settles."""
    lose(world, "lost_before")
    world.pass_time(100)
    world.follow()
    adjust = world.marketplace.adjust
    slept = False

    def sleepy(listing_id: str, *, seen: int, delta: int) -> object:
        nonlocal slept
        answer = adjust(listing_id, seen=seen, delta=delta)
        if not slept:
            slept = True
            world.pass_time(120)
            world.reconcile()
            world.follow()
            world.reconcile()
        return answer

    world.marketplace.adjust = sleepy  # type: ignore[method-assign, assignment]
    world.reconcile()
    world.settle_down(seconds=300)
    assert world.total() == 7
    assert world.pairs() == [("A", 3, 3, 0)]
    world.assert_p1()
