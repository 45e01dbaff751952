"""The whole truth about a sandboxed site, for proofs and tests: nothing of it goes through the vendor's API."""

from __future__ import annotations

from typing import Any

from connectors.sandbox.stock import HOLDING

from .entities import Invoice, Record, Variant
from .purchases import Purchases
from .site import API, Site


def record_state(site: Site, record: Record) -> dict[str, Any]:
    """What one seller has of a variant, with everything that ever moved it, and by whom in truth."""
    stock = site.stock.stock(record.stock_key)
    return {
        "record_id": record.record_id,
        "seller_id": record.seller_id,
        "count_on_hand": stock.total,
        "own_adjustments": sum(each.quantity for each in stock.adjustments if each.origin.source == API),
        "infinite": record.infinite,
        "price": None if record.price is None else str(record.price),
        "sale_price": None if record.sale_price is None else str(record.sale_price),
        "adjustments": [
            {
                "id": each.adjustment_id,
                "at": each.at,
                "quantity": each.quantity,
                "total": each.total,
                "reservation_id": each.reservation_id,
                "source": each.origin.source,
                "own": each.origin.source == API,
            }
            for each in stock.adjustments
        ],
        "reservations": [
            {
                "id": each.reservation_id,
                "purchase_id": each.transaction_id,
                "quantity": each.quantity,
                "state": each.state,
                "holding": each.state in HOLDING,
            }
            for each in stock.reservations
        ],
    }


def variant_state(site: Site, variant: Variant) -> dict[str, Any]:
    """One variant with what everybody has of it."""
    return {
        "id": variant.variant_id,
        "former_ids": [number for _, number in variant.ids[:-1]],
        "advert_id": variant.advert.advert_id,
        "published": variant.advert.published,
        "external_id": variant.external_id,
        "sku": variant.sku,
        "barcode": variant.barcode,
        "records": [record_state(site, each) for each in variant.records.values()],
    }


def invoice_state(invoice: Invoice, purchases: Purchases) -> dict[str, Any]:
    """One invoice, with the units of each line that are gone for the seller."""
    committed = purchases.committed(invoice)
    return {
        "id": invoice.invoice_id,
        "purchase_id": invoice.purchase_id,
        "seller_id": invoice.seller_id,
        "delivery_type": invoice.delivery_type,
        "status": invoice.status,
        "created_at": invoice.created_at,
        "paid_at": invoice.paid_at,
        "updated_at": invoice.updated_at,
        "lines": [
            {
                "id": each.line_id,
                "external_id": each.variant.external_id,
                "sku": each.variant.sku,
                "quantity": each.quantity,
                "status": each.status,
                "committed": committed[each.line_id],
            }
            for each in invoice.lines
        ],
    }


def whole_state(site: Site, purchases: Purchases) -> dict[str, Any]:
    """Everything."""
    return {
        "sellers": [{"id": each.seller_id, "name": each.name, "member": each.member} for each in site.sellers.values()],
        "variants": [variant_state(site, each) for each in site.variants.values()],
        "invoices": [invoice_state(each, purchases) for each in purchases.invoices.values()],
    }
