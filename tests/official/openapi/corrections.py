"""Where the vendor's descriptions contradict its documentation, its own client or themselves, and are put right here.

Each correction is in our own words, with its reason; one that would change nothing is told.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

Document = dict[str, Any]
Change = Callable[[Document], None]


@dataclass(frozen=True, slots=True)
class Correction:
    """Changes to one file."""

    file: str
    reason: str
    change: Change


def put(place: str, value: Any) -> Change:
    """Puts `value` in a place that is told by the names on the way there."""

    def change(document: Document) -> None:
        holder, name = _found(document, place)
        holder[name] = value

    return change


def add(place: str, **values: Any) -> Change:
    """Adds to the object in that place."""

    def change(document: Document) -> None:
        holder, name = _found(document, place)
        holder[name] |= values

    return change


def extend(place: str, *values: Any) -> Change:
    """Adds to the list in that place, which may not be there yet."""

    def change(document: Document) -> None:
        holder, name = _found(document, place)
        holder[name] = [*holder.get(name, []), *values]

    return change


def all_of(*changes: Change) -> Change:
    """Several changes for one reason."""

    def change(document: Document) -> None:
        for each in changes:
            each(document)

    return change


def answers_with_errors(schema: str) -> Change:
    """Describes the errors that any operation may answer with, where it names none for a status."""
    content = {"application/json": {"schema": {"$ref": f"#/components/schemas/{schema}"}}}

    def change(document: Document) -> None:
        for item in document["paths"].values():
            for method in item.keys() & {"get", "post", "put", "delete"}:
                for code in ERRORS:
                    item[method]["responses"].setdefault(code, {"description": "An error.", "content": content})

    return change


ERRORS = ("400", "401", "403", "404", "409", "422", "429", "500")


def query(name: str, kind: str = "string") -> Document:
    """A parameter of a query."""
    return {"name": name, "in": "query", "schema": {"type": kind}}


_ORDERS = "paths./v2/orders.get"
_ORDER = "paths./v2/orders/{orderID}.get"
_ORDER_SCHEMA = "components.schemas.OrderResponse.properties"
_LIST = "paths./integrations.get.responses.200.content.application/json.schema.properties"
_INTEGRATION = {"$ref": "#/components/schemas/Integration"}
_NULLABLE = ["string", "null"]
_ITEMS = {
    "type": "object",
    "properties": {"items": {"type": "array", "items": {"$ref": "#/components/schemas/OrderItemResponse"}}},
}
_LINK = {"$ref": "#/components/schemas/LinkURI"}
_ANY_OPERATION = (
    "each of the vendor's APIs may refuse any request in the ways its guide to errors lists (no token, too many"
    " requests, nothing there, a wrong filter, a conflict); the file names few of them, of few operations"
)
_ACTIONS = (
    "the history holds `create`, the first quantity, and `set`, where it may be asked for; the list of actions in an"
    " answer has neither"
)

CORRECTIONS: Sequence[Correction] = (
    Correction(
        "token",
        "the vendor's documentation and its own client have the token at the top of the answer, not within `data`; its"
        " examples are JSON written as text",
        put(
            "paths./oauth/access_token.post.responses.200.content.application/json",
            {"schema": {"$ref": "#/components/schemas/AccessTokenResponse"}},
        ),
    ),
    Correction("products", _ANY_OPERATION, answers_with_errors("error")),
    Correction("basic", _ANY_OPERATION, answers_with_errors("ErrorResponse")),
    Correction("basic", _ACTIONS, extend("components.schemas.Transaction.properties.action.enum", "create")),
    Correction(
        "basic",
        "the documentation's examples write a transaction's time as Go does, the file says RFC 3339: either may come",
        put("components.schemas.Timestamps.properties.created_at.format", "moment"),
    ),
    Correction(
        "basic",
        "every list may have links to the next page and the one before, and a link that leads nowhere is null (guide to"
        " pagination); the links shown are no whole addresses",
        all_of(
            add("components.schemas.Links.properties", next=_LINK, prev=_LINK),
            put("components.schemas.LinkURI", {"type": _NULLABLE}),
        ),
    ),
    Correction("multi_location", _ANY_OPERATION, answers_with_errors("ErrorResponse")),
    Correction(
        "multi_location",
        _ACTIONS,
        extend("components.schemas.TransactionResponseAttributes.properties.action.enum", "create", "set"),
    ),
    Correction("orders", _ANY_OPERATION, answers_with_errors("Response.ErrorResponse")),
    Correction(
        "orders",
        "the filters are only told in the operation's text, pages and what may be included only in the vendor's files"
        " of overrides, sorting only in its guide",
        all_of(
            extend(
                f"{_ORDERS}.parameters",
                *map(query, ("filter", "sort", "include")),
                query("page[limit]", "integer"),
                query("page[offset]", "integer"),
            ),
            extend(f"{_ORDER}.parameters", query("include")),
        ),
    ),
    Correction(
        "orders",
        "what `include=items` asks for comes in `included.items`, which the schemas leave out",
        all_of(
            add("components.schemas.OrderCollectionResponse.properties", included=_ITEMS),
            add("components.schemas.OrderEntityResponse.properties", included=_ITEMS),
        ),
    ),
    Correction(
        "orders",
        "references that an order does not have are null in the documentation's examples",
        all_of(
            put(f"{_ORDER_SCHEMA}.order_number.type", _NULLABLE),
            put(f"{_ORDER_SCHEMA}.external_ref.type", _NULLABLE),
        ),
    ),
    Correction(
        "orders",
        "by their own descriptions, links are null where there is no such page",
        all_of(
            *(
                put(f"components.schemas.Response.PageLinks.properties.{name}.type", _NULLABLE)
                for name in ("last", "next", "prev")
            )
        ),
    ),
    Correction(
        "orders",
        "custom items have an empty product id, which is no UUID",
        put("components.schemas.OrderItemResponse.properties.product_id", {"type": "string"}),
    ),
    Correction(
        "integrations",
        "the API is under /v2, as its documentation and the vendor's client have it",
        put("servers", [{"url": "https://euwest.api.elasticpath.com/v2"}]),
    ),
    Correction(
        "integrations",
        "it asks for `observers`, which is no property, where it means `observes`",
        put(
            "components.schemas.IntegrationCreate.required",
            ["type", "observes", "integration_type", "name", "configuration"],
        ),
    ),
    Correction(
        "integrations",
        "of a configuration's three forms exactly one should fit, but what is required of a webhook's is all that is"
        " required of STOMP's",
        all_of(
            *(
                put(
                    f"components.schemas.{schema}.properties.configuration",
                    {"$ref": "#/components/schemas/WebhookConfigurationObject"},
                )
                for schema in ("IntegrationCreate", "IntegrationUpdate", "Integration")
            )
        ),
    ),
    Correction(
        "integrations",
        "a list's own links and meta are described by what a single integration has of them, one level too deep; they"
        " are those of every list, which may be asked for by pages (guide to pagination)",
        all_of(
            put(f"{_LIST}.links", {"type": "object"}),
            put(f"{_LIST}.meta", {"type": "object"}),
            extend(
                "paths./integrations.get.parameters", query("page[limit]", "integer"), query("page[offset]", "integer")
            ),
        ),
    ),
    Correction(
        "integrations",
        "a single integration is put together from three schemas, each of which, read strictly, refuses what the other"
        " two add",
        all_of(
            add("components.schemas.Integration.properties", links={"type": "object"}, meta={"type": "object"}),
            put(f"{_LIST}.data.items", _INTEGRATION),
            *(
                put(f"paths.{path}.responses.200.content.application/json.schema.properties.data", _INTEGRATION)
                for path in (
                    "/integrations.post",
                    "/integrations/{integration_uuid}.get",
                    "/integrations/{integration_uuid}.put",
                )
            ),
        ),
    ),
    Correction("integrations", _ANY_OPERATION, answers_with_errors("ErrorResponse")),
)


def corrected(name: str, content: bytes) -> Document:
    """A file with its corrections. Raises `ValueError` for one that changes nothing: it is needed no more."""
    # By way of JSON, in which every name is a text: one file writes statuses as numbers.
    document: Document = json.loads(json.dumps(yaml.load(content, Loader=_Loader)))
    for correction in CORRECTIONS:
        if correction.file == name:
            before = json.dumps(document)
            correction.change(document)
            if json.dumps(document) == before:
                raise ValueError(f"{name}: nothing is left to correct: {correction.reason}")
    return document


class _Loader(yaml.SafeLoader):
    """Leaves times as the texts they are."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def _found(document: Document, place: str) -> tuple[Document, str]:
    """The object that holds what is in a place, and its name there. Names may themselves hold dots."""
    holder, rest = document, place
    while True:
        known = [name for name in holder if rest.startswith(f"{name}.")]
        if not known:
            return holder, rest
        name = max(known, key=len)
        holder, rest = holder[name], rest[len(name) + 1 :]
