"""Connector name -> connector. A package outside this repository adds one by an entry point.

    [project.entry-points."trueup.connectors"]
    acme = "trueup_acme:CONNECTOR"

The built-in ones are there even without installed entry points, as when running from a checkout. Nothing is imported
before somebody asks for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any

import pydantic

from connectors.contract import Channel, Marketplace
from connectors.http import Toolbox

GROUP = "trueup.connectors"

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
    marketplace_settings: type[pydantic.BaseModel] | None = None
    open_marketplace: Callable[[Any, Toolbox], Marketplace] | None = None
    """Takes an instance of `marketplace_settings`. Opening calls nobody. What it returns may have `disconnect()`."""
    channel_settings: type[pydantic.BaseModel] | None = None
    open_channel: Callable[[str, Any, Toolbox], Channel] | None = None
    """Takes the channel's name and an instance of `channel_settings`. Opening calls nobody. What it returns may have
    `close()`."""
    sandbox: str | None = None
    """Module path of its sandbox; only the demo and the command line import it."""


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

    Looking one up raises `BrokenConnectorError` when its module cannot be imported or is not what it should be, so
    that one broken package does not take the others with it.
    """
    return _Connectors(_installed())


def connector(name: str) -> Connector:
    """The connector of that name. Raises `UnknownConnectorError`, listing the known ones, or `BrokenConnectorError`."""
    return connectors()[name]


class _Connectors(Mapping[str, Connector]):
    def __init__(self, places: Mapping[str, EntryPoint]) -> None:
        self._places = places

    def __getitem__(self, name: str) -> Connector:
        try:
            place = self._places[name]
        except KeyError:
            raise UnknownConnectorError(name, sorted(self._places)) from None
        return _load(place)

    def __contains__(self, name: object) -> bool:
        return name in self._places

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._places))

    def __len__(self) -> int:
        return len(self._places)


def _installed() -> dict[str, EntryPoint]:
    places = {place.name: place for place in entry_points(group=GROUP)}
    # The built-in names cannot be taken over by another package: a name in the configuration means one thing.
    for name, value in BUILT_IN.items():
        places[name] = EntryPoint(name, value, GROUP)
    return places


@cache
def _load(place: EntryPoint) -> Connector:
    try:
        found = place.load()
    except Exception as error:  # whatever a third-party module does while it is imported
        message = f"the connector {place.name!r} ({place.value}) cannot be loaded: {type(error).__name__}: {error}"
        raise BrokenConnectorError(message) from error
    if not isinstance(found, Connector):
        message = f"the connector {place.name!r} ({place.value}) is not a connectors.registry.Connector"
        raise BrokenConnectorError(message)
    return found
