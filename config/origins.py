"""Where a value of the configuration comes from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Source(StrEnum):
    """Who gave a value."""

    FILE = "file"
    ENVIRONMENT = "environment"
    DEFAULT = "default"


@dataclass(frozen=True, slots=True)
class Origin:
    """Of one value."""

    source: Source
    by: str = ""
    """What the value is read from, where it stands somewhere else than in the file: `env:NAME`, `file:PATH`, the name
    of a variable, or another key.
    """


def origins_of(file: Mapping[str, Any], variables: Mapping[str, Any], prefix: str, delimiter: str) -> dict[str, Origin]:
    """By dotted key, for every value of the two trees; what is in neither is a default. A variable beats the file."""
    found = {".".join(path): Origin(Source.FILE, _reference(value)) for path, value in _leaves(file)}
    for path, value in _leaves(variables):
        name = f"{prefix}{delimiter.join(path)}".upper().replace("-", "_")
        found[".".join(path)] = Origin(Source.ENVIRONMENT, _reference(value) or name)
    return found


def _reference(value: Any) -> str:
    return value if isinstance(value, str) and value.startswith(("env:", "file:")) else ""


def _leaves(tree: Mapping[str, Any], path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    for key, value in tree.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, (*path, key))
        else:
            yield (*path, key), value
