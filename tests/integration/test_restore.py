"""The database is restored from an hour-old copy while the marketplace and the shop kept the hour."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

import pytest

from connectors.contract import Evidence, ListingState
from connectors.errors import Unavailable
from connectors.sandbox.log import Shown
from tests.doubles import SendingChannel
from tests.restoring import Copy, NewStore, copy_of, restore
from tests.world import CHANNEL, World
from worker.links import Links
from worker.recovery.service import Recovered, Verdict
from worker.store import Store
from worker.store.tables import Claim, Hold, HoldReason, HoldScope, JournalEntry, JournalKind, Operation
from worker.tasks import Tasks, _quietly

HOUR = 3600


class Rounds:
    """A running service: what its schedule would ring, one after the other."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.tasks = Tasks(world.services, self)  # type: ignore[arg-type]

    def ring(self, task: str) -> None: ...

    def __call__(self, rounds: int = 1) -> None:
        for _ in range(rounds):
            for run in (
                self.tasks.reconcile,
                self.tasks.poll,
                self.tasks.intake,
                self.tasks.feed,
                self.tasks.upkeep,
                self.tasks.sweep,
                self.tasks.reconcile,
            ):
                _quietly(run)()
            self.world.pass_time(10)


class Service:
    """Before, during and after the lost hour."""

    def __init__(self, world: World, new_store: NewStore) -> None:
        self.world = world
        self._new_store = new_store
        world.listing(total=20)
        world.link()
        world.sell("before", {"A": 2})
        self.run(20)
        assert world.total() == 18

    def run(self, rounds: int = 1) -> None:
        Rounds(self.world)(rounds)

    def copy(self) -> Copy:
        copied = copy_of(self.world.store)
        self.world.pass_time(60)
        return copied

    def restore(self, copy: Copy) -> None:
        """Everything is stopped, the copy put in place, everything started."""
        self.world.pass_time(HOUR)
        self.world.start_again(restore(copy, self._new_store()))
        self.world.marketplace.calls.clear()


@pytest.fixture
def service(world: World, new_store: NewStore) -> Service:
    return Service(world, new_store)


def test_what_was_written_in_the_lost_hour_is_booked_again_and_nothing_twice(service: Service) -> None:
    world = service.world
    copy = service.copy()
    for number in range(3):
        world.sell(f"lost-{number}", {"A": 1 + number})
        service.run(2)
    assert world.total() == 12
    service.restore(copy)
    service.run(40)
    assert world.marketplace.count("adjust") == 0
    assert world.total() == 12
    assert sorted(world.pairs()) == [("A", 1, 1, 0), ("A", 2, 2, 0), ("A", 2, 2, 0), ("A", 3, 3, 0)]
    world.assert_p1()
    assert (world.holds(), world.anomalies()) == ([], [])
    assert len(world.rows(Claim.operation_id)) == 4
    journal = world.rows(JournalEntry.kind, JournalEntry.units, JournalEntry.operation_id)
    assert all(row.operation_id for row in journal if row.kind is JournalKind.APPLIED)


def test_the_listing_is_held_until_the_channel_has_been_read_again(service: Service) -> None:
    world = service.world
    copy = service.copy()
    world.sell("lost", {"A": 4})
    service.run(2)
    service.restore(copy)
    world.channel.fail("orders", *[Unavailable("down")] * 3)
    world.sell("after", {"A": 1})
    for _ in range(3):
        service.run()
        assert world.total() == 14
        assert world.holds() == ["restored"]
        assert world.anomalies() == ["restored"]
    service.run(60)
    assert world.total() == 13
    world.assert_p1()
    assert (world.holds(), world.anomalies()) == ([], [])


def test_a_channel_that_only_sends_is_never_taken_to_have_been_read_again(store: Store, new_store: NewStore) -> None:
    """Sales of the hour may be missing: what was written is not matched to those that are there, nor taken twice."""
    service = Service(World(store, offered=SendingChannel), new_store)
    world = service.world
    copy = service.copy()
    lost = world.sell("lost", {"A": 3})
    service.run()
    service.restore(copy)
    world.sell("new", {"A": 3})
    service.run(30)
    assert (world.total(), world.holds()) == (15, ["restored"])
    world.deliver(lost, delivery_id="again")
    service.run(30)
    assert (world.total(), world.holds()) == (15, ["restored"])
    copied_at = world.services.recovery.begin(None)
    found = world.services.recovery.examine(copied_at)
    assert [(entry.verdict, entry.taken, entry.due) for entry in found] == [(Verdict.BOOKED, 3, 6)]
    world.services.recovery.finish(copied_at, found)
    service.run(2)
    assert (world.total(), world.holds()) == (12, [])
    world.assert_p1()


