"""One seller's account as a channel: polling in windows of the last change, single invoices, and what `doctor` tries.

A list of invoices says neither when each changed nor in which order they come. So a window of changes is closed at both
ends by our reckoning of the vendor's clock, begins a little before the last one ended, and is read again where it has
more than one page, until two readings show the same invoices.
"""

from __future__ import annotations

import hashlib
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
from connectors.errors import NotFound, Rejected, Unreadable, concerning
from connectors.http import Toolbox
from connectors.marketplacer.checks import channel_checks
from connectors.marketplacer.client import MAX_PASSES, Client
from connectors.marketplacer.hooks import MarketplacerHooks
from connectors.marketplacer.invoices import (
    Invoice,
    invoice_id_in,
    invoice_of,
    order_of,
    reduced,
    revision_of,
    stamp,
)
from connectors.marketplacer.resources import Page
from connectors.marketplacer.settings import MarketplacerChannelSettings

SETTLING = timedelta(seconds=3)
"""How far we stay behind the vendor's clock, so that no second is read before it is over."""
OVERLAP = timedelta(seconds=60)
"""How far a window reaches back behind the end of the last: for clocks, for lists that lag, for edges that are not
documented.
"""
_WITH_ITEMS = {"include": "line_items"}
_INVOICES = "reading the invoices"


class Cursor(Struct, frozen=True, omit_defaults=True):
    """Where polling stands: where the next window starts; within one, also its end and the place in it."""

    since: datetime
    until: datetime | None = None
    number: int = 1
    """Of the next page."""
    reading: int = 1
    shown: int = 0
    """The sum of what this reading has shown so far, whatever its order."""
    before: int = 0
    """The same of the whole reading before."""
    last: int = 0
    """The same of the last page alone."""


