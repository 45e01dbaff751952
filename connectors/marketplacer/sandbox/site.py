"""The state of one sandboxed site: sellers, adverts, variants and what each seller has of them."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from itertools import count
from random import Random

from connectors.sandbox.clock import MovableClock
from connectors.sandbox.log import Log, Origin
from connectors.sandbox.stock import ListingStock, StockModel

from .entities import Advert, Record, Seller, Variant
from .errors import not_found, unprocessable
from .options import Options

API = "api"
PORTAL = "portal"
CHECKOUT = "checkout"
FIRST_SELLER = 1


class Site:
    """Everything there is but invoices. Whoever reads or writes it holds `lock`, so one request is one step."""

    def __init__(self, options: Options, clock: MovableClock) -> None:
        self.options = options
        self.switches = options.switches
        self.clock = clock
        self.log = Log(clock, Random(f"log:{options.seed}"))
        adjustments = count(1)
        self.stock = StockModel(self.log, lambda: f"adjustment-{next(adjustments)}", changed=self._changed)
        self.lock = self.stock.lock
        self.numbers = count(Random(f"ids:{options.seed}").randrange(100, 1000))
        self._keys = Random(f"keys:{options.seed}")
        self.sellers: dict[int, Seller] = {}
        self.adverts: dict[int, Advert] = {}
        self.variants: dict[int, Variant] = {}
        """By serial."""
        self.announce: Callable[[str, str, int], None] = lambda *_: None
        """Tells the webhooks: type, event, number of what it is about."""
        self._by_id: dict[int, Variant] = {}
        self._by_stock_key: dict[str, Variant] = {}
        self.add_seller("First seller", options.api_key.get_secret_value(), seller_id=FIRST_SELLER)

    # Sellers.

    def add_seller(
        self, name: str, api_key: str | None = None, *, seller_id: int | None = None, member: bool = False
    ) -> Seller:
        """One more seller; without a key, with one of its own."""
        seller_id = seller_id or max(self.sellers, default=0) + 1
        made = Seller(seller_id, name, api_key or f"key-{self._keys.getrandbits(96):024x}", member)
        self.sellers[seller_id] = made
        return made

    def is_parent(self, seller: Seller) -> bool:
        """Whether it owns the multi-store."""
        return self.options.multi_store and seller.seller_id == FIRST_SELLER

    # Adverts and variants.

    def add_advert(
        self, seller: Seller, title: str, *, external_id: str | None = None, published: bool = True
    ) -> Advert:
        """A product without variants; the parent's are for its multi-store."""
        made = Advert(next(self.numbers), seller.seller_id, title, external_id, published, self.is_parent(seller))
        self.adverts[made.advert_id] = made
        return made

    def add_variant(
        self, advert: Advert, *, external_id: str | None = None, sku: str | None = None, barcode: str | None = None
    ) -> Variant:
        """A variant of which nobody has anything yet."""
        number = next(self.numbers)
        made = Variant(number, advert, [(self.log.moment(), number)], sku, barcode, external_id)
        advert.variants.append(made)
        self.variants[made.serial] = self._by_id[number] = made
        return made

    def variant(self, variant_id: int) -> Variant:
        """By its present id. Raises `ApiError`."""
        found = self._by_id.get(variant_id)
        if found is None:
            raise not_found(f"variant {variant_id}")
        return found

    def find(self, name: str) -> Variant:
        """By external id, SKU, barcode or present id, whichever fits first. Raises `ApiError`."""
        for found in self.variants.values():
            if name in {found.external_id, found.sku, found.barcode, str(found.variant_id)}:
                return found
        raise not_found(f"variant {name}")

    def churn(self, variant: Variant) -> int:
        """What some operations of the portal do: the same variant, known by the same names, has another id."""
        del self._by_id[variant.variant_id]
        variant.ids.append((self.log.moment(), next(self.numbers)))
        self._by_id[variant.variant_id] = variant
        self.announce("VARIANT", "update", variant.serial)
        return variant.variant_id

    def delete_variant(self, variant: Variant) -> None:
        """For good."""
        variant.advert.variants.remove(variant)
        del self.variants[variant.serial], self._by_id[variant.variant_id]
        self.announce("VARIANT", "destroy", variant.serial)

    def publish(self, advert: Advert, *, published: bool) -> None:
        """On sale or off."""
        advert.published = published
        self.announce("ADVERT", "update", advert.advert_id)

    # Stock.

    def add_record(
        self,
        variant: Variant,
        seller_id: int,
        count_on_hand: int,
        origin: Origin,
        *,
        price: Decimal | None = None,
        sale_price: Decimal | None = None,
        infinite: bool = False,
    ) -> Record:
        """What one more seller has of a variant; again, after its record was deleted."""
        number = next(self.numbers)
        record = Record(number, f"{variant.serial}@{seller_id}#{number}", seller_id, price, sale_price, infinite)
        self.stock.add_listing(record.stock_key)
        variant.records[seller_id] = record
        self._by_stock_key[record.stock_key] = variant
        self.stock.compare_and_set(record.stock_key, None, count_on_hand, origin)
        return record

    def set_count(self, record: Record, count_on_hand: int, origin: Origin) -> None:
        """A plain number, whatever was there. Raises `ApiError` below zero."""
        if count_on_hand < 0:
            raise unprocessable("count_on_hand must not be negative", "/data/attributes/count_on_hand")
        present = self.count(record)
        if count_on_hand != present:
            self.stock.compare_and_set(record.stock_key, present, count_on_hand, origin)
        if self.switches.number_clears_infinite:
            record.infinite = False

    def set_infinite(self, record: Record, *, infinite: bool) -> None:
        """Without limit, or counted again."""
        record.infinite = infinite
        self._told(self._by_stock_key[record.stock_key])

    def delete_record(self, variant: Variant, record: Record, origin: Origin) -> None:
        """The seller does not have the variant any more; its price is gone too."""
        del variant.records[record.seller_id]
        record.deleted = True
        self.stock.undefine(record.stock_key, origin)

    def count(self, record: Record) -> int:
        """What there is now."""
        return self.stock.stock(record.stock_key).total or 0

    def by_key(self, seller: Seller) -> Origin:
        """Whoever has that seller's key."""
        return Origin(API, client_id=str(seller.seller_id))

    def _changed(self, stock: ListingStock, _: Origin) -> None:
        self._told(self._by_stock_key[stock.listing_id])

    def _told(self, variant: Variant) -> None:
        self.announce("VARIANT", "update", variant.serial)
        self.announce("ADVERT", "update", variant.advert.advert_id)
