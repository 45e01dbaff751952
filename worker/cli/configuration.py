"""Writing a first configuration: from answers to a file that is valid, and that holds no secret."""

from __future__ import annotations

import json
import os
import tempfile
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

from config import loading
from config.problems import ConfigurationError, is_type, parts
from config.settings import SecretUrl, Settings
from connectors.registry import ASKED, connector, connectors
from worker.cli.exits import CommandError

REFERENCES = ("env:", "file:")
PLACEHOLDER = "placeholderUntilItIsSet000000000"
"""Of the form of any secret: one that must be base64 of some length too."""


@dataclass(slots=True)
class Answers:
    """What the person who sets trueup up has said. Texts are empty where nothing was."""

    marketplace: str
    marketplace_options: dict[str, str]
    channel: str
    channel_connector: str
    channel_options: dict[str, str]
    seller: str
    any_seller: bool
    counted_from: str
    database: str
    broker: str
    public_url: str


def pairs(texts: Iterable[str], option: str) -> dict[str, str]:
    """KEY=VALUE texts as a mapping."""
    found: dict[str, str] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not key or not equals:
            raise CommandError(f"{option} {key or text!r} is not KEY=VALUE.")
        found[key.strip()] = value.strip()
    return found


def complete(answers: Answers, ask: Callable[[str, str], str]) -> None:
    """Ask for every setting of the chosen connectors that has no default or wants to be asked for, and where their
    secrets are found.
    """
    market = connector(answers.marketplace).marketplace_settings
    if market is None:
        raise CommandError(f"The connector {answers.marketplace} offers no marketplace: {_offering('marketplace')}.")
    _complete_options(market, answers.marketplace_options, answers.marketplace, ask)
    if answers.channel:
        model = connector(answers.channel_connector).channel_settings
        if model is None:
            raise CommandError(f"The connector {answers.channel_connector} offers no channel: {_offering('channel')}.")
        _complete_options(model, answers.channel_options, answers.channel, ask)


def _offering(role: str) -> str:
    able = [name for name, entry in connectors().items() if getattr(entry, f"open_{role}") is not None]
    return f"these do: {', '.join(able) or 'none'}"


def _complete_options(
    model: type[BaseModel], options: dict[str, str], prefix: str, ask: Callable[[str, str], str]
) -> None:
    for name, field in model.model_fields.items():
        if name in options:
            _refuse_plain_secret(name, field, options[name])
            continue
        variable = f"env:{prefix}_{name}".upper().replace("-", "_").replace("ENV:", "env:")
        if field.is_required():
            answer = ask(_question(name, field), variable if _is_secret(field) else "")
        elif _is_secret(field):
            answer = ask(f"{_question(name, field)} Where it is found, e.g. {variable} (empty: none)", "")
        elif isinstance(field.json_schema_extra, dict) and (why := field.json_schema_extra.get(ASKED)):
            answer = ask(f"{why}. {_question(name, field)} (separated by commas; empty: none)", "")
        else:
            continue
        if answer:
            _refuse_plain_secret(name, field, answer)
            options[name] = answer


def _question(name: str, field: FieldInfo) -> str:
    return f"{name}: {field.description or ''}".strip()


def _is_secret(field: FieldInfo) -> bool:
    return any(is_type(part, SecretStr) for part in parts(field.annotation))


def _refuse_plain_secret(name: str, field: FieldInfo, value: str) -> None:
    if _is_secret(field) and not all(piece.startswith(REFERENCES) for piece in value.split(",")):
        message = (
            f"{name} is a secret: it is never written into the file. Give env:NAME or file:PATH, where it is found."
        )
        raise CommandError(message)


