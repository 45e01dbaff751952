"""The REST API on the vendor's paths: orders and their refunds to read, webhooks to read and write."""

from __future__ import annotations

import base64
import binascii
import hmac
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from connectors.clock import Clock
from connectors.sandbox.faults import FaultPlan, play

from .model import Order
from .options import Options
from .payloads import Payloads, only
from .sender import Webhook
from .shop import Shop
from .webhooks import RefusedError, Webhooks

ORDERBY = ("date", "id", "include", "title", "slug")
MAX_PER_PAGE = 100
_TOO_MANY = "<!DOCTYPE html><html><head><title>429 Too Many Requests</title></head></html>"


class _InvalidError(Exception):
    """A parameter of the wrong form; its name."""


class Api:
    """One site's REST API."""

    def __init__(
        self,
        *,
        options: Options,
        shop: Shop,
        webhooks: Webhooks,
        payloads: Payloads,
        faults: FaultPlan,
        clock: Clock,
        calls: Counter[str],
    ) -> None:
        self._options = options
        self._shop = shop
        self._webhooks = webhooks
        self._payloads = payloads
        self._faults = faults
        self._clock = clock
        self._calls = calls

    def routes(self) -> list[Route]:
        """All routes below `/wp-json/wc/v3`."""
        read, write = self._reading, self._writing
        return [
            Route("/orders", read("orders", self.orders), methods=["GET"]),
            Route("/orders/{order_id:int}", read("order", self.order), methods=["GET"]),
            Route("/orders/{order_id:int}/refunds", read("refunds", self.refunds), methods=["GET"]),
            Route("/webhooks", read("webhooks", self.list_webhooks), methods=["GET"]),
            Route("/webhooks", write("webhooks/create", self.create_webhook), methods=["POST"]),
            Route("/webhooks/{webhook_id:int}", read("webhooks", self.show_webhook), methods=["GET"]),
            Route("/webhooks/{webhook_id:int}", write("webhooks/update", self.change_webhook), methods=["PUT", "POST"]),
            Route("/webhooks/{webhook_id:int}", write("webhooks/delete", self.delete_webhook), methods=["DELETE"]),
            Route("/{rest:path}", read("unknown", self.nothing), methods=["GET", "POST", "PUT", "DELETE"]),
        ]

    # Orders

    def orders(self, request: Request) -> Response:
        switches, asked = self._shop.switches, request.query_params
        orderby = asked.get("orderby", "date")
        if orderby not in (*ORDERBY, *(("modified",) if switches.orderby_modified else ())):
            raise _InvalidError("orderby")
        if asked.get("order", "desc") not in ("asc", "desc"):
            raise _InvalidError("order")
        gmt = switches.dates_are_gmt and asked.get("dates_are_gmt") in ("true", "1")
        found = [order for order in self._shop.listed() if self._is_wanted(order, asked, gmt=gmt)]
        # Equal times are sorted by id.
        found.sort(key=_sort_key(orderby), reverse=asked.get("order", "desc") == "desc")
        return self._page(request, found, self._order_row)

    def order(self, request: Request) -> Response:
        order = self._shop.orders.get(request.path_params["order_id"])
        return _no_order() if order is None else _answer(200, self._fields(request, self._order_row(order)))

    def refunds(self, request: Request) -> Response:
        order = self._shop.orders.get(request.path_params["order_id"])
        if order is None:
            return _error(404, "woocommerce_rest_invalid_order_id", "Invalid order ID.")
        newest_first = sorted(order.refunds, key=lambda refund: refund.refund_id, reverse=True)
        return self._page(
            request, newest_first, lambda refund: self._payloads.refund(order, refund, self._shop.switches)
        )

    def nothing(self, request: Request) -> Response:
        return _error(404, "rest_no_route", "No route was found matching the URL and request method.")

    def _is_wanted(self, order: Order, asked: Mapping[str, str], *, gmt: bool) -> bool:
        statuses = asked.get("status", "any")
        if statuses != "any" and order.status not in statuses.split(","):
            return False
        after = self._moment(asked, "after", gmt=gmt)
        before = self._moment(asked, "before", gmt=gmt)
        if (after is not None and order.created_at <= after) or (before is not None and order.created_at >= before):
            return False
        switches = self._shop.switches
        if not switches.modified_filters:
            return True
        after = self._moment(asked, "modified_after", gmt=gmt)
        before = self._moment(asked, "modified_before", gmt=gmt)
        if after is not None and order.modified_at < after + (not switches.modified_after_inclusive):
            return False
        return before is None or order.modified_at < before + switches.modified_before_inclusive

    def _moment(self, asked: Mapping[str, str], name: str, *, gmt: bool) -> int | None:
        text = asked.get(name)
        try:
            return None if text is None else self._payloads.second(text, gmt=gmt)
        except ValueError:
            raise _InvalidError(name) from None

    def _order_row(self, order: Order) -> dict[str, Any]:
        return self._payloads.order(order, self._shop.switches)

    # Webhooks

    def list_webhooks(self, request: Request) -> Response:
        asked = request.query_params
        if asked.get("orderby", "date") not in ORDERBY:
            raise _InvalidError("orderby")
        status = asked.get("status", "all")
        found = [one for one in self._webhooks.by_id.values() if status in ("all", one.status)]
        found.sort(key=lambda one: one.webhook_id, reverse=asked.get("order", "desc") == "desc")
        return self._page(request, found, self._webhook_row)

    def show_webhook(self, request: Request) -> Response:
        webhook = self._webhooks.by_id.get(request.path_params["webhook_id"])
        return _no_webhook() if webhook is None else _answer(200, self._webhook_row(webhook))

    async def create_webhook(self, request: Request) -> Callable[[], Response]:
        webhook = self._webhooks.drafted(await _body(request))
        if webhook.status == "active":
            await self._webhooks.ping(webhook)

        def execute() -> Response:
            self._webhooks.register(webhook)
            return _answer(201, self._webhook_row(webhook))

        return execute

    async def change_webhook(self, request: Request) -> Callable[[], Response]:
        wanted = await _body(request)
        webhook = self._webhooks.by_id.get(request.path_params["webhook_id"])
        if webhook is None:
            return _no_webhook
        if wanted.get("status") == "active" != webhook.status:
            await self._webhooks.ping(webhook)

        def execute() -> Response:
            self._webhooks.change(webhook, wanted)
            return _answer(200, self._webhook_row(webhook))

        return execute

    async def delete_webhook(self, request: Request) -> Callable[[], Response]:
        def execute() -> Response:
            webhook = self._webhooks.by_id.pop(request.path_params["webhook_id"], None)
            return _no_webhook() if webhook is None else _answer(200, self._webhook_row(webhook))

        return execute

    def _webhook_row(self, webhook: Webhook) -> dict[str, Any]:
        resource, _, event = webhook.topic.partition(".")
        # The secret is write-only.
        return {
            "id": webhook.webhook_id,
            "name": webhook.name,
            "status": webhook.status,
            "topic": webhook.topic,
            "resource": resource,
            "event": event,
            "hooks": [],
            "delivery_url": webhook.delivery_url,
            "date_created": self._payloads.local(webhook.created_at),
            "date_created_gmt": datetime.fromtimestamp(webhook.created_at, UTC).strftime("%Y-%m-%dT%H:%M:%S"),
        }

    # Around every call

    def _reading(self, name: str, handle: Callable[[Request], Response]) -> Callable[[Request], Awaitable[Response]]:
        async def prepare(request: Request) -> Callable[[], Response]:
            return lambda: handle(request)

        return self._endpoint(name, prepare)

    def _writing(
        self, name: str, prepare: Callable[[Request], Awaitable[Callable[[], Response]]]
    ) -> Callable[[Request], Awaitable[Response]]:
        return self._endpoint(name, prepare)

    def _endpoint(
        self, name: str, prepare: Callable[[Request], Awaitable[Callable[[], Response]]]
    ) -> Callable[[Request], Awaitable[Response]]:
        async def endpoint(request: Request) -> Response:
            self._calls[name] += 1
            self._shop.settle()
            refused = self._refused(request, name)
            if refused is not None:
                self._calls["unauthorized"] += 1
                return refused
            try:
                execute = await prepare(request)
            except RefusedError as error:
                return _error(400, error.code, str(error))

            def safely() -> Response:
                try:
                    return execute()
                except _InvalidError as error:
                    return _invalid(str(error))
                except RefusedError as error:
                    return _error(400, error.code, str(error))

            return await play(
                self._faults.strike(name), safely, clock=self._clock, too_many_requests=_too_many_requests
            )

        return endpoint

    def _refused(self, request: Request, name: str) -> Response | None:
        if not self._is_ours(request.headers.get("Authorization", "")):
            code = self._shop.switches.wrong_key_code
            return _error(401, code, "Sorry, you cannot list resources.")
        if name.startswith("webhooks") and not self._options.sees_webhooks:
            return _error(401, "woocommerce_rest_cannot_view", "Sorry, you cannot list resources.")
        if request.method != "GET" and self._options.permissions == "read":
            message = "The API key provided does not have write permissions."
            return _error(401, "woocommerce_rest_authentication_error", message)
        return None

    def _is_ours(self, authorization: str) -> bool:
        scheme, _, encoded = authorization.partition(" ")
        try:
            given = base64.b64decode(encoded, validate=True)
        except (binascii.Error, ValueError):
            return False
        key, secret = self._options.consumer_key.get_secret_value(), self._options.consumer_secret.get_secret_value()
        return scheme.lower() == "basic" and hmac.compare_digest(given, f"{key}:{secret}".encode())

    def _page(self, request: Request, found: Sequence[Any], row: Callable[[Any], dict[str, Any]]) -> Response:
        per_page = _number(request.query_params, "per_page", 10)
        page = _number(request.query_params, "page", 1)
        if per_page > MAX_PER_PAGE:
            raise _InvalidError("per_page")
        offset = _number(request.query_params, "offset", (page - 1) * per_page, least=0)
        rows = [self._fields(request, row(one)) for one in found[offset : offset + per_page]]
        pages = -(-len(found) // per_page)
        return _answer(200, rows, {"X-WP-Total": str(len(found)), "X-WP-TotalPages": str(pages)})

    def _fields(self, request: Request, row: dict[str, Any]) -> dict[str, Any]:
        wanted = request.query_params.get("_fields", "") if self._shop.switches.fields else ""
        return only(row, [name.strip() for name in wanted.split(",") if name.strip()])


def _sort_key(orderby: str) -> Callable[[Order], tuple[int, int]]:
    if orderby == "modified":
        return lambda order: (order.modified_at, order.order_id)
    if orderby == "date":
        return lambda order: (order.created_at, order.order_id)
    return lambda order: (order.order_id, 0)


def _number(asked: Mapping[str, str], name: str, default: int, *, least: int = 1) -> int:
    text = asked.get(name)
    if text is None:
        return default
    if not text.isascii() or not text.isdecimal() or int(text) < least:
        raise _InvalidError(name)
    return int(text)


async def _body(request: Request) -> dict[str, Any]:
    try:
        wanted = orjson.loads(await request.body())
    except orjson.JSONDecodeError:
        wanted = None
    if not isinstance(wanted, dict):
        raise RefusedError("rest_invalid_json", "Invalid JSON body passed.")
    return wanted


def _answer(status: int, body: object, headers: Mapping[str, str] | None = None) -> Response:
    return Response(orjson.dumps(body), status, headers=headers, media_type="application/json; charset=UTF-8")


def _error(status: int, code: str, message: str, **data: Any) -> Response:
    return _answer(status, {"code": code, "message": message, "data": {"status": status, **data}})


def _invalid(name: str) -> Response:
    message = f"Invalid parameter(s): {name}"
    return _error(400, "rest_invalid_param", message, params={name: f"{name} is not valid."}, details={})


def _no_order() -> Response:
    return _error(404, "woocommerce_rest_shop_order_invalid_id", "Invalid ID.")


def _no_webhook() -> Response:
    return _error(404, "woocommerce_rest_shop_webhook_invalid_id", "Invalid ID.")


def _too_many_requests(retry_after_seconds: int | None) -> Response:
    headers = {} if retry_after_seconds is None else {"Retry-After": str(retry_after_seconds)}
    return Response(_TOO_MANY, 429, headers=headers, media_type="text/html")
