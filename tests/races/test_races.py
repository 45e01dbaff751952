"""Two processes at once, stopped inside their transactions at the places where it could matter. P1 holds, nobody
deadlocks, and nothing that one side decided is undone by what the other had read before.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import text, update

from connectors.contract import ListingState, Look, UnreadableOrder
from tests.races.sides import Race
from tests.servers import PostgresServer
from tests.world import CHANNEL, World
from worker.alerts import Finding, Kind
from worker.housekeeping import Housekeeping
from worker.links.service import Links
from worker.reconcile.decide import Decisions
from worker.services import Services
from worker.store import StorageUnavailable, Store
from worker.store.bulk import insert_rows
from worker.store.migrate import newest_revision, present_revision, upgrade
from worker.store.tables import Alert, AlertState, ChannelRow, Delivery, HoldReason, HoldScope, ListingRow, Operation
from worker.store.ticks import claim_tick

THE_FEEDS_PAGE = "FROM (cursors|listings) WHERE .* FOR UPDATE"


def import_links(rooms: Services, *rows: str, channel: str = CHANNEL) -> None:
    table = "\n".join(["channel,sku,listing_id", *(f"{channel},{row}" for row in rows), ""])
    Links(rooms.store, rooms.clock, rooms.anomalies).import_csv(table)


def drained(rooms: Services) -> None:
    while rooms.inbox.drain():
        pass


# --- taking in ----------------------------------------------------------------------------------------------------


def test_webhook_and_poll_of_one_order_meet_in_one_upsert(world: World, race: Race) -> None:
    world.listing(total=10)
    world.link()
    order = world.channel.put("1", {"A": 3})
    world.pass_time(4)

    race.run(
        lambda: world.deliver(order, through=race.a.services),
        lambda: race.b.services.poller.poll(CHANNEL),
        after="INSERT INTO order_lines",
    )
    world.reconcile()

    assert (world.pairs(), world.total()) == ([("A", 3, 3, 0)], 7)
    world.assert_p1()


def test_two_snapshots_of_one_order_end_with_the_newer(world: World, race: Race) -> None:
    world.listing(total=10)
    world.link()
    world.sell("1", {"A": 1})
    world.pass_time(1)
    older = world.channel.put("1", {"A": 5})
    world.pass_time(1)
    newer = world.channel.put("1", {"A": 2})

    race.run(
        lambda: world.deliver(newer, through=race.a.services),
        lambda: world.deliver(older, through=race.b.services),
        before="UPDATE order_lines",
    )
    world.reconcile()

    assert (world.pairs(), world.total()) == ([("A", 2, 2, 0)], 8)
    world.assert_p1()


def test_a_line_that_is_being_written_gets_the_link_that_is_being_imported(world: World, race: Race) -> None:
    world.listing(total=10)
    order = world.channel.put("1", {"A": 3})

    race.run(
        lambda: world.deliver(order, through=race.a.services),
        lambda: import_links(race.b.services, "A,L"),
        after="SELECT .* FROM links",
    )
    world.reconcile()

    assert (world.pairs(), world.total()) == ([("A", 3, 3, 0)], 7)
    assert world.anomalies() == []
    world.assert_p1()


def test_a_line_written_while_its_link_is_imported_waits_for_the_link(world: World, race: Race) -> None:
    world.listing(total=10)
    order = world.channel.put("1", {"A": 3})

    race.run(
        lambda: import_links(race.a.services, "A,L"),
        lambda: world.deliver(order, through=race.b.services),
        after="INSERT INTO links",
    )
    world.reconcile()

    assert (world.pairs(), world.total()) == ([("A", 3, 3, 0)], 7)
    world.assert_p1()


def test_units_waived_while_a_newer_snapshot_is_taken_in_stay_waived(world: World, race: Race) -> None:
    world.listing(total=10)
    world.link()
    world.sell("1", {"A": 5})
    world.pass_time(1)
    newer = world.channel.put("1", {"A": 7})
    decisions = Decisions(race.b.store, world.clock, race.b.services.anomalies)

    race.run(
        lambda: world.deliver(newer, through=race.a.services),
        lambda: decisions.accept_total("L", by="ann", reason="counted"),
        after="SELECT .* FROM pairs",
    )
    world.reconcile()

    assert world.pairs() == [("A", 7, 2, 5)]
    world.assert_p1()


def test_a_batch_of_deliveries_is_handled_by_one_and_leaves_the_rest_to_the_other(world: World, race: Race) -> None:
    world.listing(total=10)
    world.link()
    for number in range(3):
        world.deliver(world.channel.put(str(number), {"A": 1}), handle=False)

    race.run(
        race.a.services.inbox.drain,
        race.b.services.inbox.drain,
        after="SELECT .* FROM deliveries",
    )

    assert {row.attempts for row in world.rows(Delivery.id, Delivery.attempts)} == {1}
    world.reconcile()
    assert world.total() == 7
    world.assert_p1()


def test_the_end_of_a_poll_and_a_sweep_do_not_wait_for_each_other(world: World, race: Race) -> None:
    """The last page locks its own listing, and then those that earlier pages put off."""
    world.listing("L1", 50)
    world.listing("L2", 50)
    world.link("A", "L1")
    world.link("B", "L2")
    for number in range(10):
        world.channel.put(f"{number:02}", {"A": 1})
        world.pass_time(1)
    world.channel.put("10", {"B": 1})
    world.pass_time(4)

    race.run(
        lambda: race.a.services.poller.poll(CHANNEL),
        race.b.services.sweeper.sweep,
        before="SELECT listings.listing_id FROM listings WHERE listings.put_off_by",
    )
    world.reconcile()

    assert (world.total("L1"), world.total("L2")) == (40, 49)
    world.assert_p1()


def test_a_batch_with_whole_orders_and_mere_hints_and_a_poll_do_not_wait_for_each_other(
    world: World, race: Race, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.listing(total=10)
    world.link()
    for order_id in ("hinted", "whole"):
        world.sell(order_id, {"A": 1})
    world.pass_time(1)
    whole = world.channel.put("whole", {"A": 2})
    hint = world.channel.put("hinted", {"A": 3})
    read = world.channel.read
    monkeypatch.setattr(
        world.channel,
        "read",
        lambda topic, kept: [Look("hinted")] if b"hinted" in kept else read(topic, kept),
    )
    world.deliver(whole, handle=False)
    world.deliver(hint, handle=False)
    world.pass_time(4)

    race.run(
        lambda: drained(race.a.services),
        lambda: race.b.services.poller.poll(CHANNEL),
        after="SELECT orders.id.* FOR UPDATE",
    )
    world.fetch()
    world.reconcile()

    assert world.total() == 5
    world.assert_p1()


def test_a_page_with_an_unreadable_order_and_its_webhook_do_not_wait_for_each_other(
    world: World, race: Race, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.listing(total=10)
    world.link()
    world.sell("bad", {"A": 1})
    world.pass_time(1)
    world.channel.put("good", {"A": 2})
    world.pass_time(4)
    orders = world.channel.orders
    monkeypatch.setattr(
        world.channel, "orders", lambda cursor: replace(orders(cursor), unreadable=[UnreadableOrder("bad", "why", b"")])
    )
    newer = world.channel.put("bad", {"A": 3})

    race.run(
        lambda: race.a.services.poller.poll(CHANNEL),
        lambda: world.deliver(newer, through=race.b.services),
        after="UPDATE listings SET next_attempt_at",
    )
    world.reconcile()

    assert world.total() == 5
    world.assert_p1()


def test_deliveries_of_two_channels_are_taken_in_apart(world: World, race: Race) -> None:
    """Together they would lock one channel's listings after the other's: not in one order for everybody."""
    world.listing("L1", 10)
    world.listing("L2", 10)
    with two_channels(world, race):
        world.link("A", "L2")
        import_links(world.services, "B,L1", channel="tools")
        world.deliver(world.channel.put("1", {"A": 1}), handle=False)
        world.deliver(world.channel.put("2", {"B": 1}), handle=False, channel="tools")

        race.run(
            lambda: drained(race.a.services),
            race.b.services.sweeper.sweep,
            after="UPDATE listings SET next_attempt_at",
        )
        world.reconcile()

    assert (world.total("L1"), world.total("L2")) == (9, 9)
    world.assert_p1()


@contextmanager
def two_channels(world: World, race: Race) -> Iterator[None]:
    """A second channel, `tools`, that speaks as the first does."""
    now = world.clock.now()
    with world.store.write() as transaction:
        insert_rows(
            transaction,
            ChannelRow,
            [{"name": "tools", "seller_id": "", "counted_from": now, "created_at": now}],
        )
    for rooms in (world.services, race.a.services, race.b.services):
        rooms.channels["tools"] = world.channel  # type: ignore[index]
    yield


def test_two_imports_to_one_listing_do_not_wait_for_each_other(world: World, race: Race) -> None:
    world.listing(total=10)
    with two_channels(world, race):
        race.run(
            lambda: import_links(race.a.services, "A,L"),
            lambda: import_links(race.b.services, "A,L", channel="tools"),
            after="INSERT INTO links",
        )
        world.sell("1", {"A": 1})
    world.reconcile()
    assert world.total() == 9
    world.assert_p1()


# --- writing and settling -----------------------------------------------------------------------------------------


def test_two_reconcilers_and_a_lease_that_ran_out_before_the_answer_is_recorded(world: World, race: Race) -> None:
    world.listing(total=10)
    world.link()
    world.sell("1", {"A": 3})

    def takes_over() -> None:
        world.pass_time(61)
        race.b.services.feed.follow()
        while race.b.services.reconciler.drain():
            pass

    race.run(race.a.services.reconciler.drain, takes_over, before="UPDATE operations SET state=.*answered")
    world.settle_down(seconds=120)

    assert (world.total(), world.pairs()) == (7, [("A", 3, 3, 0)])
    world.assert_p1()


@pytest.mark.parametrize("fault", ["lost_before", "lost_after"])
def test_a_lease_that_ran_out_while_its_holder_was_about_to_send(world: World, race: Race, fault: str) -> None:
    """The second one takes over and finds the intent; its own write loses its answer, too."""
    world.listing(total=10)
    world.link()
    world.sell("1", {"A": 3})

    def takes_over() -> None:
        world.pass_time(61)
        world.marketplace.fail("adjust", fault)
        for _ in range(20):
            race.b.services.feed.follow()
            race.b.services.reconciler.drain()
            world.pass_time(10)

    race.run(
        race.a.services.reconciler.drain, takes_over, before="SELECT .* FROM operation_pairs|INSERT INTO operation_"
    )
    world.settle_down(seconds=300)

    assert (world.total(), world.pairs()) == (7, [("A", 3, 3, 0)])
    world.assert_p1()


def test_an_old_look_at_the_log_says_nothing_about_a_write_sent_since(world: World, race: Race) -> None:
    """Its reader slept longer than `settle_after` between reading the log and judging it."""
    world.listing(total=10)
    world.link()
    world.marketplace.feed_hidden = True

    def meanwhile() -> None:
        world.marketplace.fail("adjust", "lost_after")
        world.deliver(world.channel.put("1", {"A": 3}), through=race.b.services)
        race.b.services.reconciler.drain()
        world.pass_time(3600)

    race.run(lambda: race.a.services.settler.look("L"), meanwhile, before="SELECT .* FROM listings .* FOR UPDATE")

    assert [state for state, *_ in world.operations()] == ["unknown"]
    world.marketplace.feed_hidden = False
    world.settle_down(seconds=120)
    assert (world.total(), world.marketplace.count("adjust")) == (7, 1)
    world.assert_p1()


def test_the_feed_shows_a_write_whose_answer_is_being_recorded(world: World, race: Race) -> None:
    world.listing(total=10)
    world.link()
    world.sell("1", {"A": 3})

    race.run(
        race.a.services.reconciler.drain,
        race.b.services.feed.follow,
        before="UPDATE operations SET state=.*answered",
    )
    world.settle_down(seconds=60)

    assert (world.total(), world.pairs(), world.holds()) == (7, [("A", 3, 3, 0)], [])
    assert world.rows(Operation.claimed) == [(True,)]
    world.assert_p1()


def test_feed_and_log_claim_one_adjustment_once(world: World, race: Race) -> None:
    """The feed showed it before its answer was recorded; afterwards both find the operation that it fits."""
    world.listing(total=10)
    world.link()
    world.sell("1", {"A": 3})
    adjust = world.marketplace.adjust

    def seen_before_recorded(listing_id: str, *, seen: int, delta: int) -> object:
        answer = adjust(listing_id, seen=seen, delta=delta)
        world.follow()
        return answer

    world.marketplace.adjust = seen_before_recorded  # type: ignore[method-assign, assignment]
    world.reconcile()
    assert world.rows(Operation.claimed) == [(False,)]

    race.run(
        race.a.services.feed.follow,
        lambda: race.b.services.settler.look("L"),
        after="INSERT INTO claims",
    )

    assert world.rows(Operation.claimed) == [(True,)]
    world.assert_p1()


def test_a_late_answer_after_the_operation_was_taken_for_absent(world: World, race: Race) -> None:
    world.listing(total=10)
    world.link()
    world.sell("1", {"A": 3})

    def settles_it_wrongly() -> None:
        with race.b.store.write() as transaction:
            transaction.execute(text("UPDATE operations SET state = 'absent', outcome = 'a clock ran wild'"))

    race.run(
        race.a.services.reconciler.drain,
        settles_it_wrongly,
        before="SELECT .* FROM listings .* FOR UPDATE",
    )
    world.settle_down(seconds=120)

    assert (world.total(), world.pairs()) == (7, [("A", 3, 3, 0)])
    world.assert_p1()


def test_a_sale_while_its_listing_is_being_closed(world: World, race: Race) -> None:
    world.listing(total=0)
    world.link()
    world.pass_time(1300)

    def sold() -> None:
        world.marketplace.edit("L", 5)
        world.deliver(world.channel.put("1", {"A": 2}), through=race.b.services)
        race.b.services.reconciler.drain()

    race.run(race.a.services.keeper.drain, sold, before="UPDATE operations SET state=.*answered")
    world.settle_down(seconds=120)

    assert (world.total(), world.marketplace.states["L"]) == (3, ListingState.PUBLISHED)
    world.assert_p1()


# --- following the marketplace ------------------------------------------------------------------------------------


def test_an_old_page_of_the_feed_does_not_undo_what_came_after_it(world: World, race: Race) -> None:
    """A slow follower holds a page with another's change of the state; meanwhile we have closed the listing."""
    world.listing(total=0)
    world.link()
    world.marketplace.set_state("L", ListingState.CLOSED)
    world.marketplace.set_state("L", ListingState.PUBLISHED)

    def closed_by_us() -> None:
        race.b.services.feed.follow()
        world.pass_time(1300)
        for _ in range(3):
            race.b.services.keeper.drain()
            world.pass_time(1)
        race.b.services.feed.follow()

    race.run(race.a.services.feed.follow, closed_by_us, before=THE_FEEDS_PAGE)
    world.follow()

    row = world.listing_row()
    assert world.marketplace.states["L"] is ListingState.CLOSED
    assert (row.state, row.closed_by_us_at is not None) == (ListingState.CLOSED, True)
    world.marketplace.edit("L", 5)
    world.settle_down(seconds=60)
    assert world.listing_row().state is ListingState.PUBLISHED


