"""The control surface under `/_control`: what people do on the site, and what goes wrong with it.

JSON in and out, no authentication: it is for the machine the sandbox runs on. A refusal is `{"error"}` with the status
the person's own call would have got; a body that is not understood is a 422.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import orjson
from pydantic import TypeAdapter, ValidationError
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from connectors.sandbox.faults import Fault, FaultPlan
from connectors.sandbox.log import Origin
from connectors.sandbox.stock import NotEnoughStockError

from . import inspection
from .api import Counts
from .control_requests import (
    Advance,
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
    Nothing,
    Publish,
    Step,
)
from .entities import Advert, Invoice, Variant
from .errors import ApiError, not_found
from .options import DeliveryFaults, Switches
from .purchases import LINE_STEPS, STEPS, Purchases, Wanted, record_of
from .site import PORTAL, Site
from .webhooks import Webhooks

Asked = TypeVar("Asked")


class Control:
    """Everything the control surface can do. Each request holds the site's lock."""

    def __init__(self, site: Site, purchases: Purchases, webhooks: Webhooks, faults: FaultPlan, counts: Counts) -> None:
        self._site = site
        self._purchases = purchases
        self._webhooks = webhooks
        self._faults = faults
        self._counts = counts

    def routes(self) -> list[Route]:
        """For mounting under `/_control`."""
        return [
            self._get("/state", lambda _: self._state()),
            self._get("/variants/{name}", lambda request: self._variant_state(request.path_params["name"])),
            self._get("/invoices/{id}", lambda request: self._invoice_state(self._invoice(request.path_params))),
            self._get("/counts", lambda _: self._counted()),
            self._get("/switches", lambda _: self._site.switches.model_dump()),
            self._get("/faults", lambda _: self._faulted()),
            self._get("/clock", lambda _: self._time()),
            self._get("/quiet", lambda _: self._quiet()),
            self._post("/sellers", NewSeller, lambda _, body: self._add_seller(body)),
            self._post("/sellers/{id}/key", Key, self._replace_key),
            self._post("/adverts", NewAdverts, lambda _, body: self._add_adverts(body)),
            self._post("/adverts/{id}", Publish, self._publish),
            self._post("/variants/{name}/edit", Edit, self._edit),
            self._post("/variants/{name}/churn", Nothing, self._churn),
            self._post("/variants/{name}/delete", Nothing, self._delete_variant),
            self._post("/purchases", NewPurchases, lambda _, body: self._add_purchases(body)),
            self._post("/invoices/{id}/{step}", Step, self._step),
            self._post("/webhooks", NewWebhook, lambda _, body: self._add_webhook(body)),
            self._post("/webhooks/{id}", Change, self._change_webhook),
            self._post("/deliveries/flush", Nothing, lambda *_: self._flush()),
            self._post("/delivery_faults", DeliveryFaults, lambda _, body: self._fault_deliveries(body)),
            self._post("/faults", Fault, lambda _, body: self._arm(body)),
            self._post("/faults/clear", Nothing, lambda *_: self._disarm()),
            self._post("/switches", dict[str, Any], lambda _, body: self._turn(body)),
            self._post("/clock", Advance, lambda _, body: self._advance(body)),
        ]

    # Looking.

    def _state(self) -> Any:
        webhooks = [self._webhook_state(each) for each in self._webhooks.all]
        state = inspection.whole_state(self._site, self._purchases)
        return {**state, "webhooks": webhooks, "counts": self._counted()}

    def _variant_state(self, name: str) -> Any:
        return inspection.variant_state(self._site, self._site.find(name))

    def _invoice_state(self, invoice: Invoice) -> Any:
        return inspection.invoice_state(invoice, self._purchases)

    def _webhook_state(self, webhook_id: int) -> Any:
        found = self._webhooks.all[webhook_id]
        return {"id": webhook_id, "url": found.url, "enabled": found.enabled, "responses": found.responses}

    def _counted(self) -> Any:
        return {
            **self._counts.summary(),
            "faults": self._faulted()["struck"],
            "deliveries": self._webhooks.counts,
            "last_sequence": self._site.log.last_sequence,
        }

    def _faulted(self) -> Any:
        struck: dict[str, dict[str, int]] = {}
        for (operation, kind), times in self._faults.struck.items():
            struck.setdefault(operation, {})[kind.value] = times
        return {"armed": [fault.model_dump() for fault in self._faults.armed], "struck": struck}

    def _time(self) -> Any:
        return {"now": self._site.clock.now()}

    def _quiet(self) -> Any:
        pending = self._webhooks.pending
        return {**pending, "quiet": not any(pending.values())}

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

    def _flush(self) -> Any:
        self._webhooks.flush()
        return self._quiet()

    def _fault_deliveries(self, asked: DeliveryFaults) -> Any:
        self._webhooks.faults = asked
        return asked.model_dump()

    # Trouble and time.

    def _arm(self, fault: Fault) -> Any:
        self._faults.arm(fault)
        return self._faulted()

    def _disarm(self) -> Any:
        self._faults.disarm()
        return self._faulted()

    def _turn(self, changes: dict[str, Any]) -> Any:
        turned = Switches.model_validate({**self._site.switches.model_dump(), **changes})
        self._site.switches = turned
        return turned.model_dump()

    def _advance(self, asked: Advance) -> Any:
        self._site.clock.advance(asked.seconds)
        return self._time()

    # Plumbing.

    def _get(self, path: str, look: Callable[[Request], Any]) -> Route:
        async def endpoint(request: Request) -> Response:
            return self._guarded(lambda: look(request))

        return Route(path, endpoint, methods=["GET"])

    def _post(self, path: str, model: type[Asked], act: Callable[[Mapping[str, str], Asked], Any]) -> Route:
        adapter = TypeAdapter(model)

        async def endpoint(request: Request) -> Response:
            body = await request.body() or b"{}"
            return self._guarded(lambda: act(request.path_params, adapter.validate_json(body)))

        return Route(path, endpoint, methods=["POST"])

    def _guarded(self, work: Callable[[], Any]) -> Response:
        try:
            with self._site.lock:
                answer, status = work(), 200
        except ApiError as error:
            answer, status = {"error": str(error)}, error.status
        except ValidationError as error:
            details = error.errors(include_url=False, include_context=False, include_input=False)
            answer, status = {"error": "The body is not understood.", "details": details}, 422
        return Response(orjson.dumps(answer, option=orjson.OPT_UTC_Z), status, media_type="application/json")


def _number(path: Mapping[str, str], name: str) -> int:
    """A number of the path. Raises `ApiError`."""
    if not path[name].isdecimal():
        raise not_found(path[name])
    return int(path[name])
