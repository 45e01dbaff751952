from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from connectors.woocommerce.settings import TOPICS, source_of
from tests.unit.connectors.woocommerce.vendor import KEY, SECRET, SITE, settings


def test_a_shop_may_live_in_a_folder() -> None:
    found = settings()
    assert (found.address, found.source, found.include_topics) == (SITE, "shop.test/store", TOPICS)


def test_a_sandbox_is_called_elsewhere_and_keeps_its_name() -> None:
    found = settings(base_url="http://127.0.0.1:8080/")
    assert (found.address, found.source) == ("http://127.0.0.1:8080", "shop.test/store")


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"site": "http://shop.test"}, "must use https"),
        ({"site": "shop.test"}, "must be an address"),
        ({"site": "https://user:pass@shop.test"}, "without credentials"),
        ({"site": "https://shop.test/wp-json/wc/v3"}, "home address"),
        ({"site": "https://shop.test/wp-admin"}, "home address"),
        ({"base_url": "http://shop.test"}, "must use https"),
        ({"consumer_key": ""}, "was the whole of it copied"),
        ({"consumer_key": "ck_a:b"}, "was the whole of it copied"),
        ({"consumer_secret": "cs_\n"}, "was the whole of it copied"),
        ({"webhook_secrets": ["good", "  "]}, "empty secret"),
        ({"page_size": 101}, "less than or equal to 100"),
        ({"page_size": 1}, "greater than or equal to 2"),
        ({"committing_statuses": ["shipped", "cancelled"]}, "cancelled is in committing_statuses and in"),
        ({"committing_statuses": ["Not A Status"]}, "String should match"),
        ({"include_topics": ["product.updated"]}, "Input should be"),
        ({"shop": "x"}, "Extra inputs"),
    ],
)
def test_what_cannot_work_is_refused(changes: dict[str, Any], why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        settings(**changes)


def test_secrets_are_not_shown() -> None:
    text = repr(settings())
    assert KEY not in text
    assert SECRET not in text
    assert "hush" not in text


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("https://Shop.test/", "http://shop.test"),
        ("https://shop.test:443/", "https://shop.test"),
        ("http://shop.test/store/", "https://shop.test/store"),
        (" https://shop.test:8443/a ", "https://shop.test:8443/a/"),
    ],
)
def test_one_address_has_one_name(one: str, other: str) -> None:
    assert source_of(one) == source_of(other)


@pytest.mark.parametrize(
    "other", ["https://shop.test", "https://shop.test/other", "https://shop.test:8443/store", "http://[", "", "x:y"]
)
def test_another_address_has_another_name(other: str) -> None:
    assert source_of(other) != source_of(SITE)