def test_a_sale_after_the_last_write_is_taken_and_no_other(service: Service) -> None:
    world = service.world
    copy = service.copy()
    world.sell("lost", {"A": 4})
    service.run(2)
    world.pass_time(60)
    world.channel.put("never-written", {"A": 3})
    service.restore(copy)
    service.run(40)
    assert world.total() == 11
    assert world.marketplace.count("adjust") == 1
    world.assert_p1()


def test_a_line_that_the_copy_knows_and_that_was_cancelled_after_the_last_write_is_given_back(service: Service) -> None:
    world = service.world
    world.sell("lost", {"A": 4})
    copy = service.copy()
    service.run(2)
    assert world.total() == 14
    world.pass_time(60)
    world.channel.put("lost", {"A": 1})
    service.restore(copy)
    service.run(40)
    assert (world.total(), world.pairs()[-1]) == (17, ("A", 1, 1, 0))
    world.assert_p1()
    assert (world.holds(), world.anomalies()) == ([], [])


def test_returns_links_of_several_units_and_sales_undone_within_the_hour(service: Service) -> None:
    world = service.world
    world.listing("M", 60)
    world.link("SIX", "M", units=6)
    world.link("KIT", "M", units=1)
    world.link("KIT", "L", units=2)
    service.run(2)
    copy = service.copy()
    world.sell("before", {"A": 1})
    world.sell("six", {"SIX": 3})
    world.sell("kit", {"KIT": 2})
    service.run(2)
    world.sell("undone", {"A": 5})
    service.run(2)
    world.sell("undone", {"A": 0})
    world.sell("six", {"SIX": 1})
    service.run(3)
    totals = (world.total("L"), world.total("M"))
    assert totals == (15, 52)
    service.restore(copy)
    service.run(40)
    assert (world.total("L"), world.total("M")) == totals
    assert world.marketplace.count("adjust") == 0
    world.assert_p1()
    assert (world.holds(), world.anomalies()) == ([], [])


def test_buyers_and_providers_of_the_hour_do_not_disturb(service: Service) -> None:
    world = service.world
    copy = service.copy()
    world.sell("lost", {"A": 2})
    service.run(1)
    abandoned = world.marketplace.buy("L", 3)
    world.marketplace.edit("L", 7)
    world.sell("lost-too", {"A": 3})
    service.run(2)
    world.marketplace.abandon(abandoned)
    service.restore(copy)
    service.run(40)
    assert world.total() == 20
    world.assert_p1()
    assert (world.holds(), world.anomalies()) == ([], [])


def test_an_operation_that_the_copy_still_knows_is_settled_first(service: Service) -> None:
    """The copy was made while an answer was lost; the same was sent again within the hour, and more after it."""
    world = service.world
    world.marketplace.fail("adjust", "lost_before")
    world.sell("doubtful", {"A": 2})
    world.reconcile()
    copy = service.copy()
    service.run(20)
    world.sell("lost", {"A": 3})
    service.run(3)
    assert world.total() == 13
    service.restore(copy)
    service.run(40)
    assert world.total() == 13
    world.assert_p1()
    assert (world.holds(), world.anomalies()) == ([], [])


def test_a_remainder_stays_held_until_the_lost_link_is_back(service: Service) -> None:
    world = service.world
    copy = service.copy()
    world.link("B", "L")
    world.sell("lost", {"A": 1, "B": 2})
    service.run(3)
    assert world.total() == 15
    service.restore(copy)
    service.run(40)
    assert world.holds() == ["restored"]
    assert world.anomalies() == ["orphan", "restored", "unlinked-sku"]
    [orphan] = world.services.anomalies.list(kind="orphan")
    assert "took 3 units, its order lines explain 1" in orphan.message
    assert world.total() == 15
    # The link is imported again, in force since before the sale: the waiting line counts, and all of it matches.
    links = Links(world.store, world.clock, world.services.anomalies)
    links.import_csv(f"channel,sku,listing_id,units,from\n{CHANNEL},B,L,1,2026-01-01T00:00:00Z\n")
    service.run(10)
    assert world.total() == 15
    # Nothing is left but what is said of two SKUs for one listing.
    assert (world.holds(), world.anomalies()) == ([], ["duplicate-link"])
    world.assert_p1()


