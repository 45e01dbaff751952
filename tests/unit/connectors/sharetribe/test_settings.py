from __future__ import annotations

import pytest
from pydantic import ValidationError

from connectors.registry import connector
from connectors.sharetribe import SharetribeChannelSettings, SharetribeMarketplaceSettings
from connectors.sharetribe.limits import limits
from tests.unit.connectors.sharetribe.vendor import CLIENT_SECRET, settings


def test_the_defaults_are_the_live_vendor() -> None:
    found = settings()
    assert found.base_url == "https://flex-integ-api.sharetribe.com"
    assert found.environment == "live"
    assert found.unlimited_from == 10**12
    assert found.sku_key is None


@pytest.mark.parametrize(
    "changes",
    [
        {"client_id": ""},
        {"client_secret": ""},
        {"base_url": "ftp://vendor.test"},
        {"base_url": "http://vendor.test"},
        {"base_url": "http://127.0.0.1.vendor.test"},
        {"base_url": "https://user:password@vendor.test"},
        {"base_url": "https://vendor.test/?a=1"},
        {"environment": "test"},
        {"unlimited_from": 0},
        {"unlimited_from": 2**63},
        {"sku_key": "sku"},
        {"sku_key": "metadata."},
        {"cliend_id": "x"},
    ],
)
def test_what_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        settings(**changes)


def test_p8_the_secret_is_never_shown() -> None:
    assert CLIENT_SECRET not in repr(settings())
    assert CLIENT_SECRET not in settings().model_dump_json()


def test_every_setting_is_described() -> None:
    assert all(field.description for field in SharetribeMarketplaceSettings.model_fields.values())


def test_the_registry_opens_it() -> None:
    found = connector("sharetribe")
    assert found.marketplace_settings is SharetribeMarketplaceSettings
    assert found.channel_settings is SharetribeChannelSettings


def test_limits_of_a_live_environment() -> None:
    found = limits("https://vendor.test", "live")
    (places,) = found.queries
    assert found.commands == (places,)
    assert (places.per_second, places.in_flight) == (None, 10)


def test_limits_of_a_dev_environment() -> None:
    found = limits("https://vendor.test", "dev")
    assert [scope.per_second for scope in found.queries] == [1.0, None]
    assert [scope.per_second for scope in found.commands] == [0.5, None]
    assert found.queries[-1] == found.commands[-1]
    assert found.queries[-1].in_flight == 10


def test_limits_are_shared_by_host() -> None:
    keys = {scope.key for scope in limits("http://127.0.0.1:1", "dev").queries}
    assert keys.isdisjoint(scope.key for scope in limits("http://127.0.0.1:2", "dev").queries)