class MarketplacerChannel:
    """Implements `Channel` and `EnduringHooks`. Opening calls nobody; `close` it when done.

    Every read may be repeated, and is retried inside. Safe for use from several threads.
    """

    refusal_status = MarketplacerHooks.refusal_status

    def __init__(self, name: str, settings: MarketplacerChannelSettings, toolbox: Toolbox) -> None:
        self._name = name
        self._settings = settings
        self._clock = toolbox.clock
        self._client = Client(settings, toolbox, account=name)
        self._hooks = MarketplacerHooks(settings, account=name)

    @property
    def calls(self) -> int:
        """HTTP requests sent so far."""
        return self._client.http.calls

    @property
    def clock_skew_seconds(self) -> float | None:
        return self._client.http.clock_skew_seconds

    def close(self) -> None:
        """Close all connections. Idempotent."""
        self._client.http.close()

    # Channel ----------------------------------------------------------------------------------------------------

    def orders(self, cursor: str) -> OrderPage:
        """See `Channel.orders`. Invoices of a page's second reading come twice."""
        with concerning(self._name):
            place = self._place(cursor)
            until = place.until
            if until is None:
                self._learn_vendor_clock()
                until = _second(self._client.http.vendor_now - SETTLING)
                if until <= place.since:
                    return OrderPage((), cursor, more=False)
            asked_at = self._clock.now()
            window = {"updated_since": stamp(place.since - OVERLAP), "updated_before": stamp(until)}
            page = self._client.page("invoices", {**window, **_WITH_ITEMS}, number=place.number, what=_INVOICES)
            orders, unreadable = self._taken(page, asked_at)
            following = _onward(place, until, page)
            return OrderPage(orders, _text(following), more=following.until is not None, unreadable=unreadable)

    def cursor_at(self, moment: datetime) -> str:
        """See `Channel.cursor_at`."""
        return _text(Cursor(_second(moment)))

    def recent(self, since: datetime) -> Iterator[Sequence[OrderRef | UnreadableOrder]]:
        """See `Channel.recent`. Pages of 100: what changed since; then what was paid since, if that is no change."""
        with concerning(self._name):
            self._learn_vendor_clock()
            now = stamp(self._client.http.vendor_now + SETTLING)
        for window in (
            {"updated_since": stamp(since), "updated_before": now},
            {"since": stamp(since), "until": now},
        ):
            pages = self._client.whole("invoices", window, what=_INVOICES, priority=Priority.SWEEP)
            while True:
                with concerning(self._name):
                    page = next(pages, None)
                if page is None:
                    break
                yield tuple(_ref(element) for element in page.elements)

    def order(self, order_id: str) -> Order | Gone:
        """See `Channel.order`. One call: a single invoice shows its line items.

        An invoice that is none is gone only while the site lists the others: the vendor documents no error by which the
        API's own 404 could be told from another's.
        """
        with concerning(self._name):
            asked_at = self._clock.now()
            try:
                return order_of(self._read(order_id), self._settings, fetched_at=asked_at)
            except NotFound:
                self._client.page("invoices", what=_INVOICES)
                return Gone(order_id, asked_at)

    def check(self) -> Sequence[Check]:
        """See `Channel.check`."""
        return channel_checks(self._client, self._settings)

    # Hooks ------------------------------------------------------------------------------------------------------

    def receive(self, headers: Mapping[str, str], body: bytes) -> Receipt:
        """See `Hooks.receive`."""
        return self._hooks.receive(headers, body)

    def receive_beginning(self, headers: Mapping[str, str], beginning: bytes) -> Receipt:
        """See `EnduringHooks.receive_beginning`."""
        return self._hooks.receive_beginning(headers, beginning)

    def read(self, topic: str, kept: bytes) -> Sequence[Notice]:
        """See `Hooks.read`."""
        return self._hooks.read(topic, kept)

    def subscriptions(self, address: str) -> Sequence[Subscription]:
        """See `Hooks.subscriptions`. None is known of: no API that is documented lists a seller's webhooks."""
        return ()

    def subscribe(self, address: str) -> Sequence[Subscription]:
        """See `Hooks.subscribe`. None is made: what cannot be listed would be made again each time. A person does it in
        the seller portal; `check` says how.
        """
        return ()

    # ------------------------------------------------------------------------------------------------------------

    def _taken(self, page: Page, asked_at: datetime) -> tuple[tuple[Order, ...], tuple[UnreadableOrder, ...]]:
        orders: list[Order] = []
        unreadable: list[UnreadableOrder] = []
        for element in page.elements:
            try:
                invoice = invoice_of(element, page.included)
                fetched_at = asked_at
                if invoice.items is None:
                    fetched_at = self._clock.now()
                    invoice = self._read(invoice.invoice_id)
                orders.append(order_of(invoice, self._settings, fetched_at=fetched_at))
            except NotFound:
                # One that is gone since is left out; who books orders learns of it by looking at it again.
                continue
            except Unreadable as error:
                raw = reduced(element, page.included)
                unreadable.append(UnreadableOrder(error.order_id or invoice_id_in(element), error.message, raw))
        return tuple(orders), tuple(unreadable)

    def _read(self, invoice_id: str) -> Invoice:
        answer = self._client.one("invoices", invoice_id, what=f"reading invoice {invoice_id}")
        return Invoice.whole(answer, invoice_id)

    def _learn_vendor_clock(self) -> None:
        # Before the first answer we know our own clock only. If it ran ahead, a window could end in a second that is
        # not over, and what still changes in that second would never be read.
        if self._client.http.clock_skew_seconds is None:
            self._client.page("invoices", what="asking for the time")

    def _place(self, cursor: str) -> Cursor:
        try:
            place = msgspec.json.decode(cursor, type=Cursor)
            if place.number < 1 or place.reading < 1:
                raise Rejected("the stored cursor leads nowhere; set the time to poll from anew", code="cursor")
            return msgspec.structs.replace(
                place, since=_second(place.since), until=None if place.until is None else _second(place.until)
            )
        except (ValueError, OverflowError, RecursionError) as error:
            message = "the stored cursor is not one of this connector; set the time to poll from anew"
            raise Rejected(message, code="cursor") from error


def _onward(place: Cursor, until: datetime, page: Page) -> Cursor:
    """The next page; after the last one of several the first again, unless two readings agree; else the next window."""
    last = _sum(page.ids)
    if place.number > 1 and last == place.last:
        raise Unreadable(f"page {place.number} of the invoices shows the same as the one before")
    shown = (place.shown + last) % 2**64
    if page.following is not None:
        return Cursor(place.since, until, page.following, place.reading, shown, place.before, last)
    if place.number > 1 and shown != place.before and place.reading < MAX_PASSES:
        return Cursor(place.since, until, reading=place.reading + 1, before=shown)
    # Should no two agree, what moved past the reader all the time is found by `recent`.
    return Cursor(until)


def _sum(ids: frozenset[str]) -> int:
    """A number that stands for these ids, in any order."""
    return sum(int.from_bytes(hashlib.blake2b(each.encode(), digest_size=8).digest()) for each in ids) % 2**64


def _ref(element: Any) -> OrderRef | UnreadableOrder:
    try:
        invoice = invoice_of(element, {})
    except Unreadable as error:
        return UnreadableOrder(error.order_id or invoice_id_in(element), error.message, reduced(element, {}))
    return OrderRef(invoice.invoice_id, revision_of(invoice))


def _second(moment: datetime) -> datetime:
    """The start of a moment's second, in UTC. Raises ValueError for a moment without a time zone."""
    if moment.tzinfo is None:
        raise ValueError("a moment without a time zone")
    return moment.astimezone(UTC).replace(microsecond=0)


def _text(cursor: Cursor) -> str:
    return msgspec.json.encode(cursor).decode()
