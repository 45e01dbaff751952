"""All of the vendor's descriptions together: which one a request is for, and answers made from them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from connectors.elasticpath.marketplace import MULTI_LOCATION
from tests.official.openapi.corrections import corrected
from tests.official.openapi.description import Description, Node, Operation
from tests.official.openapi.files import read

ADDRESS = "https://euwest.api.elasticpath.com"
Answer = tuple[int, Any]
"""A status, and the JSON of a body; None where there is none."""
Pick = Callable[[str, Operation], Answer]
"""Chooses the answer to an operation, which is named as in `Mock.asked`."""


def descriptions(folder: Path | None) -> dict[str, Description]:
    """Each file, corrected, by what it describes. Raises `files.MissingError`."""
    return {name: Description(corrected(name, content)) for name, content in read(folder).items()}


def about(request: httpx.Request) -> str:
    """Which description a request is for: by its path, and the inventory's flavour by its header."""
    path = request.url.path
    for start, name in (("/oauth/", "token"), ("/pcm/", "products"), ("/v2/orders", "orders")):
        if path.startswith(start):
            return name
    if path.startswith("/v2/integrations"):
        return "integrations"
    ((header, value),) = MULTI_LOCATION.items()
    return "multi_location" if request.headers.get(header) == value else "basic"


@dataclass
class Mock(httpx.BaseTransport):
    """Answers for the vendor. Knows no state: what a request sets is in the answer, and nothing else is."""

    described: Mapping[str, Description]
    pick: Pick
    asked: dict[str, Operation] = field(default_factory=dict)
    """The operations, each by its description and name; not the one for tokens, which are always given."""
    troubles: list[str] = field(default_factory=list)
    """What of the requests was not as described."""

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """See `httpx.BaseTransport`."""
        request.read()
        name = about(request)
        description = self.described[name]
        operation = description.operation(request)
        self.troubles += [
            f"{request.method} {request.url.path}: {each}" for each in description.against_request(request)
        ]
        if operation is None:
            return httpx.Response(404, json={"errors": [{"title": "Not Found"}]})
        if name == "token":
            return httpx.Response(200, json=sampled(operation)[1])
        self.asked[f"{name}/{operation.name}"] = operation
        status, body = self.pick(f"{name}/{operation.name}", operation)
        if body is None:
            return httpx.Response(status)
        return httpx.Response(status, json=_fitting(body, request, operation) if status < 300 else body)


def sampled(operation: Operation) -> Answer:
    """The answer of success with everything that is described, each part as its example shows it."""
    status = operation.statuses[0]
    schema = operation.schema(status)
    return status, None if schema is None else sample(schema)


def answers(operation: Operation) -> Iterator[Answer]:
    """Every answer that is described: each example, everything there is, and only what is required."""
    for status in operation.statuses:
        schema = operation.schema(status)
        if schema is None:
            yield status, None
            continue
        yield status, sample(schema, whole=False)
        whole = sample(schema)
        yield status, whole
        if isinstance(whole, dict) and "included" in whole:
            yield status, {name: part for name, part in whole.items() if name != "included"}
        for example in operation.examples(status):
            yield status, example


def sample(schema: Node, *, whole: bool = True) -> Any:
    """A value as a schema describes it, each part as its example shows it: all parts, or only those required."""
    examples = schema.get("examples", ())
    for example in (*(examples if isinstance(examples, list) else ()), schema.get("example")):
        if example is not None and _fits(example, schema):
            return example
    for branch in ("allOf", "anyOf", "oneOf"):
        if schema.get(branch):
            parts = [sample(each, whole=whole) for each in schema[branch]]
            merged = {name: value for part in parts if isinstance(part, dict) for name, value in part.items()}
            return merged if branch == "allOf" and merged else parts[0]
    if "enum" in schema:
        return schema["enum"][0]
    match _kind(schema):
        case "object":
            wanted = schema.get("properties", {}) if whole else schema.get("required", ())
            found = {name: sample(schema["properties"][name], whole=whole) for name in wanted}
            others = schema.get("additionalProperties")
            return {**found, NAME: sample(others)} if whole and isinstance(others, Mapping) else found
        case "array":
            return [sample(schema.get("items", {}), whole=whole)]
        case "string":
            return _TEXTS.get(schema.get("format", ""), TEXT)
        case "integer" | "number":
            return max(1, schema.get("minimum", 1))
        case "boolean":
            return True
        case _:
            return None


NAME = "york"
"""Of what may have any name, as locations have."""
TEXT = "10000000-0000-4000-8000-000000000001"
"""Fit to be an id."""
ITEM = "20000000-0000-4000-8000-000000000002"
_TEXTS = {
    "date-time": "2026-01-01T10:00:00.000Z",
    "email": "ada@example.com",
    "uri": "https://example.com/",
}
_TYPES: Mapping[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "array": (list,),
    "object": (dict,),
}


def _kind(schema: Node) -> str | None:
    kind = schema.get("type", "object" if "properties" in schema else None)
    first: str | None = kind[0] if isinstance(kind, list) else kind
    return first


def _fits(example: Any, schema: Node) -> bool:
    """Some examples are of another type than what they are examples of. Objects are made from their parts instead."""
    kind = _kind(schema)
    return kind is None or (not schema.keys() & {"properties", "items"} and isinstance(example, _TYPES[kind]))


def _fitting(body: Any, request: httpx.Request, operation: Operation) -> Any:
    """An answer about what was asked for: its id is the one in the path, and what the request sets is set in it.

    An order's items are those that are listed beside it.
    """
    body = json.loads(json.dumps(body))
    data = body.get("data") if isinstance(body, dict) else None
    sent = json.loads(request.content).get("data") if request.content and request.method in ("POST", "PUT") else None
    if isinstance(sent, list) and isinstance(data, list) and data:
        body["data"] = [_with(data[0], each) for each in sent]
    elif isinstance(data, dict):
        named = list(operation.path.values())
        if named and request.url.path.endswith(named[-1]):
            data["id"] = named[-1]
        if isinstance(sent, dict):
            body["data"] = data = _with(data, sent)
    for order in data if isinstance(data, list) else [data]:
        relationships = order.get("relationships") if isinstance(order, dict) else None
        if isinstance(relationships, dict) and isinstance(relationships.get("items"), dict):
            relationships["items"]["data"] = [{"type": "item", "id": ITEM}]
    included = body.get("included") if isinstance(body, dict) else None
    lists = [data if operation.name == "getOrderItems" else None, (included or {}).get("items")]
    for items in lists:
        for item in items if isinstance(items, list) else ():
            item["id"] = ITEM
    return body


def _with(shown: Any, sent: Any) -> Any:
    """`shown` with the values that `sent` has for what is there."""
    if not isinstance(shown, dict) or not isinstance(sent, dict):
        return sent
    return {name: _with(value, sent[name]) if name in sent else value for name, value in shown.items()}
