from __future__ import annotations

import base64
from typing import Any

import pytest
from pydantic import SecretStr, ValidationError

from connectors.signing import key_of
from connectors.standard import AskedChannel, DirectoryChannel, StandardChannel
from tests.unit.connectors.standard.vendor import KEY, SECRET, TOKEN, URL, channel, settings
from worker.cli.configuration import PLACEHOLDER


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"webhook_secrets": [SECRET, ""]}, "openssl"),
        ({"webhook_secrets": ["whsec_"]}, "openssl"),
        ({"webhook_secrets": ["whsec_" + base64.b64encode(b"x" * 23).decode()]}, "24 to 64"),
        ({"webhook_secrets": ["whsec_" + base64.b64encode(b"x" * 65).decode()]}, "24 to 64"),
        ({"webhook_secrets": ["whsec_not base64 but long enough to be some!"]}, "openssl"),
        ({"webhook_secrets": ["whsk_" + base64.b64encode(KEY).decode()]}, "openssl"),
        ({"orders_url": "http://shop.test/orders"}, "must use https"),
        ({"orders_url": "https://shop.test"}, "must name the place"),
        ({"orders_url": "https://user:pass@shop.test/orders"}, "without credentials"),
        ({"orders_url": "https://shop.test/orders?a=1"}, "without credentials, query"),
        ({"orders_token": "a\nb"}, "no header can carry"),
        ({"orders_token": "é"}, "no header can carry"),
        ({"orders_directory": "sales"}, "absolute path"),
        ({"orders_url": URL, "orders_directory": "/srv/sales"}, "not both"),
        ({"time_zone": "Europe/Atlantis"}, "name of a time zone"),
        ({"time_zone": "../../etc/passwd"}, "name of a time zone"),
        ({"ordered_by": "chance"}, "Input should be"),
        ({"page_size": 0}, "greater than or equal"),
        ({"file_rest_seconds": -1}, "greater than or equal"),
        ({"shop": "x"}, "Extra inputs"),
    ],
)
def test_what_cannot_work_is_refused(changes: dict[str, Any], why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        settings(**changes)


@pytest.mark.parametrize("size", [24, 25, 32, 64])
def test_a_secret_may_lack_its_prefix_and_its_padding(size: int) -> None:
    encoded = base64.b64encode(b"k" * size).decode()
    for text in (f"whsec_{encoded}", encoded, encoded.rstrip("="), f" whsec_{encoded}\n"):
        assert key_of(SecretStr(text)) == b"k" * size


def test_what_stands_for_a_secret_that_is_not_set_yet_is_taken() -> None:
    assert settings(webhook_secrets=[PLACEHOLDER], orders_token=PLACEHOLDER).keys


def test_secrets_are_not_shown() -> None:
    text = repr(settings(orders_token=TOKEN, orders_url=URL))
    assert SECRET not in text
    assert TOKEN not in text


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({}, StandardChannel),
        ({"orders_url": URL}, AskedChannel),
        ({"orders_directory": "/srv/sales"}, DirectoryChannel),
    ],
)
def test_what_is_set_decides_what_a_channel_can_do(changes: dict[str, Any], kind: type) -> None:
    opened = channel(**changes)
    assert type(opened) is kind
    if isinstance(opened, AskedChannel):
        opened.close()
