"""From a file and the environment to valid settings, or to one error that lists everything that is wrong.

Order of strength: environment (`TRUEUP_SECTION__KEY`), then the file, then defaults. A text `env:NAME` or `file:PATH`
anywhere in the file stands for the value found there; a secret may stand in the file in no other way. Connectors
therefore only ever see values.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args, get_origin

from pydantic import BaseModel, SecretBytes, SecretStr, ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import EnvSettingsSource

from config.origins import Origin, origins_of
from config.problems import ConfigurationError, Problem, described, explained, is_type, meant, parts
from config.settings import ChannelSettings, MarketplaceSettings, SecretUrl, Settings, Unusable
from connectors.registry import BrokenConnectorError, connectors

if TYPE_CHECKING:
    from connectors.registry import Connector

__all__ = ["ConfigurationError", "find_file", "load"]

FILE_NAME = "trueup.toml"
PATH_VARIABLE = "TRUEUP_CONFIG"
PREFIX = "TRUEUP_"
DELIMITER = "__"
NOT_SETTINGS = (PATH_VARIABLE, "TRUEUP_TEST_")
"""Variables with our prefix (or that begin so) that are no settings."""
MAX_SECRET_BYTES = 65_536
MIN_REDACTED_LENGTH = 4
"""Shorter texts are no secrets, and replacing them would make a message unreadable."""

Tree = dict[str, Any]


def find_file(path: Path | None, environ: Mapping[str, str]) -> Path | None:
    """The file to read: the one named, else the one `TRUEUP_CONFIG` names, else `trueup.toml` here, else none."""
    if path is not None:
        return path
    if named := environ.get(PATH_VARIABLE):
        return Path(named)
    here = Path(FILE_NAME)
    return here if here.is_file() else None


def load(
    path: Path | None = None,
    environ: Mapping[str, str] | None = None,
    registry: Mapping[str, Connector] | None = None,
) -> Settings:
    """Read, resolve and validate the configuration.

    `environ` and `registry` default to the process's environment and the installed connectors. Reads files, changes
    nothing. Raises `ConfigurationError` with all problems at once.
    """
    environ = os.environ if environ is None else environ
    return _Reading(find_file(path, environ), environ, connectors() if registry is None else registry).settings()


class _Reading:
    """One pass over one configuration: gathers problems (the first per key) and the secrets to keep out of them."""

    def __init__(self, path: Path | None, environ: Mapping[str, str], registry: Mapping[str, Connector]) -> None:
        self._path = path
        self._environ = environ
        self._registry = registry
        self._problems: dict[str, Problem] = {}
        self._secrets: set[str] = set()
        self._unresolved: Tree = {}

    def settings(self) -> Settings:
        tree = self._file()
        if not self._problems:
            variables = self._variables()
            self._unresolved = _merged(tree, variables)
            from_file = self._resolved(tree, Settings, (), refuse_plain=True)
            from_environment = self._resolved(variables, Settings, (), refuse_plain=False)
            settings = self._validated(_merged(from_file, from_environment))
            if settings is not None and not self._problems:
                settings.come_from(_origins(tree, variables))
                return settings
        raise ConfigurationError((self._problems[key] for key in sorted(self._problems)), self._path) from None

    def _report(self, location: Iterable[object], what: str, remedy: str) -> None:
        key = ".".join(str(part) for part in location) or "configuration"
        # The first problem of a key explains whatever else is wrong with it and with what is in it.
        if any(key == told or key.startswith(f"{told}.") for told in self._problems):
            return
        for secret in sorted(self._secrets, key=len, reverse=True):
            if len(secret) >= MIN_REDACTED_LENGTH:
                what, remedy = what.replace(secret, "***"), remedy.replace(secret, "***")
        self._problems[key] = Problem(key, what, remedy)

    # ---------------------------------------------------------------------------------------------------- reading

    def _file(self) -> Tree:
        if self._path is None:
            return {}
        try:
            return tomllib.loads(self._path.read_text(encoding="utf-8"))
        except OSError as error:
            self._report(
                [self._path], f"cannot be read ({error.strerror})", "Name a readable file, or write one: trueup init"
            )
        except UnicodeDecodeError:
            self._report([self._path], "is not UTF-8 text", "Save it as UTF-8")
        except tomllib.TOMLDecodeError as error:
            self._report([self._path], f"is not valid TOML: {error}", "Correct that line; texts need quotes")
        return {}

    def _variables(self) -> Tree:
        source = _Variables(Settings)
        source.env_vars = {name.lower(): value for name, value in self._environ.items()}
        tree: Tree = source()
        # A variable's name cannot hold a hyphen, a channel's or destination's no underscore: one stands for the other.
        for table, key in ((tree, "channels"), (_at(tree, ["alerts"]), "destinations")):
            if isinstance(named := table.get(key), dict):
                table[key] = {name.replace("_", "-"): entry for name, entry in named.items()}
        known = {f"{PREFIX}{section}".upper() for section in Settings.model_fields}
        for name in self._environ:
            if not name.startswith(PREFIX) or name.startswith(NOT_SETTINGS):
                continue
            if name.split(DELIMITER)[0] not in known:
                self._report([name], "is not a known variable", meant(name, _variable_names()))
        return tree

    def _resolved(self, value: Any, annotation: Any, location: tuple[Any, ...], *, refuse_plain: bool) -> Any:
        """The same value with every reference replaced by what it refers to."""
        if isinstance(value, dict):
            fields = self._fields(annotation, value, location)
            return {
                key: self._resolved(item, fields.get(key), (*location, key), refuse_plain=refuse_plain)
                for key, item in value.items()
            }
        if isinstance(value, list):
            return [
                self._resolved(item, annotation, (*location, index), refuse_plain=refuse_plain)
                for index, item in enumerate(value)
            ]
        if not isinstance(value, str):
            return value
        kind, _, rest = value.partition(":")
        secret = next((part for part in parts(annotation) if is_type(part, SecretStr | SecretBytes)), None)
        if kind in {"env", "file"}:
            value = self._variable(rest, location) if kind == "env" else self._content(rest, location)
            self._secrets.add(value)
        elif secret is not None:
            plain_is_fine = is_type(secret, SecretUrl) and SecretUrl(value).harmless
            if not plain_is_fine:
                self._secrets.add(value)
                if refuse_plain:
                    self._report(
                        location,
                        "is a secret in plain text",
                        "Write env:NAME or file:PATH here, and put the secret into that variable or file",
                    )
        return value

    def _variable(self, name: str, location: tuple[Any, ...]) -> str:
        value = self._environ.get(name, "")
        if not value:
            state = "empty" if name in self._environ else "not set"
            self._report(location, f"refers to the variable {name}, which is {state}", f"Set {name} before starting")
        return value

    def _content(self, name: str, location: tuple[Any, ...]) -> str:
        path = (self._path.parent if self._path else Path()) / name
        try:
            if path.stat().st_size > MAX_SECRET_BYTES:
                self._report(
                    location, f"refers to {path}, which is too large for a secret", "Name the secret's own file"
                )
                return ""
            value = path.read_text(encoding="utf-8").strip()
        except OSError as error:
            self._report(
                location,
                f"refers to {path}, which cannot be read ({error.strerror})",
                "Create it, readable for the user trueup runs as",
            )
            return ""
        except UnicodeDecodeError:
            self._report(location, f"refers to {path}, which is not UTF-8 text", "Store the secret as text")
            return ""
        if not value:
            self._report(location, f"refers to {path}, which is empty", "Put the secret into it")
        return value

    # ------------------------------------------------------------------------------------------------- validating

    def _validated(self, tree: Tree) -> Settings | None:
        tree = dict(tree)
        if "marketplace" in tree:
            tree["marketplace"] = self._account(tree["marketplace"], MarketplaceSettings, ("marketplace",))
        if isinstance(channels := tree.get("channels"), dict):
            schedule = _at(tree, ["schedule"])
            usual = {"poll_seconds": schedule["poll_seconds"]} if "poll_seconds" in schedule else {}
            tree["channels"] = {
                name: self._account(channel, ChannelSettings, ("channels", name), usual | {"name": name})
                for name, channel in channels.items()
            }
        try:
            return Settings.model_validate(tree)
        except ValidationError as error:
            self._refused(error, Settings, ())
        return None

    def _account(
        self, value: Any, model: type[BaseModel], location: tuple[Any, ...], usual: Mapping[str, Any] | None = None
    ) -> Any:
        """A table with a connector: our own keys apart from the connector's, which its model validates."""
        if not isinstance(value, dict):
            return value
        own = {key: item for key, item in value.items() if key in _own_fields(model)}
        theirs = {key: item for key, item in value.items() if key not in own}
        options: BaseModel = _Refused()
        if model is ChannelSettings and (reason := self._broken(own.get("connector"))):
            options = Unusable(reason=reason)
        elif "connector" in own and (schema := self._schema(own["connector"], model)):
            try:
                options = schema.model_validate(theirs)
            except ValidationError as error:
                self._refused(error, schema, location, also=_own_fields(model))
        elif "connector" in own:
            self._unusable(own["connector"], model, (*location, "connector"))
        return {**(usual or {}), **own, "options": options}

    def _offered(self, connector: str, model: type[BaseModel]) -> type[BaseModel] | None:
        """The connector's own settings in the role this table is about. Raises `BrokenConnectorError`."""
        found = self._registry[connector]
        return found.marketplace_settings if model is MarketplaceSettings else found.channel_settings

    def _schema(self, connector: object, model: type[BaseModel]) -> type[BaseModel] | None:
        """As `_offered`; None for a connector that is unknown or broken, which `_unusable` explains."""
        if not isinstance(connector, str) or connector not in self._registry:
            return None
        with suppress(BrokenConnectorError):
            return self._offered(connector, model)
        return None

    def _broken(self, connector: object) -> str:
        """Why a connector that is installed cannot be used; empty where it can, or is not installed."""
        if not isinstance(connector, str) or connector not in self._registry:
            return ""
        try:
            self._registry[connector]
        except BrokenConnectorError as error:
            return str(error)
        return ""

    def _unusable(self, name: object, model: type[BaseModel], location: tuple[Any, ...]) -> None:
        if not isinstance(name, str):
            return  # Validation says so.
        role = "marketplace" if model is MarketplaceSettings else "channel"
        what = f"{name!r} is not an installed connector"
        if name in self._registry:
            what = f"{name!r} offers no {role}"
            if reason := self._broken(name):
                self._report(location, reason, "Repair, update or remove the package it comes from")
                return
        able = ", ".join(known for known in sorted(self._registry) if self._schema(known, model)) or "none"
        self._report(location, what, f"Installed for a {role}: {able}")

    def _fields(self, annotation: Any, value: Tree, location: tuple[Any, ...]) -> dict[str, Any]:
        """What is expected at each key of a table; for a table with a connector that includes the connector's keys."""
        model = next((part for part in parts(annotation) if is_type(part, BaseModel)), None)
        if get_origin(annotation) is dict:
            # A mapping such as `channels`: every key holds the same.
            return dict.fromkeys(value, get_args(annotation)[1])
        if model is None:
            return {}
        fields = _annotations(model)
        if model in {MarketplaceSettings, ChannelSettings}:
            # The connector may be named in the file and its secrets be set by variables, or the other way about.
            schema = self._schema(_at(self._unresolved, location).get("connector"), model)
            return (_annotations(schema) if schema else {}) | fields
        return fields

    def _refused(
        self, error: ValidationError, model: type[BaseModel], location: tuple[Any, ...], also: Iterable[str] = ()
    ) -> None:
        for detail in error.errors(include_url=False, include_input=False):
            inner = tuple(part for part in detail["loc"] if part != "[key]")
            fields, field = described(model, inner)
            self._report((*location, *inner), *explained(detail, field, [*fields, *also]))


