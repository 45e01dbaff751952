"""A Marketplacer site as the marketplace: a variant, or one seller's inventory of it, is a listing.

The vendor sets plain numbers. A write reads, refuses unless there is what was seen, sets the number and reads it back;
a sale between the read and the write is overwritten, and nobody is told. What `Guard.ABSOLUTE` means is this.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from typing import Any

import structlog

from connectors.budget import Priority
from connectors.contract import (
    MAX_QUANTITY,
    Adjusted,
    Check,
    Evidence,
    Guard,
    Listing,
    ListingState,
    MarketplaceSale,
    Stock,
    StockKind,
    UnreadableListing,
    UnreadableOrder,
)
from connectors.errors import ConnectorError, NotFound, OutcomeUnknown, Rejected, StockMismatch, Unreadable
from connectors.http import Toolbox
from connectors.marketplacer.adverts import Adverts
from connectors.marketplacer.catalogue import Catalogue
from connectors.marketplacer.checks import marketplace_checks
from connectors.marketplacer.client import Client
from connectors.marketplacer.resources import Advert, ShapeError, id_in, variant
from connectors.marketplacer.sales import Sales
from connectors.marketplacer.settings import MarketplacerMarketplaceSettings
from connectors.marketplacer.shelves import InventoryShelf, Place, Shelf, VariantShelf
from connectors.text import is_storable, legible
from connectors.turns import Turns

log = structlog.get_logger(__name__)

ACCOUNT = "marketplacer"


class MarketplacerMarketplace:
    """Marketplace and Sales of `connectors.contract`.

    Safe for use from several threads: two writes of one process to one listing never overlap. `disconnect` closes its
    connections.
    """

    guard = Guard.ABSOLUTE
    evidence = Evidence.NONE
    unlimited_from: int | None = None

    def __init__(self, settings: MarketplacerMarketplaceSettings, toolbox: Toolbox) -> None:
        self._settings = settings
        self._client = Client(settings, toolbox, account=ACCOUNT)
        single_seller = settings.inventory == "variants"
        self._catalogue = Catalogue(self._client, settings.identity, stocked=single_seller)
        self._shelf: Shelf = (
            VariantShelf(self._client, self._catalogue, settings.identity)
            if single_seller
            else InventoryShelf(self._client, self._catalogue, settings.seller_id)
        )
        self._sales = Sales(self._client, settings.identity, by_seller=not single_seller)
        # Two overlapping writes would each overwrite the other.
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
        """See `Marketplace.listing`. One call where the variant's id is known and still its own, else two or three."""
        place = self._place(listing_id)
        return self._catalogue.at(place.key, lambda variant_id: self._listing(variant_id, place))

    def adjust(self, listing_id: str, *, seen: int, delta: int) -> Adjusted:
        """See `Marketplace.adjust`: reads, and only if there is what was seen, sets `seen + delta` and reads back.

        `Adjusted.total` is what was read back, where that could be read: less than what was set if a sale has come in
        since. Refused before sending, as `Rejected`: a result below zero, no change at all, what cannot be read.
        """
        place = self._place(listing_id)
        total = seen + delta
        what = f"setting the stock of {listing_id} from {seen} to {total}"
        if delta == 0 or total < 0 or max(total, abs(delta)) > MAX_QUANTITY:
            raise Rejected(f"{what} was not sent: it is never allowed", account=ACCOUNT, code="not_sent")
        with self._turns.of(listing_id):
            try:
                return self._catalogue.at(
                    place.key, lambda variant_id: self._set(variant_id, place, seen, total, what=what)
                )
            except Unreadable as error:
                raise Rejected(f"{what} was not sent: {error.message}", account=ACCOUNT, code="not_sent") from error

    def sales(self, *, since: datetime) -> Iterator[Sequence[MarketplaceSale | UnreadableOrder]]:
        """See `contract.Sales`: the invoices that this key is shown."""
        return self._sales.since(since)

    def _listing(self, variant_id: str, place: Place) -> Listing:
        held = self._shelf.read(variant_id, place)
        advert = self._advert_of(variant_id)
        found = _listing_of(place, held.stock, advert)
        if advert is None or advert.published:
            return found
        return replace(found, closed_with=self._places_beside(place, advert))

    def _places_beside(self, place: Place, advert: Advert) -> tuple[str, ...]:
        """Every other place of an advert. Of a variant that cannot be read just now, none."""
        found: set[str] = set()
        for variant_id in advert.variant_ids:
            with suppress(NotFound, Unreadable, ShapeError):
                places = self._shelf.on_page(self._catalogue.variant(variant_id))
                found |= {each.listing_id for each, _ in places if is_storable(each.listing_id)}
        return tuple(sorted(found - {place.listing_id}))

    def _advert_of(self, variant_id: str) -> Advert | None:
        """Where adverts count, a variant's, now."""
        return None

    def _adverts(self) -> Mapping[str, Advert] | None:
        """Where adverts count, all of them by their variants."""
        return None

    def _set(self, variant_id: str, place: Place, seen: int, total: int, *, what: str) -> Adjusted:
        """Raises `NotFound` only where nothing was executed."""
        held = self._shelf.read(variant_id, place)
        if held.stock.kind is not StockKind.COUNTED or held.stock.total != seen:
            raise StockMismatch(f"{place.listing_id} does not have {seen} units any more", account=ACCOUNT)
        try:
            answered = self._shelf.write(variant_id, place, held, total, what=what)
        except ShapeError as error:
            raise OutcomeUnknown(f"{what} was answered, but {error}", account=ACCOUNT) from error
        left = answered
        # Whatever happens to this read, the write has been answered.
        with suppress(ConnectorError):
            left = self._shelf.read(variant_id, place).stock
        shown = [stock.total for stock in (answered, left) if stock.kind is StockKind.COUNTED]
        if total not in shown:
            message = f"{what} was answered, but {total} is neither in the answer nor there now"
            raise OutcomeUnknown(message, account=ACCOUNT, code="not_shown")
        return Adjusted(left.total if left.kind is StockKind.COUNTED else total)

    def _place(self, listing_id: str) -> Place:
        place = self._shelf.place(listing_id) if is_storable(listing_id) else None
        if place is None:
            raise NotFound(f"{listing_id} names no listing that this key can reach", account=ACCOUNT)
        return place

    # Listings

    def listings(self) -> Iterator[Sequence[Listing | UnreadableListing]]:
        """See `Marketplace.listings`: variants, up to 100 at a time; in a multi-store one more call for each one."""
        adverts = self._adverts()
        known: dict[str, str] = {}
        unnamed: list[str] = []
        for page in self._client.pages("variants", what="reading the variants", priority=Priority.SWEEP):
            found: list[Listing | UnreadableListing] = []
            for element in page.elements:
                found += self._listed(element, known, unnamed, adverts)
            if found:
                yield found
        if unnamed:
            # One thing to tell, however many there are.
            message = (
                f"{len(unnamed)} variants show no {self._settings.identity}, by which they could be known, among them"
                f" {', '.join(unnamed[:5])}: give each one of its own, or choose another `identity`"
            )
            yield [UnreadableListing(None, message)]

    def _listed(
        self, element: Any, known: dict[str, str], unnamed: list[str], adverts: Mapping[str, Advert] | None
    ) -> list[Listing | UnreadableListing]:
        """What one entry of a list shows. `known`: the variants that were shown already, by key."""
        variant_id = id_in(element)
        identity = self._settings.identity
        try:
            found = variant(element, identity, stocked=self._settings.inventory == "variants")
            if found.key is None:
                unnamed.append(found.variant_id)
                return []
            if known.setdefault(found.key, found.variant_id) != found.variant_id:
                reason = f"variants {known[found.key]} and {found.variant_id} have the same {identity}"
                return [UnreadableListing(found.key, legible(reason))]
            advert = None if adverts is None else adverts.get(found.variant_id)
            if advert is None and adverts is not None:
                reason = f"no advert names variant {found.variant_id} as its own"
                return [UnreadableListing(found.key, legible(reason))]
            self._catalogue.learn(found)
            return [_listing_of(place, stock, advert, found.sku) for place, stock in self._shelf.on_page(found)]
        except ShapeError as error:
            reason = legible(f"variant {variant_id or 'without an id'}: {error}")
            return [UnreadableListing(None if variant_id is None else f"variant {variant_id}", reason)]

    # Doctor

    def check(self) -> Sequence[Check]:
        """See `Marketplace.check`."""
        return marketplace_checks(self._client, self._settings)


