"""The Sharetribe connector as a channel against its sandbox, over real HTTP, on one virtual clock for both."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from connectors.budget import LocalBudgets
from connectors.contract import Order, OrderLine, OrderRef
from connectors.errors import RateLimited, Rejected, Unauthorized, Unavailable, Unreadable
from connectors.http import Toolbox
from connectors.registry import connector
from connectors.sandbox.clock import VirtualClock
from connectors.sandbox.serve import serve
from connectors.sharetribe import SharetribeChannel
from connectors.sharetribe.sandbox import Options, create_app

START = datetime(2026, 1, 1, tzinfo=UTC)


class Site:
    """A served marketplace: a channel of ours to it, and everybody else's hands."""

    def __init__(self, url: str, clock: VirtualClock, options: Options) -> None:
        self.url = url
        self.clock = clock
        self.options = options
        self._control = httpx.Client(base_url=f"{url}/_control", timeout=10)
        self._opened: list[SharetribeChannel] = []
        self.channel = self.open()
        self.cursor = self.channel.cursor_at(START)

    def open(self, **changes: Any) -> SharetribeChannel:
        """One more channel, opened as the worker opens it."""
        found = connector("sharetribe")
        assert found.channel_settings is not None
        assert found.open_channel is not None
        account = {
            "client_id": self.options.client_id,
            "client_secret": self.options.client_secret,
            "base_url": self.url,
            "environment": self.options.profile.value,
        }
        settings = found.channel_settings.model_validate({**account, **changes})
        toolbox = Toolbox(self.clock, LocalBudgets(self.clock), random.Random(1))
        opened = found.open_channel("market", settings, toolbox)
        assert isinstance(opened, SharetribeChannel)
        self._opened.append(opened)
        return opened

    def control(self, path: str, body: Any = None) -> Any:
        response = self._control.post(path, json={} if body is None else body)
        assert response.status_code == 200, response.text
        return response.json()

    def look(self, path: str) -> Any:
        return self._control.get(path).json()

    def listing(self, stock: int = 1000, **details: Any) -> str:
        made = self.control("/listings", {"listings": [{"title": "Mug", "stock": stock, **details}]})
        return str(made["listings"][0]["id"])

    def buy(self, listing_id: str, quantity: int = 1, *steps: str, **details: Any) -> str:
        made = self.control("/purchases", {"listing_id": listing_id, "quantity": quantity, **details})
        for step in steps:
            self.control(f"/purchases/{made['id']}/{step}")
        return str(made["id"])

    def poll(self, channel: SharetribeChannel | None = None) -> dict[str, Order]:
        """Every order changed since the last poll, as it was told last."""
        found: dict[str, Order] = {}
        more = True
        while more:
            page = (channel or self.channel).orders(self.cursor)
            assert page.unreadable == ()
            found |= {order.order_id: order for order in page.orders}
            self.cursor, more = page.cursor, page.more
        return found

    def one(self, order_id: str) -> Order:
        found = self.channel.order(order_id)
        assert isinstance(found, Order)
        return found

    def committed(self, order_id: str) -> int:
        (line,) = self.one(order_id).lines
        return line.committed

    def reservation(self, order_id: str) -> Any:
        return next(each for each in self.look("/state")["reservations"] if each["transaction_id"] == order_id)

    def asked(self) -> dict[str, int]:
        """How often each endpoint was called."""
        return dict(self.look("/counts")["calls"])

    def close(self) -> None:
        for opened in self._opened:
            opened.close()
        self._control.close()


@contextmanager
def a_site(**options: Any) -> Iterator[Site]:
    clock = VirtualClock(START)
    chosen = Options.model_validate(options)
    with serve(create_app(chosen, clock)) as url:
        site = Site(url, clock, chosen)
        try:
            yield site
        finally:
            site.close()


@pytest.fixture
def site() -> Iterator[Site]:
    with a_site() as site:
        yield site


# What a purchase commits


@pytest.mark.parametrize(
    ("process", "steps", "committed"),
    [
        ("default-purchase", [], 3),
        ("default-purchase", ["pay"], 3),
        ("default-purchase", ["expire"], 0),
        ("default-purchase", ["pay", "cancel"], 0),
        ("default-purchase", ["pay", "deliver"], 3),
        ("default-purchase", ["pay", "deliver", "dispute"], 3),
        ("default-purchase", ["pay", "deliver", "dispute", "cancel_disputed"], 0),
        ("proposed-purchase", [], 0),
        ("proposed-purchase", ["accept"], 3),
        ("proposed-purchase", ["decline"], 0),
        ("proposed-purchase", ["accept", "cancel"], 0),
    ],
)
def test_a_purchase_commits_what_the_marketplace_has_taken_off_its_own_stock(
    site: Site, process: str, steps: list[str], committed: int
) -> None:
    listing_id = site.listing(10)
    order_id = site.buy(listing_id, 3, *steps, process=process)
    line = OrderLine(site.reservation(order_id)["id"], listing_id, listing_id, committed)
    assert site.one(order_id).lines == (line,)
    assert site.poll()[order_id].lines == (line,)
    assert site.look(f"/listings/{listing_id}")["total"] == 10 - committed


