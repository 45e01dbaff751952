"""One Elastic Path store as a channel: polling in windows of `updated_at`, single orders, and what `doctor` tries."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import msgspec
from msgspec import Struct

from connectors.budget import Priority
from connectors.checks import clocks
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
from connectors.elasticpath.checks import access
from connectors.elasticpath.client import PAGE, Client
from connectors.elasticpath.hooks import ElasticPathHooks
from connectors.elasticpath.orders import (
    Item,
    OrderHead,
    from_answer,
    order_id_in,
    reduced,
    revision_of,
    shaped,
)
from connectors.elasticpath.settings import ElasticPathChannelSettings
from connectors.elasticpath.subscriptions import Subscriptions
from connectors.errors import ConnectorError, NotFound, Rejected, Unavailable, Unreadable, concerning
from connectors.http import Toolbox

SETTLING_SECONDS = 3
"""How far we stay behind the vendor's clock. Its lists may lag further; what comes late is found by `recent`."""
MAX_OFFSET = 10_000
"""The vendor refuses to count further (guides, "Pagination")."""
MAX_READS = 3
"""How often an order is read that keeps changing meanwhile."""


class Cursor(Struct, frozen=True, omit_defaults=True):
    """Where polling stands: where the next window starts; within one, also its end and the place in it."""

    since: datetime
    until: datetime | None = None
    after: datetime | None = None
    """Orders made before this have been read, and `offset` of those made in this very moment."""
    offset: int = 0


