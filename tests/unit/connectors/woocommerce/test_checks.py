from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import httpx
import pytest

from connectors.contract import Check
from connectors.woocommerce import WooCommerceChannel
from tests.unit.connectors.woocommerce.test_subscriptions import HERE, Shelf
from tests.unit.connectors.woocommerce.vendor import KEY, NOW, SECRET, Vendor, channel, error, order

NEWEST = order(5, modified="2026-11-21T11:00:00")


@pytest.fixture
def sound(vendor: Vendor) -> Vendor:
    vendor.will("GET orders", [NEWEST])
    Shelf(vendor)
    opened = channel(vendor)
    opened.subscribe(HERE)
    opened.close()
    return vendor


def named(checks: Sequence[Check], name: str) -> Check:
    (check,) = [check for check in checks if check.name == name]
    return check


def failing(checks: Sequence[Check]) -> list[str]:
    for check in checks:
        assert bool(check.remedy) is not check.ok, check
        assert KEY not in repr(check)
        assert SECRET not in repr(check)
    return [check.name for check in checks if not check.ok]


def test_a_sound_shop_passes(sound: Vendor, shop: WooCommerceChannel) -> None:
    checks = shop.check()
    assert failing(checks) == []
    assert [check.name for check in checks] == [
        "access",
        "orders by modification",
        "clock",
        "webhook secret",
        "exclusion rules",
        "webhooks",
    ]


@pytest.mark.parametrize(
    "answer",
    [
        error(401, "woocommerce_rest_cannot_view"),
        httpx.Response(404, html="<p>Not found</p>"),
        httpx.Response(500),
        httpx.ConnectError("no"),
    ],
)
def test_a_shop_that_cannot_be_asked_fails_without_raising(vendor: Vendor, answer: Any) -> None:
    shop = channel(vendor)
    vendor.will("GET orders", answer)
    assert failing(shop.check()) == ["access"]


def test_a_shop_that_does_not_find_its_newest_order_by_its_time_fails(sound: Vendor, shop: WooCommerceChannel) -> None:
    sound.will("GET orders", lambda request: [] if "modified_after" in request.url.params else [NEWEST])
    sound.will("GET orders/5", NEWEST)
    checks = shop.check()
    assert failing(checks) == ["orders by modification"]
    assert "order 5 is not listed at 2026-11-21T11:00:00" in named(checks, "orders by modification").detail


def test_an_order_that_changed_while_it_was_looked_for_is_no_failure(sound: Vendor, shop: WooCommerceChannel) -> None:
    sound.will("GET orders", lambda request: [] if "modified_after" in request.url.params else [NEWEST])
    sound.will("GET orders/5", order(5, modified="2026-11-21T11:59:59"))
    checks = shop.check()
    assert failing(checks) == []
    assert "changed" in named(checks, "orders by modification").detail


def test_a_shop_without_orders_passes(sound: Vendor, shop: WooCommerceChannel) -> None:
    sound.will("GET orders", [])
    checks = shop.check()
    assert failing(checks) == []
    assert "no orders yet" in named(checks, "orders by modification").detail


def test_a_shop_that_cannot_sort_passes_and_says_so(sound: Vendor, shop: WooCommerceChannel) -> None:
    refusal = error(400, "rest_invalid_param", params={"orderby": "no"})
    sound.will("GET orders", lambda request: refusal if request.url.params.get("orderby") == "modified" else [NEWEST])
    checks = shop.check()
    assert failing(checks) == []
    assert "pieces of an hour" in named(checks, "orders by modification").detail


def test_a_clock_that_is_wrong_fails(sound: Vendor, shop: WooCommerceChannel) -> None:
    sound.skew_seconds = 31
    assert failing(shop.check()) == ["clock"]
    sound.skew_seconds = -30
    assert failing(shop.check()) == []


def test_a_shop_that_does_not_tell_its_time_passes(sound: Vendor, shop: WooCommerceChannel) -> None:
    sound.dated = False
    assert sound.clock.now() == NOW
    assert named(shop.check(), "clock").ok


def test_a_missing_secret_fails(sound: Vendor) -> None:
    assert failing(channel(sound, webhook_secrets=[]).check()) == ["webhook secret"]


@pytest.mark.parametrize("status", ["disabled", "paused"])
def test_a_webhook_that_is_off_fails(vendor: Vendor, shop: WooCommerceChannel, status: str) -> None:
    vendor.will("GET orders", [NEWEST])
    shelf = Shelf(vendor)
    shop.subscribe(HERE)
    shelf.rows[1]["status"] = status
    checks = shop.check()
    assert failing(checks) == ["webhooks"]
    assert named(checks, "webhooks").detail.startswith("order.updated: ")


def test_webhooks_that_cannot_be_seen_fail_alone(sound: Vendor, shop: WooCommerceChannel) -> None:
    sound.will("GET webhooks", error(401, "woocommerce_rest_cannot_view"))
    assert failing(shop.check()) == ["webhooks"]


def test_exclusion_rules_are_named(sound: Vendor) -> None:
    shop = channel(sound, exclude_created_via=["rest-api"], exclude_meta_keys=["_a", "_b"])
    assert named(shop.check(), "exclusion rules").detail == (
        "orders do not count when created via rest-api; with meta key _a, _b"
    )