def test_a_person_says_that_the_rest_was_ours(service: Service) -> None:
    world = service.world
    copy = service.copy()
    world.sell("lost", {"A": 3})
    service.run(2)
    del world.channel.held["lost"]
    service.restore(copy)
    service.run(20)
    assert world.holds() == ["restored"]
    found = world.services.recovery.settle("L", by="ann")
    assert found.verdict is Verdict.BOOKED
    service.run(5)
    assert world.total() == 15
    assert (world.holds(), world.anomalies()) == ([], [])
    world.sell("after", {"A": 1})
    service.run(5)
    assert world.total() == 14


def test_a_person_says_that_the_rest_was_another_programs(service: Service) -> None:
    world = service.world
    copy = service.copy()
    world.marketplace._set("L", 18, -5)
    service.restore(copy)
    service.run(20)
    assert world.holds() == ["restored"]
    world.services.holds.lift(HoldScope.LISTING, "L", by="ann")
    world.sell("after", {"A": 1})
    service.run(20)
    assert world.total() == 12
    assert (world.holds(), world.anomalies()) == ([], [])


def test_other_listings_go_on_while_one_is_held(service: Service) -> None:
    world = service.world
    world.listing("M", 10)
    world.link("B", "M")
    service.run(2)
    copy = service.copy()
    world.marketplace._set("L", 18, -5)
    service.restore(copy)
    world.sell("after", {"A": 1, "B": 1})
    service.run(20)
    assert (world.total("L"), world.total("M")) == (13, 9)


def test_our_closings_of_the_hour_are_learnt_again(service: Service) -> None:
    world = service.world
    world.listing("M", 1)
    world.link("B", "M")
    service.run(2)
    copy = service.copy()
    world.sell("lost", {"B": 1})
    service.run(2)
    for _ in range(20):
        world.pass_time(100)
        service.run()
    assert world.marketplace.listing("M").state is ListingState.CLOSED
    service.restore(copy)
    service.run(30)
    assert world.listing_row("M").closed_by_us_at is not None
    world.marketplace.edit("M", 3)
    service.run(10)
    assert world.marketplace.states["M"] == ListingState.PUBLISHED


def test_a_closing_of_the_hour_that_somebody_undid_is_not_ours(service: Service) -> None:
    world = service.world
    copy = service.copy()
    world.marketplace.set_state("L", ListingState.CLOSED, ours=True)
    world.marketplace.set_state("L", ListingState.PUBLISHED)
    world.marketplace.set_state("L", ListingState.CLOSED)
    service.restore(copy)
    service.run(30)
    assert world.listing_row("L").closed_by_us_at is None
    assert world.marketplace.states["L"] is ListingState.CLOSED


class CrashError(BaseException):
    """The process is gone."""


@pytest.mark.parametrize("crash_at", range(1, 22, 4))
def test_a_crash_anywhere_in_the_recovery_is_recovered_from(service: Service, crash_at: int) -> None:
    world = service.world
    world.listing("M", 10)
    world.link("B", "M")
    service.run(2)
    copy = service.copy()
    for number in range(3):
        world.sell(f"lost-{number}", {"A": 2, "B": 1})
        service.run(2)
    service.restore(copy)
    write, left = world.store.write, crash_at

    def dying() -> object:
        nonlocal left
        left -= 1
        if left == -1:
            raise CrashError
        return write()

    world.store.write = dying  # type: ignore[method-assign, assignment]
    with suppress(CrashError):
        service.run(6)
    world.store.write = write  # type: ignore[method-assign]
    world.start_again(world.store)
    service.run(40)
    assert (world.total("L"), world.total("M")) == (12, 7)
    assert world.marketplace.count("adjust") == 0
    world.assert_p1()
    assert (world.holds(), world.anomalies()) == ([], [])


def test_a_database_set_back_under_a_running_process_is_noticed(service: Service) -> None:
    world = service.world
    rounds = Rounds(world)
    copy = service.copy()
    world.sell("lost", {"A": 4})
    rounds(360)
    restored = restore(copy, service._new_store())
    world.store.dispose()
    world.store.engine = restored.engine
    world.store._writer = restored._writer
    world.marketplace.calls.clear()
    rounds(40)
    assert world.total() == 14
    assert world.marketplace.count("adjust") == 0
    world.assert_p1()
    assert (world.holds(), world.anomalies()) == ([], [])


def test_an_ordinary_start_holds_nothing(service: Service) -> None:
    world = service.world
    world.sell("1", {"A": 3})
    service.run(2)
    world.start_again(world.store)
    service.run(5)
    assert world.rows(Hold.reason) == []


def test_what_another_program_does_while_we_run_is_no_sign_of_a_restore(service: Service) -> None:
    world = service.world
    rounds = Rounds(world)
    rounds(2)
    world.marketplace._set("L", 18, -1)
    rounds(10)
    assert world.holds() == ["orphan"]


