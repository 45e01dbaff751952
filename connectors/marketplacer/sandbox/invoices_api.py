"""`/invoices`: only what is paid is ever shown."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

from .call import Call, Endpoint, Reply, paged
from .entities import UNPAID, Invoice, LineItem
from .errors import ApiError, not_found, unprocessable

STATUSES = ("paid", "sent", "partially_sent", "ready", "collected", "refunded")
STEPS = {"sent": "send", "ready": "ready", "collected": "collect"}


def list_invoices(call: Call) -> Reply:
    """`GET /invoices`"""
    status = call.query.get("status")
    if status is not None and status not in STATUSES:
        raise unprocessable("status is none that is known")
    found = [
        each
        for each in call.purchases.invoices.values()
        if _shown(call, each)
        and each.updated_at <= call.lists_show
        and status in {None, each.status}
        and _within(call, each.paid_at, "since", "until")
        and _within(call, each.updated_at, "updated_since", "updated_before")
    ]
    page, links = paged(call, found, lambda each: each.updated_at)
    shown = call.site.switches.line_items if "line_items" in call.query.get("include", "").split(",") else "left_out"
    body: dict[str, Any] = {"data": [_invoice(call, each, items=shown) for each in page], "links": links}
    if shown == "included":
        body["included"] = [_line_item(call, line) for each in page for line in each.lines]
    return Reply(200, body)


def show_invoice(call: Call) -> Reply:
    """`GET /invoices/{invoice_id}`: with its line items, unasked."""
    return _one(call, _invoice_of(call))


def step_invoice(call: Call) -> Reply:
    """`PUT /invoices/{invoice_id}/sent`, `/ready`, `/collected`"""
    step = call.route.rpartition("/")[2]
    return _one(call, call.purchases.step(_invoice_of(call).invoice_id, STEPS[step]))


def _one(call: Call, invoice: Invoice) -> Reply:
    included = [_line_item(call, line) for line in invoice.lines]
    links = {"self": f"{call.base}/api/v2/client/invoices/{invoice.invoice_id}"}
    return Reply(200, {"links": links, "data": _invoice(call, invoice, items="included"), "included": included})


def _invoice_of(call: Call) -> Invoice:
    found = call.purchases.invoices.get(call.number("invoice_id"))
    if found is None or not _shown(call, found):
        raise not_found("the invoice")
    return found


def _shown(call: Call, invoice: Invoice) -> bool:
    if invoice.status == UNPAID:
        return False
    if invoice.seller_id == call.seller.seller_id:
        return True
    return call.site.is_parent(call.seller) and call.site.switches.parent_sees_invoices


def _within(call: Call, at: datetime | None, first: str, last: str) -> bool:
    switches = call.site.switches
    if at is None:
        return False
    if first in call.query:
        begin = _moment(call.query[first])
        if at < begin or (at == begin and not switches.from_inclusive):
            return False
    if last in call.query:
        end = _moment(call.query[last])
        return at < end or (at == end and switches.until_inclusive)
    return True


def _moment(text: str) -> datetime:
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise unprocessable("a time is not in ISO 8601") from error
    if found.tzinfo is None:
        raise ApiError(422, "Unprocessable Entity", "a time has no zone")
    return found


def _invoice(call: Call, invoice: Invoice, *, items: str) -> dict[str, Any]:
    def ref(line: LineItem) -> dict[str, Any]:
        return {"type": "line_items", "id": call.known(line.line_id)}

    within = items == "within"
    listed = [_line_item(call, line) if within else ref(line) for line in invoice.lines]
    total = str(100 * sum(line.quantity for line in invoice.lines))
    return {
        "id": call.known(invoice.invoice_id),
        "type": "invoices",
        "attributes": {
            "status": invoice.status,
            "paid_at": _stamp(call, invoice.paid_at),
            "created_at": _stamp(call, invoice.created_at),
            "delivery_type": invoice.delivery_type,
            "postage": "10.0",
            "subtotal": total,
            "discount": "0",
            "total": total,
            "tax_total": "0.0",
            "message_to_seller": "Please ring twice",
            "seller_id": call.known(invoice.seller_id),
        },
        "relationships": {
            "line_items": {"data": listed},
            "shipments": {"data": []},
            "customer": {"data": {"type": "customers", "id": "customer"}},
            "billing_customer": {"data": {"type": "customers", "id": "billing_customer"}},
        },
    }


def _line_item(call: Call, line: LineItem) -> dict[str, Any]:
    return {
        "id": call.known(line.line_id),
        "type": "line_items",
        "attributes": {
            "quantity": line.quantity,
            "status": line.status,
            "price": "100.0",
            "subtotal": "100.",
            "total": f"{100.0 * line.quantity}",
            "tax_total": "0.0",
            "original_tax_rate": None,
            "advert_name": line.variant.advert.title,
            "advert_external_id": line.variant.advert.external_id,
            "variant_name": "Navy / M",
            "variant_sku": line.variant.sku,
            "variant_barcode": line.variant.barcode,
            "variant_external_id": line.variant.external_id,
            "taxon_name": "Mugs",
            "brand_name": "Acme",
        },
    }


def _stamp(call: Call, moment: datetime | None) -> str | None:
    """With the site's own offset; with milliseconds only where there are some, as the examples are."""
    if moment is None:
        return None
    local = moment.astimezone(timezone(timedelta(minutes=call.site.options.utc_offset_minutes)))
    return local.isoformat(timespec="milliseconds" if local.microsecond else "seconds")


ENDPOINTS: dict[tuple[str, str], tuple[str, Endpoint]] = {
    ("GET", "/invoices"): ("invoices/list", list_invoices),
    ("GET", "/invoices/{invoice_id}"): ("invoices/show", show_invoice),
    **{("PUT", f"/invoices/{{invoice_id}}/{status}"): (f"invoices/{status}", step_invoice) for status in STEPS},
}