class ClosingMarketplace(MarketplacerMarketplace):
    """The same, and Closable: off sale is an advert that is not published.

    An advert has several variants, of which one that is sold out is off sale by itself. So the advert is unpublished
    only once none of them has anything left.
    """

    def __init__(self, settings: MarketplacerMarketplaceSettings, toolbox: Toolbox) -> None:
        super().__init__(settings, toolbox)
        self._all_adverts = Adverts(self._client, self._catalogue)

    def close(self, listing_id: str) -> None:
        """See `Closable.close`. Nothing is sent while another variant of the advert, or another seller, has stock."""
        place = self._place(listing_id)

        def unpublish(variant_id: str) -> None:
            advert = self._all_adverts.of(variant_id)
            if not advert.published:
                return
            if not all(self._shelf.sold_out(each) for each in advert.variant_ids):
                log.info("advert_kept", listing_id=listing_id, advert_id=advert.advert_id)
                return
            self._all_adverts.publish(advert.advert_id, published=False)

        self._change(place, unpublish)

    def open(self, listing_id: str) -> None:
        """See `Closable.open`."""
        place = self._place(listing_id)

        def publish(variant_id: str) -> None:
            advert = self._all_adverts.of(variant_id)
            if not advert.published:
                self._all_adverts.publish(advert.advert_id, published=True)

        self._change(place, publish)

    def _change(self, place: Place, change: Callable[[str], None]) -> None:
        try:
            self._catalogue.at(place.key, change)
        except Unreadable as error:
            message = f"nothing was changed: {error.message}"
            raise Rejected(message, account=ACCOUNT, code="not_sent") from error

    def _advert_of(self, variant_id: str) -> Advert | None:
        return self._all_adverts.of(variant_id)

    def _adverts(self) -> Mapping[str, Advert] | None:
        return self._all_adverts.all()


def open_marketplace(settings: MarketplacerMarketplaceSettings, toolbox: Toolbox) -> MarketplacerMarketplace:
    """The marketplace these settings ask for; only with `close_adverts` can it close listings."""
    kind: Callable[[MarketplacerMarketplaceSettings, Toolbox], MarketplacerMarketplace] = (
        ClosingMarketplace if settings.close_adverts else MarketplacerMarketplace
    )
    return kind(settings, toolbox)


def _listing_of(place: Place, stock: Stock, advert: Advert | None, sku: str | None = None) -> Listing:
    """Raises `ShapeError` for a place that has no name outside."""
    if not is_storable(place.listing_id):
        raise ShapeError("what it is known by is longer than any name")
    published = advert is None or advert.published
    state = ListingState.PUBLISHED if published else ListingState.CLOSED
    return Listing(place.listing_id, state, stock, place.seller_id, "" if advert is None else advert.title, sku)
