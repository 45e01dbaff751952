"""Plans, writes, mismatches, shortages, waivers."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import pytest
from structlog.testing import capture_logs

from connectors.contract import Adjusted, ListingState, RemoteAdjustment
from connectors.errors import RateLimited, Rejected, Unauthorized, Unavailable
from tests.world import World
from worker.store import StorageUnavailable
from worker.store.tables import Cursor, HoldReason, HoldScope, JournalEntry, JournalKind
from worker.upkeep import repository


def test_one_isolated_sale_with_stock_known_from_the_feed_is_one_call(world: World) -> None:
    world.listing(total=10)
    world.link()
    world.marketplace.calls.clear()
    world.sell("1", {"A": 1})
    world.reconcile()
    assert [call[0] for call in world.marketplace.calls] == ["adjust"]


def test_a_burst_coalesces_into_one_write(world: World) -> None:
    world.listing(total=100)
    world.link()
    for number in range(20):
        world.sell(str(number), {"A": 1})
    world.reconcile()
    assert world.total() == 80
    assert world.marketplace.count("adjust") == 1


def test_units_of_a_link_multiply(world: World) -> None:
    world.listing(total=20)
    world.link(units=6)
    world.sell("1", {"A": 2})
    world.reconcile()
    assert world.total() == 8


def test_a_kit_moves_every_listing_it_is_linked_to(world: World) -> None:
    world.listing("L", 10)
    world.listing("M", 10)
    world.link("A", "L")
    world.link("A", "M", units=2)
    world.sell("1", {"A": 3})
    world.reconcile()
    assert (world.total("L"), world.total("M")) == (7, 4)
    world.assert_p1()


def test_on_a_mismatch_the_listing_is_read_and_planned_again(world: World) -> None:
    world.listing(total=10)
    world.link()
    world.marketplace.buy("L", 4)
    world.sell("1", {"A": 3})
    world.reconcile()
    assert world.total() == 3
    assert [state for state, *_ in world.operations()] == ["rejected", "applied"]


def test_a_listing_that_changes_in_every_round_is_left_alone_for_a_moment(world: World) -> None:
    world.listing(total=10)
    world.link()
    world.marketplace.before_adjust = lambda listing: world.marketplace.edit(listing, 1)
    world.sell("1", {"A": 1})
    world.services.reconciler.drain()
    assert [state for state, *_ in world.operations()] == ["rejected"] * 5
    assert world.listing_row().next_attempt_at > world.clock.now()


def test_returns_come_first_then_sales_by_placed_at_and_a_shortage_leaves_the_latest_pending(world: World) -> None:
    world.listing(total=5)
    world.link()
    world.sell("1", {"A": 4})
    world.reconcile()
    world.pass_time(10)
    world.sell("3", {"A": 4}, placed_at=world.clock.now())
    world.sell("2", {"A": 2}, placed_at=world.clock.now() - timedelta(seconds=5))
    world.sell("1", {"A": 3})
    world.reconcile()
    assert world.total() == 0
    assert world.pairs() == [("A", 3, 3, 0), ("A", 4, 0, 0), ("A", 2, 2, 0)]
    assert world.anomalies() == ["oversold"]
    world.assert_p1()


def test_an_oversell_resolves_itself_when_stock_comes_in(world: World) -> None:
    world.listing(total=2)
    world.link()
    world.sell("1", {"A": 5})
    world.reconcile()
    assert world.total() == 0
    assert world.anomalies() == ["oversold"]
    world.marketplace.edit("L", 10)
    world.follow()
    world.reconcile()
    assert world.total() == 7
    assert world.anomalies() == []
    assert "oversold" in world.anomalies(resolved=True)


def test_an_oversell_is_told_only_from_a_fresh_read(world: World) -> None:
    """Stock came in that the feed has not shown yet."""
    world.listing(total=0)
    world.link()
    world.marketplace.feed_hidden = True
    world.marketplace.edit("L", 10)
    world.sell("1", {"A": 5})
    world.reconcile()
    assert world.pairs() == [("A", 5, 5, 0)]
    assert (world.anomalies(), world.anomalies(resolved=True)) == ([], [])


def test_an_oversell_that_ends_while_it_is_written_is_not_left_open(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The shop takes the missing units back while the write of the others is under way."""
    world.listing(total=5)
    world.link()
    world.sell("1", {"A": 7})
    adjust = world.marketplace.adjust

    def meanwhile(listing_id: str, *, seen: int, delta: int) -> Adjusted:
        world.pass_time(1)
        world.sell("1", {"A": 5})
        return adjust(listing_id, seen=seen, delta=delta)

    monkeypatch.setattr(world.marketplace, "adjust", meanwhile)
    world.reconcile()

    assert world.pairs() == [("A", 5, 5, 0)]
    assert world.anomalies() == []


