from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from connectors.contract import Subscription
from connectors.errors import OutcomeUnknown, Unreadable
from connectors.woocommerce import WooCommerceChannel
from connectors.woocommerce.settings import TOPICS
from connectors.woocommerce.subscriptions import MISSING, PAUSED, TURNED_OFF
from tests.unit.connectors.woocommerce.vendor import HOOK_SECRET, Vendor, channel, error

HERE = "https://hooks.test/hooks/toys"
SOUND = [Subscription(topic, HERE) for topic in TOPICS]


class Shelf:
    """The shop's webhooks: made, listed, changed."""

    def __init__(self, vendor: Vendor) -> None:
        self.rows: list[dict[str, Any]] = []
        self.told: list[dict[str, Any]] = []
        self._vendor = vendor
        vendor.will("GET webhooks", self.list)
        vendor.will("POST webhooks", self.create)

    def add(self, topic: str, **changes: Any) -> None:
        number = len(self.rows) + 1
        row = {"id": number, "name": "x", "status": "active", "topic": topic, "delivery_url": HERE}
        self.rows.append({**row, **changes})
        self._vendor.will(f"PUT webhooks/{number}", self.change)

    def list(self, request: httpx.Request) -> Any:
        params = request.url.params
        assert (params["orderby"], params["order"]) == ("id", "asc")
        start = (int(params["page"]) - 1) * int(params["per_page"])
        return self.rows[start : start + int(params["per_page"])]

    def create(self, request: httpx.Request) -> Any:
        wanted = json.loads(request.content)
        self.told.append(wanted)
        self.add(wanted["topic"], delivery_url=wanted["delivery_url"])
        return httpx.Response(201, json=self.rows[-1])

    def change(self, request: httpx.Request) -> Any:
        wanted = json.loads(request.content)
        self.told.append(wanted)
        (row,) = [row for row in self.rows if request.url.path.endswith(f"/{row['id']}")]
        row["status"] = wanted["status"]
        return row


@pytest.fixture
def shelf(vendor: Vendor) -> Shelf:
    return Shelf(vendor)


def test_what_is_missing_is_named(shop: WooCommerceChannel, shelf: Shelf) -> None:
    shelf.add("order.created")
    shelf.add("order.updated", delivery_url="https://elsewhere.test/")
    assert shop.subscriptions(HERE) == [
        Subscription(topic, HERE, "" if topic == "order.created" else MISSING) for topic in TOPICS
    ]


@pytest.mark.parametrize(
    ("statuses", "problem"),
    [
        (["active"], ""),
        (["disabled"], TURNED_OFF),
        (["paused"], PAUSED),
        (["disabled", "active"], ""),
        (["paused", "disabled"], TURNED_OFF),
        (["asleep"], "is asleep, which this connector does not know"),
    ],
    ids=str,
)
def test_what_is_off_is_named(vendor: Vendor, shelf: Shelf, statuses: list[str], problem: str) -> None:
    shop = channel(vendor, include_topics=["order.updated"])
    for status in statuses:
        shelf.add("order.updated", status=status)
    assert [found.problem for found in shop.subscriptions(HERE)] == [problem]


def test_what_is_missing_is_registered_with_our_secret_once(shop: WooCommerceChannel, shelf: Shelf) -> None:
    shelf.add("order.created")
    assert shop.subscribe(HERE) == SOUND
    assert shop.subscribe(HERE) == SOUND
    assert shelf.told == [
        {
            "name": f"trueup {topic}",
            "topic": topic,
            "delivery_url": HERE,
            "status": "active",
            "secret": HOOK_SECRET,
        }
        for topic in TOPICS[1:]
    ]


def test_what_the_shop_turned_off_is_turned_on_with_our_secret(vendor: Vendor, shelf: Shelf) -> None:
    shop = channel(vendor, include_topics=["order.updated"], webhook_secrets=["new", "old"])
    shelf.add("order.updated", status="paused")
    shelf.add("order.updated", status="disabled")
    assert [found.problem for found in shop.subscribe(HERE)] == [""]
    assert shelf.told == [{"status": "active", "secret": "new"}]
    assert [row["status"] for row in shelf.rows] == ["paused", "active"]


def test_what_somebody_paused_is_left_alone(vendor: Vendor, shelf: Shelf) -> None:
    shop = channel(vendor, include_topics=["order.updated"])
    shelf.add("order.updated", status="paused")
    assert [found.problem for found in shop.subscribe(HERE)] == [PAUSED]
    assert shelf.told == []


def test_without_a_secret_nothing_is_registered(vendor: Vendor, shelf: Shelf) -> None:
    shop = channel(vendor, webhook_secrets=[])
    found = shop.subscribe(HERE)
    assert all(one.problem.startswith(f"{MISSING}: webhook_secrets is not set") for one in found)
    assert shelf.told == []


@pytest.mark.parametrize(
    "refusal", [error(401, "woocommerce_rest_cannot_create"), error(400, "woocommerce_rest_webhook_ping_failed")]
)
def test_one_that_is_refused_does_not_keep_the_others(
    vendor: Vendor, shop: WooCommerceChannel, shelf: Shelf, refusal: httpx.Response
) -> None:
    vendor.will("POST webhooks", refusal, shelf.create)
    found = shop.subscribe(HERE)
    assert [bool(one.problem) for one in found] == [True, False, False, False]
    assert found[0].problem.startswith(f"{MISSING}: the shop refused it: ")
    assert HOOK_SECRET not in found[0].problem


def test_a_key_that_may_not_see_webhooks_still_polls(vendor: Vendor, shop: WooCommerceChannel) -> None:
    vendor.will("GET webhooks", error(401, "woocommerce_rest_cannot_view"))
    for found in (shop.subscriptions(HERE), shop.subscribe(HERE)):
        assert [one.topic for one in found] == list(TOPICS)
        assert all("woocommerce_rest_cannot_view" in one.problem for one in found)


@pytest.mark.parametrize(
    "answer", [httpx.Response(502), httpx.ReadTimeout("no"), httpx.Response(200, html="<p>Soon back</p>")]
)
def test_an_answer_that_was_lost_is_no_refusal(
    vendor: Vendor, shop: WooCommerceChannel, shelf: Shelf, answer: Any
) -> None:
    vendor.will("POST webhooks", answer)
    with pytest.raises(OutcomeUnknown) as caught:
        shop.subscribe(HERE)
    assert caught.value.account == "toys"
    assert vendor.names.count("POST webhooks") == 1


@pytest.mark.parametrize("answer", [{}, [{}], [{"id": 0, "status": "x", "topic": "x", "delivery_url": "x"}]])
def test_a_list_of_another_shape_is_unreadable(vendor: Vendor, shop: WooCommerceChannel, answer: Any) -> None:
    vendor.will("GET webhooks", answer)
    with pytest.raises(Unreadable, match="webhooks"):
        shop.subscriptions(HERE)


def test_a_list_without_end_is_not_followed_for_ever(vendor: Vendor, shop: WooCommerceChannel, shelf: Shelf) -> None:
    shelf.add("order.updated")
    vendor.will("GET webhooks", [{**shelf.rows[0], "id": place} for place in range(1, 101)])
    with pytest.raises(Unreadable, match="more than 2000"):
        shop.subscriptions(HERE)
