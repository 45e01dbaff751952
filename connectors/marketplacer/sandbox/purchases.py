"""Purchases: what buyers and sellers do, which invoices come of it, and what that does to stock."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from connectors.sandbox.log import Origin
from connectors.sandbox.stock import NotEnoughStockError

from .entities import UNPAID, Invoice, LineItem, Record, Variant
from .errors import ApiError, not_found, unprocessable
from .site import CHECKOUT, Site

STEPS = ("pay", "expire", "send", "part_send", "ready", "collect", "refund", "touch")
LINE_STEPS = ("refund", "cancel")


@dataclass(frozen=True, slots=True)
class Wanted:
    """One line of a purchase."""

    variant: Variant
    seller_id: int
    quantity: int
    delivery_type: str


class Purchases:
    """All invoices of one site. Callers hold the site's lock."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self.invoices: dict[int, Invoice] = {}

    def buy(self, lines: Sequence[Wanted], *, placed_at: datetime | None = None) -> list[Invoice]:
        """One purchase, not paid yet: an invoice for each seller and way of delivery. Raises `ApiError`."""
        now = self._site.log.moment()
        purchase_id = next(self._site.numbers)
        parts: dict[tuple[int, str], list[LineItem]] = {}
        try:
            for wanted in lines:
                part = parts.setdefault((wanted.seller_id, wanted.delivery_type), [])
                part.append(self._line(wanted, purchase_id))
        except ApiError:
            for part in parts.values():
                for line in part:
                    self._let_go(line)
            raise
        made = [
            Invoice(next(self._site.numbers), purchase_id, seller_id, delivery, placed_at or now, now, part)
            for (seller_id, delivery), part in parts.items()
        ]
        self.invoices |= {invoice.invoice_id: invoice for invoice in made}
        return made

    def invoice(self, invoice_id: int) -> Invoice:
        """Raises `ApiError`."""
        found = self.invoices.get(invoice_id)
        if found is None:
            raise not_found(f"invoice {invoice_id}")
        return found

    def step(self, invoice_id: int, name: str) -> Invoice:
        """One of `STEPS`. Raises `ApiError`."""
        invoice = self.invoice(invoice_id)
        steps: dict[str, Callable[[Invoice], None]] = {
            "pay": self._pay,
            "expire": self._expire,
            "send": lambda each: self._move(each, "sent", {"paid", "partially_sent"}, "buy_online"),
            "part_send": lambda each: self._move(each, "partially_sent", {"paid"}, "buy_online"),
            "ready": lambda each: self._move(each, "ready", {"paid"}, "click_and_collect"),
            "collect": lambda each: self._move(each, "collected", {"ready"}, "click_and_collect"),
            "refund": self._refund,
            "touch": self._touched,
        }
        steps[name](invoice)
        return invoice

    def step_of_line(self, invoice_id: int, line_id: int, name: str) -> Invoice:
        """One of `LINE_STEPS`. Raises `ApiError`."""
        invoice = self.invoice(invoice_id)
        line = next((each for each in invoice.lines if each.line_id == line_id), None)
        if line is None or invoice.status == UNPAID:
            raise not_found(f"line item {line_id}")
        line.status = {"refund": "refunded", "cancel": "cancelled"}[name]
        self._given_back(line)
        self._touched(invoice)
        return invoice

    def committed(self, invoice: Invoice) -> dict[int, int]:
        """The truth for proofs: units by line item that are gone for the seller."""
        back = {"cancelled"} | ({"refunded"} if self._site.switches.refund_restocks else set())
        return {
            line.line_id: 0 if invoice.status == UNPAID or line.status in back else line.quantity
            for line in invoice.lines
        }

    # ------------------------------------------------------------------------------------------------------------

    def _line(self, wanted: Wanted, purchase_id: int) -> LineItem:
        record = wanted.variant.records.get(wanted.seller_id)
        if record is None:
            raise not_found(f"an offer of seller {wanted.seller_id}")
        line = LineItem(next(self._site.numbers), wanted.variant, record, wanted.quantity)
        if not record.infinite and self._site.switches.stock_falls != "never":
            proposed = self._site.switches.stock_falls == "payment"
            self._hold(line, purchase_id, proposed=proposed)
        return line

    def _hold(self, line: LineItem, purchase_id: int, *, proposed: bool) -> None:
        try:
            line.reservation = self._site.stock.reserve(
                line.record.stock_key,
                line.quantity,
                transaction_id=str(purchase_id),
                proposed=proposed,
                origin=Origin(CHECKOUT),
            )
        except NotEnoughStockError as error:
            raise ApiError(409, "Conflict", str(error)) from error

    def _let_go(self, line: LineItem) -> None:
        if line.reservation is not None and not line.record.deleted:
            self._site.stock.decline(line.reservation, Origin(CHECKOUT))
        line.reservation = None

    def _pay(self, invoice: Invoice) -> None:
        if invoice.status != UNPAID:
            raise unprocessable(f"the invoice is {invoice.status}")
        try:
            for line in invoice.lines:
                if line.reservation is not None and not line.record.deleted:
                    self._site.stock.accept(line.reservation, Origin(CHECKOUT))
        except NotEnoughStockError as error:
            raise ApiError(409, "Conflict", str(error)) from error
        invoice.status, invoice.paid_at = "paid", self._site.log.moment()
        if self._site.switches.payment_updates:
            invoice.updated_at = invoice.paid_at
        self._site.announce("INVOICE", "create", invoice.invoice_id)

    def _expire(self, invoice: Invoice) -> None:
        if invoice.status != UNPAID:
            raise unprocessable(f"the invoice is {invoice.status}")
        for line in invoice.lines:
            self._let_go(line)
        del self.invoices[invoice.invoice_id]

    def _move(self, invoice: Invoice, status: str, before: set[str], delivery_type: str) -> None:
        if invoice.status not in before or invoice.delivery_type != delivery_type:
            raise unprocessable(
                f"an invoice of {invoice.delivery_type} that is {invoice.status} cannot become {status}"
            )
        invoice.status = status
        self._touched(invoice)

    def _refund(self, invoice: Invoice) -> None:
        if invoice.status in {UNPAID, "refunded"}:
            raise unprocessable(f"the invoice is {invoice.status}")
        invoice.status = "refunded"
        for line in invoice.lines:
            if line.status == "allocated":
                line.status = "refunded"
                self._given_back(line)
        self._touched(invoice)

    def _given_back(self, line: LineItem) -> None:
        if self._site.switches.refund_restocks and line.reservation is not None and not line.record.deleted:
            self._site.stock.cancel(line.reservation, Origin(CHECKOUT))
            line.reservation = None

    def _touched(self, invoice: Invoice) -> None:
        invoice.updated_at = self._site.log.moment()
        self._site.announce("INVOICE", "update", invoice.invoice_id)


def record_of(variant: Variant, seller_id: int | None) -> Record:
    """A seller's, or of a single-seller variant the one there is. Raises `ApiError`."""
    found = next(iter(variant.records.values()), None) if seller_id is None else variant.records.get(seller_id)
    if found is None:
        raise not_found(f"an inventory of seller {seller_id}")
    return found