class ElasticPathChannel:
    """Implements `Channel` and `Hooks`. Opening calls nobody; `close` it when done.

    Every read may be repeated, and is retried inside. Safe for use from several threads.
    """

    refusal_status = ElasticPathHooks.refusal_status

    def __init__(self, name: str, settings: ElasticPathChannelSettings, toolbox: Toolbox) -> None:
        self._name = name
        self._settings = settings
        self._clock = toolbox.clock
        self._client = Client(settings, toolbox, account=name)
        self._hooks = ElasticPathHooks(settings, account=name)
        self._subscriptions = Subscriptions(self._client, settings)

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
        """See `Channel.orders`. A window [since, until) of changes, read in the order in which its orders were made.

        The vendor counts pages by offset, up to 10,000, and an order that changes leaves the window; so a page starts
        at the moment in which the last order of the one before was made, which no change moves. Sorting by the change
        itself is not among what the vendor lists. Orders at a page's edge come twice.
        """
        with concerning(self._name):
            place = self._place(cursor)
            if place.until is None:
                self._learn_vendor_clock()
                until = _second(self._client.http.vendor_now - timedelta(seconds=SETTLING_SECONDS))
                if until <= place.since:
                    return OrderPage((), cursor, more=False)
                place = Cursor(place.since, until)
            asked_at = self._clock.now()
            nodes, items, onward = self._page(place, include_items=True)
            orders: list[Order] = []
            unreadable: list[UnreadableOrder] = []
            for node in nodes:
                try:
                    order = self._whole_of(node, items, asked_at)
                    # One that is gone since is left out; who books orders learns of it by looking at it again.
                    if isinstance(order, Order):
                        orders.append(order)
                except Unreadable as error:
                    raw = reduced(node, _of(node, items))
                    unreadable.append(UnreadableOrder(error.order_id or order_id_in(node), error.message, raw))
            following = onward or Cursor(place.until or place.since)
            return OrderPage(tuple(orders), _text(following), more=onward is not None, unreadable=tuple(unreadable))

    def cursor_at(self, moment: datetime) -> str:
        """See `Channel.cursor_at`."""
        return _text(Cursor(_second(moment)))

    def recent(self, since: datetime) -> Iterator[Sequence[OrderRef | UnreadableOrder]]:
        """See `Channel.recent`. Pages of 100, without items."""
        place: Cursor | None = Cursor(_second(since))
        while place is not None:
            with concerning(self._name):
                nodes, _, place = self._page(place, include_items=False)
                refs = tuple(_ref(node) for node in nodes)
            yield refs

    def order(self, order_id: str) -> Order | Gone:
        """See `Channel.order`. One call where the vendor includes the items, else three: head, items, head again."""
        with concerning(self._name):
            path = f"v2/orders/{quote(order_id, safe='')}"
            what = f"reading order {order_id}"
            for _ in range(MAX_READS):
                asked_at = self._clock.now()
                try:
                    answer = self._client.get(path, {"include": "items"}, what=what)
                    head = _head(_data(answer))
                    came = _included(answer)
                    refs = head.relationships.items.data if head.relationships else None
                    if refs is not None and all(ref.id in came for ref in refs):
                        found = [_item(came[ref.id], order_id) for ref in refs]
                        return from_answer(head, found, self._settings, fetched_at=asked_at)
                    listed = _listed(self._client.get(f"{path}/items", what=what))
                    again = _head(_data(self._client.get(path, what=what)))
                except NotFound:
                    return Gone(order_id, asked_at)
                items = [_item(each, order_id) for each in listed]
                whole = refs is None or {ref.id for ref in refs} <= {item.id for item in items}
                if whole and again.meta.timestamps.updated_at == head.meta.timestamps.updated_at:
                    return from_answer(head, items, self._settings, fetched_at=asked_at)
            message = f"order {order_id} was not shown whole in {MAX_READS} tries; it will be read again later"
            raise Unavailable(message)

    def check(self) -> Sequence[Check]:
        """See `Channel.check`."""
        found = [access(self._client, "v2/orders", "reading the orders", self._settings.base_url)]
        if found[0].ok:
            found += [clocks(self.clock_skew_seconds, "the store"), self._webhook_check()]
        return [*found, self._secret_check(), self._refund_check()]

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

    # ------------------------------------------------------------------------------------------------------------

    def _page(self, place: Cursor, *, include_items: bool) -> tuple[list[Any], dict[str, Any], Cursor | None]:
        """The nodes of one page, the items that came along by id, and where the window goes on."""
        params: dict[str, Any] = {
            "filter": _filter(place),
            "sort": "created_at",
            "page[limit]": PAGE,
            "page[offset]": place.offset,
        }
        if include_items:
            params["include"] = "items"
        priority = Priority.READ if include_items else Priority.SWEEP
        answer = self._client.get("v2/orders", params, what="reading the orders", priority=priority)
        nodes = _listed(answer)
        onward = _onward(place, nodes) if len(nodes) >= PAGE else None
        return nodes, _included(answer), onward

    def _whole_of(self, node: Any, items: Mapping[str, Any], asked_at: datetime) -> Order | Gone:
        """An order of a page, read again by itself if not all its items came along."""
        head = _head(node)
        refs = head.relationships.items.data if head.relationships else None
        if refs is None or any(ref.id not in items for ref in refs):
            return self.order(head.id)
        found = [_item(items[ref.id], head.id) for ref in refs]
        return from_answer(head, found, self._settings, fetched_at=asked_at)

    def _learn_vendor_clock(self) -> None:
        # Before the first answer we know our own clock only. If it ran ahead, a window could end in a second that is
        # not over, and what still changes in that second would never be read.
        if self._client.http.clock_skew_seconds is None:
            self._client.get("v2/orders", {"page[limit]": 1}, what="asking for the time")

    def _place(self, cursor: str) -> Cursor:
        try:
            place = msgspec.json.decode(cursor, type=Cursor)
            if not 0 <= place.offset <= MAX_OFFSET:
                raise Rejected("the stored cursor leads nowhere; set the time to poll from anew", code="cursor")
            moments = (place.since, place.until, place.after)
            if any(moment is not None and moment.tzinfo is None for moment in moments):
                raise Rejected("the stored cursor has no time zone; set the time to poll from anew", code="cursor")
        except (ValueError, OverflowError, RecursionError) as error:
            message = "the stored cursor is not one of this connector; set the time to poll from anew"
            raise Rejected(message, code="cursor") from error
        return place

    def _webhook_check(self) -> Check:
        try:
            missing = self._subscriptions.missing_anywhere()
        except ConnectorError as error:
            return Check("webhooks", False, str(error), "without them sales are found by polling only")
        if not missing:
            return Check("webhooks", True, "registered")
        detail = f"not registered: {', '.join(missing)}"
        return Check("webhooks", False, detail, "register them; without them sales are found by polling only")

    def _secret_check(self) -> Check:
        if self._settings.webhook_secrets:
            return Check("webhook secret", True, "set")
        detail = "webhook_secrets is not set: every delivery is refused"
        return Check("webhook secret", False, detail, "set it to a long random text, then register the webhooks")

    def _refund_check(self) -> Check:
        meaning = {
            "ask": "parked for a person: the store does not say whether their units came back",
            "kept": "still committed: their units are gone",
            "returned": "committed no more: their units are for sale again",
        }
        return Check("refunds", True, f"orders refunded in full are {meaning[self._settings.refunded]}")


