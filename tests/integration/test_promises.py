"""The promises P1 to P8, each by name. Most sentences behind them have tests of their own, in the modules beside."""

from __future__ import annotations

import pytest
from sqlalchemy import text

from config.settings import BrokerSettings, PolicySettings, SecretUrl
from connectors.contract import Evidence, ListingState
from tests.doubles import webhook_body
from tests.world import CHANNEL, World
from worker.app import make_app
from worker.doorbell import Doorbell
from worker.housekeeping import Housekeeping
from worker.intake.inbox import Incoming
from worker.schedule import QUEUE_OF, RECONCILE
from worker.store import Store
from worker.store.tables import Delivery, Operation


def test_p1_exactly_one_effect_under_duplicates_reordering_lost_answers_and_a_takeover(world: World) -> None:
    world.listing(total=50)
    world.link()
    first = world.channel.put("1", {"A": 4})
    world.pass_time(2)
    second = world.channel.put("1", {"A": 7})
    world.deliver(second)
    world.deliver(first)
    world.deliver(second, delivery_id="again")
    world.marketplace.fail("adjust", "lost_after")
    world.reconcile()
    world.sell("2", {"A": 1})
    world.settle_down(seconds=200)
    world.poll()
    world.reconcile()
    assert world.total() == 42
    assert world.pairs() == [("A", 7, 7, 0), ("A", 1, 1, 0)]
    world.assert_p1()


def test_p1_pending_units_that_remain_are_named_by_an_open_anomaly(world: World) -> None:
    world.listing(total=2)
    world.link()
    world.sell("1", {"A": 5})
    world.settle_down(seconds=120)
    pending = sum(committed - applied - waived for _, committed, applied, waived in world.pairs())
    assert pending == 3
    [anomaly] = world.services.anomalies.list()
    assert (anomaly.kind, anomaly.listing_id, anomaly.detail["missing_units"]) == ("oversold", "L", 3)


def test_p2_a_broker_that_loses_everything_costs_time_and_no_data(world: World) -> None:
    broker = BrokerSettings(url=SecretUrl("redis://127.0.0.1:1/0"))
    app = make_app(world.services.settings.model_copy(update={"broker": broker}))
    bell = Doorbell(app, QUEUE_OF)
    bell.ring(RECONCILE)
    bell.close()
    world.listing(total=10)
    world.link()
    world.sell("1", {"A": 3})
    world.reconcile()
    assert world.total() == 7


def test_p3_every_write_is_a_committed_row_before_it_is_sent(world: World) -> None:
    world.listing(total=1)
    world.link()
    seen: list[list[str]] = []

    def look(_listing: str) -> None:
        seen.append([row.state.value for row in world.rows(Operation.state)])

    world.marketplace.before_adjust = look
    world.sell("1", {"A": 1})
    world.reconcile()
    close = world.marketplace.close

    def close_and_look(listing_id: str) -> None:
        look(listing_id)
        close(listing_id)

    world.marketplace.close = close_and_look  # type: ignore[method-assign]
    world.settle_down(seconds=1300, step=20)
    assert seen == [["prepared"], ["applied", "prepared"]]


def test_p4_never_guess(world: World) -> None:
    """Totals return to the expected value while the outcome is open: a blind resend would succeed and book twice."""
    world.listing(total=10)
    world.link()
    world.marketplace.feed_hidden = True
    world.marketplace.fail("adjust", "lost_after")
    world.sell("1", {"A": 3})
    world.reconcile()
    world.marketplace.edit("L", 3)
    for _ in range(30):
        world.pass_time(10)
        world.follow()
        world.reconcile()
    assert world.marketplace.count("adjust") == 1
    assert world.total() == 10


