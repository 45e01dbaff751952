"""`GET /orders`: pages of what changed since a moment, and single orders."""

from __future__ import annotations

import hmac
from collections import Counter
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from connectors.clock import Clock
from connectors.sandbox.faults import FaultPlan, play

from .options import Options
from .shop import Order, Shop

MAX_LIMIT = 1000


class _InvalidError(Exception):
    """A parameter of the wrong form; its name."""


class Api:
    """One shop's orders."""

    def __init__(self, *, options: Options, shop: Shop, faults: FaultPlan, clock: Clock, calls: Counter[str]) -> None:
        self._token = options.token.get_secret_value()
        self._shop = shop
        self._faults = faults
        self._clock = clock
        self._calls = calls

    def routes(self) -> list[Route]:
        """The one route."""
        return [Route("/orders", self.orders, methods=["GET"])]

    async def orders(self, request: Request) -> Response:
        """Under whatever fault is armed for `orders` or, for a question about one, `order`."""
        name = "order" if "order_id" in request.query_params else "orders"
        self._calls[name] += 1
        given = request.headers.get("authorization", "").encode()
        if not hmac.compare_digest(given, f"Bearer {self._token}".encode()):
            self._calls["unauthorized"] += 1
            return _answer(401, {"error": "the token is not valid"})

        def execute() -> Response:
            try:
                return self._answered(request.query_params)
            except _InvalidError as error:
                return _answer(400, {"error": f"{error} is not valid"})

        return await play(self._faults.strike(name), execute, clock=self._clock, too_many_requests=_too_many_requests)

    def _answered(self, asked: Mapping[str, str]) -> Response:
        switches = self._shop.switches
        order_id = asked.get("order_id")
        if order_id is not None and switches.single_orders:
            order = self._shop.orders.get(order_id)
            return self._page([] if order is None else [order], None)
        since = _moment(asked.get("updated_since", "2000-01-01T00:00:00Z"))
        limit = _number(asked.get("limit", "100"), "limit")
        cursor = asked.get("cursor")
        if cursor is not None and switches.cursors_expire:
            return _answer(410, {"error": "the cursor is not known any more"})
        after = 0 if cursor is None else _number(cursor, "cursor")
        # By the number of its last change: what changes meanwhile moves behind the page, and nothing is skipped.
        found = [order for order in self._shop.listed() if order.sequence > after and order.updated_at >= since]
        rows = found[: min(limit, MAX_LIMIT)]
        following = str(rows[-1].sequence) if len(found) > len(rows) else None
        if switches.cursor_repeats and cursor is not None:
            following = cursor
        return self._page(rows, following)

    def _page(self, orders: list[Order], following: str | None) -> Response:
        return _answer(200, {"orders": [self._shop.shown(order) for order in orders], "next": following})


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise _InvalidError("updated_since") from None
    if moment.tzinfo is None:
        raise _InvalidError("updated_since")
    return moment


def _number(text: str, name: str) -> int:
    if not text.isascii() or not text.isdecimal() or int(text) < 1:
        raise _InvalidError(name)
    return int(text)


def _answer(status: int, body: Mapping[str, Any]) -> Response:
    return Response(orjson.dumps(body), status, media_type="application/json")


def _too_many_requests(retry_after_seconds: int | None) -> Response:
    headers = {} if retry_after_seconds is None else {"Retry-After": str(retry_after_seconds)}
    return Response(orjson.dumps({"error": "slow down"}), 429, headers=headers, media_type="application/json")
