"""Where a site keeps stock: in a seller's own variants, or in the inventories of a multi-store.

Both are written by plain numbers. Nothing here deletes a record: that would lose its price, and take the seller off the
list of those who have the variant.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import quote

from connectors.budget import Priority
from connectors.contract import UNDEFINED, Stock, StockKind
from connectors.errors import ConnectorError, RateLimited, Unauthorized, Unavailable
from connectors.marketplacer.catalogue import Catalogue
from connectors.marketplacer.client import Client
from connectors.marketplacer.resources import Inventory, ShapeError, Variant, inventories, single, variant
from connectors.marketplacer.settings import Identity


@dataclass(frozen=True, slots=True)
class Place:
    """Which listing is meant: a variant by what it is known by, and the seller where several have it."""

    key: str
    seller_id: str = ""

    @property
    def listing_id(self) -> str:
        """As it is named outside."""
        return f"{self.seller_id}/{self.key}" if self.seller_id else self.key


@dataclass(frozen=True, slots=True)
class Holding:
    """What lies at a place now."""

    stock: Stock
    beside: Inventory | None = None
    """What else the record says, which a write must not lose."""


class Shelf(Protocol):
    """One way to keep stock."""

    def place(self, listing_id: str) -> Place | None:
        """The place of a name from outside; None when it is the name of none."""

    def read(self, variant_id: str, place: Place) -> Holding:
        """One place, now. Raises `NotFound` for a variant id that is none."""

    def write(self, variant_id: str, place: Place, held: Holding, total: int, *, what: str) -> Stock:
        """Set the number, once; what the answer shows. Raises as `Marketplace.adjust` does."""

    def on_page(self, found: Variant) -> Sequence[tuple[Place, Stock]]:
        """The places of a variant that a list shows. Raises `ShapeError`."""

    def sold_out(self, variant_id: str) -> bool:
        """Whether nobody has anything of that variant to sell, now."""


class VariantShelf:
    """A seller's own variants."""

    def __init__(self, client: Client, catalogue: Catalogue, identity: Identity) -> None:
        self._client = client
        self._catalogue = catalogue
        self._identity: Identity = identity

    def place(self, listing_id: str) -> Place | None:
        """See `Shelf.place`."""
        return Place(listing_id) if listing_id else None

    def read(self, variant_id: str, place: Place) -> Holding:
        """See `Shelf.read`."""
        return Holding(self._catalogue.variant(variant_id, place.key).stock)

    def write(self, variant_id: str, place: Place, held: Holding, total: int, *, what: str) -> Stock:
        """See `Shelf.write`. A partial update: price and everything else stay."""
        body = {"data": {"type": "variants", "attributes": {"count_on_hand": total}}}
        answer = self._client.put(f"variants/{quote(variant_id, safe='')}", body, what=what)
        found = variant(single(answer), self._identity, stocked=True)
        if found.variant_id != variant_id:
            raise ShapeError("it speaks of another variant")
        return found.stock

    def on_page(self, found: Variant) -> Sequence[tuple[Place, Stock]]:
        """See `Shelf.on_page`."""
        return () if found.key is None else ((Place(found.key), found.stock),)

    def sold_out(self, variant_id: str) -> bool:
        """See `Shelf.sold_out`."""
        return _none_left([self._catalogue.variant(variant_id).stock])


class InventoryShelf:
    """The inventories of a multi-store: one record for each seller of a variant.

    No record: the seller does not have the variant, which is undefined stock. A record at zero: it is sold out.
    """

    def __init__(self, client: Client, catalogue: Catalogue, seller_id: int | None) -> None:
        self._client = client
        self._catalogue = catalogue
        self._member = None if seller_id is None else str(seller_id)

    def place(self, listing_id: str) -> Place | None:
        """See `Shelf.place`. A member's key reaches its own place alone."""
        seller_id, _, key = listing_id.partition("/")
        if not key or not (seller_id.isascii() and seller_id.isdecimal()) or self._member not in {None, seller_id}:
            return None
        return Place(key, seller_id)

    def read(self, variant_id: str, place: Place) -> Holding:
        """See `Shelf.read`."""
        found = self._inventories(variant_id).get(place.seller_id)
        return Holding(UNDEFINED) if found is None else Holding(found.stock, found)

    def write(self, variant_id: str, place: Place, held: Holding, total: int, *, what: str) -> Stock:
        """See `Shelf.write`. Whether the vendor keeps what a record does not mention is not documented, so the price
        is sent as it was read.
        """
        fields: dict[str, Any] = {"count_on_hand": total}
        if held.beside is not None:
            amounts = {"price": held.beside.price, "sale_price": held.beside.sale_price}
            fields |= {name: amount for name, amount in amounts.items() if amount is not None}
        if self._member is None:
            fields["seller_id"] = int(place.seller_id)
        body = {"data": [{"type": "inventories", "attributes": fields}]}
        found = inventories(self._client.put(_inventories(variant_id), body, what=what)).get(place.seller_id)
        if found is None:
            raise ShapeError(f"it shows no inventory of seller {place.seller_id}")
        return found.stock

    def on_page(self, found: Variant) -> Sequence[tuple[Place, Stock]]:
        """See `Shelf.on_page`. One call for each variant: no list shows inventories.

        Single-seller adverts have none, and are left out; by what refusal the vendor says so is not documented.
        """
        if found.key is None:
            return ()
        try:
            there = self._inventories(found.variant_id, Priority.SWEEP)
        except (Unauthorized, RateLimited, Unavailable):
            raise
        except ConnectorError as error:
            if error.code in {"400", "404", "409", "422"}:
                return ()
            raise ShapeError(error.message) from error
        return [
            (Place(found.key, seller_id), record.stock)
            for seller_id, record in there.items()
            if self._member in {None, seller_id}
        ]

    def sold_out(self, variant_id: str) -> bool:
        """See `Shelf.sold_out`."""
        return _none_left([record.stock for record in self._inventories(variant_id).values()])

    def _inventories(self, variant_id: str, priority: Priority = Priority.READ) -> Mapping[str, Inventory]:
        what = f"reading the inventories of variant {variant_id}"
        answer = self._client.get(_inventories(variant_id), what=what, priority=priority)
        with self._catalogue.reading(what):
            return inventories(answer)


def _inventories(variant_id: str) -> str:
    return f"variants/{quote(variant_id, safe='')}/inventories"


def _none_left(stocks: Sequence[Stock]) -> bool:
    return all(stock.kind is StockKind.COUNTED and stock.total <= 0 for stock in stocks)
