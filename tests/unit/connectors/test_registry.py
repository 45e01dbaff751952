from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import EntryPoint

import pytest

from connectors import registry
from connectors.registry import BrokenConnectorError, Connector, UnknownConnectorError, connector, connectors

ACME = Connector("acme")
NOT_A_CONNECTOR = object()


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    registry._load.cache_clear()
    yield
    registry._load.cache_clear()


def install(monkeypatch: pytest.MonkeyPatch, **places: str) -> None:
    """Only these are installed, besides what is built in."""
    installed = [EntryPoint(name, value, registry.GROUP) for name, value in places.items()]
    monkeypatch.setattr(registry, "entry_points", lambda *, group: installed if group == registry.GROUP else [])


def test_the_built_in_ones_are_there_without_an_installed_distribution(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch)
    assert set(connectors()) >= {"sharetribe", "shopify"}
    sharetribe = connector("sharetribe")
    assert sharetribe.marketplace_settings is not None
    assert sharetribe.open_marketplace is not None
    assert sharetribe.sandbox == "connectors.sharetribe.sandbox"


def test_a_package_outside_this_repository_adds_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("connectors.errors.CONNECTOR", ACME, raising=False)
    install(monkeypatch, acme="connectors.errors:CONNECTOR")
    assert connector("acme") is ACME
    assert "acme" in connectors()
    assert list(connectors()) == sorted(connectors())
    assert len(connectors()) == len(list(connectors()))


def test_an_unknown_name_lists_the_known_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch)
    with pytest.raises(UnknownConnectorError, match=r"no connector 'sharetribee'; known are .*sharetribe, shopify"):
        connector("sharetribee")
    with pytest.raises(KeyError):
        connector("nothing")
    assert connectors().get("nothing") is None


def test_a_broken_package_names_itself_and_leaves_the_others_usable(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, broken="no_such_package_anywhere:CONNECTOR", odd="connectors.errors:ConnectorError")
    with pytest.raises(BrokenConnectorError, match=r"'broken' \(no_such_package_anywhere:CONNECTOR\) cannot be loaded"):
        connector("broken")
    with pytest.raises(BrokenConnectorError, match=r"is not a connectors\.registry\.Connector"):
        connector("odd")
    assert connector("sharetribe").name == "sharetribe"


def test_a_built_in_name_cannot_be_taken_over(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, sharetribe="no_such_package_anywhere:CONNECTOR")
    assert connector("sharetribe").name == "sharetribe"