def test_an_oversell_that_ends_with_a_write_found_in_the_feed_is_not_left_open(world: World) -> None:
    """The last thing that was pending is settled by evidence; no write follows that would say so."""
    world.listing(total=5)
    world.link()
    world.sell("1", {"A": 5})
    world.sell("2", {"A": 2})
    world.reconcile()
    assert world.anomalies() == ["oversold"]
    world.pass_time(1)
    world.sell("2", {"A": 0})
    world.pass_time(1)
    world.sell("1", {"A": 3})
    world.marketplace.fail("adjust", "lost_after")
    world.reconcile()
    world.follow()
    world.reconcile()

    assert world.pairs() == [("A", 3, 3, 0), ("A", 0, 0, 0)]
    assert world.anomalies() == []


def test_differences_that_cancel_out_are_journalled_without_a_call(world: World) -> None:
    world.listing(total=10)
    world.link()
    world.sell("1", {"A": 3})
    world.reconcile()
    world.pass_time(1)
    world.sell("1", {"A": 1})
    world.sell("2", {"A": 2})
    world.marketplace.calls.clear()
    world.reconcile()
    assert world.marketplace.count("adjust") == 0
    assert world.pairs() == [("A", 1, 1, 0), ("A", 2, 2, 0)]
    offsets = [row.units for row in world.rows(JournalEntry.kind, JournalEntry.units) if row.kind is JournalKind.OFFSET]
    assert sorted(offsets) == [-2, 2]
    world.assert_p1()


def test_no_write_results_in_a_total_below_zero(world: World) -> None:
    world.listing(total=3)
    world.link()
    world.marketplace.before_adjust = lambda _listing: None
    world.sell("1", {"A": 5})
    world.reconcile()
    assert all(new >= 0 for _, _, new in world.operations())


def test_a_return_that_would_leave_the_total_below_zero_waits(world: World) -> None:
    world.listing(total=5)
    world.link()
    world.sell("1", {"A": 5})
    world.reconcile()
    world.marketplace.edit("L", -3)
    world.pass_time(1)
    world.sell("1", {"A": 4})
    world.follow()
    world.reconcile()
    assert world.total() == -3
    assert "return-waiting" in world.anomalies()
    world.marketplace.edit("L", 3)
    world.follow()
    world.reconcile()
    assert world.total() == 1
    assert "return-waiting" not in world.anomalies()


def test_our_own_adjustments_in_the_feed_are_not_subtracted_twice(world: World) -> None:
    world.listing(total=10)
    world.link()
    world.sell("1", {"A": 3})
    world.reconcile()
    world.follow()
    assert world.listing_row().total == 7
    world.sell("2", {"A": 2})
    world.reconcile()
    assert [state for state, *_ in world.operations()] == ["applied", "applied"]


def test_an_answer_that_the_feed_has_not_shown_yet_is_ahead_of_the_feed(world: World) -> None:
    """Two answered writes, and a page of the feed from between them."""
    world.listing(total=10)
    world.link()
    world.sell("1", {"A": 3})
    world.reconcile()
    cursor = world.rows(Cursor.name, Cursor.value)
    page = world.marketplace.changes(next(row.value for row in cursor if row.name == "feed"))
    world.sell("2", {"A": 2})
    world.reconcile()
    with world.store.write() as transaction:
        world.services.feed._take_page(transaction, page)
    assert world.listing_row().total == 5
    world.follow()
    assert world.listing_row().total == 5


def test_a_buyers_purchase_before_our_write_is_not_subtracted_twice_when_the_feed_shows_it(world: World) -> None:
    world.listing(total=10)
    world.link()
    world.marketplace.buy("L", 4)
    world.sell("1", {"A": 1})
    world.reconcile()
    world.follow()
    assert world.listing_row().total == 5
    assert world.total() == 5


def test_sales_while_unlimited_are_waived_and_never_touch_the_stock(world: World) -> None:
    world.listing(total=10**15)
    world.link()
    world.sell("1", {"A": 3})
    world.reconcile()
    assert world.marketplace.count("adjust") == 0
    assert world.pairs() == [("A", 3, 0, 3)]


def test_stock_that_became_unlimited_is_noticed_in_the_feed(world: World) -> None:
    world.listing(total=10)
    world.link()
    world.marketplace.edit("L", 10**15)
    world.follow()
    world.sell("1", {"A": 3})
    world.reconcile()
    assert world.marketplace.count("adjust") == 0
    assert world.pairs() == [("A", 3, 0, 3)]


