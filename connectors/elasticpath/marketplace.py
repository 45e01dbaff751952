"""An Elastic Path store as the marketplace: products are listings, and what is available of them is their stock."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any
from urllib.parse import quote

from connectors.budget import Priority
from connectors.checks import clocks
from connectors.contract import (
    MAX_QUANTITY,
    UNLIMITED,
    Adjusted,
    Check,
    Evidence,
    Guard,
    Listing,
    ListingState,
    RemoteAdjustment,
    Stock,
    StockKind,
    UnreadableListing,
)
from connectors.elasticpath import history, resources
from connectors.elasticpath.checks import access, attempt
from connectors.elasticpath.client import PAGE, Client
from connectors.elasticpath.errors import refusal
from connectors.elasticpath.history import Transaction
from connectors.elasticpath.resources import Resource, ShapeError
from connectors.elasticpath.settings import ElasticPathMarketplaceSettings
from connectors.errors import NotFound, OutcomeUnknown, Rejected, StockMismatch, Unavailable, Unreadable
from connectors.http import Toolbox
from connectors.text import legible
from connectors.turns import Turns

ACCOUNT = "elasticpath"
MULTI_LOCATION = {"EP-Inventories-Multi-Location": "true"}
OVERLAP = 10
"""How many products of a page are asked for again with the next: so many may be deleted in between, and none is missed
for moving up.
"""


class ElasticPathMarketplace:
    """Marketplace and Ledger of `connectors.contract`.

    A write is a read and a relative transaction that the store refuses below zero. Between the two a sale may come in
    and both take effect, so the total after a write is what the read and the write make it, not what anybody saw.
    Safe for use from several threads: two writes to one product never overlap. `disconnect` closes its connections.
    """

    guard = Guard.RELATIVE
    unlimited_from: int | None = None

    def __init__(self, settings: ElasticPathMarketplaceSettings, toolbox: Toolbox) -> None:
        self.evidence = Evidence.ATTRIBUTED if settings.sole_writer else Evidence.ANONYMOUS
        self._settings = settings
        self._client = Client(settings, toolbox, account=ACCOUNT)
        self._multi_location = settings.inventory == "multi_location"
        self._headers = MULTI_LOCATION if self._multi_location else None
        # Of two changes to one product made at once the vendor may lose one ("API contract").
        self._turns = Turns(toolbox.lock)

    @property
    def calls(self) -> int:
        """HTTP requests sent so far."""
        return self._client.http.calls

    @property
    def clock_skew_seconds(self) -> float | None:
        return self._client.http.clock_skew_seconds

    def disconnect(self) -> None:
        """Close every connection. Idempotent."""
        self._client.http.close()

    # Stock

    def listing(self, listing_id: str) -> Listing:
        """See `Marketplace.listing`. Two calls. A product without a stock record is unmanaged: unlimited.

        Raises `Unreadable` where the numbers contradict each other.
        """
        what = f"reading product {listing_id}"
        product = self._client.get(_product(listing_id), what=what)
        stock = self._stock(listing_id)
        with _reading(what):
            found = resources.listing(resources.single(product), UNLIMITED if stock is None else stock)
            return _of(found, listing_id)

    def adjust(self, listing_id: str, *, seen: int, delta: int) -> Adjusted:
        """See `Marketplace.adjust`: reads, and only if there is what was seen, increments or decrements.

        `Adjusted.total` is `seen + delta`: the store's answer does not tell the figure it left, and a sale between the
        read and the write is in neither. `Adjusted.adjustment_id` names the transaction. Refused before sending, as
        `Rejected`: a result below zero, and no change at all.
        """
        total, action = seen + delta, "increment" if delta > 0 else "decrement"
        what = f"changing the stock of product {listing_id} from {seen} to {total}"
        if delta == 0 or total < 0 or max(total, abs(delta)) > MAX_QUANTITY:
            raise Rejected(f"{what} was not sent: it is never allowed", account=ACCOUNT, code="not_sent")
        with self._turns.of(listing_id):
            try:
                stock = self._stock(listing_id)
            except Unreadable as error:
                raise Rejected(f"{what} was not sent: {error.message}", account=ACCOUNT, code="not_sent") from error
            if stock is None or stock.kind is not StockKind.COUNTED or stock.total != seen:
                raise StockMismatch(f"product {listing_id} does not have {seen} units any more", account=ACCOUNT)
            answer = self._client.write(
                "POST",
                f"{_inventory(listing_id)}/transactions",
                self._transaction(action, abs(delta)),
                what=what,
                headers=self._headers,
            )
        try:
            transaction_id, *done = history.made(resources.single(answer), multi_location=self._multi_location)
        except ShapeError as error:
            raise OutcomeUnknown(f"{what} was answered, but {error}", account=ACCOUNT) from error
        if done != [action, abs(delta)]:
            raise OutcomeUnknown(f"{what} was answered, but it speaks of something else", account=ACCOUNT)
        return Adjusted(total, transaction_id)

    def adjustments(self, listing_id: str, *, since: datetime) -> Sequence[RemoteAdjustment]:
        """See `Ledger.adjustments`. The store keeps no author: who moved stock is told for what we never do (orders
        allocate, and nothing else does), and for the rest only under `sole_writer`.
        """
        what = f"reading the stock transactions of product {listing_id}"
        listed = self._transactions(listing_id, what)
        return history.adjustments(
            listing_id,
            listed,
            location=self._settings.location,
            since=since,
            sole_writer=self._settings.sole_writer,
        )

    def _stock(self, listing_id: str) -> Stock | None:
        """None: the product's stock is not managed."""
        what = f"reading the stock of product {listing_id}"
        try:
            answer = self._client.get(_inventory(listing_id), what=what, headers=self._headers)
        except NotFound:
            return None
        with _reading(what):
            return self._stock_of(resources.single(answer))

    def _stock_of(self, resource: Resource) -> Stock:
        return resources.stock(resource, multi_location=self._multi_location, location=self._settings.location)

    def _transaction(self, action: str, quantity: int) -> Mapping[str, Any]:
        fields: dict[str, Any] = {"action": action, "quantity": quantity}
        if self._settings.location is not None:
            fields["location"] = self._settings.location
        data = {"attributes": fields} if self._multi_location else fields
        return {"data": {"type": "stock-transaction", **data}}

    def _transactions(self, listing_id: str, what: str) -> list[Transaction]:
        """The whole list. The basic flavour's has no documented pages; should it have some, they are read.

        The multi-location flavour's documents pages, but no count: the last is the one that is not full.
        """
        found: dict[str, Transaction] = {}
        offset = 0
        while True:
            paging = {"page[limit]": PAGE, "page[offset]": offset} if offset or self._multi_location else None
            answer = self._client.get(
                f"{_inventory(listing_id)}/transactions", paging, what=what, headers=self._headers
            )
            with _reading(what):
                page = [self._transaction_of(each) for each in resources.elements(answer)]
            known = len(found)
            found |= {each.transaction_id: each for each in page}
            total = resources.results(answer)
            ended = paging is None or len(page) < PAGE if total is None else len(found) >= total
            if not page or ended:
                return list(found.values())
            if len(found) == known:
                raise Unavailable(f"{what} showed {known} of {total or 'more'}; try again", account=ACCOUNT)
            offset += len(page)

    def _transaction_of(self, element: Any) -> Transaction:
        return history.transaction(resources.mapping(element, "data"), multi_location=self._multi_location)

    # Listings

    def listings(self) -> Iterator[Sequence[Listing | UnreadableListing]]:
        """See `Marketplace.listings`: products, 100 at a time, each page with one more call for their stock.

        Pages overlap a little: the vendor counts them by offset, and what is deleted meanwhile shifts the rest.
        """
        what = "reading the products"
        offset = 0
        shown: set[str] = set()
        while True:
            params = {"page[limit]": PAGE, "page[offset]": offset}
            answer = self._client.get("pcm/products", params, what=what, priority=Priority.SWEEP)
            with _reading(what):
                page = resources.elements(answer)
            ids = [_id(each) for each in page]
            fresh = [
                (element, listing_id)
                for element, listing_id in zip(page, ids, strict=True)
                if listing_id is None or listing_id not in shown
            ]
            shown.update(each for each in ids if each is not None)
            if fresh:
                stocks = self._stocks([listing_id for _, listing_id in fresh if listing_id is not None])
                yield [self._listed(element, listing_id, stocks) for element, listing_id in fresh]
            if len(page) < PAGE:
                return
            if not fresh:
                raise Unreadable(f"{what}: a page shows nothing that the pages before did not", account=ACCOUNT)
            offset += PAGE - OVERLAP

    def _listed(
        self, element: Any, listing_id: str | None, stocks: Mapping[str, Resource]
    ) -> Listing | UnreadableListing:
        try:
            resource = stocks.get(listing_id or "")
            stock = UNLIMITED if resource is None else self._stock_of(resource)
            return resources.listing(resources.mapping(element, "data"), stock)
        except ShapeError as error:
            return UnreadableListing(listing_id, legible(f"product {listing_id or 'without an id'}: {error}"))

    def _stocks(self, ids: Sequence[str]) -> dict[str, Resource]:
        """The stock records of these products; those without are left out.

        What the vendor does with an id that has none is not documented. Where it refuses the lot, it is asked again
        without those it names, and where that does not help, for one after the other.
        """
        wanted = list(ids)
        while wanted:
            body = {"data": [{"id": each} for each in wanted]}
            response = self._client.post_for(
                "v2/inventories/multiple", body, priority=Priority.SWEEP, headers=self._headers
            )
            named = refusal(response) if response.status_code in (400, 404, 413, 422) else None
            if named is None:
                answer = self._client.read(response, what="reading the stock of a page of products")
                try:
                    found = [resources.mapping(each, "data") for each in resources.elements(answer)]
                    return {resources.identifier(each.get("id")): each for each in found}
                except ShapeError:
                    # Whose it is cannot be told, so that each is asked for by itself: left out would be unlimited.
                    return self._one_by_one(wanted)
            left = [each for each in wanted if each not in named.missing_ids]
            if len(left) == len(wanted):
                return self._one_by_one(wanted)
            wanted = left
        return {}

    def _one_by_one(self, ids: Sequence[str]) -> dict[str, Resource]:
        found: dict[str, Resource] = {}
        for listing_id in ids:
            what = f"reading the stock of product {listing_id}"
            try:
                answer = self._client.get(
                    _inventory(listing_id), what=what, priority=Priority.SWEEP, headers=self._headers
                )
            except NotFound:
                continue
            try:
                found[listing_id] = resources.single(answer)
            except ShapeError:
                found[listing_id] = {}
        return found

    # Doctor

    def check(self) -> Sequence[Check]:
        """See `Marketplace.check`."""
        found = [access(self._client, "pcm/products", "reading the products", self._settings.base_url)]
        if not found[0].ok:
            return found
        found.append(attempt("stock", lambda: self._client.get("v2/inventories", {"page[limit]": 1}, **self._asking)))
        if self._settings.location is not None:
            found.append(self._location_check(self._settings.location))
        found.append(clocks(self.clock_skew_seconds, "the store"))
        return found

    @property
    def _asking(self) -> dict[str, Any]:
        return {"what": "reading the stock", "headers": self._headers}

    def _location_check(self, slug: str) -> Check:
        def slugs() -> set[Any]:
            answer = self._client.get("v2/inventories/locations", {"page[limit]": PAGE}, **self._asking)
            with _reading("the locations"):
                found = [resources.mapping(each, "data") for each in resources.elements(answer)]
                return {resources.mapping(each.get("attributes"), "attributes").get("slug") for each in found}

        there: list[set[Any]] = []
        asked = attempt("location", lambda: there.append(slugs()))
        if not asked.ok or slug in there[0]:
            return asked
        detail = f"the store shows no location {slug} among its first {PAGE}"
        return Check("location", ok=False, detail=detail, remedy="set `location` to the slug of one of its locations")


