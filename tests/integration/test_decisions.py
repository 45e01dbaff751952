"""P4: where the marketplace offers no evidence, a person decides, and trueup says so."""

from __future__ import annotations

import pytest

from tests.world import World
from worker.reconcile.decide import DecisionRefusedError, Decisions
from worker.reconcile.findings import outcome_unknown
from worker.store.tables import JournalEntry


def decisions(world: World) -> Decisions:
    return Decisions(world.store, world.clock, world.services.anomalies)


@pytest.fixture
def lost(world: World) -> World:
    """A sale of 2 whose write got no answer, on a marketplace whose log is out of reach."""
    world.listing("L", 10)
    world.link("A", "L")
    world.pass_time(1)
    world.marketplace.feed_hidden = True
    return world


def lose(world: World, fault: str) -> int:
    world.marketplace.fail("adjust", fault)
    world.sell("o1", {"A": 2})
    world.reconcile()
    (operation,) = decisions(world).list()
    assert operation.state.value == "unknown"
    return operation.id


def test_p4_a_person_says_applied_and_the_units_count(lost: World) -> None:
    operation = lose(lost, "lost_after")
    settled = decisions(lost).settle(operation, "applied", by="ada", reason="seen in the history")
    assert (settled.state.value, lost.pairs()) == ("applied", [("A", 2, 2, 0)])
    lost.reconcile()
    assert lost.total("L") == 8
    lost.assert_p1()


def test_p4_a_person_says_absent_and_the_units_are_taken_once(lost: World) -> None:
    operation = lose(lost, "lost_before")
    decisions(lost).settle(operation, "absent", by="ada", reason="support looked")
    lost.reconcile()
    assert (lost.total("L"), lost.pairs()) == (8, [("A", 2, 2, 0)])
    lost.assert_p1()


def test_p4_the_journal_keeps_who_decided_and_why(lost: World) -> None:
    operation = lose(lost, "lost_before")
    decisions(lost).settle(operation, "absent", by="ada", reason="support looked")
    notes = [row.note for row in lost.rows(JournalEntry.note) if row.note]
    assert notes == [f"operation {operation} settled as absent by ada: support looked"]
    assert decisions(lost).list(unsettled_only=False)[0].outcome == "decided by ada: support looked"


def test_p4_after_a_decision_the_listing_is_looked_at_before_anything_is_written(lost: World) -> None:
    operation = lose(lost, "lost_after")
    decisions(lost).settle(operation, "applied", by="ada", reason="seen")
    row = lost.listing_row("L")
    assert row.doubted
    assert row.next_attempt_at <= lost.clock.now()


def test_p4_a_wrong_absent_is_revoked_by_the_log(lost: World) -> None:
    operation = lose(lost, "lost_after")
    decisions(lost).settle(operation, "absent", by="ada", reason="a guess")
    lost.marketplace.feed_hidden = False
    lost.settle_down(seconds=120)
    assert lost.total("L") == 8
    lost.assert_p1()


def test_p4_a_decision_resolves_the_anomaly(lost: World) -> None:
    operation = lose(lost, "lost_after")
    (held,) = decisions(lost).list()
    lost.services.anomalies.open(outcome_unknown("L", held))
    decisions(lost).settle(operation, "applied", by="ada", reason="seen")
    assert lost.anomalies() == []


def test_only_an_unknown_operation_is_for_a_person_to_decide(lost: World) -> None:
    operation = lose(lost, "lost_before")
    decisions(lost).settle(operation, "absent", by="ada", reason="x")
    with pytest.raises(DecisionRefusedError, match="settled already: absent"):
        decisions(lost).settle(operation, "applied", by="ada", reason="y")
    with pytest.raises(DecisionRefusedError, match="no operation 4711"):
        decisions(lost).settle(4711, "applied", by="ada", reason="y")
    assert lost.pairs() == [("A", 2, 0, 0)]


def test_accepting_the_marketplaces_number_waives_what_is_pending_and_later_increases_count(world: World) -> None:
    world.listing(total=2)
    world.link()
    world.sell("1", {"A": 5})
    world.reconcile()
    assert decisions(world).accept_total("L", by="ann", reason="settled with the buyer") == 3
    assert world.pairs() == [("A", 5, 2, 3)]
    assert world.waivers() == [("L", "accepted", 3)]
    assert world.anomalies() == []
    world.marketplace.edit("L", 10)
    world.follow()
    world.pass_time(1)
    world.sell("1", {"A": 6})
    world.reconcile()
    assert (world.total(), world.pairs()) == (9, [("A", 6, 3, 3)])
    world.assert_p1()


def test_a_number_is_not_accepted_while_a_write_is_unsettled_or_for_an_unknown_listing(world: World) -> None:
    world.listing(total=2)
    world.link()
    world.marketplace.fail("adjust", "lost_before")
    world.sell("1", {"A": 1})
    world.reconcile()
    with pytest.raises(DecisionRefusedError, match="not settled"):
        decisions(world).accept_total("L", by="ann", reason="x")
    with pytest.raises(DecisionRefusedError, match="trueup sweep"):
        decisions(world).accept_total("nothing", by="ann", reason="x")