def test_an_abandoned_checkout_gives_its_units_back_by_itself(site: Site) -> None:
    order_id = site.buy(site.listing(), 2)
    assert site.poll()[order_id].lines[0].committed == 2
    site.clock.advance(901)
    assert site.poll()[order_id].lines[0].committed == 0


def test_a_purchase_is_as_old_as_its_reservation_and_an_inquiry_is_none(site: Site) -> None:
    order_id = site.buy(site.listing(), 1, process="inquiry-purchase")
    assert site.one(order_id).lines == ()
    assert site.poll() == {}
    site.clock.advance(86_400)
    site.control(f"/purchases/{order_id}/request")
    order = site.poll()[order_id]
    assert order.lines[0].committed == 1
    assert order.placed_at == START + timedelta(days=1)
    site.clock.advance(60)
    site.control(f"/purchases/{order_id}/pay")
    assert site.poll()[order_id].placed_at == order.placed_at


@pytest.mark.parametrize(
    ("key", "details", "sku"),
    [
        ("publicData.sku", {"public_data": {"sku": "MUG"}}, "MUG"),
        ("metadata.externalSku", {"metadata": {"externalSku": 4711}}, "4711"),
        ("privateData.sku", {"private_data": {"sku": "MUG"}, "public_data": {"sku": "CUP"}}, "MUG"),
        ("publicData.sku", {}, None),
        (None, {"public_data": {"sku": "MUG"}}, None),
    ],
)
def test_the_sku_is_where_the_settings_say_or_else_the_listings_id(
    site: Site, key: str | None, details: dict[str, Any], sku: str | None
) -> None:
    listing_id = site.listing(**details)
    order_id = site.buy(listing_id)
    channel = site.open(sku_key=key)
    (polled,) = site.poll(channel).values()
    found = channel.order(order_id)
    assert isinstance(found, Order)
    assert polled.lines == found.lines
    assert (found.lines[0].sku, found.lines[0].item_key) == (sku or listing_id, listing_id)


@pytest.mark.parametrize("shown", ["included", "linked"])
def test_a_sale_of_a_listing_deleted_since_goes_on_being_read(site: Site, shown: str) -> None:
    site.control("/switches", {"deleted_listing": shown})
    listing_id = site.listing()
    order_id = site.buy(listing_id, 2, "pay")
    site.control(f"/listings/{listing_id}/delete")
    assert site.poll()[order_id].lines[0].item_key == listing_id


def test_a_sale_that_no_longer_says_of_what_is_told_by_its_id(site: Site) -> None:
    site.control("/switches", {"deleted_listing": "unlinked"})
    listing_id, other = site.listing(), site.listing()
    order_id = site.buy(listing_id)
    kept = site.buy(other)
    site.control(f"/listings/{listing_id}/delete")
    with pytest.raises(Unreadable, match="its listing is not named") as caught:
        site.channel.order(order_id)
    assert (caught.value.order_id, caught.value.account) == (order_id, "market")
    page = site.channel.orders(site.cursor)
    assert [each.order_id for each in page.unreadable] == [order_id]
    assert [each.order_id for each in page.orders] == [kept]


def test_sales_of_other_sellers_and_excluded_processes_do_not_count(site: Site) -> None:
    provider = "11111111-1111-4111-8111-111111111111"
    own, others = site.listing(author_id=provider), site.listing()
    mine, mirrored, theirs = site.buy(own), site.buy(own, process="proposed-purchase"), site.buy(others)
    channel = site.open(provider_id=provider, exclude_processes=["proposed-purchase"])
    found = site.poll(channel)
    assert {order_id: order.excluded for order_id, order in found.items()} == {
        mine: None,
        mirrored: "process proposed-purchase",
    }
    theirs_seen = channel.order(theirs)
    assert isinstance(theirs_seen, Order)
    assert (theirs_seen.excluded, theirs_seen.lines) == ("another provider", ())
    # By events, which name no provider, likewise.
    later = site.buy(others)
    assert later not in site.poll(channel)


# Polling


def test_the_list_is_read_first_and_then_the_events(site: Site) -> None:
    listing_id = site.listing()
    bought = [site.buy(listing_id) for _ in range(101)]
    assert set(site.poll()) == set(bought)
    before = site.asked()
    assert site.poll() == {}
    site.control(f"/purchases/{bought[7]}/pay")
    (order,) = site.poll().values()
    after = site.asked()
    assert order.order_id == bought[7]
    assert after["transactions/query"] == before["transactions/query"] == 2
    # One call for a poll at rest, two for a sale.
    assert after["events/query"] - before["events/query"] == 2
    assert after["transactions/show"] - before.get("transactions/show", 0) == 1


