"""A Marketplacer site as the marketplace, on either kind of stock. One advert has one variant.

A write sets a number, whatever it is by then. What only a person at the site could know is a known limit, which people
here respect: nobody but a buyer moves the stock of a listing while a write to it is under way, and that buyer pays, as
does whoever has ordered by then.
"""

from __future__ import annotations

from contextlib import suppress
from random import Random

import httpx
import orjson
from pydantic import SecretStr

from connectors.contract import Guard
from connectors.marketplacer import sandbox
from connectors.marketplacer.sandbox.entities import UNPAID, Record, Variant
from connectors.marketplacer.sandbox.errors import ApiError
from connectors.marketplacer.sandbox.purchases import Purchases, Wanted
from connectors.marketplacer.sandbox.site import API, FIRST_SELLER, PORTAL, Site
from connectors.marketplacer.settings import MarketplacerMarketplaceSettings
from connectors.sandbox.clock import VirtualClock
from connectors.sandbox.log import Origin
from connectors.sandbox.stock import Adjustment, ListingStock, NotEnoughStockError
from tests.simulation.events import Buy, Call, Edit, EditStock, Step, StepOfPurchase, Turn, TurnListing
from tests.simulation.market import Market, Write

KEY = "simulated-marketplace-secret"
ROOT = "/api/v2/client/"
PERSON = Origin(PORTAL)
WAITS = "waits: a write is under way"


