"""What is wrong with a configuration, in words: each problem with its key and a remedy, and never with a secret."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from config.alerts import DESTINATION_NAME
from config.settings import CHANNEL_NAME

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong with the configuration."""

    key: str
    """The dotted key, e.g. `channels.acme.seller`."""
    what: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.key}: {self.what}. {self.remedy}"


class ConfigurationError(Exception):
    """The configuration cannot be used; the text lists every problem with its key and a remedy, and no secret."""

    exit_code = 2

    def __init__(self, problems: Iterable[Problem], path: Path | None = None, *, source: str | None = None) -> None:
        """`source`: where the configuration came from, where it is not known by its path any more."""
        self.problems = tuple(problems)
        self.path = path
        if source is None:
            source = f"in {path}" if path else "(no file read: name one with --config or TRUEUP_CONFIG)"
        count = "1 problem" if len(self.problems) == 1 else f"{len(self.problems)} problems"
        super().__init__("\n".join([f"The configuration {source} has {count}:", *(f"  - {p}" for p in self.problems)]))


def described(model: type[BaseModel], location: tuple[Any, ...]) -> tuple[list[str], FieldInfo | None]:
    """The keys beside the one at this location, and its description, as far as the models tell."""
    current: Any = model
    names: list[str] = []
    field: FieldInfo | None = None
    for part in location:
        if isinstance(part, int):
            # An entry of a list: what is said of the list holds for it.
            continue
        inner = next((piece for piece in parts(current) if is_type(piece, BaseModel)), None)
        if inner is None or part not in inner.model_fields:
            # A channel's name; the type of what it holds stays the same.
            field = None
            names = list(inner.model_fields) if inner is not None else []
            continue
        names = list(inner.model_fields)
        field = inner.model_fields[part]
        current = field.annotation
    return names, field


def explained(detail: ErrorDetails, field: FieldInfo | None, siblings: list[str]) -> tuple[str, str]:
    """What is wrong and what to do, from pydantic's error but never from the value it refused."""
    if detail["type"] == "extra_forbidden":
        return "is not a known setting", meant(str(detail["loc"][-1]), [name for name in siblings if name != "options"])
    what = detail["msg"].removeprefix("Value error, ").replace("Input should", "should")
    what = {"missing": "is missing", "string_pattern_mismatch": "does not have its form"}.get(detail["type"], what)
    pattern = detail.get("ctx", {}).get("pattern")
    if pattern == DESTINATION_NAME:
        return "is not a valid name", "Use lower-case letters, digits and hyphens, at most 63, beginning with a letter"
    if pattern == CHANNEL_NAME:
        return (
            "is not a valid name",
            "Use lower-case letters, digits and hyphens, at most 63, beginning with a letter or digit",
        )
    if field is None or not field.description:
        return what, "See the documented example, config/trueup.example.toml"
    return what, f"It is: {field.description.rstrip('.')}"


def meant(wrong: str, known: Iterable[str]) -> str:
    """A remedy for a misspelt name: the nearest known spelling, else all there are."""
    known = sorted(known)
    near = difflib.get_close_matches(wrong.lower(), [name.lower() for name in known], n=1, cutoff=0.6)
    if near:
        spelled = next(name for name in known if name.lower() == near[0])
        return f"Did you mean {spelled}?"
    return f"Known here: {', '.join(known)}"


def parts(annotation: Any) -> Iterator[Any]:
    """A type and all types within it: `tuple[SecretStr, ...] | None` holds a `SecretStr`."""
    yield annotation
    for inner in get_args(annotation):
        yield from parts(inner)


def is_type(part: Any, kind: Any) -> bool:
    """Whether this part of an annotation is a class of that kind."""
    return isinstance(part, type) and issubclass(part, kind)