def test_a_look_from_before_our_closing_does_not_take_our_mark(world: World, race: Race) -> None:
    world.listing(total=0)
    world.pass_time(1300)

    def closes() -> None:
        with race.b.store.write() as transaction:
            transaction.execute(text("UPDATE listings SET next_upkeep_at = :now"), {"now": world.clock.now()})
        race.b.services.keeper.drain()
        assert world.marketplace.states["L"] is ListingState.CLOSED

    race.run(race.a.services.keeper.drain, closes, before="SELECT .* FROM listings WHERE .* ORDER BY .* FOR UPDATE$")

    assert world.listing_row().closed_by_us_at is not None
    assert world.marketplace.count("close") == 1
    world.marketplace.edit("L", 5)
    world.settle_down(seconds=60)
    assert world.marketplace.states["L"] is ListingState.PUBLISHED


def test_sweep_and_feed_meet_a_new_listing(world: World, race: Race) -> None:
    world.listing("K", 1)
    world.marketplace.add("L", 10)
    world.marketplace.set_state("L", ListingState.PUBLISHED)

    race.run(race.a.services.sweeper.sweep, race.b.services.feed.follow, after="INSERT INTO listings")
    world.settle_down(seconds=60)

    assert world.listing_row("L").total == 10
    world.link()
    world.sell("1", {"A": 3})
    world.settle_down(seconds=60)
    assert world.total() == 7
    world.assert_p1()


