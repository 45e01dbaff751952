from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from connectors.registry import connector
from connectors.shopify import CONNECTOR, ShopifyChannel
from connectors.shopify.settings import TOPICS, ShopifySettings
from tests.unit.connectors.shopify.vendor import TOKEN, Vendor, settings, toolbox


def test_defaults() -> None:
    plain = settings()
    assert (plain.api_version, plain.page_size, plain.exclude_tests, plain.removed_units_return) == (
        "2026-10",
        25,
        True,
        True,
    )
    assert plain.include_topics == TOPICS
    assert plain.address == settings(base_url=None).address == "https://toys.myshopify.com"


@pytest.mark.parametrize(
    "shop",
    ["toys", "toys.myshopify.com/", "https://toys.myshopify.com", "toys.myshopify.com.evil.com", "-a.myshopify.com",
     "toys.myshopify.com\n", "a@b.myshopify.com", "evil.com#.myshopify.com", "a_b.myshopify.com", "",
     "t\u00f8ys.myshopify.com", "toys.myshopify.com:8080", "a.b.myshopify.com"],
)  # fmt: skip
def test_a_shop_that_is_no_permanent_domain_is_refused(shop: str) -> None:
    with pytest.raises(ValidationError, match="permanent domain"):
        settings(shop=shop)


def test_the_case_of_a_shop_does_not_matter() -> None:
    assert settings(shop="Toys-2.MyShopify.com".replace("MyShopify", "myshopify")).shop == "toys-2.myshopify.com"


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:8080", "http://localhost:1/", "http://[::1]:9", "https://shop.test", "http://127.8.8.8"]
)
def test_a_sandbox_may_be_on_this_machine_or_behind_https(url: str) -> None:
    assert settings(base_url=url).address == url.rstrip("/")


@pytest.mark.parametrize(
    "url",
    ["http://example.com", "http://169.254.169.254", "ftp://localhost", "https://user:pw@shop.test", "https://",
     "http://localhost.evil.com", "https://shop.test/?a=1", "https://shop.test/#x", "127.0.0.1:80", ""],
)  # fmt: skip
def test_no_other_address_is_taken(url: str) -> None:
    with pytest.raises(ValidationError):
        settings(base_url=url)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"access_token": None, "client_secret": None}, "access_token, or client_id"),
        ({"access_token": None}, "access_token, or client_id"),
        ({"access_token": None, "client_id": "c", "client_secret": None}, "access_token, or client_id"),
        ({"client_id": "c"}, "not both"),
        ({"access_token": ""}, "empty"),
        ({"access_token": "a b"}, "characters"),
        ({"access_token": "a\r\nX-Evil: 1"}, "characters"),
        ({"webhook_secrets": ["good", " "]}, "empty secret"),
        ({"api_version": "latest"}, "pattern"),
        ({"api_version": "2026-10/../.."}, "pattern"),
        ({"page_size": 0}, "greater"),
        ({"page_size": 51}, "less"),
        ({"exclude_apps": ["Etsy"]}, "pattern"),
        ({"exclude_tags": [" "]}, "character"),
        ({"include_topics": ["orders/eaten"]}, "orders/create"),
        ({"include_topics": []}, "at least 1"),
        ({"colour": "red"}, "Extra inputs"),
    ],
)
def test_wrong_settings_are_refused_with_a_reason(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        settings(**changes)


def test_the_signing_secret_is_the_clients_unless_others_are_given() -> None:
    assert [secret.get_secret_value() for secret in settings().signing_secrets] == ["hush"]
    rotating = settings(webhook_secrets=["new", "old"])
    assert [secret.get_secret_value() for secret in rotating.signing_secrets] == ["new", "old"]
    assert settings(client_secret=None).signing_secrets == ()


def test_no_secret_shows() -> None:
    shown = repr(settings(webhook_secrets=["hush-hush"]))
    assert TOKEN not in shown
    assert "hush" not in shown


def test_every_field_is_described() -> None:
    assert [name for name, field in ShopifySettings.model_fields.items() if not field.description] == []


def test_the_registry_opens_a_channel_without_calling_anybody(vendor: Vendor) -> None:
    assert connector("shopify") is CONNECTOR
    assert CONNECTOR.open_channel is not None
    opened = CONNECTOR.open_channel("toys", settings(), toolbox(vendor))
    assert isinstance(opened, ShopifyChannel)
    assert vendor.asked == []
    opened.close()