class MarketplacerMarket(Market):
    """See `Market`. A release never fails; a cancelled purchase gives its units back."""

    name = "marketplacer"
    connector = "marketplacer"
    guard = Guard.ABSOLUTE
    multi_store = False

    def __init__(self, clock: VirtualClock, *, seed: int) -> None:
        super().__init__(clock, seed=seed)
        options = sandbox.Options(seed=seed, api_key=SecretStr(KEY), multi_store=self.multi_store, per_second=1000)
        self.app = sandbox.create_app(options, clock)
        self._site: Site = self.app.state.site
        self._all: Purchases = self.app.state.purchases
        self._variants: dict[str, Variant] = {}
        self._records: dict[str, Record] = {}
        """Also of what was deleted."""
        self._purchases: dict[int, tuple[int, str]] = {}
        """Number of the event's purchase -> invoice, and the listing it is about."""

    @property
    def settings(self) -> MarketplacerMarketplaceSettings:
        return MarketplacerMarketplaceSettings(
            api_key=SecretStr(KEY),
            base_url=f"https://{self.host}",
            requests_per_second=1000,
            inventory="multi_store" if self.multi_store else "variants",
            close_adverts=True,
        )

    @property
    def secrets(self) -> tuple[str, ...]:
        return (KEY,)

    def call_of(self, request: httpx.Request) -> Call:
        path, method = request.url.path.removeprefix(ROOT), request.method
        room, _, rest = path.partition("/")
        if method == "PUT":
            if room == "variants":
                return Call.WRITE
            return Call.OPEN if orjson.loads(request.content)["data"]["attributes"]["published"] else Call.CLOSE
        if room == "variants":
            return Call.SHOW if rest else Call.SEARCH
        return {"adverts": Call.SHOW, "invoices": Call.LOG}.get(room, Call.OTHER)

    def write_of(self, request: httpx.Request) -> Write:
        data = orjson.loads(request.content)["data"]
        fields = (data[0] if isinstance(data, list) else data)["attributes"]
        variant_id = int(request.url.path.removeprefix(ROOT).split("/")[1])
        named = (name for name, each in self._variants.items() if variant_id in {number for _, number in each.ids})
        return Write(next(named), new=fields["count_on_hand"])

    def turned_by(self, request: httpx.Request) -> str:
        advert_id = int(request.url.path.rpartition("/")[2])
        return next(name for name, each in self._variants.items() if each.advert.advert_id == advert_id)

    # --- setting up -------------------------------------------------------------------------------------------

    def choose(self, random: Random) -> None:
        self._site.switches = self._site.switches.model_copy(
            update={
                "variant_data": random.choice(("array", "object")),
                "ids": random.choice(("numbers", "texts")),
                "omitted_fields": random.choice(("kept", "reset")),
                "line_items": random.choice(("included", "within", "left_out")),
                "last_next": random.choice(("missing", "null", "itself")),
                "links": random.choice(("absolute", "relative")),
                "list_order": random.choice(("oldest_first", "newest_first", "last_changed_first")),
                "payment_updates": random.random() < 0.5,
                "stock_falls": random.choice(("creation", "payment")),
                "refund_restocks": True,
                "error_body": random.choice(("json_api", "empty", "html")),
            }
        )

    def add_listing(self, title: str, total: int) -> str:
        site = self._site
        advert = site.add_advert(site.sellers[FIRST_SELLER], title)
        variant = site.add_variant(advert, external_id=title, sku=title)
        record = site.add_record(variant, FIRST_SELLER, total, PERSON)
        listing_id = f"{FIRST_SELLER}/{title}" if self.multi_store else title
        self._variants[listing_id], self._records[listing_id] = variant, record
        self.ids.append(listing_id)
        self.turned[listing_id] = []
        return listing_id

    # --- what people do ---------------------------------------------------------------------------------------

    def listing_of(self, purchase: int) -> str:
        found = self._purchases.get(purchase)
        return "" if found is None else f"L{self.ids.index(found[1])}"

    def buy(self, event: Buy) -> str:
        listing_id = self.ids[event.listing]
        if self.state(listing_id) is None or self._record(listing_id) is None:
            return "not on sale"
        wanted = Wanted(self._variants[listing_id], FIRST_SELLER, event.units, "buy_online")
        try:
            [invoice] = self._all.buy([wanted])
            self._purchases[event.purchase] = invoice.invoice_id, listing_id
            if self.writing(listing_id):
                self._all.step(invoice.invoice_id, "pay")
                return "bought at once"
        except ApiError as error:
            return error.title
        return "ordered"

    def write_is_meant(self, listing_id: str) -> None:
        ordered = [invoice_id for invoice_id, about in self._purchases.values() if about == listing_id]
        for invoice in filter(None, map(self._all.invoices.get, ordered)):
            if invoice.status == UNPAID:
                with suppress(ApiError):
                    self._all.step(invoice.invoice_id, "pay")

    def step(self, event: StepOfPurchase) -> str:
        found = self._purchases.get(event.purchase)
        invoice = None if found is None else self._all.invoices.get(found[0])
        if found is None or invoice is None:
            return "no such purchase"
        pays = event.step in (Step.PAY, Step.ACCEPT)
        if self.writing(found[1]) and not pays:
            return WAITS
        back = "expire" if invoice.status == UNPAID else "refund"
        names = {Step.PAY: "pay", Step.ACCEPT: "send"}
        if event.step is Step.FAIL_RELEASE:
            return "does not happen here"
        try:
            self._all.step(found[0], names.get(event.step, back))
        except ApiError as error:
            return error.title
        return "done"

    def edit(self, event: EditStock) -> str:
        listing_id = self.ids[event.listing]
        if self.state(listing_id) is None:
            return "deleted"
        if self.writing(listing_id):
            return WAITS
        before = self.total(listing_id)
        record = self._record(listing_id)
        if record is None:
            return self._have_again(listing_id, event)
        try:
            match event.edit:
                case Edit.ADD | Edit.REMOVE:
                    units = event.units if event.edit is Edit.ADD else -event.units
                    self._site.stock.adjust(record.stock_key, units, PERSON)
                case Edit.SET:
                    self._site.set_count(record, event.units, PERSON)
                    self._site.set_infinite(record, infinite=False)
                case Edit.UNLIMITED:
                    self._site.set_infinite(record, infinite=True)
                    self.uncounted[listing_id] = self._clock.monotonic()
                case Edit.UNDEFINED:
                    if not self.multi_store:
                        return "does not happen here"
                    self._site.delete_record(self._variants[listing_id], record, PERSON)
                    self.uncounted[listing_id] = self._clock.monotonic()
        except (ApiError, NotEnoughStockError) as error:
            return type(error).__name__
        return f"{before} -> {self.total(listing_id)}"

    def _have_again(self, listing_id: str, event: EditStock) -> str:
        """A record that was deleted is made anew, with a ledger of its own: what ours took before stays in mind."""
        if event.edit is not Edit.SET:
            return "nothing there"
        gone = self._records[listing_id]
        record = self._site.add_record(self._variants[listing_id], FIRST_SELLER, event.units, PERSON)
        old, new = self._site.stock.stock(gone.stock_key), self._site.stock.stock(record.stock_key)
        new.adjustments[:0] = old.adjustments
        self._records[listing_id] = record
        return f"nothing -> {self.total(listing_id)}"

    def turn(self, event: TurnListing) -> str:
        listing_id = self.ids[event.listing]
        if self.state(listing_id) is None:
            return "deleted"
        variant = self._variants[listing_id]
        if event.turn is Turn.DELETE:
            if self.writing(listing_id):
                return WAITS
            self.uncounted[listing_id] = self._clock.monotonic()
            self._site.delete_variant(variant)
            self.note_turn(listing_id, "deleted", by_us=False)
            return "deleted"
        published = event.turn is Turn.OPEN
        if variant.advert.published is published:
            return "unchanged"
        self._site.publish(variant.advert, published=published)
        state = "published" if published else "closed"
        self.note_turn(listing_id, state, by_us=False)
        return state

    # --- the truth --------------------------------------------------------------------------------------------

    def state(self, listing_id: str) -> str | None:
        variant = self._variants[listing_id]
        if variant.serial not in self._site.variants:
            return None
        return "published" if variant.advert.published else "closed"

    def total(self, listing_id: str) -> int | None:
        return None if self._records[listing_id].infinite else super().total(listing_id)

    def stock_of(self, listing_id: str) -> ListingStock:
        return self._site.stock.stock(self._records[listing_id].stock_key)

    def _record(self, listing_id: str) -> Record | None:
        record = self._records[listing_id]
        return None if record.deleted else record

    def is_own(self, adjustment: Adjustment) -> bool:
        return adjustment.origin.source == API


class MultiStoreMarket(MarketplacerMarket):
    """The same with stock in the inventories of a multi-store, of which this seller is the parent."""

    name = "marketplacer-multi"
    multi_store = True
