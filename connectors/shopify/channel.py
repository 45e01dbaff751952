"""One Shopify shop as a channel: polling in windows of `updated_at`, single orders, and what `doctor` tries."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from msgspec import Struct

from connectors.budget import Priority
from connectors.contract import (
    Check,
    Gone,
    Notice,
    Order,
    OrderPage,
    OrderRef,
    Receipt,
    Subscription,
    UnreadableOrder,
)
from connectors.errors import Rejected, Unreadable, concerning
from connectors.http import Http, Toolbox
from connectors.shopify import documents
from connectors.shopify.access import Access
from connectors.shopify.auth import auth
from connectors.shopify.checks import checks
from connectors.shopify.documents import PageShape
from connectors.shopify.graphql import Answer, GraphQL
from connectors.shopify.hooks import ShopifyHooks
from connectors.shopify.orders import Rules, from_node, order_id_in, revision_of, shaped
from connectors.shopify.settings import ShopifySettings
from connectors.shopify.shapes import ListedOrder, OrderConnection, Revision
from connectors.shopify.subscriptions import Subscriptions
from connectors.shopify.whole import SETTLING_SECONDS, WholeOrders, next_page


class Cursor(Struct, frozen=True, omit_defaults=True):
    """Where polling stands: where the next window starts; within a window, also where that ends and the page in it."""

    since: datetime
    until: datetime | None = None
    after: str | None = None


class ShopifyChannel:
    """Implements `Channel` and `Hooks`. Opening calls nobody; `close` it when done.

    Every read may be repeated, and is retried inside. One query bucket is shared, through the budgets, by everybody
    with the same app and shop.
    """

    refusal_status = ShopifyHooks.refusal_status

    def __init__(self, name: str, settings: ShopifySettings, toolbox: Toolbox) -> None:
        self._name = name
        self._settings = settings
        self._rules = Rules.of(settings)
        self._http = Http(
            toolbox, account=name, base_url=settings.address, auth=auth(settings, toolbox.clock, account=name)
        )
        self._graphql = GraphQL(
            self._http,
            toolbox,
            account=name,
            # A token belongs to one app; the client id, where there is one, names the app itself.
            limit_key=f"shopify:{settings.shop}:{settings.client_id or name}",
            api_version=settings.api_version,
        )
        self._access = Access(self._graphql)
        self._whole = WholeOrders(self._http, self._graphql, toolbox.clock, self._rules)
        self._hooks = ShopifyHooks(settings, account=name)
        self._subscriptions = Subscriptions(self._graphql, settings.include_topics)
        self._most_orders = settings.page_size
        self._shape = PageShape.of(settings.page_size)

    @property
    def calls(self) -> int:
        """HTTP requests sent so far."""
        return self._http.calls

    # Channel ----------------------------------------------------------------------------------------------------

    def orders(self, cursor: str) -> OrderPage:
        """See `Channel.orders`. A window [since, until) is read page by page; the next one starts where it ended.

        The end is exclusive, so that it makes no difference whether the vendor keeps fractions of the seconds it shows.
        An order that changes while the window is read leaves it at the far end; the vendor's pages go by keys, so the
        others keep their places, and the next window has the changed one.
        """
        with concerning(self._name):
            place = self._place(cursor)
            if place.until is None:
                self._learn_vendor_clock()
                until = _second(self._http.vendor_now - timedelta(seconds=SETTLING_SECONDS))
                if until <= place.since:
                    return OrderPage((), cursor, more=False)
                place = Cursor(place.since, until)
            return self._page(place)

    def cursor_at(self, moment: datetime) -> str:
        """See `Channel.cursor_at`."""
        return _text(Cursor(_second(moment)))

    def recent(self, since: datetime) -> Iterator[Sequence[OrderRef | UnreadableOrder]]:
        """See `Channel.recent`. Pages of 250."""
        search, after = f"updated_at:>='{_stamp(_second(since))}'", None
        while True:
            with concerning(self._name):
                variables = {"query": search, "first": documents.MAX_PAGE, "after": after}
                page = _page_of(self._graphql.ask(documents.RECENT, variables, priority=Priority.SWEEP))
                refs = tuple(_ref(node) for node in page.nodes)
                after = next_page(page.page_info, after)
            yield refs
            if after is None:
                return

    def order(self, order_id: str) -> Order | Gone:
        """See `Channel.order`.

        Raises `Rejected` where the shop shows no such order but would not show an old one either: without the scope
        `read_all_orders` it hides orders of more than 60 days, and an old sale must not pass for a deleted one.
        """
        with concerning(self._name):
            order = self._whole.read(order_id)
            if isinstance(order, Order) or self._access.sees_all_orders():
                return order
            message = (
                f"the shop shows no order {order_id}: it was deleted, or is older than 60 days, which the app may not "
                "see; have the vendor grant the scope read_all_orders"
            )
            raise Rejected(message, code="read_all_orders")

    def check(self) -> Sequence[Check]:
        """See `Channel.check`."""
        return checks(self._settings, self._graphql, self._http, self._access, self._subscriptions)

    # Hooks ------------------------------------------------------------------------------------------------------

    def receive(self, headers: Mapping[str, str], body: bytes) -> Receipt:
        """See `Hooks.receive`."""
        return self._hooks.receive(headers, body)

    def read(self, topic: str, kept: bytes) -> Sequence[Notice]:
        """See `Hooks.read`."""
        return self._hooks.read(topic, kept)

    def subscriptions(self, address: str) -> Sequence[Subscription]:
        """See `Hooks.subscriptions`."""
        with concerning(self._name):
            return self._subscriptions.at(address)

    def subscribe(self, address: str) -> Sequence[Subscription]:
        """See `Hooks.subscribe`."""
        with concerning(self._name):
            return self._subscriptions.register(address)

    @property
    def clock_skew_seconds(self) -> float | None:
        return self._http.clock_skew_seconds

    def close(self) -> None:
        """Close all connections. Idempotent."""
        self._http.close()

    # ------------------------------------------------------------------------------------------------------------

    def _page(self, place: Cursor) -> OrderPage:
        assert place.until is not None  # noqa: S101  # the caller has set it
        search = f"updated_at:>='{_stamp(place.since)}' updated_at:<'{_stamp(place.until)}'"
        shape, answer = self._ask_page(search, place.after)
        page = _page_of(answer)
        orders: list[Order] = []
        unreadable: list[UnreadableOrder] = []
        crowded = 0
        for node in page.nodes:
            try:
                listed = shaped(node, ListedOrder, "an order of a page", order_id=order_id_in(node))
                crowded += listed.line_items.page_info.has_next_page
                order = self._whole_of(listed, answer.asked_at)
                # One that was deleted since is left out; who books orders learns of it as of any other deletion.
                if isinstance(order, Order):
                    orders.append(order)
            except Unreadable as error:
                unreadable.append(UnreadableOrder(error.order_id or order_id_in(node), error.message, _raw(node)))
        requested_cost = None if answer.bucket is None else answer.bucket.requested
        self._shape = shape.after(len(page.nodes), crowded, requested_cost, self._most_orders)
        after = next_page(page.page_info, place.after)
        onward = Cursor(place.until) if after is None else Cursor(place.since, place.until, after)
        return OrderPage(tuple(orders), _text(onward), more=after is not None, unreadable=tuple(unreadable))

    def _whole_of(self, listed: ListedOrder, fetched_at: datetime) -> Order | Gone:
        """A listed order, read again by itself if the page does not hold all of it."""
        order_id = order_id_in(listed.id)
        if order_id is not None and (listed.refunds or listed.line_items.page_info.has_next_page):
            return self._whole.read(order_id)
        return from_node(listed, listed.line_items.nodes, (), self._rules, fetched_at=fetched_at)

    def _ask_page(self, search: str, after: str | None) -> tuple[PageShape, Answer]:
        while True:
            shape = self._shape
            variables = {"query": search, "orders": shape.orders, "lines": shape.lines, "after": after}
            try:
                return shape, self._graphql.ask(shape.document, variables)
            except Rejected as error:
                if error.code != "MAX_COST_EXCEEDED" or shape.orders == 1:
                    raise
                # Our estimate of the vendor's formula was too low; whatever it is, half the orders cost less.
                self._most_orders = shape.orders // 2
                self._shape = PageShape(self._most_orders, shape.lines)

    def _learn_vendor_clock(self) -> None:
        # Before the first answer we know our own clock only. If it ran ahead, a window could end in a second that is
        # not over, and what still changes in that second would never be read.
        if self._http.clock_skew_seconds is None:
            self._graphql.ask(documents.CLOCK)

    def _place(self, cursor: str) -> Cursor:
        try:
            place = msgspec.json.decode(cursor, type=Cursor)
            return Cursor(_second(place.since), place.until and _second(place.until), place.after)
        except (ValueError, OverflowError, RecursionError) as error:
            message = "the stored cursor is not one of this connector; set the time to poll from anew"
            raise Rejected(message, code="cursor") from error


def _page_of(answer: Answer) -> OrderConnection:
    return shaped(answer.data.get("orders"), OrderConnection, "a page of orders")


def _ref(node: Any) -> OrderRef | UnreadableOrder:
    try:
        revision = shaped(node, Revision, "an order's revision", order_id=order_id_in(node))
    except Unreadable as error:
        return UnreadableOrder(error.order_id or order_id_in(node), error.message, _raw(node))
    order_id = order_id_in(revision.id)
    if order_id is None:
        return UnreadableOrder(None, "an order's revision has an id that is not one of an order", _raw(node))
    return OrderRef(order_id, revision_of(revision.updated_at))


def _raw(node: Any) -> bytes:
    """A node as a person may want to see it. It holds only what our own documents ask for."""
    return json.dumps(node).encode()


def _second(moment: datetime) -> datetime:
    """The start of a moment's second, in UTC. Raises ValueError for a moment without a time zone."""
    if moment.tzinfo is None:
        raise ValueError("a moment without a time zone")
    return moment.astimezone(UTC).replace(microsecond=0)


def _stamp(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")


def _text(cursor: Cursor) -> str:
    return msgspec.json.encode(cursor).decode()
