from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from tests.unit.connectors.marketplacer.vendor import API_KEY, HOOK_SECRET, channel_settings, marketplace_settings


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"base_url": "http://marketplace.example"}, "https"),
        ({"base_url": "https://marketplace.example/api/v2"}, "own address"),
        ({"base_url": "https://marketplace.example/graphql"}, "own address"),
        ({"base_url": "https://me:secret@marketplace.example"}, "credentials"),
        ({"api_key": ""}, "empty"),
        ({"api_key": "two words"}, "characters"),
        ({"api_key": "schlüssel"}, "characters"),
        ({"basic_user": "staging"}, "belong together"),
        ({"basic_password": "hush"}, "belong together"),
        ({"basic_user": "a:b", "basic_password": "hush"}, "pattern"),
        ({"identity": "id"}, "external_id"),
        ({"seller_id": 2}, "multi_store"),
        ({"seller_id": 0, "inventory": "multi_store"}, "greater than 0"),
        ({"seller_id": 2, "inventory": "multi_store", "close_adverts": True}, "parent's key"),
        ({"surprise": 1}, "Extra inputs"),
    ],
)
def test_what_a_marketplace_cannot_be(changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValidationError, match=reason) as caught:
        marketplace_settings(**changes)
    assert API_KEY not in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"webhook_secrets": ["short"]}, "16 to 128"),
        ({"webhook_secrets": ["sixteen chars or so"]}, "16 to 128"),
        ({"webhook_hmac_keys": [" "]}, "empty key"),
        ({"webhook_header": "auth key"}, "HTTP header"),
        ({"webhook_header": ""}, "HTTP header"),
        ({"refunded": "perhaps"}, "ask"),
    ],
)
def test_what_a_channel_cannot_be(changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValidationError, match=reason):
        channel_settings(**changes)


def test_defaults_are_the_careful_ones_and_secrets_do_not_show() -> None:
    market, channel = marketplace_settings(), channel_settings(webhook_header="Auth-Key")
    assert (market.inventory, market.seller_id, market.close_adverts, market.identity) == (
        "variants",
        None,
        False,
        "external_id",
    )
    assert (channel.refunded, channel.webhook_header) == ("ask", "auth-key")
    assert API_KEY not in repr(market)
    assert HOOK_SECRET not in repr(channel)
