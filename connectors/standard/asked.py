"""A system whose orders can be read over HTTP: pages of what changed since a moment, and single orders.

    GET {orders_url}?updated_since=MOMENT&limit=N          -> {"orders": [...], "next": "..." or null}
    GET {orders_url}?updated_since=MOMENT&limit=N&cursor=C  -> the page behind it
    GET {orders_url}?order_id=ID                            -> {"orders": [that one, or none]}

The moment of reading's end is not theirs but ours: the next reading begins 3 s before this one did, by their clock, so
that no order falls between two of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, NamedTuple

import msgspec
from msgspec import Meta, Struct

from connectors.answers import excerpt, name_of, parse_json
from connectors.budget import Priority, Scope
from connectors.checks import clocks
from connectors.contract import Check, Gone, Order, OrderPage, OrderRef, UnreadableOrder
from connectors.errors import ConnectorError, NotFound, Rejected, Unauthorized, Unreadable, concerning
from connectors.http import Http, Toolbox
from connectors.standard.channel import StandardChannel
from connectors.standard.orders import order_id_in, order_row, to_order
from connectors.standard.settings import StandardSettings

OVERLAP = timedelta(seconds=3)
CALLS_AT_ONCE = 2
MAX_PAGES = 100_000
"""Of one reading: a system that always has one more page is not followed for ever."""
RESTARTS_EVERY = timedelta(minutes=10)
"""A cursor that is refused is begun anew so often; if that does not help, a person is told."""
NO_SUCH_ORDER = "trueup-doctor-asks-for-no-order"


Moment = Annotated[datetime, Meta(tz=True)]


class Cursor(Struct, frozen=True, omit_defaults=True):
    """Where reading stands: from when on, and within a reading that has begun, where the next one begins and at which
    page this one is.
    """

    since: Moment
    until: Moment | None = None
    next: str | None = None
    pages: int = 0
    restarted_at: datetime | None = None


class _Page(Struct):
    orders: list[msgspec.Raw]
    next: str | None = None


class _Answer(NamedTuple):
    page: _Page
    asked_at: datetime
    """When the request started, by our clock."""


class _CursorRefusedError(Rejected):
    """The system does not know the cursor any more."""


class AskedChannel(StandardChannel):
    """Implements `Polled`, `Askable`, and what `StandardChannel` does. Opening calls nobody; `close` it when done.

    Every read may be repeated, and is retried inside.
    """

    def __init__(self, name: str, settings: StandardSettings, toolbox: Toolbox) -> None:
        super().__init__(name, settings, toolbox)
        assert settings.orders_url is not None  # noqa: S101  else it would be another channel
        self._where = settings.orders_url
        base_url, _, self._path = self._where.rpartition("/")
        token = settings.orders_token
        self._http = Http(
            toolbox,
            account=name,
            base_url=base_url,
            headers={"authorization": f"Bearer {token.get_secret_value()}"} if token else {},
        )
        self._scopes = (Scope(f"standard:{name}", None, in_flight=CALLS_AT_ONCE),)

    @property
    def calls(self) -> int:
        """HTTP requests sent so far."""
        return self._http.calls

    @property
    def clock_skew_seconds(self) -> float | None:
        return self._http.clock_skew_seconds

    def close(self) -> None:
        """Close all connections. Idempotent."""
        self._http.close()

    # Polled -----------------------------------------------------------------------------------------------------

    def orders(self, cursor: str) -> OrderPage:
        """See `Polled.orders`. What changed while it was read is read again by the next reading."""
        with concerning(self._name):
            place = self._decoded(cursor)
            if place.pages >= MAX_PAGES:
                raise Rejected(f"more than {MAX_PAGES} pages changed since {place.since.isoformat()}", code="pages")
            try:
                answer = self._page(place.since, place.next, Priority.READ)
            except _CursorRefusedError as refused:
                return self._begun_anew(place, refused)
            orders, unreadable = self._read_all(answer)
            until = place.until or max(place.since, self._theirs(answer.asked_at) - OVERLAP)
            if answer.page.next is None:
                return OrderPage(orders, _text(Cursor(until)), more=False, unreadable=unreadable)
            onward = Cursor(place.since, until, answer.page.next, place.pages + 1, place.restarted_at)
            return OrderPage(orders, _text(onward), more=True, unreadable=unreadable)

    def cursor_at(self, moment: datetime) -> str:
        """See `Polled.cursor_at`."""
        if moment.tzinfo is None:
            raise ValueError("a moment without a time zone")
        return _text(Cursor(moment.astimezone(UTC)))

    # Askable ----------------------------------------------------------------------------------------------------

    def recent(self, since: datetime) -> Iterator[Sequence[OrderRef | UnreadableOrder]]:
        """See `Askable.recent`. There is no cheaper way than whole orders."""
        since, following = since.astimezone(UTC), None
        for _ in range(MAX_PAGES):
            with concerning(self._name):
                answer = self._page(since, following, Priority.SWEEP)
                orders, unreadable = self._read_all(answer)
            yield (*(OrderRef(order.order_id, order.revision) for order in orders), *unreadable)
            following = answer.page.next
            if following is None:
                return
        raise Rejected(f"more than {MAX_PAGES} pages changed since {since.isoformat()}", account=self._name)

    def order(self, order_id: str) -> Order | Gone:
        """See `Askable.order`. It is gone only if the answer holds no order at all: a system that does not know the
        question answers with others.
        """
        with concerning(self._name):
            answer = self._ask({"order_id": order_id}, Priority.READ)
            found = [row for row in answer.page.orders if order_id_in(row) == order_id]
            if len(found) == 1 and len(answer.page.orders) == 1:
                return to_order(order_row(found[0]), self._rules, fetched_at=answer.asked_at)
            if not answer.page.orders:
                return Gone(order_id, answer.asked_at)
            message = f"asked for one order, {self._where} answered with others: does it know order_id?"
            raise Rejected(message, code="order_id")

    # Channel ----------------------------------------------------------------------------------------------------

    def check(self) -> Sequence[Check]:
        """See `Channel.check`."""
        remedy = "check orders_url and orders_token, and what docs/connectors/standard.md says of the answer"
        try:
            with concerning(self._name):
                answer = self._page(self._clock.now() - timedelta(days=1), None, Priority.READ)
                self._read_all(answer)
        except ConnectorError as error:
            return [Check("access", False, str(error), remedy), *super().check()]
        detail = f"{self._where} answers; a day of orders begins with {len(answer.page.orders)}"
        return [
            Check("access", True, detail),
            self._one_order(),
            clocks(self.clock_skew_seconds, "the system"),
            *super().check(),
        ]

    def _one_order(self) -> Check:
        try:
            self.order(NO_SUCH_ORDER)
        except ConnectorError as error:
            remedy = "let it answer ?order_id=ID with that order alone, or with none: a deleted order is not seen else"
            return Check("single orders", False, str(error), remedy)
        return Check("single orders", True, "can be asked for")

    # ------------------------------------------------------------------------------------------------------------

    def _begun_anew(self, place: Cursor, refused: _CursorRefusedError) -> OrderPage:
        now = self._clock.now()
        if place.restarted_at is not None and now - place.restarted_at < RESTARTS_EVERY:
            raise refused
        return OrderPage((), _text(Cursor(place.since, restarted_at=now)), more=True)

    def _read_all(self, answer: _Answer) -> tuple[tuple[Order, ...], tuple[UnreadableOrder, ...]]:
        orders: list[Order] = []
        unreadable: list[UnreadableOrder] = []
        for row in answer.page.orders:
            try:
                orders.append(to_order(order_row(row), self._rules, fetched_at=answer.asked_at))
            except Unreadable as error:
                unreadable.append(UnreadableOrder(error.order_id, error.message, b""))
        return tuple(orders), tuple(unreadable)

    def _page(self, since: datetime, cursor: str | None, priority: Priority) -> _Answer:
        asked: dict[str, Any] = {"updated_since": _stamp(since), "limit": self._settings.page_size}
        if cursor is not None:
            asked["cursor"] = cursor
        answer = self._ask(asked, priority)
        if cursor is not None and answer.page.next == cursor:
            message = f"{self._where} names the same page as the next one again"
            raise Rejected(message, code="cursor")
        return answer

    def _ask(self, params: Mapping[str, Any], priority: Priority) -> _Answer:
        asked_at = self._clock.now()
        response = self._http.read("GET", self._path, scopes=self._scopes, priority=priority, params=params)
        status, what = response.status_code, name_of(response.request)
        if 300 <= status < 400:
            message = f"{what} was answered {status}: the orders are at another address; set orders_url to that one"
            raise Rejected(message, code="redirect")
        if not 200 <= status < 300:
            message = f"{what} was answered {status}: {excerpt(response)}"
            if status in (401, 403):
                raise Unauthorized(message, code=str(status))
            if status == 410 and "cursor" in params:
                raise _CursorRefusedError(message, code="410")
            raise NotFound(message, code="404") if status == 404 else Rejected(message, code=str(status))
        parse_json(response, account=self._name)
        try:
            page = msgspec.json.decode(response.content, type=_Page)
        except (ValueError, RecursionError) as error:
            message = f"{what} was answered with something else than a page of orders: {error}"
            raise Unreadable(message, code="page") from error
        return _Answer(page, asked_at)

    def _theirs(self, moment: datetime) -> datetime:
        return moment + timedelta(seconds=self._http.clock_skew_seconds or 0.0)

    def _decoded(self, cursor: str) -> Cursor:
        try:
            return msgspec.json.decode(cursor, type=Cursor)
        except (ValueError, OverflowError, RecursionError) as error:
            message = "the stored cursor is not one of this connector; set the time to poll from anew"
            raise Rejected(message, code="cursor") from error


def _stamp(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def _text(cursor: Cursor) -> str:
    return msgspec.json.encode(cursor).decode()