# --- trueup recover -----------------------------------------------------------------------------------------------


def recover(world: World) -> dict[str, Recovered]:
    """What the command does."""
    recovery = world.services.recovery
    copied_at = recovery.begin(None)
    world.follow()
    world.poll()
    found = recovery.examine(copied_at)
    return {entry.listing_id: entry for entry in recovery.finish(copied_at, found)}


def anonymous(world: World) -> None:
    world.marketplace.own_events = Shown.ANONYMOUS


def missing(world: World) -> None:
    world.marketplace.own_events = Shown.MISSING


@pytest.mark.parametrize("evidence", [anonymous, missing])
def test_anonymous_evidence_is_matched_on_an_operators_word(
    service: Service, evidence: Callable[[World], None]
) -> None:
    world = service.world
    copy = service.copy()
    evidence(world)
    world.sell("lost", {"A": 4})
    world.reconcile()
    world.marketplace.edit("L", 2)
    assert world.total() == 16
    service.restore(copy)
    found = recover(world)
    assert found["L"] == Recovered("L", Verdict.BOOKED, 4, 4, found["L"].why, anonymous=True)
    service.run(20)
    assert world.total() == 16
    world.assert_p1()
    assert (world.holds(), world.anomalies()) == ([], [])


def test_anonymous_evidence_that_does_not_match_to_the_unit_is_a_persons(service: Service) -> None:
    world = service.world
    copy = service.copy()
    anonymous(world)
    world.sell("lost", {"A": 4})
    world.reconcile()
    world.channel.put("never-written", {"A": 1})
    service.restore(copy)
    assert recover(world)["L"].verdict is Verdict.REMAINS
    service.run(20)
    assert world.total() == 14
    assert world.holds() == ["orphan"]


def test_without_any_log_what_is_pending_waits_for_a_person(service: Service) -> None:
    world = service.world
    world.listing("M", 10)
    world.link("B", "M")
    service.run(2)
    copy = service.copy()
    world.marketplace.evidence = Evidence.NONE
    missing(world)
    world.sell("lost", {"A": 4})
    world.reconcile()
    service.restore(copy)
    found = recover(world)
    assert set(found) == {"L"}
    service.run(20)
    assert world.total() == 14
    assert world.holds() == ["orphan"]
    [orphan] = world.services.anomalies.list(kind="orphan")
    assert "trueup operations accept L" in orphan.message
    world.sell("after", {"B": 1})
    service.run(2)
    assert world.total("M") == 9


def test_recover_stops_every_write_until_it_is_done(service: Service) -> None:
    world = service.world
    copy = service.copy()
    service.restore(copy)
    begun = world.services.recovery.begin(None)
    world.sell("1", {"A": 1})
    service.run(5)
    assert world.total() == 18
    # Begun again after a crash, it still knows from when the copy is, although the feed has been read since.
    world.start_again(world.store)
    assert world.services.recovery.begin(None) == begun
    recover(world)
    service.run(5)
    assert world.total() == 17
    world.assert_p1()


def test_an_operation_of_the_lost_hour_has_its_totals(service: Service) -> None:
    world = service.world
    copy = service.copy()
    world.sell("lost", {"A": 4})
    service.run(2)
    service.restore(copy)
    service.run(20)
    rows = world.rows(Operation.expected_total, Operation.new_total)
    assert [(row.expected_total, row.new_total) for row in rows] == [(20, 18), (18, 14)]


def test_a_listing_held_for_an_older_orphan_stays_a_persons(service: Service) -> None:
    world = service.world
    world.marketplace._set("L", 18, -1)
    service.run(10)
    assert world.holds() == ["orphan"]
    world.start_again(world.store)
    service.run(10)
    assert world.holds() == ["orphan"]


def test_a_listing_behind_whose_hold_nothing_is_lost_does_not_wait_for_another_question(service: Service) -> None:
    world = service.world
    world.marketplace.fail("adjust", "lost_before")
    world.sell("asked", {"A": 1})
    world.reconcile()
    assert world.operations()[-1][0] == "unknown"
    world.services.holds.place(HoldReason.RESTORED, HoldScope.LISTING, "L", "its anchor was wrong")
    assert world.services.recovery.drain() == 1
    assert world.holds() == []


def test_it_costs_no_call_while_nothing_is_held(service: Service) -> None:
    world = service.world
    world.services.holds.place(HoldReason.SHADOW, HoldScope.CHANNEL, CHANNEL, "new")
    world.marketplace.calls.clear()
    assert world.services.recovery.drain() == 0
    assert world.marketplace.calls == []
