"""The control surface under `/_control`: what people do on the site, and what goes wrong with it.

JSON in and out, no authentication: it is for the machine the sandbox runs on. A refusal is `{"error"}` with the status
the person's own call would have got; a body that is not understood is a 422.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.routing import Route

from connectors.sandbox.calls import Counts
from connectors.sandbox.control import ControlSurface, Nothing
from connectors.sandbox.faults import FaultPlan
from connectors.sandbox.log import Origin
from connectors.sandbox.stock import NotEnoughStockError

from . import inspection
from .control_requests import (
    Change,
    Edit,
    Key,
    NewAdvert,
    NewAdverts,
    NewLine,
    NewPurchase,
    NewPurchases,
    NewSeller,
    NewWebhook,
    Publish,
    Step,
)
from .entities import Advert, Invoice, Variant
from .errors import ApiError, not_found
from .options import Switches
from .purchases import LINE_STEPS, STEPS, Purchases, Wanted, record_of
from .site import PORTAL, Site
from .webhooks import Webhooks


class Control(ControlSurface):
    """Everything the control surface can do. Each request holds the site's lock."""

    def __init__(self, site: Site, purchases: Purchases, webhooks: Webhooks, faults: FaultPlan, counts: Counts) -> None:
        super().__init__(clock=site.clock, faults=faults, lock=site.lock, deliveries=webhooks, spoilt=webhooks)
        self._site = site
        self._purchases = purchases
        self._webhooks = webhooks
        self._counted = counts

    def own_routes(self) -> list[Route]:
        """What people do there."""
        return [
            self.get("/variants/{name}", lambda request: self._variant_state(request.path_params["name"])),
            self.get("/invoices/{id}", lambda request: self._invoice_state(self._invoice(request.path_params))),
            self.post("/sellers", NewSeller, lambda _, body: self._add_seller(body)),
            self.post("/sellers/{id}/key", Key, self._replace_key),
            self.post("/adverts", NewAdverts, lambda _, body: self._add_adverts(body)),
            self.post("/adverts/{id}", Publish, self._publish),
            self.post("/variants/{name}/edit", Edit, self._edit),
            self.post("/variants/{name}/churn", Nothing, self._churn),
            self.post("/variants/{name}/delete", Nothing, self._delete_variant),
            self.post("/purchases", NewPurchases, lambda _, body: self._add_purchases(body)),
            self.post("/invoices/{id}/{step}", Step, self._step),
            self.post("/webhooks", NewWebhook, lambda _, body: self._add_webhook(body)),
            self.post("/webhooks/{id}", Change, self._change_webhook),
        ]

    # What every surface has.

    def switches(self) -> Switches:
        """The present ones."""
        return self._site.switches

    def turn(self, switches: Switches) -> None:
        """Other switches, from now on."""
        self._site.switches = switches

    def refused(self, error: Exception) -> tuple[dict[str, Any], int] | None:
        """With the status the person's own call would have got."""
        if not isinstance(error, ApiError):
            return None
        return {"error": str(error)}, error.status

    # Looking.

    def state(self, request: Request) -> Any:
        """The whole, as the vendor itself knows it."""
        webhooks = [self._webhook_state(each) for each in self._webhooks.all]
        state = inspection.whole_state(self._site, self._purchases)
        return {**state, "webhooks": webhooks, "counts": self.counts()}

    def _variant_state(self, name: str) -> Any:
        return inspection.variant_state(self._site, self._site.find(name))

    def _invoice_state(self, invoice: Invoice) -> Any:
        return inspection.invoice_state(invoice, self._purchases)

    def _webhook_state(self, webhook_id: int) -> Any:
        found = self._webhooks.all[webhook_id]
        return {"id": webhook_id, "url": found.url, "enabled": found.enabled, "responses": found.responses}

    def counts(self) -> dict[str, Any]:
        """What was asked of the API, and what became of it."""
        return {
            **self._counted.summary(),
            "faults": self.faulted()["struck"],
            "deliveries": self._webhooks.counts,
            "last_sequence": self._site.log.last_sequence,
        }

    # Sellers, adverts, stock.

    def _add_seller(self, asked: NewSeller) -> Any:
        made = self._site.add_seller(asked.name, asked.api_key, member=asked.member)
        return {"id": made.seller_id, "api_key": made.api_key}

    def _replace_key(self, path: Mapping[str, str], asked: Key) -> Any:
        found = self._site.sellers.get(_number(path, "id"))
        if found is None:
            raise not_found("the seller")
        found.api_key = asked.api_key
        return {}

    def _add_adverts(self, asked: NewAdverts) -> Any:
        return {"adverts": [self._advert_state(self._add_advert(each)) for each in asked.adverts]}

    def _advert_state(self, advert: Advert) -> Any:
        variants = [inspection.variant_state(self._site, each) for each in advert.variants]
        return {"id": advert.advert_id, "published": advert.published, "variants": variants}

    def _add_advert(self, asked: NewAdvert) -> Advert:
        seller = self._site.sellers.get(asked.seller_id)
        if seller is None:
            raise not_found("the seller")
        made = self._site.add_advert(seller, asked.title, external_id=asked.external_id, published=asked.published)
        for each in asked.variants:
            variant = self._site.add_variant(made, external_id=each.external_id, sku=each.sku, barcode=each.barcode)
            for record in each.records:
                self._site.add_record(
                    variant,
                    record.seller_id or asked.seller_id,
                    record.count_on_hand,
                    Origin(PORTAL),
                    price=record.price,
                    sale_price=record.sale_price,
                    infinite=record.infinite,
                )
        return made

    def _publish(self, path: Mapping[str, str], asked: Publish) -> Any:
        found = self._site.adverts.get(_number(path, "id"))
        if found is None:
            raise not_found("the advert")
        self._site.publish(found, published=asked.published)
        return self._advert_state(found)

    def _edit(self, path: Mapping[str, str], asked: Edit) -> Any:
        site, variant = self._site, self._site.find(path["name"])
        record, person = record_of(variant, asked.seller_id), Origin(PORTAL)
        if asked.deleted:
            site.delete_record(variant, record, person)
            return inspection.variant_state(site, variant)
        if asked.count_on_hand is not None:
            site.set_count(record, asked.count_on_hand, person)
        if asked.change:
            try:
                site.stock.adjust(record.stock_key, asked.change, person)
            except NotEnoughStockError as error:
                raise ApiError(409, "Conflict", str(error)) from error
        if asked.infinite is not None:
            site.set_infinite(record, infinite=asked.infinite)
        if asked.price is not None:
            record.price = asked.price
        return inspection.variant_state(site, variant)

    def _churn(self, path: Mapping[str, str], _: Nothing) -> Any:
        variant = self._site.find(path["name"])
        self._site.churn(variant)
        return inspection.variant_state(self._site, variant)

    def _delete_variant(self, path: Mapping[str, str], _: Nothing) -> Any:
        self._site.delete_variant(self._site.find(path["name"]))
        return {}

    # Purchases.

    def _add_purchases(self, asked: NewPurchases) -> Any:
        made = [invoice for each in asked.purchases for invoice in self._add_purchase(each)]
        return {"invoices": [self._invoice_state(each) for each in made]}

    def _add_purchase(self, asked: NewPurchase) -> list[Invoice]:
        made = self._purchases.buy([self._wanted(line) for line in asked.lines], placed_at=asked.placed_at)
        for step in asked.steps:
            for invoice in made:
                self._step_of(invoice.invoice_id, step)
        return made

    def _wanted(self, asked: NewLine) -> Wanted:
        variant: Variant = self._site.find(asked.variant)
        seller_id = record_of(variant, asked.seller_id).seller_id
        return Wanted(variant, seller_id, asked.quantity, asked.delivery_type)

    def _step(self, path: Mapping[str, str], asked: Step) -> Any:
        invoice = self._invoice(path)
        if asked.line_id is None:
            self._step_of(invoice.invoice_id, path["step"])
        elif path["step"] in LINE_STEPS:
            self._purchases.step_of_line(invoice.invoice_id, asked.line_id, path["step"])
        else:
            raise not_found(f"a step of a line called {path['step']}")
        return self._invoice_state(invoice)

    def _step_of(self, invoice_id: int, step: str) -> None:
        if step not in STEPS:
            raise not_found(f"a step called {step}")
        self._purchases.step(invoice_id, step)

    def _invoice(self, path: Mapping[str, str]) -> Invoice:
        return self._purchases.invoice(_number(path, "id"))

    # Webhooks.

    def _add_webhook(self, asked: NewWebhook) -> Any:
        made = self._webhooks.register(**asked.model_dump())
        return self._webhook_state(made.webhook_id)

    def _change_webhook(self, path: Mapping[str, str], asked: Change) -> Any:
        found = self._webhooks.all.get(_number(path, "id"))
        if found is None:
            raise not_found("the webhook")
        found.enabled = asked.enabled
        if asked.headers is not None:
            found.headers = asked.headers
        return self._webhook_state(found.webhook_id)

    # Trouble and time.


def _number(path: Mapping[str, str], name: str) -> int:
    """A number of the path. Raises `ApiError`."""
    if not path[name].isdecimal():
        raise not_found(path[name])
    return int(path[name])
