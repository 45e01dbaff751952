"""One of the vendor's descriptions, corrected: what it says of a request, and of the answer to it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import httpx
from jsonschema import ValidationError
from openapi_core import Config, OpenAPI
from openapi_core.exceptions import OpenAPIError
from openapi_core.templating.paths.exceptions import PathError
from openapi_core.templating.paths.finders import APICallPathFinder
from openapi_core.testing import MockRequest, MockResponse

Node = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation of a description, with every reference in it resolved."""

    name: str
    node: Node
    path: Mapping[str, str]
    """What stands in the variable parts of the request's path."""
    parameters: frozenset[str]
    """Names of those that may stand in a query."""

    @property
    def statuses(self) -> list[int]:
        """Those it answers with, success first."""
        return sorted(int(status) for status in self.node["responses"] if status != "default")

    def schema(self, status: int) -> Node | None:
        """Of the JSON it answers with under that status; None where it answers with nothing."""
        found = self._media(status).get("schema")
        assert found is None or isinstance(found, Mapping)
        return found

    def examples(self, status: int) -> Iterator[Any]:
        """The answers it shows. Some are written as text within the description."""
        media = self._media(status)
        shown = [each["value"] for each in media.get("examples", {}).values()]
        for each in [*shown, *([media["example"]] if "example" in media else [])]:
            yield json.loads(each) if isinstance(each, str) else each

    def _media(self, status: int) -> Node:
        media: Node = self.node["responses"][str(status)].get("content", {}).get("application/json", {})
        return media


class Description:
    """One file. Says nothing of a request to another API than its own: there `operation` is None."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self._document = document = _free(document)
        self._host = "https://" + urlsplit(document["servers"][0]["url"]).netloc
        # What is described nowhere is refused, so that neither side leans on anything it made up.
        # Whether the file itself is valid is the vendor's business, and takes a minute to find out.
        config = Config(
            additional_properties_default_policy="forbid",
            spec_validator_cls=None,  # type: ignore[arg-type]  # what switches it off
        )
        self._openapi = OpenAPI.from_dict(dict(document), config=config)
        self._finder = APICallPathFinder(self._openapi.spec)
        self._resolved: dict[str, Node] = {}
        # The same request comes again and again, and takes a while to be looked at.
        self._judged: dict[tuple[str, str, bytes, str, bool], list[str]] = {}
        self._found: dict[tuple[str, str], Operation | None] = {}

    def operation(self, request: httpx.Request) -> Operation | None:
        """The operation that a request asks for."""
        key = (request.method, request.url.path)
        if key not in self._found:
            self._found[key] = self._operation(request)
        return self._found[key]

    def _operation(self, request: httpx.Request) -> Operation | None:
        try:
            found = self._finder.find(request.method.lower(), self._host + request.url.path)
        except PathError:
            return None
        template, method = found.path_result.pattern, request.method.lower()
        item = self._document["paths"][template]
        key = f"{method} {template}"
        if key not in self._resolved:
            shared = {"parameters": [*item.get("parameters", []), *item[method].get("parameters", [])]}
            resolved = resolve({**item[method], **shared}, self._document)
            assert isinstance(resolved, Mapping)
            self._resolved[key] = resolved
        node = self._resolved[key]
        query = frozenset(each["name"] for each in node["parameters"] if each["in"] == "query")
        return Operation(node["operationId"], node, found.path_result.variables, query)

    def against_request(self, request: httpx.Request) -> list[str]:
        """What of a request is not as described."""
        kind = request.headers.get("content-type", "")
        key = (request.method, str(request.url), request.content, kind, "authorization" in request.headers)
        if key not in self._judged:
            self._judged[key] = self._judge(request)
        return self._judged[key]

    def _judge(self, request: httpx.Request) -> list[str]:
        operation = self.operation(request)
        if operation is None:
            return ["no operation is described there"]
        unknown = request.url.params.keys() - operation.parameters
        troubles = [f"the query parameter {name} is not described" for name in sorted(unknown)]
        try:
            self._openapi.validate_request(self._asked(request))
        except OpenAPIError as error:
            troubles += _told(error)
        return troubles

    def against_answer(self, request: httpx.Request, answer: httpx.Response) -> list[str]:
        """What of an answer is not as described."""
        response = MockResponse(
            answer.content, answer.status_code, dict(answer.headers), answer.headers.get("content-type", "")
        )
        try:
            self._openapi.validate_response(self._asked(request), response)
        except OpenAPIError as error:
            return _told(error)
        return []

    def _asked(self, request: httpx.Request) -> MockRequest:
        return MockRequest(
            self._host,
            request.method,
            request.url.path,
            args=dict(request.url.params),
            headers=dict(request.headers),
            data=request.content,
            content_type=request.headers.get("content-type", ""),
        )


def _free(node: Any) -> Any:
    """Objects of which nothing is said may hold anything, also where what is described nowhere is refused."""
    if isinstance(node, list):
        return [_free(each) for each in node]
    if not isinstance(node, Mapping):
        return node
    found = {name: _free(each) for name, each in node.items()}
    says = found.keys() & {"properties", "additionalProperties", "allOf", "anyOf", "oneOf", "patternProperties"}
    return {**found, "additionalProperties": True} if found.get("type") == "object" and not says else found


def resolve(node: Any, document: Mapping[str, Any], within: Sequence[str] = ()) -> Any:
    """A part of a document with what its references name in their place. What holds itself ends in anything."""
    if isinstance(node, list):
        return [resolve(each, document, within) for each in node]
    if not isinstance(node, Mapping):
        return node
    reference = node.get("$ref")
    if not isinstance(reference, str):
        return {name: resolve(each, document, within) for name, each in node.items()}
    if reference in within:
        return {}
    target: Any = document
    for step in reference.removeprefix("#/").split("/"):
        target = target[step.replace("~1", "/").replace("~0", "~")]
    return resolve(target, document, [*within, reference])


def _told(error: OpenAPIError) -> list[str]:
    """Each reason by itself, with its place; the error's own words where it gives none."""
    found = getattr(error.__cause__, "schema_errors", None) or [error]
    return [
        f"{'/'.join(map(str, each.absolute_path)) or '(whole)'}: {each.message[:200]}"
        if isinstance(each, ValidationError)
        else f"{type(each).__name__}: {str(each)[:200]}"
        for each in found
    ]
