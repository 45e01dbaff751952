"""Reading one order whole: itself, and its refunds' lines where what it commits cannot be told without them."""

from __future__ import annotations

from datetime import datetime

from connectors.clock import Clock
from connectors.contract import Gone, Order
from connectors.errors import NotFound, Rejected, Unavailable, Unreadable
from connectors.woocommerce.client import NO_SUCH_ORDER, Client
from connectors.woocommerce.orders import Rules, from_row, is_order_id, shaped
from connectors.woocommerce.shapes import OrderRow, RefundRow

MAX_READS = 3
"""How often an order is read whose refunds keep changing meanwhile."""
REFUNDS_PAGE = 100
MAX_REFUND_PAGES = 20


class WholeOrders:
    """Reads orders by id. Safe for use from several threads."""

    def __init__(self, client: Client, clock: Clock, rules: Rules) -> None:
        self._client = client
        self._clock = clock
        self._rules = rules
        # Names and addresses do not even travel, on sites that heed it.
        self.fields = "id,status,date_created_gmt,date_modified_gmt,line_items,refunds"
        self.fields += ",created_via" if rules.created_via else ""
        self.fields += ",meta_data" if rules.meta_keys else ""

    def read(self, order_id: str) -> Order | Gone:
        """The order as it is now; `Gone` where the shop says that there is none. One in the trash is still there.

        Raises `Unavailable` when its refunds never stand still, `Unreadable`, and what a read raises.
        """
        if not is_order_id(order_id):
            raise Rejected(f"{order_id[:40]!r} is no order id of this shop: it is not a number")
        for _ in range(MAX_READS):
            asked_at = self._clock.now()
            try:
                answer = self._client.get(f"orders/{order_id}", {"_fields": self.fields})
            except NotFound as error:
                # Only this is about the order; without a REST API every order would be gone.
                if error.code == NO_SUCH_ORDER:
                    return Gone(order_id, asked_at)
                raise
            row = shaped(answer.value, OrderRow, f"order {order_id}", order_id=order_id)
            if str(row.id) != order_id:
                raise Unreadable(f"asked for order {order_id}, the shop answered with another", order_id=order_id)
            order = self.completed(row, answer.asked_at)
            if order is not None:
                return order
        message = f"order {order_id} changed {MAX_READS} times while it was being read; it will be read again later"
        raise Unavailable(message)

    def completed(self, row: OrderRow, fetched_at: datetime) -> Order | None:
        """The whole order of a row; None when it changed meanwhile.

        A refund is made and deleted, never altered. So refunds that are exactly those the row names belong to the same
        state of the order as the row itself.
        """
        try:
            needed = self._rules.needs_refunds(row)
        except ValueError as error:
            message = f"order {row.id} cannot be read: {error}"
            raise Unreadable(message, code="order", order_id=str(row.id)) from error
        refunds = self._refunds(row.id) if needed else []
        if refunds is None or (needed and {refund.id for refund in refunds} != {ref.id for ref in row.refunds}):
            return None
        return from_row(row, refunds, self._rules, fetched_at=fetched_at)

    def _refunds(self, order_id: int) -> list[RefundRow] | None:
        found: list[RefundRow] = []
        for number in range(1, MAX_REFUND_PAGES + 1):
            params = {"per_page": REFUNDS_PAGE, "page": number, "_fields": "id,line_items"}
            try:
                answer = self._client.get(f"orders/{order_id}/refunds", params)
            except NotFound:
                # Deleted since, or so it seems: the order itself tells.
                return None
            what = f"the refunds of order {order_id}"
            found += shaped(answer.value, list[RefundRow], what, order_id=str(order_id))
            if len(answer.value) < REFUNDS_PAGE:
                return found
        message = f"order {order_id} has more than {MAX_REFUND_PAGES * REFUNDS_PAGE} refunds"
        raise Unreadable(message, code="order", order_id=str(order_id))
