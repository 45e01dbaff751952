"""The trail of an order, the webhooks that came in, and what stays behind: what is found, shown and done."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import update

from connectors.errors import Unavailable
from tests.bench.pages import heard
from tests.doubles import SendingChannel
from tests.integration.conftest import build_schema
from tests.operating import Browser, Console
from tests.servers import PostgresServer
from tests.world import CHANNEL, World
from worker.console.pages import deliveries as delivery_pages
from worker.intake.inbox import Incoming
from worker.status.deliveries import MOST_BODY_BYTES, Deliveries, DeliveryView
from worker.status.orders import Orders, Source, Stage, Trail
from worker.status.work import ParkedWork
from worker.store import Store
from worker.store.migrate import upgrade
from worker.store.tables import Delivery, DeliveryState, HoldReason, HoldScope, OrderRow, OrderState

MASKED = "shpat_0123456789abcdef"
LONG_AGO = timedelta(days=400)


def orders(world: World) -> Orders:
    return Orders(world.store, world.services.holds, world.marketplace.guard, Deliveries(world.store))


def trail(world: World, order_id: str) -> Trail:
    found = orders(world).trail(CHANNEL, order_id)
    assert found is not None
    return found


def receive(world: World, body: bytes, name: str = "x") -> int:
    """A webhook that holds this comes in, and is handled; returns its id."""
    digest = hashlib.sha256(body).hexdigest()
    world.services.inbox.put([Incoming(CHANNEL, name, digest, "orders", body, True, world.clock.now(), "corr-2")])
    while world.services.inbox.drain():
        pass
    ids: list[int] = [row.id for row in world.rows(Delivery.id)]
    return max(ids)


# --- what is so -------------------------------------------------------------------------------------------------


def test_the_trail_leads_from_the_webhook_over_each_line_to_the_number(world: World) -> None:
    for listing_id, total in (("mug", 10), ("lamp", 5)):
        world.listing(listing_id, total)
    world.link("MUG", "mug")
    world.link("SET", "mug")
    world.link("SET", "lamp", 2)
    world.pass_time(1)

    def slip_in(listing_id: str) -> None:
        if listing_id == "mug":
            world.marketplace.before_adjust = None
            world.marketplace.edit("mug", -1)

    world.marketplace.before_adjust = slip_in
    world.sell("1001", {"MUG": 1, "SET": 1, "TEAPOT": 2})
    world.reconcile()
    found = trail(world, "1001")

    assert [(delivery.order_id, delivery.outcome) for delivery in found.deliveries] == [("1001", "order")]
    assert (found.order.source, found.order.polled, found.order.fetched_at) == (Source.WEBHOOK, False, None)
    lines = {line.sku: line for line in found.lines}
    shares = {(share.listing_id, share.units_each, share.taken, share.stage) for share in lines["SET"].shares}
    assert shares == {("mug", 1, 1, Stage.TAKEN), ("lamp", 2, 2, Stage.TAKEN)}
    assert (lines["TEAPOT"].shares, lines["TEAPOT"].why_unlinked) == ([], "its SKU is linked to no listing")
    assert (found.sums.sold, found.sums.taken, found.sums.to_take, found.sums.unlinked) == (4, 4, 0, 2)
    of_the_mug = [attempt for attempt in found.attempts if (attempt.listing_id, attempt.sku) == ("mug", "MUG")]
    assert [
        (attempt.state.value, attempt.units, attempt.expected_total, attempt.found_total, attempt.new_total)
        for attempt in of_the_mug
    ] == [("applied", 1, 9, 9, 7), ("rejected", 1, 10, None, 8)]
    assert "is 9, not 10" in (of_the_mug[1].outcome or "")

    world.channel.put("1001", {"SET": 1, "TEAPOT": 2})
    world.pass_time(5)
    world.poll()
    world.reconcile()
    returned = trail(world, "1001")
    assert (returned.order.source, returned.order.polled) == (Source.POLL, True)
    (mug,) = [line for line in returned.lines if line.sku == "MUG"]
    assert (mug.units, mug.units_at_first, mug.shares[0].stage) == (0, 1, Stage.NOTHING)
    assert [entry.units for entry in returned.journal if entry.sku == "MUG"] == [-1, 1]


def test_what_units_wait_for_is_said(world: World) -> None:
    for listing_id, total in (("mug", 2), ("lamp", 9), ("vase", 4)):
        world.listing(listing_id, total)
    world.link("MUG", "mug")
    world.link("LAMP", "lamp")
    world.link("VASE", "vase", from_at=world.clock.now() + timedelta(hours=1))
    world.pass_time(1)

    def standing(order_id: str) -> tuple[Stage, str]:
        ((share,),) = [line.shares for line in trail(world, order_id).lines]
        return share.stage, share.why

    world.sell("short", {"MUG": 5})
    world.sell("early", {"VASE": 1})
    world.reconcile()
    assert standing("short") == (Stage.WAITING, "more were sold than there are: the number is 0")
    assert standing("early") == (Stage.NOT_OURS, "not ours to take: before start")
    world.marketplace.feed_hidden = True
    world.marketplace.fail("adjust", "lost_after")
    world.sell("lost", {"LAMP": 2})
    world.reconcile()
    assert standing("lost")[0] is Stage.SETTLING
    world.services.holds.place(HoldReason.PAUSED, HoldScope.CHANNEL, CHANNEL, "stock-taking (paused by ada)")
    assert standing("short") == (Stage.HELD, "paused hold on channel shop: stock-taking (paused by ada)")
    world.services.holds.lift(HoldScope.CHANNEL, CHANNEL, by="ada")
    assert standing("short")[0] is Stage.WAITING


def test_orders_are_found_by_id_and_by_sku_the_newest_first_page_by_page(world: World) -> None:
    for number in range(1, 6):
        world.sell(f"o{number}", {"EVEN" if number % 2 == 0 else "ODD": 1})
    world.sell("old", {"ODD": 1}, placed_at=world.clock.now() - LONG_AGO)
    finder = orders(world)
    assert [entry.order_id for entry in finder.find()] == ["old", "o5", "o4", "o3", "o2", "o1"]
    first = finder.find("ODD", limit=2)
    assert [entry.order_id for entry in first] == ["o5", "o3"]
    assert [entry.order_id for entry in finder.find("ODD", before_id=first[-1].id)] == ["o1"]
    assert [(entry.order_id, entry.unlinked) for entry in finder.find("o2")] == [("o2", True)]
    assert [entry.order_id for entry in finder.find(parked=True)] == ["old"]
    assert [entry.order_id for entry in finder.find(channel=CHANNEL, limit=1)] == ["old"]
    assert not finder.find("odd")
    assert not finder.find(channel="another")
    assert finder.find("o2", channel="another") == []


def test_webhooks_are_found_page_by_page(world: World) -> None:
    world.sell("o1", {"A": 1})
    parked = [receive(world, f"{number}".encode(), f"same-time-{number}") for number in range(3)]
    world.pass_time(60)
    middle = world.clock.now()
    world.pass_time(60)
    world.sell("o2", {"A": 1})
    inbox = Deliveries(world.store)

    def ids(found: list[DeliveryView]) -> list[int]:
        return [delivery.id for delivery in found]

    everything = ids(list(inbox.list()))
    assert everything == sorted(everything, reverse=True)
    for channel in (None, CHANNEL):
        walked: list[int] = []
        behind = None
        while page := inbox.list(channel=channel, behind=behind, limit=2):
            walked += ids(list(page))
            behind = (page[-1].received_at, page[-1].id)
        assert walked == everything
    assert ids(list(inbox.list(state=DeliveryState.PARKED))) == parked[::-1]
    assert ids(list(inbox.list(until=middle))) == everything[1:]
    (of_the_order,) = inbox.list(order_id="o2")
    assert of_the_order.id == everything[0]
    assert inbox.list(order_id="o2", state=DeliveryState.PARKED) == []


def test_a_body_is_legible_masked_and_cut(world: World) -> None:
    body = b'{"token": "' + MASKED.encode() + b'", \xff\x00\x1b[31m' + b"a" * 2 * MOST_BODY_BYTES
    story = Deliveries(world.store, [MASKED]).story(receive(world, body))
    assert story is not None
    assert story.body is not None
    assert (story.raw, story.body_bytes) == (True, len(body))
    assert MASKED not in story.body
    assert set("\x00\x1b") & set(story.body) == set()
    assert len(story.body) <= MOST_BODY_BYTES
    assert Deliveries(world.store).story(10**9) is None


def test_what_stays_behind_is_listed_with_its_reason_and_leaves_when_it_is_mended(world: World) -> None:
    for listing_id in ("mug", "lamp"):
        world.listing(listing_id, 9)
        world.link(listing_id.upper(), listing_id)
    world.pass_time(1)
    services = world.services
    work = ParkedWork(world.store, services.anomalies, Deliveries(world.store))
    empty = work.now()
    assert not any((empty.deliveries, empty.orders, empty.fetches, empty.writes, empty.listings, empty.cut))

    delivery = receive(world, b"{")
    world.sell("old", {"MUG": 1}, placed_at=world.clock.now() - LONG_AGO)
    world.sell("away", {"TEAPOT": 1})
    world.channel.fail("order", Unavailable("away", account=CHANNEL))
    world.fetch_again("away")
    world.marketplace.fail("adjust", Unavailable("away", account="marketplace"))
    world.sell("put-off", {"MUG": 1})
    world.reconcile()
    world.marketplace.feed_hidden = True
    world.marketplace.fail("adjust", "lost_after")
    world.sell("lost", {"LAMP": 2})
    world.reconcile()
    found = work.now()
    assert [(entry.id, bool(entry.outcome)) for entry in found.deliveries] == [(delivery, True)]
    assert [entry.order_id for entry in found.orders] == ["old"]
    assert [(entry.order_id, entry.attempts, "away" in (entry.reason or "")) for entry in found.fetches] == [
        ("away", 1, True)
    ]
    assert [(entry.listing_id, entry.expected_total, entry.new_total) for entry in found.writes] == [("lamp", 9, 7)]
    assert [(entry.listing_id, bool(entry.reasons)) for entry in found.listings] == [("mug", True)]

    world.marketplace.feed_hidden = False
    services.fetcher.accept(CHANNEL, "old", "ada")
    world.settle_down(seconds=120, step=10)
    world.fetch()
    mended = work.now()
    assert [entry.id for entry in mended.deliveries] == [delivery]
    assert not any((mended.orders, mended.fetches, mended.writes, mended.listings))


# --- pages ------------------------------------------------------------------------------------------------------


@pytest.fixture
def console(tmp_path: Path) -> Iterator[Console]:
    """A sale that was written, one without a link, one that is parked, and two webhooks that cannot be read."""
    store = Store(f"sqlite:///{tmp_path / 'trueup.db'}")
    upgrade(store)
    world = World(store)
    world.listing("mug", 10)
    world.link("MUG", "mug")
    world.pass_time(1)
    world.sell("1001", {"MUG": 2, "TEAPOT": 1})
    world.reconcile()
    world.sell("old/1", {"MUG": 1}, placed_at=world.clock.now() - LONG_AGO)
    for number in range(2):
        receive(world, f'<script>alert("{number}")</script>'.encode(), f"garbled-{number}")
    with Console(world) as listening:
        yield listening
    store.dispose()


def signed_in(console: Console, name: str = "ada") -> Browser:
    browser = Browser(console)
    assert browser.sign_in(name).status_code == 303
    return browser


def test_the_order_page_is_reached_from_everywhere_and_asks_a_constant_number_of_questions(console: Console) -> None:
    browser = signed_in(console)
    address = "/order?channel=shop&amp;id=1001"
    for page in ("/orders", "/listing?id=mug", "/deliveries", "/deliveries/1"):
        assert address in browser.get(page).text, page
    found = browser.get("/orders?q=1001")
    assert (found.status_code, found.headers["location"]) == (303, "/order?channel=shop&id=1001")
    text = browser.get("/order?channel=shop&id=1001").text
    for said in ("/deliveries/1", "brought what counts now", "#write-1", "its SKU is linked to no listing"):
        assert said in text
    console.world.sell("1002", {f"SKU-{number}": 1 for number in range(120)})
    counts = []
    for order_id in ("1001", "1002"):
        with heard(console.world.store) as statements:
            browser.get(f"/order?channel=shop&id={order_id}")
        counts.append(len(statements))
    assert counts[0] == counts[1]
    first = browser.get("/order?channel=shop&id=1002").text
    (more,) = [part.partition('"')[0] for part in first.split('href="') if "after=" in part.partition('"')[0]]
    second = browser.get(more.replace("&amp;", "&")).text
    assert ("SKU-49" in first, "SKU-50<" in first, "SKU-50<" in second, "SKU-49" in second) == (
        True,
        False,
        True,
        False,
    )


def test_an_order_is_fetched_again_and_the_log_says_by_whom(console: Console) -> None:
    world, page = console.world, "/order?channel=shop&id=1001"
    world.channel.put("1001", {"MUG": 5, "TEAPOT": 1})
    viewer = signed_in(console, "grace")
    assert "<form" not in viewer.get(page).text.partition("<main")[2]
    assert viewer.send("/order/fetch", page="/", channel=CHANNEL, id="1001").status_code == 403
    browser = signed_in(console)
    answer = browser.send("/order/fetch", page=page, channel=CHANNEL, id="1001")
    assert answer.headers["location"] == f"{page}&done=asked-for"
    world.fetch()
    assert ("MUG", 5, 2, 0) in world.pairs()
    assert "order asked for" in browser.get("/log").text
    assert "by ada" in browser.get(page).text
    assert browser.send("/order/fetch", page=page, channel=CHANNEL, id="none").status_code == 404


def test_a_channel_that_cannot_be_asked_is_not(tmp_path: Path) -> None:
    store = Store(f"sqlite:///{tmp_path / 'trueup.db'}")
    upgrade(store)
    world = World(store, offered=SendingChannel)
    world.sell("1001", {"MUG": 2})
    with Console(world) as console:
        browser, page = signed_in(console), "/order?channel=shop&id=1001"
        assert "Fetch this order again" not in browser.get(page).text
        answer = browser.send("/order/fetch", page=page, channel=CHANNEL, id="1001")
        assert (answer.status_code, "have it sent again" in answer.text) == (409, True)
        assert world.services.actions.list(subject=("order", "shop/1001")) == []
    store.dispose()


def test_webhooks_are_handled_anew_one_or_many(console: Console) -> None:
    world, browser = console.world, signed_in(console)
    first, second = [delivery.id for delivery in Deliveries(world.store).list(state=DeliveryState.PARKED)]
    with world.store.write() as transaction:
        transaction.execute(update(Delivery).where(Delivery.id == second).values(kept=None))
    page = "/deliveries?state=parked"
    listed = browser.get(page).text
    assert (f'name="pick-{first}"' in listed, f'name="pick-{second}"' in listed) == (True, False)
    assert browser.send("/deliveries/replay?state=parked", page=page).status_code == 409
    boxes = {f"pick-{number}": f"{number}" for number in (first, second)}
    answer = browser.send("/deliveries/replay?state=parked", page=page, **boxes)
    assert answer.status_code == 409
    assert f"Not kept any more: {second}. The others are handled anew." in answer.text
    assert {row.id: row.state for row in world.rows(Delivery.id, Delivery.state)}[first] is DeliveryState.NEW
    (action,) = world.services.actions.list(subject=("delivery", str(first)))
    assert (action.actor, action.verb) == ("ada", "delivery-replayed")
    world.services.inbox.drain()
    answer = browser.send("/work/replay", page="/work", **{f"pick-{first}": f"{first}"})
    assert answer.headers["location"] == "/work?done=replayed-some"
    answer = browser.send(f"/deliveries/{first}/replay", page=f"/deliveries/{first}")
    assert answer.headers["location"] == f"/deliveries/{first}?done=replayed"


def test_parked_orders_count_when_somebody_says_so(console: Console) -> None:
    world, browser = console.world, signed_in(console)
    assert "long after it was placed" in browser.get("/work").text
    box = {"pick-shop/old/1": "shop/old/1"}
    assert browser.send("/work/count", page="/work").status_code == 409
    assert browser.send("/work/count", page="/work", **box).headers["location"] == "/work?done=counted-some"
    world.fetch()
    assert {row.order_id: row.state for row in world.rows(OrderRow.order_id, OrderRow.state)}[
        "old/1"
    ] is OrderState.OPEN
    again = browser.send("/work/count", page="/deliveries", **box)
    assert (again.status_code, "Not parked any more: shop old/1." in again.text) == (409, True)
    answer = browser.send("/work/retry", page="/deliveries", **{"pick-mug": "mug"})
    assert answer.headers["location"] == "/work?done=retried-some"
    assert world.services.actions.list(listing_id="mug")[0].verb == "listing-retried"


def test_a_body_is_text_and_one_that_may_hold_anything_is_for_operators(console: Console) -> None:
    garbled = Deliveries(console.world.store).list(state=DeliveryState.PARKED)[0].id
    text = signed_in(console).get(f"/deliveries/{garbled}").text
    assert ("<script>alert" in text, "&lt;script&gt;alert" in text) == (False, True)
    viewer = signed_in(console, "grace")
    assert "script&gt;alert" not in viewer.get(f"/deliveries/{garbled}").text
    assert "&#34;revision&#34;" in viewer.get("/deliveries/1").text


def test_pages_of_webhooks_keep_their_filter(console: Console, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery_pages, "PAGE", 1)
    browser = signed_in(console)
    seen = []
    page = "/deliveries?state=parked&channel=shop"
    for _ in range(2):
        text = browser.get(page).text
        seen += [part.partition('"')[0] for part in text.split('href="/deliveries/')[1:]]
        links = [part.partition('"')[0] for part in text.split('href="') if "before=" in part.partition('"')[0]]
        page = links[0].replace("&amp;", "&") if links else ""
    assert seen == ["4", "3"]
    assert page == ""


@pytest.mark.parametrize(
    ("address", "status"),
    [
        (f"/anomalies/{10**30}", 404),
        (f"/deliveries/{10**30}", 404),
        ("/deliveries/999999", 404),
        ("/order?channel=shop&id=%00", 404),
        ("/orders?q=%00&channel=%00&before=x", 200),
        ("/listings?q=%00", 200),
        ("/deliveries?state=x&until=x&order=%00&at=999999999999999999&before=999999999999999999", 200),
        ("/deliveries?until=9999-12-31T23:59", 200),
        ("/work", 200),
    ],
)
def test_whatever_is_asked_for_is_answered(asked: Browser, address: str, status: int) -> None:
    assert asked.get(address).status_code == status


@pytest.fixture(scope="module")
def asked(postgres_server: PostgresServer) -> Iterator[Browser]:
    """Somebody at a console on PostgreSQL, which refuses what SQLite takes."""
    store = Store(postgres_server.fresh(build_schema))
    with Console(World(store)) as console:
        yield signed_in(console)
    store.dispose()
    postgres_server.drop(store.url.render_as_string(hide_password=False))
