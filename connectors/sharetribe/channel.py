"""A Sharetribe marketplace as a channel: its transactions are sales."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import msgspec
import structlog
from msgspec import Meta, Struct

from connectors.budget import Priority
from connectors.checks import clocks
from connectors.contract import MAX_QUANTITY, Check, Gone, Order, OrderPage, OrderRef, UnreadableOrder
from connectors.errors import NotFound, Rejected, Unreadable
from connectors.http import Toolbox
from connectors.sharetribe import checks, events, resources, sales
from connectors.sharetribe.client import Client
from connectors.sharetribe.events import Position
from connectors.sharetribe.resources import ShapeError, timestamp
from connectors.sharetribe.settings import SharetribeChannelSettings
from connectors.text import legible

log = structlog.get_logger(__name__)

PAGE = 100
MAX_PAGES = 100
"""The vendor lists 10,000 results of a sorted query (API reference, "Query transactions")."""
SALES = "transaction/initiated,transaction/transitioned"
READS = 25
"""Most transactions that one page of events is read for: where one query a second is allowed, it stays short."""
OVERLAP = timedelta(seconds=60)
"""How long before its beginning a look through the list is followed by the events."""

# Positions stay inside what the vendor keeps: requests travel, and clocks differ a little.
_MARGIN = timedelta(hours=1)

Moment = Annotated[datetime, Meta(tz=True)]


class Cursor(Struct, frozen=True, omit_defaults=True):
    """Where polling stands: in the events, or before them in the list of transactions."""

    at: Moment
    """What was changed before has been read. While in the list: how far down it is to be read."""
    sequence: int | None = None
    """The last event read; None: the events begin at `at`."""
    page: Annotated[int, Meta(ge=1, le=MAX_QUANTITY)] | None = None
    """The page of the list to read next, which is newest change first; None: past it."""
    begun: Moment | None = None
    """From when on the events go on, once the list is read."""


class SharetribeChannel:
    """Implements `Channel`. Opening calls nobody; `close` it when done.

    Sharetribe has no webhooks. Every read may be repeated, and is retried inside. Safe for use from several threads.
    """

    def __init__(self, name: str, settings: SharetribeChannelSettings, toolbox: Toolbox) -> None:
        self._name = name
        self._settings = settings
        self._clock = toolbox.clock
        self._client = Client(settings, toolbox, account=name)
        self._whole = sales.query(settings)
        self._listed = {"sort": "lastTransitionedAt", "perPage": PAGE, "hasStockReservation": "true"}
        if settings.provider_id is not None:
            self._listed["providerId"] = settings.provider_id

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

    # Channel

    def orders(self, cursor: str) -> OrderPage:
        """See `Channel.orders`. First the list of transactions, down to the moment asked for; then the events.

        An event says only which transaction changed, which is then read. The place among events is a sequence id: it
        leaves out nothing, so there is no need to stay behind the vendor's clock. Without sales a poll is one call.
        """
        now = self._client.now()
        place = self._place(cursor)
        if place.page is None and place.at < self._kept_since(now):
            # Past the events that are kept.
            place = Cursor(place.at, page=1)
        return self._from_events(place, now) if place.page is None else self._from_list(place, place.page, now)

    def cursor_at(self, moment: datetime) -> str:
        """See `Channel.cursor_at`."""
        return _text(Cursor(moment, page=1))

    def recent(self, since: datetime) -> Iterator[Sequence[OrderRef | UnreadableOrder]]:
        """See `Channel.recent`: by the list of transactions, so that it does not rest on the events.

        The vendor lists 10,000 only: what is older of more than that is left to the events, and logged.
        """
        page: int | None = 1
        while page is not None:
            answer, found = self._list(page, {"fields.transaction": "lastTransitionedAt"}, Priority.SWEEP)
            due, ended = self._down_to(since, found)
            yield [self._ref(element) for element in due]
            page = None if ended else _next_page(page, answer)
            if page is None and not ended:
                log.warning("sharetribe_list_ended", channel=self._name, since=timestamp(since))

    def order(self, order_id: str) -> Order | Gone:
        """See `Channel.order`: one answer holds a whole transaction."""
        asked_at = self._clock.now()
        what = f"reading transaction {order_id}"
        try:
            answer = self._client.query("transactions/show", {"id": order_id, **self._whole}, what=what)
        except NotFound:
            return Gone(order_id, asked_at)
        try:
            included = resources.included(answer)
            return sales.order(resources.primary(answer), included, self._settings, fetched_at=asked_at)
        except ShapeError as error:
            raise Unreadable(f"{what}: {error}", account=self._name, order_id=order_id) from error

    def check(self) -> Sequence[Check]:
        """See `Channel.check`."""
        base_url = self._settings.base_url
        access = checks.attempt("access", self._client.marketplace, base_url)
        if not access.ok:
            return [access]
        now = self._client.now()
        return [
            access,
            checks.attempt("sales", lambda: self._list(1, self._whole, Priority.READ), base_url),
            checks.attempt("events", lambda: self._events(Position(now - OVERLAP)), base_url),
            clocks(self.clock_skew_seconds, "the marketplace"),
        ]

    def system_id(self) -> str:
        """See `Located.system_id`."""
        return self._client.marketplace_id()

    # The list of transactions

    def _from_list(self, place: Cursor, page: int, now: datetime) -> OrderPage:
        asked_at = self._clock.now()
        begun = place.begun or now - OVERLAP
        answer, found = self._list(page, self._whole, Priority.READ)
        due, ended = self._down_to(place.at, found)
        with self._client.reading("the list of transactions"):
            included = resources.included(answer)
        orders: list[Order] = []
        unreadable: list[UnreadableOrder] = []
        for element in due:
            try:
                order = self._holding(element, included, asked_at)
            except ShapeError as error:
                unreadable.append(_unreadable(element, error))
            else:
                orders.append(order)
        following = None if ended else _next_page(page, answer)
        if ended:
            onward = Cursor(begun)
        elif following is not None:
            onward = Cursor(place.at, page=following, begun=begun)
        elif place.at >= self._kept_since(now):
            # The list goes no further down; the events reach far enough back, at a call for each transaction.
            onward = Cursor(place.at)
        else:
            message = (
                f"more than {page * PAGE} transactions were changed since {timestamp(place.at)}, which is more than the"
                " vendor lists, and longer ago than its events are kept"
            )
            raise Rejected(message, account=self._name, code="too_many")
        return OrderPage(_counted(orders), _text(onward), more=True, unreadable=tuple(unreadable))

    def _list(self, page: int, fields: dict[str, str], priority: Priority) -> tuple[Any, list[Any]]:
        """One page of transactions that hold stock, newest change first: what changes meanwhile comes twice."""
        what = "reading the list of transactions"
        answer = self._client.query(
            "transactions/query", {"page": page, **self._listed, **fields}, what=what, priority=priority
        )
        with self._client.reading(what):
            return answer, resources.elements(answer)

    def _holding(self, element: Any, included: resources.Included, asked_at: datetime) -> Order:
        """One entry of the list, which was asked for nothing but what holds stock. Raises `ShapeError`."""
        order = sales.order(resources.as_resource(element), included, self._settings, fetched_at=asked_at)
        if not order.lines and order.excluded is None:
            raise ShapeError("it shows no stock reservation")
        return order

    def _down_to(self, since: datetime, found: Sequence[Any]) -> tuple[list[Any], bool]:
        """Of a page, what was changed at or after `since`, or does not say when; and whether nothing follows.

        Raises `Unreadable` for a page that is not newest first, or says of none when it changed.
        """
        times = [_changed_at(element) for element in found]
        known = [time for time in times if time is not None]
        if known != sorted(known, reverse=True):
            raise Unreadable("the transactions are not listed newest change first, as was asked", account=self._name)
        if len(found) >= PAGE and not known:
            raise Unreadable("a page of transactions says of none when it was changed", account=self._name)
        due = [element for element, time in zip(found, times, strict=True) if time is None or time >= since]
        return due, len(found) < PAGE or known[-1] < since

    def _ref(self, element: Any) -> OrderRef | UnreadableOrder:
        try:
            return sales.ref(resources.as_resource(element))
        except ShapeError as error:
            return _unreadable(element, error)

    # Events

    def _from_events(self, place: Cursor, now: datetime) -> OrderPage:
        begun = position = Position(place.at, place.sequence)
        answer, found = self._events(position)
        changed: dict[str, None] = {}
        unreadable: list[UnreadableOrder] = []
        cut = False
        for element in found:
            if cut := len(changed) >= READS:
                break
            try:
                event = resources.as_resource(element)
                position = events.following(position, event)
                changed[events.subject_of(event)] = None
            except ShapeError as error:
                unreadable.append(UnreadableOrder(None, f"an event cannot be read: {legible(str(error))}", b""))
        more = cut or not events.is_last(found, answer)
        if more and position == begun:
            raise Unreadable(f"the events do not lead on: {unreadable[0].reason}", account=self._name)
        if not more and now - position.at > 2 * _MARGIN:
            # At the head of quiet events: the cursor keeps its age, so that it never looks older than what is kept.
            position = Position(now - _MARGIN, position.sequence)
        orders: list[Order] = []
        for order_id in changed:
            try:
                order = self.order(order_id)
            except Unreadable as error:
                unreadable.append(UnreadableOrder(order_id, error.message, b""))
            else:
                # One that is gone since is left out; who books orders learns of it by looking at it again.
                orders += [order] if isinstance(order, Order) else []
        onward = Cursor(position.at, position.sequence)
        return OrderPage(_counted(orders), _text(onward), more=more, unreadable=tuple(unreadable))

    def _events(self, position: Position) -> tuple[Any, list[Any]]:
        # Sparse: a transaction in full would bring its buyer's data along.
        fields = {"fields.event": "createdAt,eventType,resourceId,sequenceId"}
        what = "reading the events"
        answer = self._client.query("events/query", {**position.query(SALES), **fields}, what=what)
        with self._client.reading(what):
            return answer, resources.elements(answer)

    def _kept_since(self, now: datetime) -> datetime:
        return now - events.RETENTION[self._settings.environment] + _MARGIN

    def _place(self, cursor: str) -> Cursor:
        try:
            place = msgspec.json.decode(cursor.encode(), type=Cursor)
            return msgspec.structs.replace(place, at=place.at.astimezone(UTC))
        except (ValueError, OverflowError, RecursionError) as error:
            message = "the stored cursor is not one of this connector; set the time to poll from anew"
            raise Rejected(message, account=self._name, code="cursor") from error


def _counted(orders: Sequence[Order]) -> tuple[Order, ...]:
    """Those that sell stock, by this channel's settings."""
    return tuple(order for order in orders if order.lines)


def _next_page(page: int, answer: Any) -> int | None:
    """The page to ask for next; None where the vendor lists no more."""
    last = min(resources.meta(answer, "paginationLimit") or MAX_PAGES, MAX_PAGES)
    return None if page >= last else page + 1


def _changed_at(element: Any) -> datetime | None:
    try:
        return sales.changed_at(resources.as_resource(element))
    except ShapeError:
        return None


def _unreadable(element: Any, error: ShapeError) -> UnreadableOrder:
    try:
        order_id = resources.resource_id(resources.as_resource(element))
    except ShapeError:
        order_id = None
    return UnreadableOrder(order_id, f"a transaction cannot be read: {legible(str(error))}", sales.reduced(element))


def _text(cursor: Cursor) -> str:
    if cursor.at.tzinfo is None:
        raise ValueError("a moment without a time zone")
    return msgspec.json.encode(msgspec.structs.replace(cursor, at=cursor.at.astimezone(UTC))).decode()
