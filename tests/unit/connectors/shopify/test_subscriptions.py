from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from connectors.contract import Subscription
from connectors.errors import OutcomeUnknown, Unreadable
from connectors.shopify import ShopifyChannel
from connectors.shopify.settings import TOPICS, Topic
from connectors.shopify.subscriptions import FIELDS, MISSING
from tests.unit.connectors.shopify.vendor import Vendor, channel, page_info

HERE = "https://hooks.test/hooks/toys"


class Shelf:
    """The vendor's registrations: made, listed in pages of two, deleted."""

    def __init__(self, vendor: Vendor) -> None:
        self.rows: list[dict[str, Any]] = []
        self.refuse: dict[str, str] = {}
        vendor.will("Subscriptions", self.list)
        vendor.will("Subscribe", self.create)
        vendor.will("Unsubscribe", self.delete)

    def add(self, topic: Topic, **changes: Any) -> None:
        row = {
            "id": f"gid://shopify/WebhookSubscription/{len(self.rows) + 1}",
            "topic": topic.replace("/", "_").upper(),
            "uri": HERE,
            "format": "JSON",
            "filter": None,
            "includeFields": list(FIELDS[topic]),
        }
        self.rows.append({**row, **changes})

    def list(self, asked: Mapping[str, Any]) -> Any:
        start = int(asked["after"] or 0)
        more = start + 2 < len(self.rows)
        page = page_info(str(start + 2) if more else None)
        return {"webhookSubscriptions": {"nodes": self.rows[start : start + 2], "pageInfo": page}}

    def create(self, asked: Mapping[str, Any]) -> Any:
        wanted = asked["subscription"]
        errors = [self.refuse[asked["topic"]]] if asked["topic"] in self.refuse else []
        key = (asked["topic"], wanted["uri"])
        if any((row["topic"], row["uri"]) == key and row["filter"] is None for row in self.rows):
            errors.append("Address for this topic has already been taken")
        if not errors:
            topic = asked["topic"]
            self.rows.append({"id": f"new-{topic}", "topic": topic, "filter": None, "includeFields": [], **wanted})
        user_errors = [{"field": ["topic"], "message": message} for message in errors]
        return {"webhookSubscriptionCreate": {"webhookSubscription": None, "userErrors": user_errors}}

    def delete(self, asked: Mapping[str, Any]) -> Any:
        self.rows = [row for row in self.rows if row["id"] != asked["id"]]
        return {"webhookSubscriptionDelete": {"userErrors": []}}


@pytest.fixture
def shelf(vendor: Vendor) -> Shelf:
    return Shelf(vendor)


SOUND = [Subscription(topic, HERE) for topic in TOPICS]


def test_what_is_missing_is_named(shop: ShopifyChannel, shelf: Shelf) -> None:
    shelf.add("orders/create")
    shelf.add("orders/updated", uri="https://elsewhere.test/")
    assert shop.subscriptions(HERE) == [
        Subscription(topic, HERE, "" if topic == "orders/create" else MISSING) for topic in TOPICS
    ]


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"format": "XML"}, "sends XML instead of JSON"),
        ({"filter": "total_price:>10"}, "has a filter, so that some deliveries do not come"),
        ({"includeFields": [field for field in FIELDS["orders/create"] if field != "updated_at"]},
         "does not send updated_at"),
        ({"includeFields": ["id", "updated_at", "line_items"]},
         ("does not send admin_graphql_api_id, created_at, cancelled_at, fulfillment_status, test, source_name, "
          "app_id, tags, refunds")),
        ({"includeFields": []}, ""),
        ({"includeFields": None}, ""),
        ({"includeFields": ["email", *FIELDS["orders/create"]]}, ""),
        ({"includeFields": [f for f in FIELDS["orders/create"] if "." not in f] + ["line_items"]}, ""),
    ],
)  # fmt: skip
def test_what_is_broken_is_named_and_replaced(
    vendor: Vendor, shop: ShopifyChannel, shelf: Shelf, changes: dict[str, Any], problem: str
) -> None:
    shelf.add("orders/create", **changes)
    assert shop.subscriptions(HERE)[0] == Subscription("orders/create", HERE, problem)
    assert shop.subscribe(HERE) == SOUND
    assert vendor.names.count("Unsubscribe") == bool(problem)