def test_nothing_is_missed_while_the_list_is_read(site: Site) -> None:
    """What changes moves to the top of the list, behind the page that is read next."""
    listing_id = site.listing()
    waiting = [site.buy(listing_id) for _ in range(130)]
    seen: dict[str, Order] = {}
    more = True
    while more:
        page = site.channel.orders(site.cursor)
        seen |= {order.order_id: order for order in page.orders}
        site.cursor, more = page.cursor, page.more
        site.clock.advance(1)
        changing, waiting = waiting[:10], waiting[10:]
        for order_id in changing:
            site.control(f"/purchases/{order_id}/expire")
    seen |= site.poll()
    reservations = site.look("/state")["reservations"]
    truth = {each["transaction_id"]: each["quantity"] * each["holding"] for each in reservations}
    assert {order_id: order.lines[0].committed for order_id, order in seen.items()} == truth


def test_a_long_page_of_events_is_read_in_pieces(site: Site) -> None:
    listing_id = site.listing()
    site.poll()
    for _ in range(30):
        site.buy(listing_id)
    sizes, more = [], True
    while more:
        page = site.channel.orders(site.cursor)
        sizes.append(len(page.orders))
        site.cursor, more = page.cursor, page.more
    assert sizes == [25, 5]


def test_a_cursor_past_the_events_that_are_kept_goes_back_to_the_list(site: Site) -> None:
    listing_id = site.listing()
    site.poll()
    order_id = site.buy(listing_id)
    site.clock.advance(91 * 86_400)
    found = site.poll()
    assert order_id in found
    assert found[order_id].lines[0].committed == 0  # It expired long ago.


def test_a_quiet_channel_keeps_to_the_events(site: Site) -> None:
    site.poll()
    for _ in range(100):
        site.clock.advance(86_400)
        site.poll()
    assert site.asked()["transactions/query"] == 1


def test_what_the_vendor_does_not_list_is_read_by_the_events() -> None:
    with a_site(query_limit=100) as site:
        listing_id = site.listing()
        bought = [site.buy(listing_id) for _ in range(101)]
        assert set(site.poll()) == set(bought)
        (page,) = site.channel.recent(START)
        assert len(page) == 100
        site.clock.advance(91 * 86_400)
        with pytest.raises(Rejected, match="more than 100 transactions") as caught:
            site.channel.orders(site.channel.cursor_at(START))
        assert caught.value.account == "market"


def test_recent_names_ids_and_revisions_newest_change_first(site: Site) -> None:
    listing_id = site.listing()
    old = site.buy(listing_id)
    site.clock.advance(60)
    new = site.buy(listing_id)
    assert list(site.channel.recent(START + timedelta(seconds=1))) == [[OrderRef(new, site.one(new).revision)]]
    both = [each for page in site.channel.recent(START) for each in page]
    assert [each.order_id for each in both] == [new, old]


def test_a_later_transition_has_a_later_revision(site: Site) -> None:
    order_id = site.buy(site.listing())
    before = site.one(order_id)
    site.clock.advance(1)
    site.control(f"/purchases/{order_id}/pay")
    assert site.one(order_id).revision == before.revision + 1000


# Trouble


@pytest.mark.parametrize("cursor", ['{"at":1}', '{"at":"2026-01-01T00:00:00"}'])
def test_a_cursor_of_something_else_is_refused(site: Site, cursor: str) -> None:
    with pytest.raises(Rejected, match="not one of this connector"):
        site.channel.orders(cursor)


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        ({"kind": "too_many_requests", "retry_after_seconds": 1}, RateLimited),
        ({"kind": "server_error"}, Unavailable),
        ({"kind": "answer", "body": "[]", "content_type": "application/json"}, Unreadable),
        ({"kind": "drop_before"}, Unavailable),
    ],
)
@pytest.mark.parametrize("operation", ["transactions/query", "transactions/show", "events/query"])
def test_any_failure_is_a_failure_of_the_page(
    site: Site, fault: dict[str, Any], expected: type[Exception], operation: str
) -> None:
    listing_id = site.listing()
    if operation != "transactions/query":
        site.poll()
        site.buy(listing_id)
    cursor = site.cursor
    site.control("/faults", {"operation": operation, "times": None, **fault})
    if operation == "transactions/show" and expected is Unreadable:
        # One that cannot be read does not stop its neighbours.
        assert len(site.channel.orders(cursor).unreadable) == 1
        return
    with pytest.raises(expected) as caught:
        site.channel.orders(cursor)
    assert getattr(caught.value, "account", "") == "market"
    site.control("/faults/clear")
    site.poll()


def test_doctor_tries_the_sales_the_events_and_the_clock(site: Site) -> None:
    assert [(check.name, check.ok) for check in site.channel.check()] == [
        ("access", True),
        ("sales", True),
        ("events", True),
        ("clock", True),
    ]
    with pytest.raises(Unauthorized):
        site.open(client_secret="wrong").orders(site.cursor)
    (check,) = site.open(client_secret="wrong").check()
    assert (check.name, check.ok) == ("access", False)
