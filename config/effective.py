"""The configuration in force, for people to read: every setting, what it says, where that comes from; no secret."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Any
from urllib.parse import parse_qs, urlsplit, urlunsplit

from pydantic import BaseModel, SecretBytes, SecretStr

from config.origins import Origin, Source
from config.settings import SecretUrl, Settings

HIDDEN = "hidden"
NOTHING = "not set"


@dataclass(frozen=True, slots=True)
class Effective:
    """One setting."""

    key: str
    """Within its table."""
    value: str
    """As text; a secret is `HIDDEN`, a password within an address is left out."""
    origin: Origin | None
    """None where it is not known: the settings were not loaded from anywhere."""
    meaning: str


@dataclass(frozen=True, slots=True)
class EffectiveTable:
    """One table of the configuration."""

    name: str
    """As the file has it: `channels.acme-shop`."""
    settings: Sequence[Effective]


def effective(settings: Settings) -> Sequence[EffectiveTable]:
    """Every table, the accounts first; a channel's and the marketplace's with their connector's own settings."""
    accounts: dict[str, BaseModel] = {"marketplace": settings.marketplace}
    accounts |= {f"channels.{name}": channel for name, channel in sorted(settings.channels.items())}
    others = {name: value for name, value in settings if isinstance(value, BaseModel) and name != "marketplace"}
    return [
        EffectiveTable(name, list(_shown(model, name, settings.origins))) for name, model in (accounts | others).items()
    ]


def _shown(model: BaseModel, table: str, origins: Mapping[str, Origin] | None, within: str = "") -> Iterator[Effective]:
    for name, value in model:
        if isinstance(value, BaseModel):
            # The connector's own settings stand beside ours in the file; only deeper ones have a table of their own.
            yield from _shown(value, table, origins, within if name == "options" else f"{within}{name}.")
            continue
        key = f"{within}{name}"
        if table == f"channels.{value}" and key == "name":
            continue
        meaning = type(model).model_fields[name].description if name in type(model).model_fields else None
        yield Effective(key, _text(value), _origin(origins, f"{table}.{key}"), meaning or "")


def _origin(origins: Mapping[str, Origin] | None, key: str) -> Origin | None:
    return None if origins is None else origins.get(key, Origin(Source.DEFAULT))


def _text(value: Any) -> str:
    match value:
        case None | "" | () | []:
            text = NOTHING
        case SecretUrl():
            text = without_password(value.get_secret_value())
        case SecretStr() | SecretBytes():
            text = HIDDEN if value.get_secret_value() else NOTHING
        case bool():
            text = "true" if value else "false"
        case float() if value.is_integer():
            text = str(int(value))
        case Enum():
            text = str(value.value)
        case datetime():
            text = value.isoformat().replace("+00:00", "Z")
        case Mapping():
            text = ", ".join(f"{key} = {_text(inner)}" for key, inner in value.items()) or NOTHING
        case list() | tuple() | set() | frozenset():
            text = ", ".join(_text(inner) for inner in value) or NOTHING
        case BaseModel():
            text = ", ".join(f"{key} = {_text(inner)}" for key, inner in value) or NOTHING
        case str():
            text = without_password(value)
        case _:
            text = str(value)
    return text


def without_password(text: str) -> str:
    """An address without the password in it, if there is one, before its host or among its parameters."""
    try:
        parts = urlsplit(text)
        in_query = any("password" in name.lower() for name in parse_qs(parts.query))
    except ValueError:
        return HIDDEN
    if parts.password is None and not in_query:
        return text
    host = parts.netloc.rpartition("@")[2]
    user = f"{parts.username or ''}:{HIDDEN}@" if parts.password is not None else parts.netloc.rpartition("@")[0]
    return urlunsplit((parts.scheme, f"{user}{host}", parts.path, HIDDEN if in_query else parts.query, ""))