def _onward(place: Cursor, nodes: Sequence[Any]) -> Cursor:
    """Where the page after a full one begins. Raises `Unreadable` where that cannot be told."""
    made = [moment for moment in map(_created_at, nodes) if moment is not None]
    if not made:
        raise Unreadable("a page of orders says of none when it was made")
    if made != sorted(made):
        raise Unreadable("a page of orders is not sorted by when they were made, as was asked")
    if place.after is None or made[-1] > place.after:
        return Cursor(place.since, place.until, made[-1])
    if place.offset + PAGE > MAX_OFFSET:
        raise Unreadable(f"more than {MAX_OFFSET} orders were made at {_stamp(place.after)}: the store shows no more")
    return Cursor(place.since, place.until, place.after, place.offset + PAGE)


def _filter(place: Cursor) -> str:
    conditions = [f'ge(updated_at,"{_stamp(place.since)}")']
    if place.until is not None:
        conditions.append(f'lt(updated_at,"{_stamp(place.until)}")')
    if place.after is not None:
        conditions.append(f'ge(created_at,"{_stamp(place.after)}")')
    return ":".join(conditions)


def _created_at(node: Any) -> datetime | None:
    try:
        return _head(node).meta.timestamps.created_at.astimezone(UTC)
    except (Unreadable, OverflowError):
        return None


def _head(node: Any) -> OrderHead:
    order_id = order_id_in(node)
    return shaped(node, OrderHead, f"order {order_id or 'without an id'}", order_id=order_id)


def _item(node: Any, order_id: str) -> Item:
    return shaped(node, Item, f"an item of order {order_id}", order_id=order_id)


def _ref(node: Any) -> OrderRef | UnreadableOrder:
    try:
        head = _head(node)
    except Unreadable as error:
        return UnreadableOrder(error.order_id or order_id_in(node), error.message, reduced(node))
    if order_id_in(node) is None:
        return UnreadableOrder(None, "an order has an id that cannot be stored", reduced(node))
    return OrderRef(head.id, revision_of(head.meta.timestamps.updated_at))


def _data(answer: Any) -> Any:
    if not isinstance(answer, Mapping) or not isinstance(answer.get("data"), Mapping):
        raise Unreadable("the answer has no order")
    return answer["data"]


def _listed(answer: Any) -> list[Any]:
    found = answer.get("data") if isinstance(answer, Mapping) else None
    if not isinstance(found, list):
        raise Unreadable("the answer is no list")
    return found


def _included(answer: Any) -> dict[str, Any]:
    """The items that came along, by id. One that is malformed did not."""
    included = answer.get("included") if isinstance(answer, Mapping) else None
    items = included.get("items") if isinstance(included, Mapping) else None
    found = items if isinstance(items, list) else []
    return {item["id"]: item for item in found if isinstance(item, Mapping) and isinstance(item.get("id"), str)}


def _of(node: Any, items: Mapping[str, Any]) -> list[Any]:
    """Of the items that came along, those a node that may be malformed speaks of."""
    try:
        head = _head(node)
    except Unreadable:
        return []
    refs = head.relationships.items.data if head.relationships else []
    return [items[ref.id] for ref in refs if ref.id in items]


def _second(moment: datetime) -> datetime:
    """The start of a moment's second, in UTC. Raises ValueError for a moment without a time zone."""
    if moment.tzinfo is None:
        raise ValueError("a moment without a time zone")
    return moment.astimezone(UTC).replace(microsecond=0)


def _stamp(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _text(cursor: Cursor) -> str:
    return msgspec.json.encode(cursor).decode()
