"""Following the marketplace: feed, sweep, negative stock."""

from __future__ import annotations

from dataclasses import replace

import pytest

from connectors.contract import ListingState
from connectors.errors import CursorTooOld
from connectors.sandbox.log import Origin, Shown
from connectors.sandbox.stock import ReservationState
from tests.world import World
from worker.store.tables import Anomaly, RemoteAdjustmentRow


def test_a_page_repeated_after_a_crash_changes_nothing(world: World) -> None:
    world.listing(total=10)
    world.marketplace.edit("L", 5)
    page = world.marketplace.changes(None)
    world.follow()
    with world.store.write() as transaction:
        world.services.feed._take_page(transaction, page)
    assert world.listing_row().total == 15


def test_the_feed_carries_buyers_and_providers_into_the_known_total(world: World) -> None:
    world.listing(total=10)
    reservation = world.marketplace.buy("L", 4)
    world.follow()
    assert world.listing_row().total == 6
    world.marketplace.abandon(reservation)
    world.marketplace.edit("L", 1)
    world.follow()
    assert world.listing_row().total == 11


def test_what_a_read_shows_already_is_not_counted_again_when_the_feed_shows_it(world: World) -> None:
    world.marketplace.feed_hidden = True
    world.marketplace.add("L", 10)
    world.pass_time(1)
    world.services.sweeper.sweep()
    world.marketplace.feed_hidden = False
    world.follow()
    assert world.listing_row().total == 10


def test_a_listing_met_first_in_the_feed_is_read_before_anything_is_concluded(world: World) -> None:
    world.listing("L", 1)
    world.marketplace.add("NEW", 8)
    world.follow()
    world.upkeep()
    row = world.listing_row("NEW")
    assert (row.total, row.state, row.seller_id) == (8, ListingState.PUBLISHED, "s1")


def test_a_cursor_that_is_too_old_starts_anew_and_sweeps(world: World) -> None:
    world.listing(total=10)
    world.pass_time(3600)
    world.marketplace.edit("L", -4)
    world.pass_time(3600)
    world.marketplace.fail("changes", CursorTooOld("90 days"))
    world.follow()
    assert world.anomalies() == ["cursor-too-old"]
    assert world.listing_row().total == 10
    world.services.sweeper.sweep()
    world.upkeep()
    assert world.listing_row().total == 6
    assert world.anomalies() == []


def test_changes_of_a_type_that_we_do_not_know_are_told(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    page = replace(world.marketplace.changes(None), unknown_types=("stock/teleported",))
    monkeypatch.setattr(world.marketplace, "changes", lambda cursor: page)
    world.follow()
    [anomaly] = world.services.anomalies.list()
    assert (anomaly.kind, "stock/teleported" in anomaly.message) == ("unknown-change-type", True)


def test_a_full_sweep_backs_the_feed(world: World) -> None:
    """The feed never shows an edit; the sweep finds it, the log explains it."""
    world.listing(total=10)
    world.link()
    world.marketplace.stock_model.adjust("L", 5, Origin("provider", shown=Shown.MISSING))
    world.follow()
    assert world.listing_row().total == 10
    world.services.sweeper.sweep()
    world.upkeep()
    world.reconcile()
    row = world.listing_row()
    assert (row.total, row.doubted) == (15, False)


def test_a_listing_that_the_sweep_does_not_show_is_read_and_found_deleted(world: World) -> None:
    world.listing("L", 10)
    world.listing("M", 10)
    world.marketplace.states["L"] = ListingState.DELETED
    world.pass_time(10)
    world.services.sweeper.sweep()
    world.upkeep()
    assert world.listing_row("L").state is ListingState.DELETED
    assert world.listing_row("M").state is ListingState.PUBLISHED


def make_negative(world: World) -> str:
    """A release that is undone after another buyer took the units; returns the guilty transaction."""
    world.marketplace.buy("L", 1)
    guilty = world.marketplace.buy("L", 4)
    world.marketplace.stock_model.accept(guilty, Origin("transaction"))
    world.marketplace.stock_model.cancel(guilty, Origin("transaction"))
    world.marketplace.buy("L", 5)
    world.marketplace.stock_model.undo_release(guilty, ReservationState.ACCEPTED, Origin("transaction"))
    return guilty.transaction_id


def test_negative_stock_is_flagged_from_the_feed_with_the_guilty_transaction(world: World) -> None:
    world.listing(total=6)
    guilty = make_negative(world)
    assert (world.total() or 0) < 0
    world.follow()
    world.upkeep()
    anomaly = world.rows(Anomaly.kind, Anomaly.detail, Anomaly.message)[0]
    assert anomaly.kind == "negative-stock"
    assert anomaly.detail["suspects"][0]["transaction"] == guilty
    assert guilty in anomaly.message


def test_negative_stock_is_flagged_from_the_sweep_too(world: World) -> None:
    world.listing(total=6)
    world.marketplace.feed_hidden = True
    make_negative(world)
    world.services.sweeper.sweep()
    world.upkeep()
    assert world.anomalies() == ["negative-stock"]


def test_negative_stock_resolves_when_it_is_not_negative_any_more(world: World) -> None:
    world.listing(total=6)
    make_negative(world)
    world.follow()
    world.upkeep()
    world.marketplace.edit("L", 20)
    world.follow()
    assert world.anomalies() == []


def test_every_adjustment_is_kept_once_with_its_running_total(world: World) -> None:
    world.listing(total=10)
    world.link()
    world.sell("1", {"A": 3})
    world.reconcile()
    world.marketplace.buy("L", 2)
    world.follow()
    rows = world.rows(RemoteAdjustmentRow.quantity, RemoteAdjustmentRow.total_after, RemoteAdjustmentRow.sequence)
    after_meeting = sorted((row for row in rows if row.total_after is not None), key=lambda row: row.sequence)
    assert [(row.quantity, row.total_after) for row in after_meeting] == [(-3, 7), (-2, 5)]
