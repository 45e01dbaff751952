from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import httpx
import pytest

from connectors.contract import Check
from connectors.shopify import ShopifyChannel
from tests.unit.connectors.shopify.test_channel import ALL_SCOPES, scopes
from tests.unit.connectors.shopify.test_subscriptions import HERE, Shelf
from tests.unit.connectors.shopify.vendor import TOKEN, Vendor, channel


@pytest.fixture
def sound(vendor: Vendor) -> Vendor:
    vendor.will("Access", ALL_SCOPES)
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
        assert TOKEN not in repr(check)
    return [check.name for check in checks if not check.ok]


def test_a_sound_shop_passes(sound: Vendor, shop: ShopifyChannel) -> None:
    checks = shop.check()
    assert failing(checks) == []
    assert [check.name for check in checks] == [
        "access",
        "scope read_orders",
        "scope read_all_orders",
        "API version",
        "clock",
        "webhook secret",
        "exclusion rules",
        "webhooks",
    ]


@pytest.mark.parametrize(
    "answer", [httpx.Response(401), httpx.Response(404), httpx.Response(500), httpx.ConnectError("no")]
)
def test_a_shop_that_cannot_be_asked_fails_without_raising(vendor: Vendor, shop: ShopifyChannel, answer: Any) -> None:
    vendor.will("Access", answer)
    assert failing(shop.check()) == ["access"]


def test_a_missing_scope_fails(sound: Vendor, shop: ShopifyChannel) -> None:
    sound.will("Access", scopes("read_products"))
    assert failing(shop.check()) == ["scope read_orders"]


@pytest.mark.parametrize("scope", ["write_orders", "read_all_orders"])
def test_a_scope_that_includes_reading_passes(sound: Vendor, shop: ShopifyChannel, scope: str) -> None:
    sound.will("Access", scopes(scope))
    assert failing(shop.check()) == []


def test_without_read_all_orders_there_is_a_warning(sound: Vendor, shop: ShopifyChannel) -> None:
    sound.will("Access", scopes("read_orders"))
    checks = shop.check()
    assert failing(checks) == []
    assert "warning" in named(checks, "scope read_all_orders").detail


def test_a_retired_version_fails(sound: Vendor, shop: ShopifyChannel) -> None:
    sound.version = "2027-01"
    checks = shop.check()
    assert failing(checks) == ["API version"]
    assert "2026-10" in named(checks, "API version").detail
    assert "2027-01" in named(checks, "API version").detail


@pytest.mark.parametrize(("skew_seconds", "fails"), [(0, False), (20, False), (-20, False), (90, True), (-90, True)])
def test_clocks_that_differ_fail(sound: Vendor, shop: ShopifyChannel, skew_seconds: float, fails: bool) -> None:
    sound.skew_seconds = skew_seconds
    assert failing(shop.check()) == (["clock"] if fails else [])


def test_a_shop_without_a_clock_passes(sound: Vendor, shop: ShopifyChannel) -> None:
    sound.dated = False
    assert failing(shop.check()) == []


def test_missing_webhooks_fail(vendor: Vendor, shop: ShopifyChannel) -> None:
    vendor.will("Access", ALL_SCOPES)
    Shelf(vendor).add("orders/create")
    checks = shop.check()
    assert failing(checks) == ["webhooks"]
    assert "orders/updated" in named(checks, "webhooks").detail
    assert "orders/create" not in named(checks, "webhooks").detail


def test_webhooks_that_cannot_be_listed_fail(sound: Vendor, shop: ShopifyChannel) -> None:
    sound.will("Subscriptions", httpx.Response(500))
    assert failing(shop.check()) == ["webhooks"]


def test_without_a_secret_no_webhook_can_be_verified(sound: Vendor) -> None:
    assert failing(channel(sound, client_secret=None).check()) == ["webhook secret"]


def test_the_exclusion_rules_are_brought_to_mind(sound: Vendor, shop: ShopifyChannel) -> None:
    assert "mirrored" in named(shop.check(), "exclusion rules").detail
    ruled = channel(sound, exclude_tags=["from-market"], exclude_apps=["7"])
    assert named(ruled.check(), "exclusion rules").detail == "orders do not count when of apps 7; tags from-market"
