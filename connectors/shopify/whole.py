"""Reading one order whole: all its lines and all its refunds' lines, from one and the same revision."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any, TypeVar

from connectors.clock import Clock
from connectors.contract import Gone, Order
from connectors.errors import Rejected, Unavailable, Unreadable
from connectors.http import Http
from connectors.shopify import documents
from connectors.shopify.documents import Document
from connectors.shopify.graphql import GraphQL
from connectors.shopify.orders import Rules, from_node, order_gid, shaped
from connectors.shopify.shapes import (
    LineNode,
    MoreLines,
    MoreRefundLines,
    PageInfo,
    RefundIds,
    RefundLineNode,
    RefundLinePage,
    SingleOrder,
)

SETTLING_SECONDS = 3
"""How far we stay behind the vendor's clock, so that no second is read before it is over on all its machines."""
MAX_LINES = 100_000
"""Of one order, or of its refunds: an answer that always leads on is not followed for ever."""
MAX_READS = 3
"""How often an order is read that keeps changing meanwhile."""

T = TypeVar("T")


class _MovedError(Exception):
    """The order changed while its pages were read."""


class WholeOrders:
    """Reads orders by id. Safe for use from several threads."""

    def __init__(self, http: Http, graphql: GraphQL, clock: Clock, rules: Rules) -> None:
        self._http = http
        self._graphql = graphql
        self._clock = clock
        self._rules = rules

    def read(self, order_id: str) -> Order | Gone:
        """The order as it is now; `Gone` where the shop shows none.

        One call for nearly every order. Longer ones take several, and count as read only when every page came from the
        same `updatedAt`; else they are read again. Raises `Unavailable` when the order never stands still,
        `Unreadable`, and what a read raises.
        """
        try:
            gid = order_gid(order_id)
        except ValueError as error:
            raise Rejected(f"{order_id[:40]!r} is no order id of this shop: it {error}") from error
        for _ in range(MAX_READS):
            answer = self._graphql.ask(documents.ORDER, {"id": gid})
            fetched_at = answer.asked_at
            if "order" not in answer.data:
                raise Unreadable(f"asked for order {order_id}, the shop says neither what it is nor that it is none")
            node = answer.data["order"]
            if node is None:
                return Gone(order_id, fetched_at)
            head = shaped(node, SingleOrder, f"order {order_id}", order_id=order_id)
            if _in_one_piece(head):
                refund_lines = [line for refund in head.refunds for line in refund.refund_line_items.nodes]
                return from_node(head, head.line_items.nodes, refund_lines, self._rules, fetched_at=fetched_at)
            # An order that changed within the second we began in may change again in it, under the same `updatedAt`.
            asked_at = fetched_at + timedelta(seconds=self._http.clock_skew_seconds or 0.0)
            open_seconds = (head.updated_at - asked_at).total_seconds() + 1
            if 0 < open_seconds <= SETTLING_SECONDS:
                self._clock.sleep(open_seconds)
                continue
            pages = _Pages(self._graphql, order_id, gid, head.updated_at)
            try:
                lines, refund_lines = pages.lines(head), pages.refund_lines(head)
            except _MovedError:
                continue
            return from_node(head, lines, refund_lines, self._rules, fetched_at=fetched_at)
        message = f"order {order_id} changed {MAX_READS} times while it was being read; it will be read again later"
        raise Unavailable(message)


def next_page(page: PageInfo, after: str | None) -> str | None:
    """Where the page after this one begins; None at the end.

    Raises `Unreadable` for a page that says there is more but not where, or that leads to itself: it would be read for
    ever.
    """
    if not page.has_next_page:
        return None
    if not page.end_cursor or page.end_cursor == after:
        raise Unreadable("a page of the shop's answer says that there is more, but does not lead on")
    return page.end_cursor


def _in_one_piece(order: SingleOrder) -> bool:
    return (
        not order.line_items.page_info.has_next_page
        # A plain list without pages: full means that there may be more.
        and len(order.refunds) < documents.SINGLE_REFUNDS
        and not any(refund.refund_line_items.page_info.has_next_page for refund in order.refunds)
    )


class _Pages:
    """What follows the first page of one revision of one order. Every method raises `_MovedError` at another one."""

    def __init__(self, graphql: GraphQL, order_id: str, gid: str, updated_at: datetime) -> None:
        self._graphql = graphql
        self._order_id = order_id
        self._gid = gid
        self._updated_at = updated_at

    def lines(self, head: SingleOrder) -> list[LineNode]:
        page, after, pages = head.line_items, None, 1
        lines = list(page.nodes)
        while after := next_page(page.page_info, after):
            more = self._ask(documents.ORDER_LINES, "order", MoreLines, id=self._gid, after=after)
            self._same(more.updated_at)
            page, pages = more.line_items, pages + 1
            # By pages: an answer without lines leads on for ever too.
            self._bounded(pages * documents.MAX_PAGE)
            lines.extend(page.nodes)
        return lines

    def refund_lines(self, head: SingleOrder) -> list[RefundLineNode]:
        first_pages = {refund.id: refund.refund_line_items for refund in head.refunds}
        return [
            line
            for refund_id in self._refund_ids(head)
            for page in self._refund_pages(refund_id, first_pages.get(refund_id))
            for line in page.nodes
        ]

    def _refund_ids(self, head: SingleOrder) -> list[str]:
        if len(head.refunds) < documents.SINGLE_REFUNDS:
            return [refund.id for refund in head.refunds]
        listed = self._ask(documents.REFUND_IDS, "order", RefundIds, id=self._gid)
        self._same(listed.updated_at)
        if len(listed.refunds) >= documents.MAX_PAGE:
            message = f"order {self._order_id} has more refunds than the shop lists ({documents.MAX_PAGE})"
            raise Unreadable(message, order_id=self._order_id)
        return [refund.id for refund in listed.refunds]

    def _refund_pages(self, refund_id: str, first: RefundLinePage | None) -> Iterator[RefundLinePage]:
        page = first or self._refund_page(refund_id, None)
        yield page
        after, pages = None, 1
        while after := next_page(page.page_info, after):
            page, pages = self._refund_page(refund_id, after), pages + 1
            self._bounded(pages * documents.MAX_PAGE)
            yield page

    def _refund_page(self, refund_id: str, after: str | None) -> RefundLinePage:
        more = self._ask(documents.REFUND_LINES, "refund", MoreRefundLines, id=refund_id, after=after)
        self._same(more.order.updated_at)
        return more.refund_line_items

    def _ask(self, document: Document, field: str, shape: type[T], **variables: Any) -> T:
        node = self._graphql.ask(document, {"first": documents.MAX_PAGE, **variables}).data.get(field)
        if node is None:
            raise _MovedError
        return shaped(node, shape, f"a further page of order {self._order_id}", order_id=self._order_id)

    def _bounded(self, lines: int) -> None:
        if lines > MAX_LINES:
            message = f"order {self._order_id} has more lines than {MAX_LINES}"
            raise Unreadable(message, order_id=self._order_id)

    def _same(self, updated_at: datetime) -> None:
        if updated_at != self._updated_at:
            raise _MovedError
