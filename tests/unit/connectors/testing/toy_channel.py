"""A vendor of a page's length, a sound connector to it, and everything that can be broken about that one by one."""

from __future__ import annotations

import hmac
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import httpx

from connectors.contract import (
    MAX_QUANTITY,
    Check,
    Gone,
    Ignored,
    Notice,
    Order,
    OrderLine,
    OrderPage,
    OrderRef,
    Receipt,
    Subscription,
    UnreadableOrder,
)
from connectors.errors import ConnectorError, InvalidSignature, NotFound, Rejected, Unauthorized, Unreadable
from connectors.http import Http, Toolbox, excerpt, parse_json
from connectors.testing import Delivery, Sold, VirtualClock

TOKEN = "toy-access-token-1"
SECRET = b"toy-webhook-secret"
PAGE = 4


@dataclass
class ToyOrder:
    order_id: str
    placed: float
    changed: float
    version: int
    lines: dict[str, list[int]] = field(default_factory=dict)
    """Of each SKU the units ordered, and those that came back."""
    status: str = "open"


class ToySandbox:
    """The vendor: pages of orders by (changed, id), single orders, signed webhooks."""

    page_size = PAGE
    missing_order = "o-0"
    signs_body = True
    enumerations = ("status",)

    def __init__(self, kind: type[ToyChannel] | None = None) -> None:
        self.clock = VirtualClock()
        self.transport = httpx.MockTransport(self._answer)
        self._kind = kind or ToyChannel
        self._orders: dict[str, ToyOrder] = {}
        self._tokens = {TOKEN}
        self._lag_seconds = 0.0
        self._told: list[Delivery] | None = None

    # What the kit asks

    def open(self, toolbox: Toolbox) -> Any:
        return self._kind(toolbox)

    def place(self, *lines: Sold) -> str:
        order_id = f"o-{len(self._orders) + 1}"
        self._orders[order_id] = ToyOrder(
            order_id, self._now(), self._now(), 1, {line.sku: [line.quantity, 0] for line in lines}
        )
        self._tell(order_id)
        return order_id

    def committed(self, order_id: str) -> Mapping[str, int]:
        order = self._orders[order_id]
        return {sku: 0 if order.status == "void" else ordered - back for sku, (ordered, back) in order.lines.items()}

    def touch(self, order_id: str) -> None:
        order = self._orders[order_id]
        order.changed, order.version = self._now(), order.version + 1
        self._tell(order_id)

    def cancel(self, order_id: str) -> None:
        self._orders[order_id].status = "void"
        self.touch(order_id)

    def edit(self, order_id: str, sku: str, quantity: int) -> None:
        self._orders[order_id].lines[sku][0] = quantity
        self.touch(order_id)

    def give_back(self, order_id: str, sku: str, quantity: int) -> None:
        self._orders[order_id].lines[sku][1] += quantity
        self.touch(order_id)

    def delete(self, order_id: str) -> None:
        del self._orders[order_id]

    def lag(self, seconds: float) -> None:
        self._lag_seconds = seconds

    def revoke(self) -> None:
        self._tokens.clear()

    def tell(self) -> None:
        self._told = []

    def told(self) -> Sequence[Delivery]:
        return list(self._told or ())

    def signed(self, like: Delivery, body: bytes) -> Delivery:
        return Delivery({**like.headers, "x-toy-signature": hmac.digest(SECRET, body, "sha256").hex()}, body)

    # The vendor's side

    def _now(self) -> float:
        return self.clock.now().timestamp()

    def _tell(self, order_id: str) -> None:
        if self._told is not None:
            body = json.dumps({"topic": "order", "order": self._shown(self._orders[order_id])}).encode()
            delivery_id = f"d-{len(self._told) + 1}"
            self._told.append(self.signed(Delivery({"x-toy-id": delivery_id, "user-agent": "toy"}, b""), body))

    @staticmethod
    def _shown(order: ToyOrder) -> dict[str, Any]:
        return {
            "id": order.order_id,
            "status": order.status,
            "version": order.version,
            "placed": order.placed,
            "changed": order.changed,
            "buyer": "Ada",
            "lines": [
                {"id": f"l-{sku}", "sku": sku, "ordered": ordered, "returned": back}
                for sku, (ordered, back) in order.lines.items()
            ],
        }

    def _answer(self, request: httpx.Request) -> httpx.Response:
        headers = {"date": self.clock.now().strftime("%a, %d %b %Y %H:%M:%S GMT")}
        if request.headers["authorization"].removeprefix("Bearer ") not in self._tokens:
            return httpx.Response(401, json={"error": "token"}, headers=headers)
        name = request.url.path.rpartition("/")[2]
        if name != "orders":
            order = self._orders.get(name)
            if order is None:
                return httpx.Response(404, json={"error": "no such order"}, headers=headers)
            return httpx.Response(200, json=self._shown(order), headers=headers)
        asked = request.url.params
        after = (float(asked["changed"]), asked["id"])
        rows = sorted((each.changed, each.order_id) for each in self._orders.values() if self._listed(each))
        wanted = [
            order_id for changed, order_id in rows if (changed, order_id) > after and changed < float(asked["to"])
        ]
        page = [self._shown(self._orders[order_id]) for order_id in wanted[:PAGE]]
        return httpx.Response(200, json={"orders": page, "more": len(wanted) > PAGE}, headers=headers)

    def _listed(self, order: ToyOrder) -> bool:
        return order.placed + self._lag_seconds <= self._now()


