from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from tests.unit.connectors.elasticpath.vendor import CLIENT_SECRET, HOOK_SECRET, channel_settings, marketplace_settings


def test_nothing_shows_a_secret() -> None:
    for settings in (marketplace_settings(), channel_settings()):
        for text in (repr(settings), str(settings.model_dump())):
            assert CLIENT_SECRET not in text
            assert HOOK_SECRET not in text


@pytest.mark.parametrize(
    "changes",
    [
        {"client_id": ""},
        {"client_secret": ""},
        {"base_url": "http://euwest.api.elasticpath.com"},
        {"base_url": "https://me:secret@euwest.api.elasticpath.com"},
        {"environment": "staging"},
        {"inventory": "none"},
        {"location": "york"},
        {"inventory": "multi_location", "location": ""},
        {"unknown": 1},
    ],
)
def test_a_marketplace_that_cannot_be(changes: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        marketplace_settings(**changes)


@pytest.mark.parametrize(
    "secret",
    [
        "too-short",
        "x" * 129,
        'a "quoted" secret of ours',
        "a/secret/with/slashes/in",
        "ein-geheimnis-mit-ümlauten",
        "a-secret-with-its-end\n",
    ],
)
def test_a_webhook_secret_that_json_could_write_in_two_ways(secret: str) -> None:
    with pytest.raises(ValidationError) as caught:
        channel_settings(webhook_secrets=[secret])
    assert "letters, digits" in str(caught.value)


def test_a_location_with_its_flavour() -> None:
    assert marketplace_settings(inventory="multi_location", location="york").location == "york"
