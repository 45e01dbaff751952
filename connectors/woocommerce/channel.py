"""One WooCommerce shop as a channel: polling in windows of the modification date, single orders, `doctor`'s checks."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from msgspec import Struct

from connectors.budget import Priority
from connectors.contract import Check, Gone, Notice, Order, OrderPage, OrderRef, Receipt, Subscription, UnreadableOrder
from connectors.errors import Rejected, Unreadable, concerning
from connectors.http import Toolbox
from connectors.woocommerce.checks import checks
from connectors.woocommerce.client import Client
from connectors.woocommerce.hooks import WooCommerceHooks
from connectors.woocommerce.orders import Rules, moment_of, order_id_in, shaped
from connectors.woocommerce.scan import SECOND, Scan
from connectors.woocommerce.settings import WooCommerceSettings
from connectors.woocommerce.shapes import OrderRow, RevisionRow
from connectors.woocommerce.subscriptions import Subscriptions
from connectors.woocommerce.whole import WholeOrders

SETTLING = timedelta(seconds=3)
"""How far we stay behind the vendor's clock, so that no second is read before it is over."""
RECENT_PAGE = 100
RECENT_FIELDS = "id,date_modified_gmt"
LONGEST_SHOWN = 64
"""Of a text in what is kept of an unreadable order."""


class Cursor(Struct, frozen=True, omit_defaults=True):
    """Where polling stands: from when on, and within a window that is being read, where that ends."""

    since: datetime
    until: datetime | None = None


class WooCommerceChannel:
    """Implements `Channel` and `Hooks`. Opening calls nobody; `close` it when done.

    Every read may be repeated, and is retried inside. Few calls run at once, shared by everybody with the same site.
    """

    refusal_status = WooCommerceHooks.refusal_status

    def __init__(self, name: str, settings: WooCommerceSettings, toolbox: Toolbox) -> None:
        self._name = name
        self._settings = settings
        self._client = Client(settings, toolbox, account=name)
        self._http = self._client.http
        rules = Rules.of(settings)
        self._scan = Scan(self._client)
        self._whole = WholeOrders(self._client, toolbox.clock, rules)
        self._hooks = WooCommerceHooks(settings, account=name)
        self._subscriptions = Subscriptions(self._client, settings, account=name)

    @property
    def calls(self) -> int:
        """HTTP requests sent so far."""
        return self._http.calls

    # Channel ----------------------------------------------------------------------------------------------------

    def orders(self, cursor: str) -> OrderPage:
        """See `Channel.orders`. A window [since, until) is read piece by piece; the next one starts where it ended.

        An order that changes while the window is read leaves it at the far end, and the next window has it.
        """
        with concerning(self._name):
            place = self._place(cursor)
            until = place.until
            if until is None:
                self._learn_vendor_clock()
                until = _second(self._http.vendor_now - SETTLING)
                if until <= place.since:
                    return OrderPage((), cursor, more=False)
            piece = self._scan.piece(
                place.since, until, self._whole.fields, self._settings.page_size, priority=Priority.READ
            )
            orders, unreadable = self._whole_ones(piece.rows, piece.asked_at)
            more = piece.until < until
            onward = Cursor(piece.until, until if more else None)
            return OrderPage(orders, _text(onward), more=more, unreadable=unreadable)

    def cursor_at(self, moment: datetime) -> str:
        """See `Channel.cursor_at`."""
        return _text(Cursor(_second(moment)))

    def recent(self, since: datetime) -> Iterator[Sequence[OrderRef | UnreadableOrder]]:
        """See `Channel.recent`. Pages of 100; the seconds that are not over yet come last and by themselves.

        Until then an order that is touched between being found and being shown must not pass for the place reached.
        """
        with concerning(self._name):
            self._learn_vendor_clock()
            at, now = _second(since), _second(self._http.vendor_now)
        for until in (now - SETTLING, now + 2 * SECOND):
            while at < until:
                with concerning(self._name):
                    piece = self._scan.piece(at, until, RECENT_FIELDS, RECENT_PAGE, priority=Priority.SWEEP)
                at = piece.until
                yield tuple(_ref(row) for row in piece.rows)

    def order(self, order_id: str) -> Order | Gone:
        """See `Channel.order`. An order in the trash is no deleted one: it counts as its account and status say."""
        with concerning(self._name):
            return self._whole.read(order_id)

    def check(self) -> Sequence[Check]:
        """See `Channel.check`."""
        return checks(self._settings, self._client, self._scan, self._subscriptions)

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
        self._client.close()

    # ------------------------------------------------------------------------------------------------------------

    def _whole_ones(
        self, rows: Sequence[Any], asked_at: datetime
    ) -> tuple[tuple[Order, ...], tuple[UnreadableOrder, ...]]:
        orders: list[Order] = []
        unreadable: list[UnreadableOrder] = []
        for row in rows:
            try:
                listed = shaped(row, OrderRow, "an order of a page", order_id=order_id_in(row))
                order = self._whole.completed(listed, asked_at) or self._whole.read(str(listed.id))
                # One that was deleted since is left out; who books orders learns of it as of any other deletion.
                if isinstance(order, Order):
                    orders.append(order)
            except Unreadable as error:
                unreadable.append(UnreadableOrder(error.order_id or order_id_in(row), error.message, _raw(row)))
        return tuple(orders), tuple(unreadable)

    def _learn_vendor_clock(self) -> None:
        # Before the first answer we know our own clock only. If it ran ahead, a window could end in a second that is
        # not over, and what still changes in that second would never be read.
        if self._http.clock_skew_seconds is None:
            self._client.get("orders", {"per_page": 1, "_fields": "id"})

    def _place(self, cursor: str) -> Cursor:
        try:
            place = msgspec.json.decode(cursor, type=Cursor)
            return Cursor(_second(place.since), place.until and _second(place.until))
        except (ValueError, OverflowError, RecursionError) as error:
            message = "the stored cursor is not one of this connector; set the time to poll from anew"
            raise Rejected(message, code="cursor") from error


def _ref(row: Any) -> OrderRef | UnreadableOrder:
    order_id = order_id_in(row)
    try:
        found = shaped(row, RevisionRow, "an order's revision", order_id=order_id)
        modified_at = moment_of(found.date_modified_gmt, "date_modified_gmt")
    except (Unreadable, ValueError) as error:
        reason = error.message if isinstance(error, Unreadable) else str(error)
        return UnreadableOrder(order_id, reason, _raw(row))
    return OrderRef(str(found.id), int(modified_at.timestamp()))


def _raw(row: Any) -> bytes:
    """A row as a person may want to see it: of what it holds only what stock needs, whatever else came along."""
    if not isinstance(row, dict):
        return b"null"
    shown = {name: _shown(row.get(name)) for name in ("id", "status", "date_created_gmt", "date_modified_gmt")}
    lines = row.get("line_items")
    shown["line_items"] = [
        {name: _shown(line.get(name)) for name in ("id", "product_id", "variation_id", "quantity", "sku")}
        for line in (lines if isinstance(lines, list) else ())
        if isinstance(line, dict)
    ]
    return json.dumps(shown).encode()


def _shown(value: Any) -> Any:
    return value if isinstance(value, int | float) or (isinstance(value, str) and len(value) <= LONGEST_SHOWN) else None


def _second(moment: datetime) -> datetime:
    """The start of a moment's second, in UTC. Raises ValueError for a moment without a time zone."""
    if moment.tzinfo is None:
        raise ValueError("a moment without a time zone")
    return moment.astimezone(UTC).replace(microsecond=0)


def _text(cursor: Cursor) -> str:
    return msgspec.json.encode(cursor).decode()