def test_one_sound_registration_among_broken_ones_is_enough(vendor: Vendor, shop: ShopifyChannel, shelf: Shelf) -> None:
    shelf.add("orders/create", filter="x:1")
    shelf.add("orders/create")
    assert shop.subscriptions(HERE)[0].problem == ""


def test_everything_is_registered_with_the_fields_we_need(vendor: Vendor, shop: ShopifyChannel, shelf: Shelf) -> None:
    assert shop.subscribe(HERE) == SOUND
    made = {asked["topic"]: asked["subscription"] for asked in vendor.variables("Subscribe")}
    assert list(made) == [topic.replace("/", "_").upper() for topic in TOPICS]
    for subscription in made.values():
        assert subscription["uri"] == HERE
        assert subscription["format"] == "JSON"
    for topic in ("ORDERS_CREATE", "ORDERS_UPDATED", "ORDERS_CANCELLED"):
        assert "updated_at" in made[topic]["includeFields"]
    assert "includeFields" not in made["ORDERS_DELETE"]


def test_registering_twice_registers_once(vendor: Vendor, shop: ShopifyChannel, shelf: Shelf) -> None:
    shop.subscribe(HERE)
    shop.subscribe(HERE)
    assert len(vendor.variables("Subscribe")) == len(TOPICS)


def test_only_the_wanted_topics_are_registered(vendor: Vendor) -> None:
    shelf = Shelf(vendor)
    opened = channel(vendor, include_topics=["orders/updated", "orders/updated"])
    assert opened.subscribe(HERE) == [Subscription("orders/updated", HERE)]
    assert len(shelf.rows) == 1


def test_a_refused_topic_tells_why_and_does_not_stop_the_others(shop: ShopifyChannel, shelf: Shelf) -> None:
    shelf.refuse["ORDERS_EDITED"] = "You do not have\npermission for this topic"
    found = shop.subscribe(HERE)
    assert [one.topic for one in found if one.problem] == ["orders/edited"]
    assert found[2].problem == "not registered: the shop refused it: You do not have permission for this topic"


def test_a_mutation_the_shop_rejects_outright_tells_why(vendor: Vendor, shop: ShopifyChannel, shelf: Shelf) -> None:
    vendor.will("Subscribe", {"errors": [{"message": "Bad topic", "extensions": {"code": "INVALID_VARIABLE"}}]})
    assert all("Bad topic" in one.problem for one in shop.subscribe(HERE))


def test_somebody_else_registering_at_the_same_time_is_no_problem(vendor: Vendor, shop: ShopifyChannel) -> None:
    shelf = Shelf(vendor)

    def overtaken(asked: Mapping[str, Any]) -> Any:
        shelf.create(asked)
        return shelf.create(asked)

    vendor.will("Subscribe", overtaken)
    assert shop.subscribe(HERE) == SOUND


@pytest.mark.parametrize("answer", [{"webhookSubscriptions": None}, {"webhookSubscriptions": {"nodes": [{}]}}, {}])
def test_a_list_without_its_shape_is_unreadable(vendor: Vendor, shop: ShopifyChannel, answer: Any) -> None:
    vendor.will("Subscriptions", answer)
    with pytest.raises(Unreadable):
        shop.subscriptions(HERE)


@pytest.mark.parametrize("answer", [{"webhookSubscriptionCreate": None}, {"webhookSubscriptionCreate": {}}])
def test_a_registration_answered_without_its_shape_is_unreadable(
    vendor: Vendor, shop: ShopifyChannel, shelf: Shelf, answer: Any
) -> None:
    vendor.will("Subscribe", answer)
    with pytest.raises((Unreadable, OutcomeUnknown)):
        shop.subscribe(HERE)