class ClosingMarketplace(ElasticPathMarketplace):
    """The same, and Closable: off sale is a product whose status is `draft`."""

    def close(self, listing_id: str) -> None:
        """See `Closable.close`."""
        self._set(listing_id, "draft", ListingState.CLOSED)

    def open(self, listing_id: str) -> None:
        """See `Closable.open`."""
        self._set(listing_id, "live", ListingState.PUBLISHED)

    def _set(self, listing_id: str, status: str, wanted: ListingState) -> None:
        what = f"setting product {listing_id} to {status}"
        body = {"data": {"type": "product", "id": listing_id, "attributes": {"status": status}}}
        with self._turns.of(listing_id):
            try:
                answer = self._client.write("PUT", _product(listing_id), body, what=what)
            except StockMismatch as error:
                message = f"{what} met another change of the product; nothing was changed"
                raise Unavailable(message, account=ACCOUNT, code=error.code) from error
        try:
            product = resources.single(answer)
            done = product.get("id") == listing_id and resources.state(product) is wanted
        except ShapeError:
            done = False
        if not done:
            raise OutcomeUnknown(f"{what} was answered, but not with that product so", account=ACCOUNT)


def open_marketplace(settings: ElasticPathMarketplaceSettings, toolbox: Toolbox) -> ElasticPathMarketplace:
    """The marketplace these settings ask for; only with `close_by_status` can it close listings."""
    kind: Callable[[ElasticPathMarketplaceSettings, Toolbox], ElasticPathMarketplace] = (
        ClosingMarketplace if settings.close_by_status else ElasticPathMarketplace
    )
    return kind(settings, toolbox)


@contextmanager
def _reading(what: str) -> Iterator[None]:
    """Turns a wrong shape into `Unreadable`, saying what was being read."""
    try:
        yield
    except ShapeError as error:
        raise Unreadable(f"{what}: {error}", account=ACCOUNT) from error


def _of(listing: Listing, listing_id: str) -> Listing:
    if listing.listing_id != listing_id:
        raise ShapeError("it is another product")
    return listing


def _id(element: Any) -> str | None:
    """The id of what may be anything."""
    try:
        return resources.identifier(resources.mapping(element, "data").get("id"))
    except ShapeError:
        return None


def _product(listing_id: str) -> str:
    return f"pcm/products/{quote(listing_id, safe='')}"


def _inventory(listing_id: str) -> str:
    return f"v2/inventories/{quote(listing_id, safe='')}"
