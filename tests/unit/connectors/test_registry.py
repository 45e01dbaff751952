from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from connectors import contract, registry
from connectors.registry import (
    BrokenConnectorError,
    Connector,
    UnknownConnectorError,
    connector,
    connectors,
    package_of,
    passed_over,
)


def opened(*_: Any) -> Any:
    raise AssertionError("nobody opens it here")


ACME = Connector("acme", channel_settings=BaseModel, open_channel=opened)


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


# --- packages of others -----------------------------------------------------------------------------------------------


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where packages are installed, besides what really is."""
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def package(site: Path, distribution: str, version: str = "1.2", **places: str) -> None:
    """Installed as an installer leaves it: importlib itself finds its metadata."""
    folder = site / f"{distribution.replace('-', '_')}-{version}.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n")
    lines = "".join(f"{name} = {value}\n" for name, value in places.items())
    (folder / "entry_points.txt").write_text(f"[{registry.GROUP}]\n{lines}")


def module(site: Path, name: str, text: str) -> str:
    (site / f"{name}.py").write_text(text)
    return f"{name}:CONNECTOR"


def declared(name: str = "acme", **changes: str) -> str:
    fields = {"channel_settings": "BaseModel", "open_channel": "print", **changes}
    given = ", ".join(f"{field}={value}" for field, value in fields.items())
    return (
        "from connectors.registry import Connector\nfrom pydantic import BaseModel\n"
        f"CONNECTOR = Connector({name!r}, {given})\n"
    )


def test_what_is_wrong_names_the_package_and_its_version(site: Path) -> None:
    package(site, "trueup-acme", acme=module(site, "acme_of_no_import", "import a_package_that_nobody_has"))
    with pytest.raises(BrokenConnectorError) as refused:
        connector("acme")
    assert str(refused.value) == (
        "the connector 'acme' (acme_of_no_import:CONNECTOR) of trueup-acme 1.2 cannot be loaded: "
        "ModuleNotFoundError: No module named 'a_package_that_nobody_has'"
    )
    assert package_of("acme") == "trueup-acme 1.2"
    assert package_of("shopify") == "trueup"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("raise SystemExit(3)", "cannot be loaded: SystemExit: 3"),
        ("raise RuntimeError('two\\nlines')", "cannot be loaded: RuntimeError: two\N{REPLACEMENT CHARACTER}lines"),
        ("raise RuntimeError('x' * 9999)", "cannot be loaded: RuntimeError: xxx"),
        ("CONNECTOR = object()", "is not a connectors.registry.Connector"),
        (declared(contract="2"), "is written for version 2 of the contract and this trueup has version 1"),
        (declared(name="other"), "calls itself 'other'; both names must be the same"),
        (declared(open_channel="None"), "offers half a channel: channel_settings and open_channel go together"),
        (declared(channel_settings="None"), "offers half a channel"),
        (declared(open_marketplace="print"), "offers half a marketplace"),
        (declared(channel_settings="dict"), "has channel_settings that are no pydantic model"),
        (declared(channel_settings="'BaseModel'"), "has channel_settings that are no pydantic model"),
        (declared(open_channel="'print'"), "has an open_channel that cannot be called"),
        (declared(channel_settings="None", open_channel="None"), "offers neither a marketplace nor a channel"),
    ],
)
def test_a_package_that_is_not_what_it_should_be_is_refused_alone(site: Path, text: str, said: str) -> None:
    # A module of its own for each case: Python remembers what it has imported.
    package(site, "trueup-acme", acme=module(site, f"acme_{abs(hash(text))}", text))
    with pytest.raises(BrokenConnectorError) as refused:
        connector("acme")
    assert f" of trueup-acme 1.2 {said}" in str(refused.value)
    assert len(str(refused.value)) < 700
    assert connector("shopify").open_channel is not None


def test_one_of_this_contract_is_taken(site: Path) -> None:
    package(site, "trueup-acme", acme=module(site, "acme_that_works", declared(contract=str(contract.VERSION))))
    assert connector("acme").contract == contract.VERSION
    assert passed_over() == []


def test_two_packages_of_one_name_are_both_refused(site: Path) -> None:
    package(site, "trueup-acme", acme=module(site, "acme_one", declared()))
    package(site, "acme-for-trueup", acme=module(site, "acme_two", declared()))
    with pytest.raises(BrokenConnectorError) as refused:
        connector("acme")
    assert str(refused.value) == (
        "the connector 'acme' (acme_one:CONNECTOR) of trueup-acme 1.2 and the connector 'acme' (acme_two:CONNECTOR) of "
        "acme-for-trueup 1.2 share one name; remove one of the packages"
    )
    assert package_of("acme") == "acme-for-trueup 1.2 and trueup-acme 1.2"


def test_a_package_with_a_built_in_name_is_told_and_not_used(site: Path) -> None:
    package(site, "better-shopify", shopify=module(site, "better_shopify", declared(name="shopify")))
    assert connector("shopify").sandbox == "connectors.shopify.sandbox"
    (said,) = passed_over()
    assert said.startswith("the connector 'shopify' (better_shopify:CONNECTOR) of better-shopify 1.2 is not used: ")


def test_our_own_entry_points_are_passed_over_by_nobody() -> None:
    assert {place.name for place in entry_points(group=registry.GROUP)} >= set(registry.BUILT_IN)
    assert passed_over() == []