def test_lifting_a_hold_and_a_sweep_do_not_wait_for_each_other(world: World, race: Race, url: str) -> None:
    """What a lifted hold wakes is locked in the order that everybody keeps, wherever the rows lie."""
    for listing_id in ("L2", "L1"):
        world.listing(listing_id, 10)
        world.link(listing_id, listing_id)
    world.services.holds.place(HoldReason.SHADOW, HoldScope.CHANNEL, CHANNEL, "new")
    world.sell("1", {"L1": 1, "L2": 1})
    first = Store(url)

    with first.write() as transaction:
        transaction.execute(text("SELECT 1 FROM listings WHERE listing_id = 'L1' FOR UPDATE"))
        sweep = race.b.start(race.b.services.sweeper.sweep)
        race.b.await_standstill(sweep)
        lift = race.a.start(lambda: race.a.services.holds.lift(HoldScope.CHANNEL, CHANNEL, by="ann"))
        race.a.await_standstill(lift)
    sweep.result(30)
    assert lift.result(30) == 1
    first.dispose()

    world.reconcile()
    assert (world.total("L1"), world.total("L2")) == (9, 9)
    world.assert_p1()


# --- at once from the start ---------------------------------------------------------------------------------------


def test_two_migrations_at_once(postgres_server: PostgresServer, world: World, race: Race) -> None:
    url = postgres_server.fresh()
    race.a.store.dispose()
    race.b.store.dispose()
    race.a.store, race.b.store = (Store(f"{url}&application_name={side.name}") for side in (race.a, race.b))

    race.run(
        lambda: upgrade(race.a.store),
        lambda: upgrade(race.b.store),
        after="CREATE TABLE listings",
    )

    assert present_revision(race.a.store) == newest_revision()
    race.a.store.dispose()
    race.b.store.dispose()
    postgres_server.drop(url)


