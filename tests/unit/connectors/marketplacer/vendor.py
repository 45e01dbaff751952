"""Marketplacer's side of a unit test: every answer is the test's to decide."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import httpx
import respx
from pydantic import SecretStr

from connectors.marketplacer import MarketplacerChannelSettings, MarketplacerMarketplaceSettings

HOST = "https://marketplace.example"
ROOT = f"{HOST}/api/v2/client"
API_KEY = "an-api-key-of-the-seller"
HOOK_SECRET = "a-secret-of-this-channel"
HMAC_KEY = "the-operators-key"
HTML = "<html><body><h1>Something</h1></body></html>"


class Vendor:
    """What Marketplacer answers."""

    def __init__(self, router: respx.MockRouter) -> None:
        self.router = router

    def on(self, method: str, path: str) -> respx.Route:
        """One endpoint, e.g. `on("GET", "invoices")`."""
        return self.router.request(method, f"{ROOT}/{path}")

    def answers(self, method: str, path: str, *bodies: Any) -> respx.Route:
        """One endpoint that answers 200 with these bodies in turn."""
        return self.on(method, path).mock(side_effect=[httpx.Response(200, json=body) for body in bodies])


def marketplace_settings(**changes: Any) -> MarketplacerMarketplaceSettings:
    return MarketplacerMarketplaceSettings.model_validate({"api_key": SecretStr(API_KEY), "base_url": HOST, **changes})


def channel_settings(**changes: Any) -> MarketplacerChannelSettings:
    given = {"api_key": SecretStr(API_KEY), "base_url": HOST, "webhook_secrets": [SecretStr(HOOK_SECRET)], **changes}
    return MarketplacerChannelSettings.model_validate(given)


def sent(route: respx.Route, call: int = 0) -> Any:
    """The body of a request."""
    return json.loads(route.calls[call].request.content)


def variant(count: Any = 3, variant_id: Any = 11, **attributes: Any) -> dict[str, Any]:
    shown = {
        "count_on_hand": count,
        "sku": "M-1",
        "barcode": "0871",
        "price": 30.0,
        "sale_price": None,
        "external_id": "MUG",
        "infinite": False,
        **attributes,
    }
    return {"id": variant_id, "type": "variants", "attributes": shown}


def inventory(count: Any = 3, seller_id: Any = 2, **attributes: Any) -> dict[str, Any]:
    shown = {"count_on_hand": count, "price": "27.38", "sale_price": None, "infinite": False, "seller_id": seller_id}
    return {"id": 70 + seller_id, "type": "inventories", "attributes": {**shown, **attributes}}


def advert(*variant_ids: Any, advert_id: Any = 5, published: Any = True, title: Any = "Red mug") -> dict[str, Any]:
    variants = [{"type": "variants", "id": each} for each in variant_ids]
    return {
        "id": advert_id,
        "type": "adverts",
        "attributes": {"title": title, "published": published, "price": "500"},
        "relationships": {"variants": {"data": variants}},
    }


def page(resources: Sequence[Any], *, following: int | None = None, included: Sequence[Any] = ()) -> dict[str, Any]:
    links = {} if following is None else {"next": f"{ROOT}/x?page%5Bnumber%5D={following}&page%5Bsize%5D=100"}
    body: dict[str, Any] = {"data": list(resources), "links": links}
    return {**body, "included": list(included)} if included else body


def line_item(line_id: Any = 31, quantity: Any = 2, **attributes: Any) -> dict[str, Any]:
    shown = {
        "quantity": quantity,
        "status": "allocated",
        "price": "100.0",
        "advert_name": "Red mug",
        "variant_external_id": "MUG",
        "variant_sku": "M-1",
        "variant_barcode": None,
        **attributes,
    }
    return {"id": line_id, "type": "line_items", "attributes": shown}


def invoice(
    invoice_id: Any = 21,
    items: Sequence[Any] | None = (31,),
    *,
    paid_at: Any = "2026-01-01T20:00:00.250+10:00",
    **changes: Any,
) -> dict[str, Any]:
    """`items`: ids of what stands beside it, or whole line items within it."""
    attributes = {
        "status": "paid",
        "paid_at": paid_at,
        "created_at": "2026-01-01T19:59:00+10:00",
        "delivery_type": "buy_online",
        "message_to_seller": "Please ring twice",
        "seller_id": 2,
        **changes,
    }
    relationships: dict[str, Any] = {"customer": {"data": {"type": "customers", "id": "customer"}}}
    if items is not None:
        refs = [each if isinstance(each, dict) else {"type": "line_items", "id": each} for each in items]
        relationships["line_items"] = {"data": refs}
    return {"id": invoice_id, "type": "invoices", "attributes": attributes, "relationships": relationships}


CUSTOMER = {"id": "customer", "type": "customers", "attributes": {"first_name": "Ada", "surname": "Lovelace"}}
