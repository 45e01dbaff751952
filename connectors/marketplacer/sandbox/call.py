"""One request whose seller is known, what became of it, and how lists are cut into pages."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypeVar
from urllib.parse import urlencode

from .entities import Seller
from .errors import ApiError, not_found, unprocessable
from .purchases import Purchases
from .site import Site

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Call:
    """One request."""

    site: Site
    purchases: Purchases
    seller: Seller
    path: Mapping[str, str]
    query: Mapping[str, str]
    body: Any
    base: str
    """Where the site is, for links."""
    route: str
    """The path that was asked for."""

    @property
    def data(self) -> Any:
        """The `data` of the body. Raises `ApiError`."""
        if not isinstance(self.body, dict) or "data" not in self.body:
            raise ApiError(400, "Bad Request", "data is missing")
        return self.body["data"]

    @property
    def attributes(self) -> dict[str, Any]:
        """Of the one resource in the body. Raises `ApiError`."""
        found = self.data.get("attributes") if isinstance(self.data, dict) else None
        if not isinstance(found, dict):
            raise ApiError(400, "Bad Request", "attributes are missing")
        return found

    def number(self, name: str) -> int:
        """A number of the path. Raises `ApiError`: what is no number is no id."""
        text = self.path[name]
        if not text.isdecimal() or len(text) > 18:
            raise not_found(f"{name} {text}")
        return int(text)

    def known(self, number: int) -> int | str:
        """An id as the site writes it."""
        return str(number) if self.site.switches.ids == "texts" else number

    @property
    def lists_show(self) -> datetime:
        """The moment whose state lists show."""
        return self.site.clock.now() - timedelta(seconds=self.site.switches.list_lag_seconds)


@dataclass(frozen=True, slots=True)
class Reply:
    """What is answered; `outcome` is one word for the counts."""

    status: int
    body: Any = None
    outcome: str = "ok"


Endpoint = Callable[[Call], Reply]


def paged(call: Call, found: Sequence[T], changed: Callable[[T], datetime]) -> tuple[list[T], dict[str, Any]]:
    """One page and its links. `changed` tells when each was last changed, for the order. Raises `ApiError`."""
    ordered = list(found)
    if call.site.switches.list_order == "newest_first":
        ordered.reverse()
    elif call.site.switches.list_order == "last_changed_first":
        ordered.sort(key=changed, reverse=True)
    options = call.site.options
    number = _natural(call.query.get("page[number]"), 1)
    size = min(_natural(call.query.get("page[size]"), options.page_length), options.longest_page)
    last = max(1, -(-len(ordered) // size))
    places: dict[str, int | None] = {"first": 1, "next": number + 1 if number < last else None, "last": last}
    if places["next"] is None and call.site.switches.last_next == "itself":
        places["next"] = number
    links = {name: None if place is None else _link(call, place, size) for name, place in places.items()}
    if links["next"] is None and call.site.switches.last_next == "missing":
        del links["next"]
    return ordered[(number - 1) * size : number * size], links


def _link(call: Call, number: int, size: int) -> str:
    query = urlencode({**call.query, "page[number]": number, "page[size]": size})
    base = call.base if call.site.switches.links == "absolute" else ""
    return f"{base}{call.route}?{query}"


def _natural(text: str | None, default: int) -> int:
    if text is None:
        return default
    if not text.isdecimal() or not 1 <= int(text[:9]) < 10**6:
        raise unprocessable("a page parameter is no number")
    return int(text)