class ToyChannel:
    """As the contract wants it. Breaking one of its methods breaks one promise."""

    refusal_status = 401

    def __init__(self, toolbox: Toolbox) -> None:
        self._clock = toolbox.clock
        self._http = Http(
            toolbox, account="toy", base_url="http://toy.invalid/v1", headers={"authorization": f"Bearer {TOKEN}"}
        )

    @property
    def clock_skew_seconds(self) -> float | None:
        return self._http.clock_skew_seconds

    def close(self) -> None:
        self._http.close()

    # Polled

    def orders(self, cursor: str) -> OrderPage:
        changed, order_id = self.place(cursor)
        asked_at = self._clock.now()
        if self.clock_skew_seconds is None:
            self.page(changed, order_id, 0)
        rows, more = self.page(changed, order_id, self.until())
        orders, unreadable = [], []
        for row in rows:
            try:
                orders.append(self.order_of(row, asked_at))
            except Unreadable as error:
                unreadable.append(UnreadableOrder(error.order_id, error.message, b"{}"))
        return OrderPage(orders, self.onward(cursor, rows), more, unreadable)

    def cursor_at(self, moment: datetime) -> str:
        return json.dumps([moment.timestamp(), ""])

    def until(self) -> float:
        return self._http.vendor_now.timestamp() - 3

    def place(self, cursor: str) -> tuple[float, str]:
        try:
            changed, order_id = json.loads(cursor)
        except (ValueError, TypeError) as error:
            raise Rejected("not a cursor of this connector: poll from anew", account="toy") from error
        return float(changed), order_id

    def onward(self, cursor: str, rows: Sequence[Any]) -> str:
        return json.dumps([rows[-1]["changed"], rows[-1]["id"]]) if rows else cursor

    def page(self, changed: float, order_id: str, until: float) -> tuple[list[Any], bool]:
        found = self.ask("orders", changed=changed, id=order_id, to=until)
        if not isinstance(found, dict) or not isinstance(found.get("orders"), list) or found.get("more") not in (0, 1):
            raise Unreadable("a page without orders", account="toy")
        if not all(isinstance(row, dict) and {"changed", "id"} <= row.keys() for row in found["orders"]):
            raise Unreadable("orders without id", account="toy")
        return found["orders"], found["more"]

    # Askable

    def recent(self, since: datetime) -> Iterator[Sequence[OrderRef | UnreadableOrder]]:
        changed, order_id, more = since.timestamp(), "", True
        while more:
            rows, more = self.page(changed, order_id, 1e12)
            yield [self.ref(row) for row in rows]
            if rows:
                changed, order_id = rows[-1]["changed"], rows[-1]["id"]

    def ref(self, row: Any) -> OrderRef | UnreadableOrder:
        try:
            return OrderRef(self.text(row["id"]), self.revision(row))
        except (KeyError, TypeError, ValueError) as error:
            return UnreadableOrder(None, f"{type(error).__name__}: {error}", b"{}")

    def order(self, order_id: str) -> Order | Gone:
        asked_at = self._clock.now()
        try:
            row = self.ask(f"orders/{order_id}")
        except NotFound:
            return Gone(order_id, asked_at)
        return self.order_of(row, asked_at)

    def check(self) -> Sequence[Check]:
        try:
            self.page(0, "", 0)
        except ConnectorError as error:
            return [Check("access", False, str(error), "look at the token")]
        return [Check("access", True, "answers")]

    # Hooks

    def receive(self, headers: Mapping[str, str], body: bytes) -> Receipt:
        if not self.verified(headers, body):
            raise InvalidSignature("not signed by the toy", account="toy")
        delivery_id = headers.get("x-toy-id", "")
        try:
            return Receipt(delivery_id, "order", json.dumps(self.reduced(json.loads(body))).encode(), raw=False)
        except (ValueError, RecursionError, TypeError, KeyError, AttributeError):
            return Receipt(delivery_id, "order", body, raw=True)

    def verified(self, headers: Mapping[str, str], body: bytes) -> bool:
        expected = hmac.digest(SECRET, body, "sha256").hex()
        return hmac.compare_digest(headers.get("x-toy-signature", "").encode(), expected.encode())

    def reduced(self, content: Any) -> Any:
        order = content["order"]
        lines = [{name: line[name] for name in ("id", "sku", "ordered", "returned")} for line in order["lines"]]
        return {**{name: order[name] for name in ("id", "status", "version", "placed")}, "lines": lines}

    def read(self, topic: str, kept: bytes) -> Sequence[Notice]:
        try:
            row = json.loads(kept)
        except (ValueError, RecursionError) as error:
            raise Unreadable("no JSON", account="toy") from error
        return [self.order_of(row, None)] if topic == "order" else [Ignored("unknown_topic")]

    def subscriptions(self, address: str) -> Sequence[Subscription]:
        return [Subscription("order", address)]

    subscribe = subscriptions

    # Reading

    def ask(self, path: str, **params: Any) -> Any:
        response = self._http.read("GET", path, params=params)
        if response.status_code == 401:
            raise Unauthorized(f"the token is refused: {excerpt(response)}", account="toy", code="401")
        found = parse_json(response, account="toy")
        if response.status_code == 404 and found == {"error": "no such order"}:
            raise NotFound("no such order", account="toy")
        if response.status_code != 200:
            raise Rejected(f"answered {response.status_code}: {excerpt(response)}", account="toy")
        return found

    def order_of(self, row: Any, asked_at: datetime | None) -> Order:
        try:
            lines = [self.line(row, line) for line in row["lines"]]
            placed = datetime.fromtimestamp(row["placed"], UTC)
            return Order(self.text(row["id"]), self.revision(row), placed, lines, fetched_at=asked_at)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            named = row.get("id") if isinstance(row, dict) else None
            order_id = named if isinstance(named, str) else None
            raise Unreadable(f"{type(error).__name__}: {error}", account="toy", order_id=order_id) from error

    def line(self, row: Any, line: Any) -> OrderLine:
        committed = self.committed(self.status(row), self.units(line["ordered"]), self.units(line["returned"]))
        return OrderLine(self.text(line["id"]), self.text(line["sku"]), line["sku"], committed)

    def committed(self, status: str, ordered: int, returned: int) -> int:
        return 0 if status == "void" else self.units(ordered - returned)

    def status(self, row: Any) -> str:
        if row["status"] not in ("open", "void"):
            raise ValueError("an unknown status")
        return str(row["status"])

    def units(self, said: Any) -> int:
        if type(said) is not int or not 0 <= said <= MAX_QUANTITY:
            raise ValueError("a quantity that is none")
        return said

    def text(self, said: Any) -> str:
        if not isinstance(said, str):
            raise TypeError("an id that is no text")
        return said

    def revision(self, row: Any) -> int:
        return self.units(row["version"])