@pytest.mark.parametrize("fault", ["lost_before", "lost_after"])
def test_p4_where_the_marketplace_offers_no_evidence_a_person_is_asked(world: World, fault: str) -> None:
    world.marketplace.evidence = Evidence.NONE
    world.marketplace.feed_hidden = True
    world.listing(total=10)
    world.link()
    world.marketplace.fail("adjust", fault)
    world.sell("1", {"A": 3})
    world.settle_down(seconds=1800, step=30)
    assert [state for state, *_ in world.operations()] == ["unknown"]
    assert world.anomalies() == ["outcome-unknown"]
    assert (world.marketplace.count("adjust"), world.marketplace.count("adjustments")) == (1, 0)


@pytest.mark.parametrize("total", [0, 3])
def test_p5_do_no_harm(store: Store, total: int) -> None:
    world = World(store, policy=PolicySettings(confirm_new_channels=False, close_after_seconds=0))
    world.listing("L", total)
    world.listing("THEIRS", 0, state=ListingState.CLOSED)
    world.listing("UNLIMITED", 10**15)
    world.listing("UNDEFINED", None)
    for sku, listing in (("A", "L"), ("B", "UNLIMITED"), ("C", "UNDEFINED")):
        world.link(sku, listing)
    world.sell("1", {"A": 5, "B": 5, "C": 5})
    world.settle_down(seconds=100)
    assert world.total("L") == 0
    assert world.listing_row("L").state is ListingState.CLOSED
    world.marketplace.edit("THEIRS", 4)
    world.marketplace.edit("L", 9)
    world.settle_down(seconds=100)
    assert world.marketplace.states["L"] is ListingState.PUBLISHED
    assert world.marketplace.states["THEIRS"] is ListingState.CLOSED
    assert (world.total("UNLIMITED"), world.total("UNDEFINED")) == (10**15, None)
    assert {call[1] for call in world.marketplace.calls if call[0] in {"adjust", "close", "open"}} == {"L"}


def test_p6_nothing_is_dropped(world: World) -> None:
    """An unreadable payload and an unlinked SKU are kept, visible, and handled once their cause is gone."""
    world.listing(total=10)
    order = world.channel.put("1", {"A": 3})
    now = world.clock.now()
    world.services.inbox.put([Incoming(CHANNEL, "d1", "x", "orders", b"{", True, now, "c")])
    world.deliver(order)
    assert world.anomalies() == ["parked-delivery", "unlinked-sku"]
    read = world.channel.read
    world.channel.read = lambda topic, kept: read(topic, webhook_body(order))  # type: ignore[method-assign]
    [parked] = [row for row in world.services.anomalies.list() if row.kind == "parked-delivery"]
    assert world.services.inbox.replay([parked.detail["delivery"]])
    while world.services.inbox.drain():
        pass
    assert world.anomalies() == ["unlinked-sku"]


def test_p7_cost_follows_change(world: World) -> None:
    for number in range(150):
        world.marketplace.add(f"L{number}", 10)
    world.services.sweeper.sweep()
    world.follow()
    world.marketplace.calls.clear()
    for _ in range(60):
        world.pass_time(60)
        world.follow()
        world.reconcile()
        world.upkeep()
    assert len(world.marketplace.calls) == 60


def test_p8_keep_little(world: World) -> None:
    """What a table holds of an order is ids, SKU, quantities and times; what cannot be read is kept for a while."""
    world.listing(total=10)
    world.link()
    world.sell("1", {"A": 3})
    raw = Incoming(CHANNEL, "d1", "x", "orders", b'{"email": "ann@example.com"', True, world.clock.now(), "c")
    world.services.inbox.put([raw])
    world.services.inbox.drain()
    with world.store.read() as transaction:
        for table in ("orders", "order_lines", "pairs"):
            columns = set(transaction.execute(text(f"SELECT * FROM {table}")).keys())
            assert not columns & {"name", "email", "address", "phone", "price", "customer", "note", "payload"}
    world.pass_time(8 * 86_400)
    Housekeeping(world.services).forget()
    bodies = [row.kept for row in world.rows(Delivery.kept) if row.kept is not None]
    assert [b"email" in body for body in bodies] == [False]
