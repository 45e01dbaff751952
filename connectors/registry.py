"""Connector name -> connector. A package outside this repository adds one by an entry point.

    [project.entry-points."trueup.connectors"]
    acme = "trueup_acme:CONNECTOR"

The built-in ones are there even without installed entry points, as when running from a checkout. Nothing is imported
before somebody asks for it, and what is wrong with one package is told to whoever asks for its connector, and to nobody
else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any

import pydantic

from connectors import contract
from connectors.contract import Channel, Marketplace
from connectors.http import Toolbox
from connectors.text import legible

GROUP = "trueup.connectors"

MAX_REASON_CHARACTERS = 500

ASKED = "asked"
"""In a setting's `json_schema_extra`: why `trueup init` asks for it although it has a default."""

BUILT_IN = {
    "elasticpath": "connectors.elasticpath:CONNECTOR",
    "marketplacer": "connectors.marketplacer:CONNECTOR",
    "sharetribe": "connectors.sharetribe:CONNECTOR",
    "shopify": "connectors.shopify:CONNECTOR",
    "standard": "connectors.standard:CONNECTOR",
    "woocommerce": "connectors.woocommerce:CONNECTOR",
}


@dataclass(frozen=True)
class Connector:
    """What an entry point resolves to: how to configure and open one vendor's marketplace, channel, or both."""

    name: str
    """As its entry point and the configuration call it."""
    marketplace_settings: type[pydantic.BaseModel] | None = None
    open_marketplace: Callable[[Any, Toolbox], Marketplace] | None = None
    """Takes an instance of `marketplace_settings`. Opening calls nobody. What it returns may have `disconnect()`."""
    channel_settings: type[pydantic.BaseModel] | None = None
    open_channel: Callable[[str, Any, Toolbox], Channel] | None = None
    """Takes the channel's name and an instance of `channel_settings`. Opening calls nobody. What it returns may have
    `close()`."""
    sandbox: str | None = None
    """Module path of its sandbox; only the demo and the command line import it."""
    contract: int = 1
    """Which version of `connectors.contract` it was written for: a number, not the constant, which always fits."""


class UnknownConnectorError(KeyError):
    """No connector of that name is installed."""

    def __init__(self, name: str, known: list[str]) -> None:
        super().__init__(name)
        self.name = name
        self.known = known

    def __str__(self) -> str:
        return f"there is no connector {self.name!r}; known are {', '.join(self.known)}"


class BrokenConnectorError(Exception):
    """A connector is installed but cannot be used."""


def connectors() -> Mapping[str, Connector]:
    """Every installed connector by name. Values are imported when they are looked at.

    Looking one up raises `BrokenConnectorError` when it cannot be imported or is not what it should be, so that one
    broken package does not take the others with it.
    """
    return _Connectors(_installed())


def connector(name: str) -> Connector:
    """The connector of that name. Raises `UnknownConnectorError`, listing the known ones, or `BrokenConnectorError`."""
    return connectors()[name]


def described(name: str) -> str:
    """An installed connector for a message, with the package to mend, update or remove."""
    return " and ".join(sorted(map(_said, _installed().get(name, ())))) or f"the connector {name!r}"


def package_of(name: str) -> str:
    """The package, with its version, that an installed connector is of."""
    if name in BUILT_IN:
        return "trueup"
    return " and ".join(sorted(_package(place) for place in _found().get(name, ())))


def passed_over() -> Sequence[str]:
    """What is installed under a built-in connector's name and so is never used: a sentence for each, with its remedy.

    A name in the configuration means one thing, whatever else is installed.
    """
    return [
        f"{_said(place)} is not used: that name is a built-in connector's; rename it in its package, or remove the "
        "package"
        for name, places in _found().items()
        if name in BUILT_IN
        for place in places
        if place.value != BUILT_IN[name]
    ]


class _Connectors(Mapping[str, Connector]):
    def __init__(self, places: Mapping[str, Sequence[EntryPoint]]) -> None:
        self._places = places

    def __getitem__(self, name: str) -> Connector:
        try:
            places = self._places[name]
        except KeyError:
            raise UnknownConnectorError(name, sorted(self._places)) from None
        if len(places) > 1:
            raise BrokenConnectorError(f"{described(name)} share one name; remove one of the packages")
        return _load(places[0])

    def __contains__(self, name: object) -> bool:
        return name in self._places

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._places))

    def __len__(self) -> int:
        return len(self._places)


def _found() -> dict[str, list[EntryPoint]]:
    places: dict[str, list[EntryPoint]] = {}
    for place in entry_points(group=GROUP):
        places.setdefault(place.name, []).append(place)
    return places


def _installed() -> dict[str, list[EntryPoint]]:
    return {**_found(), **{name: [EntryPoint(name, value, GROUP)] for name, value in BUILT_IN.items()}}


def _said(place: EntryPoint) -> str:
    """An entry point with the package to mend, update or remove."""
    package = _package(place)
    return f"the connector {place.name!r} ({place.value})" + (f" of {package}" if package else "")


def _package(place: EntryPoint) -> str:
    return f"{place.dist.name} {place.dist.version}" if place.dist else ""


@cache
def _load(place: EntryPoint) -> Connector:
    try:
        found = place.load()
    except (Exception, SystemExit) as error:  # whatever a third-party module does while it is imported
        reason = legible(f"{type(error).__name__}: {error}"[:MAX_REASON_CHARACTERS])
        raise BrokenConnectorError(f"{_said(place)} cannot be loaded: {reason}") from error
    if not isinstance(found, Connector):
        raise BrokenConnectorError(f"{_said(place)} is not a connectors.registry.Connector")
    if problem := _problem(found, place.name):
        raise BrokenConnectorError(f"{_said(place)} {problem}")
    return found


def _problem(found: Connector, name: str) -> str:
    """What is wrong with how a connector describes itself; empty if nothing."""
    if found.contract != contract.VERSION:
        return (
            f"is written for version {found.contract} of the contract and this trueup has version {contract.VERSION}; "
            f"install the release of it that is made for this trueup, or the trueup it is made for"
        )
    if found.name != name:
        return f"calls itself {found.name!r}; both names must be the same"
    roles: dict[str, tuple[Any, Any]] = {
        "marketplace": (found.marketplace_settings, found.open_marketplace),
        "channel": (found.channel_settings, found.open_channel),
    }
    for role, (settings, opened) in roles.items():
        if (settings is None) != (opened is None):
            return f"offers half a {role}: {role}_settings and open_{role} go together"
        if settings is not None and not (isinstance(settings, type) and issubclass(settings, pydantic.BaseModel)):
            return f"has {role}_settings that are no pydantic model"
        if opened is not None and not callable(opened):
            return f"has an open_{role} that cannot be called"
    if all(opened is None for _, opened in roles.values()):
        return "offers neither a marketplace nor a channel"
    return ""
