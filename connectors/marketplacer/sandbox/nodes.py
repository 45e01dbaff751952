"""What a webhook's query shows, and to whom."""

from __future__ import annotations

import base64
from typing import Any

from .entities import UNPAID, Invoice
from .purchases import Purchases
from .site import Site
from .webhooks import Fields

_NAMES = {"ADVERT": "Advert", "VARIANT": "Variant", "INVOICE": "Invoice"}


class Nodes:
    """What the graph shows of adverts, variants and invoices. Callers hold the site's lock."""

    def __init__(self, site: Site, purchases: Purchases) -> None:
        self._site = site
        self._purchases = purchases

    def concerns(self, type: str, number: int, seller_id: int | None) -> bool:
        """Whether it is that seller's; the operator's is everything."""
        if seller_id is None:
            return True
        if type == "INVOICE":
            found = self._purchases.invoices.get(number)
            return found is not None and found.seller_id == seller_id
        advert = self._site.adverts.get(number) if type == "ADVERT" else self._advert_of(number)
        return advert is None or advert.seller_id == seller_id

    def show(self, type: str, number: int, fields: Fields) -> dict[str, Any] | None:
        """None: there is nothing of the kind (any more)."""
        invoice = self._purchases.invoices.get(number) if type == "INVOICE" else None
        legacy_id = self._legacy_id(type, number, invoice)
        if legacy_id is None:
            return None
        node: dict[str, Any] = {"__typename": _NAMES[type]}
        if fields != "type":
            relay_id = base64.b64encode(f"{_NAMES[type]}-{legacy_id}".encode()).decode()
            node |= {"id": relay_id, "legacyId": legacy_id}
        if fields == "full" and invoice is not None:
            node["lineItems"] = [
                {"id": str(line.line_id), "quantity": line.quantity, "variantSku": line.variant.sku}
                for line in invoice.lines
            ]
            node["buyerEmailAddress"] = "ada@example.com"
        return node

    def _legacy_id(self, type: str, number: int, invoice: Invoice | None) -> int | None:
        if type == "INVOICE":
            return None if invoice is None or invoice.status == UNPAID else invoice.invoice_id
        if type == "ADVERT":
            return number if number in self._site.adverts else None
        variant = self._site.variants.get(number)
        return None if variant is None else variant.variant_id

    def _advert_of(self, serial: int) -> Any:
        variant = self._site.variants.get(serial)
        return None if variant is None else variant.advert
