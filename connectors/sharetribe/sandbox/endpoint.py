"""What an endpoint is: its parameters, and a function from a checked call to a reply."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from connectors.sandbox.log import Origin

from .entities import Listing
from .errors import ApiError, conflict
from .fields import Schema
from .marketplace import Marketplace
from .purchases import Purchases


@dataclass(frozen=True, slots=True)
class Call:
    """One request whose caller and parameters are checked."""

    marketplace: Marketplace
    purchases: Purchases
    client_id: str
    query: Mapping[str, Any]
    body: Mapping[str, Any]

    @property
    def origin(self) -> Origin:
        """The caller, as the log will name it."""
        return self.marketplace.by_application(self.client_id)

    def listing_for_command(self, listing_id: str) -> Listing:
        """A command on a missing listing is a conflict, unlike a read (API reference, error codes)."""
        listing = self.marketplace.listing(listing_id)
        if listing is None:
            raise conflict(self.marketplace.switches.missing_listing_code, f"Listing {listing_id} was not found.")
        return listing


@dataclass(frozen=True, slots=True)
class Reply:
    """An entity, or a page of them, to be rendered as the caller asked."""

    primary: Any
    meta: Mapping[str, Any] = field(default_factory=dict)
    outcome: str = "ok"
    """One word for the counts."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One endpoint: how it is called and what it does."""

    method: Literal["GET", "POST"]
    run: Callable[[Call], Reply]
    query: Schema = field(default_factory=dict)
    body: Schema = field(default_factory=dict)
    open_query: tuple[str, ...] = ()
    """Prefixes of query parameters that are free, such as `pub_`."""


def page_of(items: Sequence[Any], query: Mapping[str, Any], *, reachable: int | None = None) -> Reply:
    """One page of `items`, with the totals; pages past the first `reachable` items are refused."""
    page, per_page = query.get("page", 1), query.get("perPage", 100)
    total = len(items)
    meta = {"totalItems": total, "totalPages": -(-total // per_page), "page": page, "perPage": per_page}
    if reachable is not None:
        meta["paginationLimit"] = last_page = max(1, reachable // per_page)
        if page > last_page:
            title = f"Page {page} is past the last page that can be requested, {last_page}."
            raise ApiError(400, "validation-invalid-params", title, path=("page",), part="query")
    return Reply(items[(page - 1) * per_page : page * per_page], meta)