def write(answers: Answers, path: Path) -> tuple[str, ...]:
    """Write the file, readable for its owner alone, once it is known to be valid.

    Returns the variables it refers to that are not set yet. Raises ConfigurationError with everything that is wrong, or
    CommandError, and then writes nothing.
    """
    for name, url in (("--database", answers.database), ("--broker", answers.broker)):
        if not url.startswith(REFERENCES) and not SecretUrl(url).harmless:
            raise CommandError(f"{name} holds a password, which is never written into the file. Give env:NAME instead.")
    text = rendered(answers)
    unset = tuple(sorted(name for name in _variables(tomllib.loads(text)) if not os.environ.get(name)))
    try:
        # Beside its place, so that relative references lead to the same files; it holds references, no secret.
        handle, draft = tempfile.mkstemp(prefix=".trueup-", suffix=".toml", dir=path.parent)
    except OSError as error:
        raise CommandError(f"{path.parent} cannot be written: {error.strerror}.") from None
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        try:
            load_with_placeholders(Path(draft), unset)
        except ConfigurationError as error:
            raise ConfigurationError(error.problems, path) from None
        Path(draft).replace(path)
    finally:
        Path(draft).unlink(missing_ok=True)
    return unset


def load_with_placeholders(path: Path | None, unset: Iterable[str]) -> Settings:
    """The configuration, as if these variables were set: enough to make a database, not to call anybody."""
    return loading.load(path, {**os.environ, **dict.fromkeys(unset, PLACEHOLDER)})


def _variables(value: Any) -> set[str]:
    match value:
        case dict():
            return {name for item in value.values() for name in _variables(item)}
        case list():
            return {name for item in value for name in _variables(item)}
        case str() if value.startswith("env:"):
            return {value.removeprefix("env:")}
    return set()


# --- TOML -------------------------------------------------------------------------------------------------------


def rendered(answers: Answers) -> str:
    """The text of the file. What is not in it has its default; config/trueup.example.toml documents every key."""
    tables: list[tuple[str, Mapping[str, Any]]] = [
        ("database", {"url": answers.database}),
        ("broker", {"url": answers.broker}),
        (
            "marketplace",
            {
                "connector": answers.marketplace,
                **_typed(connector(answers.marketplace).marketplace_settings, answers.marketplace_options),
            },
        ),
    ]
    if answers.channel:
        own: dict[str, Any] = {"connector": answers.channel_connector}
        own |= {"any_seller": True} if answers.any_seller else {"seller": answers.seller}
        if answers.counted_from:
            own["counted_from"] = _moment(answers.counted_from)
        model = connector(answers.channel_connector).channel_settings
        tables.append((f"channels.{_key(answers.channel)}", own | _typed(model, answers.channel_options)))
    if answers.public_url:
        tables.append(("web", {"public_url": answers.public_url}))
    head = (
        "# Written by `trueup init`. Every key is documented in config/trueup.example.toml; secrets stay out of here.\n"
    )
    return head + "".join(
        f"\n[{name}]\n" + "".join(f"{_key(key)} = {_literal(value)}\n" for key, value in table.items())
        for name, table in tables
    )


def _typed(model: type[BaseModel] | None, options: Mapping[str, str]) -> dict[str, Any]:
    """Option texts as values: a list where the connector's setting is one, numbers and truth values as in TOML."""
    typed: dict[str, Any] = {}
    for name, text in options.items():
        field = None if model is None else model.model_fields.get(name)
        kinds = list(parts(field.annotation)) if field is not None else []
        if any(kind is tuple or getattr(kind, "__origin__", None) is tuple for kind in kinds):
            typed[name] = [piece.strip() for piece in text.split(",") if piece.strip()]
        elif any(is_type(kind, bool) or is_type(kind, int) or is_type(kind, float) for kind in kinds):
            typed[name] = _value(text)
        else:
            typed[name] = text
    return typed


def _value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _moment(text: str) -> datetime | str:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return text


def _key(name: str) -> str:
    plain = name.replace("-", "").replace("_", "")
    return name if plain.isascii() and plain.isalnum() else _literal(name)


def _literal(value: Any) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case int() | float():
            return repr(value)
        case datetime():
            return value.isoformat()
        case list():
            return f"[{', '.join(map(_literal, value))}]"
    # A JSON text is a TOML basic string, once the one character that only TOML forbids is escaped.
    return json.dumps(str(value), ensure_ascii=False).replace("\x7f", "\\u007f")
