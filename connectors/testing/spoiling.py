"""JSON spoilt on its way: fields more, fields less, other words, other types."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

NEW_WORD = "word_nobody_knows"
NEW_FIELD = "field_nobody_knows"

Path = tuple[str, ...]


def paths(content: Any, above: Path = ()) -> Iterator[Path]:
    """The path of every field, through lists as if they were not there."""
    if isinstance(content, dict):
        for name, inner in content.items():
            yield (*above, name)
            yield from paths(inner, (*above, name))
    elif isinstance(content, list):
        for inner in content:
            yield from paths(inner, above)


def json_body(rewrite: Callable[[Any], Any]) -> Callable[[bytes], bytes]:
    """A rewriter of bodies from one of JSON values; what is no JSON goes as it is."""

    def rewritten_body(body: bytes) -> bytes:
        try:
            content = json.loads(body)
        except ValueError:
            return body
        return json.dumps(rewrite(content)).encode()

    return rewritten_body


def with_new_fields(content: Any) -> Any:
    """Every object with one field more."""
    if isinstance(content, dict):
        known = {name: with_new_fields(inner) for name, inner in content.items()}
        return {**known, NEW_FIELD: {"id": 1, "quantity": 3}}
    return [with_new_fields(inner) for inner in content] if isinstance(content, list) else content


def without(content: Any, path: Path) -> Any:
    """Without the fields of that path."""
    if isinstance(content, list):
        return [without(inner, path) for inner in content]
    if not isinstance(content, dict):
        return content
    name, rest = path[0], path[1:]
    if not rest:
        return {key: inner for key, inner in content.items() if key != name}
    return {key: without(inner, rest) if key == name else inner for key, inner in content.items()}


def with_new_word(content: Any, *, name: str) -> Any:
    """Fields of that name, wherever they are, with a word that nobody knows."""
    return _replaced(content, lambda path: path[-1] == name, NEW_WORD)


def with_another_type(content: Any, *, path: Path) -> Any:
    """The fields of that path with an object of something else."""
    return _replaced(content, lambda found: found == path, {"kit": ["?"]})


def _replaced(content: Any, wanted: Callable[[Path], bool], new: Any, above: Path = ()) -> Any:
    if isinstance(content, list):
        return [_replaced(inner, wanted, new, above) for inner in content]
    if not isinstance(content, dict):
        return content
    return {
        name: new if wanted((*above, name)) else _replaced(inner, wanted, new, (*above, name))
        for name, inner in content.items()
    }