def test_sales_while_undefined_are_waived(world: World) -> None:
    world.listing(total=None)
    world.link()
    world.sell("1", {"A": 3})
    world.reconcile()
    assert world.total() is None
    assert world.pairs() == [("A", 3, 0, 3)]


def test_a_return_owed_to_an_unlimited_listing_is_written_off(world: World) -> None:
    world.listing(total=10)
    world.link()
    world.sell("1", {"A": 3})
    world.reconcile()
    world.marketplace.edit("L", 10**15)
    world.follow()
    world.pass_time(1)
    world.sell("1", {"A": 0})
    world.reconcile()
    assert world.pairs() == [("A", 0, 3, -3)]
    assert world.marketplace.count("adjust") == 1
    world.assert_p1()


def test_a_return_owed_to_a_deleted_listing_is_written_off_and_its_sales_wait(world: World) -> None:
    world.listing(total=10)
    world.link()
    world.sell("1", {"A": 3})
    world.reconcile()
    world.marketplace.set_state("L", ListingState.DELETED)
    world.follow()
    world.pass_time(1)
    world.sell("1", {"A": 1})
    world.sell("2", {"A": 4})
    world.reconcile()
    assert world.pairs() == [("A", 1, 3, -2), ("A", 4, 0, 0)]
    assert "listing-gone" in world.anomalies()


def test_waived_units_are_journalled_with_their_reason(world: World) -> None:
    for listing_id, total in (("D", 5), ("N", None), ("U", 10**15)):
        world.listing(listing_id, total)
        world.link(f"sku-{listing_id}", listing_id)
    world.sell("1", {"sku-D": 3, "sku-N": 2, "sku-U": 1})
    world.reconcile()
    world.marketplace.set_state("D", ListingState.DELETED)
    world.follow()
    world.pass_time(1)
    world.sell("1", {"sku-D": 1, "sku-N": 2, "sku-U": 1})
    world.reconcile()
    assert world.waivers() == [("D", "deleted", -2), ("N", "undefined", 2), ("U", "unlimited", 1)]


def test_a_deleted_listing_is_noticed_by_the_write_itself(world: World) -> None:
    world.listing(total=10)
    world.link()
    world.marketplace.states["L"] = ListingState.DELETED
    world.sell("1", {"A": 3})
    world.reconcile()
    assert world.anomalies() == ["listing-gone"]
    assert world.pairs() == [("A", 3, 0, 0)]


def test_waived_units_fall_with_committed_and_later_increases_count(world: World) -> None:
    world.listing(total=10)
    world.pass_time(100)
    world.link()
    before = world.clock.now() - timedelta(seconds=50)
    world.sell("1", {"A": 5}, placed_at=before)
    world.reconcile()
    assert world.pairs() == [("A", 5, 0, 5)]
    world.pass_time(1)
    world.sell("1", {"A": 2})
    world.reconcile()
    assert (world.pairs(), world.total()) == ([("A", 2, 0, 2)], 10)
    assert world.waivers() == [("L", "before_start", 5), ("L", "lowered", -3)]
    world.pass_time(1)
    world.sell("1", {"A": 3})
    world.reconcile()
    assert (world.pairs(), world.total()) == ([("A", 3, 1, 2)], 9)


def test_an_unlinked_line_waits_and_is_an_anomaly(world: World) -> None:
    world.listing(total=10)
    world.sell("1", {"A": 3})
    world.reconcile()
    assert world.total() == 10
    assert world.anomalies() == ["unlinked-sku"]


def test_a_refused_write_is_an_anomaly_and_the_rest_goes_on(world: World) -> None:
    world.listing("L", 10)
    world.listing("M", 10)
    world.link("A", "L")
    world.link("B", "M")
    world.marketplace.fail("adjust", Rejected("not allowed"))
    world.sell("1", {"A": 3, "B": 3})
    world.reconcile()
    assert sorted([world.total("L") or 0, world.total("M") or 0]) == [7, 10]
    assert world.anomalies() == ["write-rejected"]
    world.pass_time(1000)
    world.reconcile()
    assert (world.total("L"), world.total("M")) == (7, 7)
    assert world.anomalies() == []


def test_refused_credentials_hold_the_marketplace_and_work_waits(world: World) -> None:
    world.listing(total=10)
    world.link()
    world.marketplace.fail("adjust", Unauthorized("bad secret"))
    world.sell("1", {"A": 3})
    world.reconcile()
    assert world.holds() == ["re-authorisation"]
    assert world.anomalies() == ["needs-reauthorisation"]
    world.pass_time(3600)
    world.reconcile()
    assert world.marketplace.count("adjust") == 1
    world.services.accounts.works(HoldScope.MARKETPLACE, "marketplace")
    world.reconcile()
    assert world.total() == 7
    assert world.anomalies() == []


