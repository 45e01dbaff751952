"""One Acorn shop as a channel: pages of changed orders, single orders, webhooks, and `doctor`'s checks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from urllib.parse import quote

import msgspec
from connectors.budget import Priority
from connectors.contract import Check, Gone, Notice, Order, OrderPage, OrderRef, Receipt, Subscription, UnreadableOrder
from connectors.errors import ConnectorError, Rejected, Unreadable, concerning
from connectors.http import Toolbox

from trueup_acorn import hooks
from trueup_acorn.client import Client, code_of
from trueup_acorn.orders import Moment, order_id_in, shaped, to_order
from trueup_acorn.settings import AcornSettings

OVERLAP = timedelta(seconds=3)
"""How long before one reading began the next one does, so that no second is read before it is over."""
EVENTS = ("access.revoked", "order.changed", "order.deleted")
MAX_SKEW_SECONDS = 30.0


class Cursor(msgspec.Struct, frozen=True, omit_defaults=True):
    """From when on to read; within a reading also behind which page, and where the next reading begins."""

    since: Moment
    behind: str = ""
    following: Moment | None = None


class _Orders(msgspec.Struct):
    orders: list[msgspec.Raw]
    next: str | None = None


class _Hook(msgspec.Struct):
    url: str
    events: list[str]
    enabled: bool


class AcornChannel:
    """Implements `Polled`, `Askable`, `Hooks` and `Clocked`. Opening calls nobody; `close` it when done."""

    refusal_status = 401

    def __init__(self, name: str, settings: AcornSettings, toolbox: Toolbox) -> None:
        self._name = name
        self._settings = settings
        self._clock = toolbox.clock
        self._client = Client(settings, toolbox, account=name)

    # Polled -----------------------------------------------------------------------------------------------------

    def orders(self, cursor: str) -> OrderPage:
        """See `Polled.orders`. What changes meanwhile moves to the end, and is read there or by the next reading."""
        with concerning(self._name):
            place = _place(cursor)
            asked_at = self._clock.now()
            orders, unreadable, behind = self._page(place.since, place.behind, Priority.READ, asked_at)
            theirs = asked_at + timedelta(seconds=self.clock_skew_seconds or 0.0)
            following = place.following or max(place.since, theirs - OVERLAP)
            onward = Cursor(place.since, behind, following) if behind else Cursor(following)
            return OrderPage(orders, _text(onward), more=bool(behind), unreadable=unreadable)

    def cursor_at(self, moment: datetime) -> str:
        """See `Polled.cursor_at`."""
        return _text(Cursor(moment.astimezone(UTC)))

    # Askable ----------------------------------------------------------------------------------------------------

    def recent(self, since: datetime) -> Iterator[Sequence[OrderRef | UnreadableOrder]]:
        """See `Askable.recent`. Acorn knows no cheaper way than whole orders."""
        behind = ""
        while True:
            with concerning(self._name):
                orders, unreadable, behind = self._page(since, behind, Priority.SWEEP, self._clock.now())
            yield (*(OrderRef(order.order_id, order.revision) for order in orders), *unreadable)
            if not behind:
                return

    def order(self, order_id: str) -> Order | Gone:
        """See `Askable.order`."""
        with concerning(self._name):
            asked_at = self._clock.now()
            response = self._client.get(f"orders/{quote(order_id, safe='', errors='replace')}")
            # Any other 404 is not about the order: with a wrong shop, every order would be taken for deleted.
            if response.status_code == 404 and code_of(response) == "no_such_order":
                return Gone(order_id, asked_at)
            order = to_order(self._client.body(response), self._settings.exclude_sources, asked_at)
            if order.order_id != order_id:
                raise Unreadable(f"asked for order {order_id}, Acorn answered with another", order_id=order_id)
            return order

    # Hooks ------------------------------------------------------------------------------------------------------

    def receive(self, headers: Mapping[str, str], body: bytes) -> Receipt:
        """See `Hooks.receive`."""
        with concerning(self._name):
            return hooks.receipt(headers, body, self._settings.webhook_secrets)

    def read(self, topic: str, kept: bytes) -> Sequence[Notice]:
        """See `Hooks.read`."""
        with concerning(self._name):
            return hooks.notices(kept, self._settings.exclude_sources)

    def subscriptions(self, address: str) -> Sequence[Subscription]:
        """See `Hooks.subscriptions`."""
        with concerning(self._name):
            found = shaped(self._client.body(self._client.get("webhooks")), list[_Hook], "the list of webhooks")
        alive = {event for hook in found if hook.url == address and hook.enabled for event in hook.events}
        return [Subscription(one, address, "" if one in alive else "not registered, or turned off") for one in EVENTS]

    def subscribe(self, address: str) -> Sequence[Subscription]:
        """See `Hooks.subscribe`. What is registered already stays."""
        missing = [one.topic for one in self.subscriptions(address) if one.problem]
        if missing:
            self._client.post("webhooks", {"url": address, "events": missing})
        return self.subscriptions(address)

    # Channel and Clocked ----------------------------------------------------------------------------------------

    def check(self) -> Sequence[Check]:
        """See `Channel.check`."""
        now = self._clock.now()
        try:
            self._page(now - timedelta(days=1), "", Priority.READ, now)
        except ConnectorError as error:
            return [Check("access", False, str(error), "compare shop and api_key with Acorn's page Settings, API")]
        skew_seconds = self.clock_skew_seconds or 0.0
        remedy = "" if abs(skew_seconds) <= MAX_SKEW_SECONDS else "let this machine take its time from the network"
        return [
            Check("access", True, f"the orders of {self._settings.shop} can be read"),
            Check("clock", not remedy, f"Acorn's clock is {skew_seconds:+.0f} s from ours", remedy),
        ]

    @property
    def clock_skew_seconds(self) -> float | None:
        """See `Clocked`."""
        return self._client.http.clock_skew_seconds

    def close(self) -> None:
        """Close all connections. Idempotent."""
        self._client.http.close()

    # ------------------------------------------------------------------------------------------------------------

    def _page(
        self, since: datetime, behind: str, priority: Priority, asked_at: datetime
    ) -> tuple[list[Order], list[UnreadableOrder], str]:
        """Orders changed since, those that cannot be read, and behind what the next page is; nothing after the last."""
        params = {"changed_since": since.isoformat(), "limit": self._settings.page_size, "behind": behind}
        page = shaped(self._client.body(self._client.get("orders", params, priority)), _Orders, "a page of orders")
        if page.next and page.next == behind:
            raise Unreadable("a page of orders names itself as the next one", code="page")
        orders: list[Order] = []
        unreadable: list[UnreadableOrder] = []
        for row in page.orders:
            try:
                orders.append(to_order(row, self._settings.exclude_sources, asked_at))
            except Unreadable as error:
                # Without its bytes, which hold a name and an address: the reason says which field is wrong.
                unreadable.append(UnreadableOrder(order_id_in(row), error.message, b""))
        return orders, unreadable, page.next or ""


def _place(cursor: str) -> Cursor:
    try:
        return msgspec.json.decode(cursor, type=Cursor)
    except (ValueError, RecursionError) as error:
        raise Rejected("the stored cursor is not one of this connector", code="cursor") from error


def _text(cursor: Cursor) -> str:
    return msgspec.json.encode(cursor).decode()
