"""Elastic Path's side of a unit test: every answer is the test's to decide."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import httpx
import respx
from pydantic import SecretStr

from connectors.elasticpath import ElasticPathChannelSettings, ElasticPathMarketplaceSettings

HOST = "https://euwest.api.elasticpath.com"
CLIENT_ID = "our-client-id"
CLIENT_SECRET = "very-secret-secret"
HOOK_SECRET = "a-secret-of-this-channel"
TOKEN = {"access_token": "token-1", "token_type": "Bearer", "expires_in": 3600, "identifier": "client_credentials"}
HTML = "<html><body><h1>Something</h1></body></html>"
INSUFFICIENT = "Your request could not be completed due to insufficient stock levels"


class Vendor:
    """What Elastic Path answers. Tokens are given out unless a test says otherwise."""

    def __init__(self, router: respx.MockRouter) -> None:
        self.router = router
        self.token = router.post(f"{HOST}/oauth/access_token").mock(return_value=httpx.Response(200, json=TOKEN))

    def on(self, method: str, path: str) -> respx.Route:
        """One endpoint, e.g. `on("GET", "v2/orders")`."""
        return self.router.request(method, f"{HOST}/{path}")

    def answers(self, method: str, path: str, *bodies: Any) -> respx.Route:
        """One endpoint that answers 200 with these bodies in turn."""
        return self.on(method, path).mock(side_effect=[httpx.Response(200, json=body) for body in bodies])


def marketplace_settings(**changes: Any) -> ElasticPathMarketplaceSettings:
    return ElasticPathMarketplaceSettings.model_validate(
        {"client_id": CLIENT_ID, "client_secret": SecretStr(CLIENT_SECRET), **changes}
    )


def channel_settings(**changes: Any) -> ElasticPathChannelSettings:
    return ElasticPathChannelSettings.model_validate(
        {
            "client_id": CLIENT_ID,
            "client_secret": SecretStr(CLIENT_SECRET),
            "webhook_secrets": [SecretStr(HOOK_SECRET)],
            **changes,
        }
    )


def error(status: int, title: str = "No", detail: str = "", *, shown: Any = None, **more: Any) -> httpx.Response:
    """A refusal with its documented body; `shown` is the status as the body writes it."""
    entry = {"title": title, "detail": detail, **more}
    if shown is not None:
        entry["status"] = shown
    return httpx.Response(status, json={"errors": [entry]})


def sent(route: respx.Route, call: int = 0) -> Any:
    """The body of a request."""
    return json.loads(route.calls[call].request.content)


def product(product_id: str = "product-1", **attributes: Any) -> dict[str, Any]:
    shown = {"name": "A mug", "sku": "MUG", "status": "live", **attributes}
    return {"id": product_id, "type": "product", "attributes": shown}


def stock(
    available: Any = 3, product_id: str = "product-1", *, allocated: Any = 0, total: Any = None
) -> dict[str, Any]:
    total = available + allocated if total is None else total
    return {"id": product_id, "type": "stock", "total": total, "available": available, "allocated": allocated}


def located(product_id: str = "product-1", *, available: Any = 3, **locations: Any) -> dict[str, Any]:
    places = {name: {"available": units, "allocated": 0, "total": units} for name, units in locations.items()}
    numbers = {"total": available, "available": available, "allocated": 0}
    attributes = {**numbers, "locations": places} if places else numbers
    return {"id": product_id, "type": "stock", "attributes": attributes, "meta": {"stock_id": product_id}}


def transaction(
    transaction_id: str = "t-1",
    action: str = "decrement",
    quantity: Any = 1,
    at: str = "2026-01-01 10:00:00 +0000 UTC",
    **more: Any,
) -> dict[str, Any]:
    identity = {"id": transaction_id, "type": "stock-transaction", "product_id": "product-1"}
    return {**identity, "action": action, "quantity": quantity, "timestamps": {"created_at": at}, **more}


def order(
    order_id: str = "order-1",
    items: Sequence[str] | None = ("item-1",),
    *,
    created_at: str = "2026-01-01T09:00:00.000Z",
    updated_at: str = "2026-01-01T10:00:00.123Z",
    **changes: Any,
) -> dict[str, Any]:
    node: dict[str, Any] = {
        "type": "order",
        "id": order_id,
        "status": "complete",
        "payment": "paid",
        "shipping": "unfulfilled",
        "external_ref": None,
        "customer": {"name": "Ada Lovelace", "email": "ada@example.com"},
        "shipping_address": {"line_1": "12 Analytical Street"},
        "meta": {"timestamps": {"created_at": created_at, "updated_at": updated_at}},
    }
    if items is not None:
        node["relationships"] = {"items": {"data": [{"type": "item", "id": each} for each in items]}}
    return {**node, **changes}


def item(item_id: str = "item-1", quantity: Any = 2, *, amount: Any = 1000, **changes: Any) -> dict[str, Any]:
    price = {"amount": amount, "currency": "USD", "includes_tax": False}
    node = {
        "type": "order_item",
        "id": item_id,
        "quantity": quantity,
        "product_id": "product-1",
        "sku": "MUG",
        "unit_price": price,
        "value": price,
    }
    return {**node, **changes}


def page(resources: Sequence[Any], *, total: int | None = None, items: Sequence[Any] | None = None) -> dict[str, Any]:
    body: dict[str, Any] = {"data": list(resources), "links": {}}
    if total is not None:
        body["meta"] = {"page": {"limit": 100, "offset": 0, "current": 1, "total": 1}, "results": {"total": total}}
    if items is not None:
        body["included"] = {"items": list(items)}
    return body