def test_a_marketplace_that_is_down_trips_a_breaker_and_due_rows_wait(world: World) -> None:
    for number in range(6):
        world.listing(f"L{number}", 10)
        world.link(f"A{number}", f"L{number}")
    world.marketplace.fail("adjust", *[Unavailable("down")] * 6)
    world.sell("1", {f"A{number}": 1 for number in range(6)})
    world.reconcile()
    assert world.holds() == ["breaker"]
    calls = world.marketplace.count("adjust")
    world.reconcile()
    assert world.marketplace.count("adjust") == calls
    for _ in range(40):
        world.pass_time(2)
        world.reconcile()
    assert [world.total(f"L{number}") for number in range(6)] == [9] * 6


def test_a_rate_limit_is_waited_out(world: World) -> None:
    world.listing(total=10)
    world.link()
    world.marketplace.fail("adjust", RateLimited("slow down", retry_after_seconds=30))
    world.sell("1", {"A": 3})
    world.reconcile()
    world.pass_time(20)
    world.reconcile()
    assert world.total() == 10
    world.pass_time(15)
    world.reconcile()
    assert world.total() == 7


def test_a_hold_on_the_listing_stops_its_writes_only(world: World) -> None:
    world.listing("L", 10)
    world.listing("M", 10)
    world.link("A", "L")
    world.link("B", "M")
    world.services.holds.place(HoldReason.ORPHAN, HoldScope.LISTING, "L", "test")
    world.sell("1", {"A": 1, "B": 1})
    world.reconcile()
    assert (world.total("L"), world.total("M")) == (10, 9)
    world.services.holds.lift(HoldScope.LISTING, "L", by="ann")
    world.reconcile()
    assert world.total("L") == 9


def test_a_channel_in_shadow_writes_nothing_until_it_is_confirmed(world: World) -> None:
    world.listing(total=10)
    world.link()
    world.services.holds.place(HoldReason.SHADOW, HoldScope.CHANNEL, "shop", "new")
    world.sell("1", {"A": 1})
    world.reconcile()
    world.pass_time(120)
    world.reconcile()
    assert world.total() == 10
    world.services.holds.lift(HoldScope.CHANNEL, "shop", by="ann", reason=HoldReason.SHADOW)
    world.reconcile()
    assert world.total() == 9


def test_a_sale_that_arrives_during_a_pass_is_not_forgotten(world: World) -> None:
    world.listing(total=10)
    world.link()

    def another_sale(_listing: str) -> None:
        world.marketplace.before_adjust = None
        world.sell("2", {"A": 2})

    world.marketplace.before_adjust = another_sale
    world.sell("1", {"A": 3})
    world.reconcile()
    assert world.total() == 5
    world.assert_p1()


def test_a_listing_found_to_be_unlimited_while_its_pass_is_under_way_is_read_again(world: World) -> None:
    """Upkeep reads it between the lease, when its total was known, and the plan, which then has no number to count."""
    world.listing("L", 10)
    world.listing("M", 10)
    world.link("A", "L")
    world.link("B", "M")
    world.sell("1", {"A": 3, "B": 2})
    with world.store.write() as transaction:
        repository.doubt(transaction, ["M"], world.clock.now())
        repository.ask_for_look(transaction, ["L"], world.clock.now())
    adjustments = world.marketplace.adjustments

    def meanwhile(listing_id: str, *, since: datetime) -> Sequence[RemoteAdjustment]:
        if world.total("L") == 10:
            world.marketplace.edit("L", 10**15)
            world.upkeep()
        return adjustments(listing_id, since=since)

    world.marketplace.adjustments = meanwhile  # type: ignore[method-assign]
    world.reconcile()
    assert (world.total("L"), world.total("M")) == (10**15 + 10, 8)
    assert sorted(world.pairs()) == [("A", 3, 0, 3), ("B", 2, 2, 0)]


def test_a_database_that_goes_away_during_a_look_is_no_surprise(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.listing(total=10)
    world.link()
    world.marketplace.fail("adjust", "lost_after")
    world.sell("1", {"A": 1})
    world.reconcile()

    def gone(_listing_id: str) -> None:
        raise StorageUnavailable("the database system is in recovery mode")

    with monkeypatch.context() as broken, capture_logs() as logs:
        broken.setattr(world.services.settler, "look", gone)
        world.pass_time(10)
        world.reconcile()
    assert {entry["event"] for entry in logs} == {"reconcile_postponed"}
    world.settle_down()
    assert world.total() == 9