class _Refused(BaseModel):
    """Stands where a connector's settings should be but are wrong, so that the rest is looked at all the same."""


class _Variables(EnvSettingsSource):
    """The environment as a tree, with every value left as the text it is unless it is a JSON list or table."""

    def decode_complex_value(self, field_name: str, field: FieldInfo, value: Any) -> Any:
        """Unlike its base: `123` for a token stays text, and malformed JSON is left for validation to report."""
        if not str(value).lstrip().startswith(("[", "{")):
            return value
        try:
            return super().decode_complex_value(field_name, field, value)
        except ValueError:
            return value


def _origins(tree: Tree, variables: Tree) -> dict[str, Origin]:
    found = origins_of(tree, variables, PREFIX, DELIMITER)
    usual = "schedule.poll_seconds"
    if usual in found:
        by = Origin(found[usual].source, usual)
        names = {*_at(tree, ["channels"]), *_at(variables, ["channels"])}
        found = {f"channels.{name}.poll_seconds": by for name in names} | found
    return found


def _merged(weak: Tree, strong: Tree) -> Tree:
    both = {**weak, **strong}
    for key in weak.keys() & strong.keys():
        if isinstance(weak[key], dict) and isinstance(strong[key], dict):
            both[key] = _merged(weak[key], strong[key])
    return both


def _at(tree: Tree, location: Iterable[Any]) -> Tree:
    """The table at a location both trees may contribute to; empty when there is none."""
    for part in location:
        inner = tree.get(part)
        tree = inner if isinstance(inner, dict) else {}
    return tree


def _own_fields(model: type[BaseModel]) -> set[str]:
    return model.model_fields.keys() - {"options"} - ({"name"} if model is ChannelSettings else set())


def _annotations(model: type[BaseModel]) -> dict[str, Any]:
    return {name: field.annotation for name, field in model.model_fields.items()}


def _variable_names() -> Iterator[str]:
    for section, field in Settings.model_fields.items():
        model = next((part for part in parts(field.annotation) if is_type(part, BaseModel)), None)
        for name in model.model_fields if model is not None else ():
            if section != "channels" and name != "options":
                yield f"{PREFIX}{section}{DELIMITER}{name}".upper()
