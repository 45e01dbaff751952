"""A Marketplacer seller's account as the shop: whole lines of an invoice come back, and no part of one."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from pydantic import SecretStr

from connectors.marketplacer import sandbox
from connectors.marketplacer.sandbox.entities import Invoice, Variant
from connectors.marketplacer.sandbox.errors import ApiError
from connectors.marketplacer.sandbox.purchases import Purchases, Wanted
from connectors.marketplacer.sandbox.site import FIRST_SELLER, PORTAL, Site
from connectors.marketplacer.sandbox.webhooks import Delivery, Webhooks
from connectors.marketplacer.settings import MarketplacerChannelSettings
from connectors.sandbox.clock import VirtualClock
from connectors.sandbox.log import Origin
from connectors.sandbox.sending import Parcel
from tests.simulation.books import Books
from tests.simulation.events import CancelOrder, ChangeOrder, FulfilOrder, LagIndex, PlaceOrder, RefundOrder, TouchOrder
from tests.simulation.shop import SKUS, KnowingShop, Letter, milliseconds, sku_name

HEADER = "auth-key"


class MarketplacerShop(KnowingShop):
    """See `Shop`."""

    name = "marketplacer"
    refusals = (ApiError,)

    def __init__(self, number: int, clock: VirtualClock, books: Books, *, seed: int, random: Random) -> None:
        super().__init__(number, clock, books, seed=seed, random=random)
        self._key, self._secret = f"simulated-shop-key-{number}", f"simulated-hook-secret-{number}"
        self._returned = random.random() < 0.5
        self.app = sandbox.create_app(
            sandbox.Options(
                seed=seed,
                api_key=SecretStr(self._key),
                switches=sandbox.Options().switches.model_copy(
                    update={
                        "line_items": random.choice(("included", "within", "left_out")),
                        "last_next": random.choice(("missing", "null", "itself")),
                        "list_order": random.choice(("oldest_first", "newest_first", "last_changed_first")),
                        "from_inclusive": random.random() < 0.5,
                        "until_inclusive": random.random() < 0.5,
                        "refund_restocks": self._returned,
                        "idempotency_key": random.choice(("same", "new")),
                    }
                ),
            ),
            clock,
        )
        self._site: Site = self.app.state.site
        self._model: Purchases = self.app.state.purchases
        self._webhooks: Webhooks = self.app.state.webhooks
        self._variants = {sku: self._offer(sku) for sku in SKUS}

    def _offer(self, sku: str) -> Variant:
        site = self._site
        advert = site.add_advert(site.sellers[FIRST_SELLER], sku)
        variant = site.add_variant(advert, external_id=sku, sku=sku)
        site.add_record(variant, FIRST_SELLER, 0, Origin(PORTAL), infinite=True)
        return variant

    @property
    def settings(self) -> MarketplacerChannelSettings:
        return MarketplacerChannelSettings(
            api_key=SecretStr(self._key),
            base_url=f"https://{self.host}",
            refunded="returned" if self._returned else "kept",
            webhook_secrets=(SecretStr(self._secret),),
        )

    @property
    def secrets(self) -> tuple[str, ...]:
        return self._key, self._secret, "ada@example.com"

    def _place(self, event: PlaceOrder, random: Random) -> int:
        """An invoice is shown, and placed, once it is paid: here at once."""
        lines = [Wanted(self._variants[sku_name(sku)], FIRST_SELLER, units, "buy_online") for sku, units in event.lines]
        [invoice] = self._model.buy(lines)
        self._model.step(invoice.invoice_id, "pay")
        assert invoice.paid_at is not None, "it has just been paid"
        self._books.enter(self.channel, str(invoice.invoice_id), milliseconds(invoice.paid_at), old=False)
        return invoice.invoice_id

    def _change(self, event: ChangeOrder, order: int, random: Random) -> str:
        match event:
            case CancelOrder():
                return self._lines_step(order, "cancel", random)
            case RefundOrder():
                if random.random() < 0.3:
                    self._model.step(order, "refund")
                    return "refunded"
                return self._lines_step(order, "refund", random)
            case FulfilOrder():
                self._model.step(order, random.choice(("send", "part_send")))
            case TouchOrder():
                self._model.step(order, "touch")
            case _:
                return "cannot be done here"
        return type(event).__name__

    def _lines_step(self, order: int, name: str, random: Random) -> str:
        chosen = [
            line.line_id for line in self._invoice(order).lines if line.status == "allocated" and random.random() < 0.7
        ]
        for line_id in chosen:
            self._model.step_of_line(order, line_id, name)
        return f"{name} {len(chosen)} lines"

    def _invoice(self, order: int) -> Invoice:
        return self._model.invoices[order]

    def _lines(self, order: int) -> dict[str, tuple[str, int]]:
        invoice = self._invoice(order)
        committed = self._model.committed(invoice)
        return {str(line.line_id): (line.variant.sku or "", committed[line.line_id]) for line in invoice.lines}

    def lag_index(self, event: LagIndex) -> None:
        lag = min(event.seconds, 50.0)
        self._site.switches = self._site.switches.model_copy(update={"list_lag_seconds": lag})

    # --- webhooks ---------------------------------------------------------------------------------------------

    def send_to(self, address: str) -> None:
        self._webhooks.register(
            address,
            type="INVOICE",
            seller_id=FIRST_SELLER,
            headers={HEADER: self._secret},
            hmac_key=None,
            fields="ids",
            event_name=None,
            max_retries=25,
        )

    def listen(self, carry: Callable[[Letter], None]) -> None:
        def send(item: Delivery) -> None:
            def pack(_attempt: int) -> Parcel:
                return self._webhooks.parcel(item)

            carry(Letter(f"invoice/{item.event}", pack))

        self._webhooks.send = send  # type: ignore[method-assign]

    def forge(self, parcel: Parcel, luck: Random) -> Parcel:
        headers = {**parcel.headers, HEADER: "not-the-secret-of-this-shop"}
        if luck.random() < 0.3:
            del headers[HEADER]
        return Parcel(parcel.url, headers, parcel.body + b" ")

    def retry_after_seconds(self, attempt: int) -> float | None:
        return max(60.0, float(attempt**4)) if attempt <= 10 else None
