"""The marketplace's own sales, as its sellers' invoices show them: what an absolute write may have overwritten."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from connectors.budget import Priority
from connectors.contract import MarketplaceSale, UnreadableOrder
from connectors.errors import NotFound, Unreadable
from connectors.marketplacer.client import Client
from connectors.marketplacer.invoices import Invoice, LineItem, invoice_id_in, invoice_of, reduced, stamp
from connectors.marketplacer.settings import Identity

OVERLAP = timedelta(seconds=5)
"""Whether a filter takes in its own second is not documented."""


class Sales:
    """The invoices of one key, as sales of listings."""

    def __init__(self, client: Client, identity: Identity, *, by_seller: bool) -> None:
        """`by_seller`: whether a listing is a variant of one seller among several."""
        self._client = client
        self._identity: Identity = identity
        self._by_seller = by_seller

    def since(self, moment: datetime) -> Iterator[Sequence[MarketplaceSale | UnreadableOrder]]:
        """See `contract.Sales`. Up to a little after now, so that nothing joins the list while it is read."""
        until = self._client.http.vendor_now + OVERLAP
        params = {"since": stamp(moment - OVERLAP), "until": stamp(until), "include": "line_items"}
        what = "reading the marketplace's own sales"
        for page in self._client.whole("invoices", params, what=what, priority=Priority.READ):
            found: list[MarketplaceSale | UnreadableOrder] = []
            for element in page.elements:
                try:
                    invoice = invoice_of(element, page.included)
                    if invoice.items is None:
                        invoice = self._read(invoice.invoice_id)
                    found += self._sales_of(invoice)
                except Unreadable as error:
                    raw = reduced(element, page.included)
                    found.append(UnreadableOrder(error.order_id or invoice_id_in(element), error.message, raw))
            yield found

    def _read(self, invoice_id: str) -> Invoice:
        try:
            answer = self._client.one("invoices", invoice_id, what=f"reading invoice {invoice_id}")
        except NotFound as error:
            raise Unreadable(error.message, order_id=invoice_id) from error
        return Invoice.whole(answer, invoice_id)

    def _sales_of(self, invoice: Invoice) -> list[MarketplaceSale]:
        return [
            MarketplaceSale(
                sale_id=f"{invoice.invoice_id}/{item.line_id}",
                listing_id=self._listing_of(invoice, item),
                quantity=item.quantity,
                placed_at=invoice.created_at,
                paid_at=invoice.paid_at,
            )
            for item in invoice.items or ()
            if item.quantity
        ]

    def _listing_of(self, invoice: Invoice, item: LineItem) -> str | None:
        key = item.known_by(self._identity)
        if key is None or not self._by_seller:
            return key
        return None if invoice.seller_id is None else f"{invoice.seller_id}/{key}"