def test_a_tick_is_claimed_by_one_of_two_beats(world: World, race: Race) -> None:
    def claim(store: Store) -> bool:
        with store.write() as transaction:
            return claim_tick(transaction, "feed", world.clock.now(), timedelta(seconds=60))

    for _ in range(2):
        world.pass_time(61)
        claimed = race.run(
            lambda: claim(race.a.store),
            lambda: claim(race.b.store),
            after="INSERT INTO ticks|UPDATE ticks",
        )
        assert sorted(claimed) == [False, True]


def test_who_must_give_way_in_a_deadlock_finds_the_database_unavailable_and_nothing_written(
    world: World, race: Race
) -> None:
    """There is one order of locks. A migration or an operator's own session may keep another."""
    for listing_id in ("L1", "L2"):
        world.listing(listing_id, 10)

    def rename(store: Store, *listing_ids: str) -> str:
        try:
            with store.write() as transaction:
                for listing_id in listing_ids:
                    transaction.execute(
                        text("UPDATE listings SET title = :title WHERE listing_id = :name"),
                        {"title": listing_ids[0], "name": listing_id},
                    )
        except StorageUnavailable as error:
            return str(error)
        return "renamed"

    done = race.run(
        lambda: rename(race.a.store, "L1", "L2"), lambda: rename(race.b.store, "L2", "L1"), after="UPDATE listings"
    )

    assert done.count("renamed") == 1
    winner, loser = ("L1", done[1]) if done[0] == "renamed" else ("L2", done[0])
    assert "deadlock" in loser
    assert {row.title for row in world.rows(ListingRow.title)} == {winner}


def test_an_anomaly_that_is_forgotten_while_it_comes_back_is_opened_anew(world: World, race: Race) -> None:
    finding = Finding(Kind.CLOCK_SKEW, "The clocks differ.", key="shop")
    world.services.anomalies.open(finding)
    world.services.anomalies.resolve([finding.fingerprint], "they agree")
    with world.store.write() as transaction:
        transaction.execute(update(Alert).values(state=AlertState.SENT, sent_at=world.clock.now()))
    world.pass_time(timedelta(days=800).total_seconds())

    race.run(
        lambda: race.a.services.anomalies.open(finding),
        Housekeeping(race.b.services).forget,
        after="INSERT INTO anomalies",
    )

    assert world.anomalies() == ["clock-skew"]
    assert [row.state for row in world.rows(Alert.state)] == [AlertState.WAITING]
