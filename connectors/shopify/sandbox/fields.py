"""What the resolvers of all fields share: the call they serve, its arguments, pages and refusals."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from graphql import GraphQLError, GraphQLResolveInfo

from . import nodes
from .execution import Sizes
from .nodes import Node
from .search import Search, Term, parse
from .shop import Shop
from .webhooks import Webhooks

MAX_PAGE = 250
"""The most items of one page, or of one list argument (docs, "Pagination")."""


@dataclass(slots=True)
class Call:
    """One request: who asks, and what its answer has to tell besides."""

    shop: Shop
    webhooks: Webhooks
    application: str
    scopes: frozenset[str]
    api_version: str
    api_versions: Sequence[str]
    sizes: Sizes = field(default_factory=dict)
    searches: list[dict[str, Any]] = field(default_factory=list)


Info = GraphQLResolveInfo
"""`context` of it is a `Call`."""


def refuse(message: str, code: str) -> GraphQLError:
    """A refusal as the vendor words it: the code is in the extensions."""
    return GraphQLError(message, extensions={"code": code})


def page_size(first: int | None) -> int:
    """`first`, which is not optional although the schema says so."""
    if first is None:
        message = "you must provide one of first or last"
        raise refuse(message, "BAD_REQUEST")
    if not 0 <= first <= MAX_PAGE:
        message = f"first must be between 0 and {MAX_PAGE}"
        raise refuse(message, "BAD_REQUEST")
    return first


def numeric_id(gid: str, kind: str) -> int:
    """The number in a global id; 0, which nothing has, when it names another kind of thing."""
    head, _, tail = gid.rpartition("/")
    if not head.startswith("gid://shopify/") or not tail.isdecimal():
        message = f"Invalid global id '{gid}'"
        raise refuse(message, "RESOURCE_NOT_FOUND")
    return int(tail) if head == f"gid://shopify/{kind}" else 0


def call_with(info: Info, scope: str) -> Call:
    """The call, if its application has the access scope."""
    call: Call = info.context
    if scope not in call.scopes:
        message = f"Access denied for {info.field_name} field. Required access: `{scope}` access scope."
        raise refuse(message, "ACCESS_DENIED")
    return call


def search(info: Info, text: str | None, terms: Mapping[str, Term]) -> Search:
    """Read a `query:` argument; its warnings go into the answer's extensions and change nothing else."""
    parsed = parse(text, terms)
    if parsed.warnings:
        call: Call = info.context
        call.searches.append({"path": info.path.as_list(), "query": text, "warnings": parsed.warnings})
    return parsed


def page(
    items: Sequence[Any], id_of: Callable[[Any], int], node_of: Callable[[Any], Node], arguments: Mapping[str, Any]
) -> Node:
    """One page of items in ascending order of their ids, by the arguments `first`, `after` and `reverse`."""
    size = page_size(arguments.get("first"))
    try:
        return nodes.paged(
            items,
            id_of,
            node_of,
            first=size,
            after=arguments.get("after"),
            reverse=bool(arguments.get("reverse")),
        )
    except ValueError as error:
        raise refuse(str(error), "BAD_REQUEST") from error


def edges(connection: Node, _info: Info) -> list[Node]:
    """The nodes of a page, each with the cursor that goes on behind it."""
    return [
        {"cursor": nodes.cursor(key), "node": node}
        for key, node in zip(connection["_keys"], connection["nodes"], strict=True)
    ]
