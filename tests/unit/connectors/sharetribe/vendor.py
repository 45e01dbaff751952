"""Sharetribe's side of a unit test: every answer is the test's to decide."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import httpx
import respx
from pydantic import SecretStr

from connectors.sharetribe import SharetribeMarketplaceSettings

HOST = "https://flex-integ-api.sharetribe.com"
CLIENT_ID = "our-client-id"
CLIENT_SECRET = "very-secret-secret"
TOKEN = {"access_token": "token-1", "refresh_token": "refresh-1", "token_type": "bearer", "expires_in": 600}
HTML = "<html><body><h1>Something</h1></body></html>"


class Vendor:
    """What Sharetribe answers.

    Tokens are given out and the marketplace is shown (which is how its time is asked for) unless a test says otherwise.
    """

    def __init__(self, router: respx.MockRouter) -> None:
        self.router = router
        self.token = router.post(f"{HOST}/v1/auth/token").mock(return_value=httpx.Response(200, json=TOKEN))
        self.on("GET", "marketplace/show").respond(json={"data": {"id": "marketplace-1", "type": "marketplace"}})

    def on(self, method: str, path: str) -> respx.Route:
        """One endpoint, e.g. `on("GET", "listings/show")`."""
        return self.router.request(method, f"{HOST}/v1/integration_api/{path}")

    def answers(self, method: str, path: str, *bodies: Any) -> respx.Route:
        """One endpoint that answers 200 with these bodies in turn."""
        return self.on(method, path).mock(side_effect=[httpx.Response(200, json=body) for body in bodies])


def settings(**changes: Any) -> SharetribeMarketplaceSettings:
    """Valid settings, with changes."""
    return SharetribeMarketplaceSettings.model_validate(
        {"client_id": CLIENT_ID, "client_secret": SecretStr(CLIENT_SECRET), **changes}
    )


def error(code: str, status: int = 409, *, title: str = "No.", **more: Any) -> httpx.Response:
    """A refusal with its documented body."""
    return httpx.Response(
        status, json={"errors": [{"id": "e", "status": status, "code": code, "title": title, **more}]}
    )


def link(kind: str, resource_id: str | None) -> dict[str, Any]:
    """A to-one relationship."""
    return {"data": None if resource_id is None else {"id": resource_id, "type": kind}}


def stock(quantity: Any, stock_id: str = "stock-1") -> dict[str, Any]:
    return {"id": stock_id, "type": "stock", "attributes": {"quantity": quantity}}


def listing(
    listing_id: str = "listing-1",
    *,
    stock_id: str | None = "stock-1",
    author: str | None = "seller-1",
    **attributes: Any,
) -> dict[str, Any]:
    return {
        "id": listing_id,
        "type": "listing",
        "attributes": {
            "title": "A mug",
            "state": "published",
            "deleted": False,
            "createdAt": "2026-01-01T00:00:00.000Z",
            **attributes,
        },
        "relationships": {"author": link("user", author), "currentStock": link("stock", stock_id)},
    }


def adjustment(
    adjustment_id: str = "adjustment-1",
    *,
    listing_id: str = "listing-1",
    at: str = "2026-01-01T10:00:00.000Z",
    quantity: Any = -1,
    reservation: str | None = None,
) -> dict[str, Any]:
    return {
        "id": adjustment_id,
        "type": "stockAdjustment",
        "attributes": {"at": at, "quantity": quantity},
        "relationships": {
            "listing": link("listing", listing_id),
            "stockReservation": link("stockReservation", reservation),
        },
    }


def event(
    sequence: Any,
    event_type: str = "stockAdjustment/created",
    resource: Any = None,
    *,
    created_at: Any = "2026-01-01T10:00:00.000Z",
    source: str = "source/integration-api",
    previous: Any = None,
    **audit: Any,
) -> dict[str, Any]:
    return {
        "id": f"event-{sequence}",
        "type": "event",
        "attributes": {
            "createdAt": created_at,
            "sequenceId": sequence,
            "marketplaceId": "marketplace-1",
            "eventType": event_type,
            "source": source,
            "resourceId": resource["id"] if resource else "gone-1",
            "resourceType": event_type.partition("/")[0],
            "resource": resource,
            "previousValues": {} if previous is None else previous,
            "auditData": {"userId": None, "adminId": None, "clientId": None, "requestId": None, **audit},
        },
    }


def page(resources: Iterable[Any], included: Iterable[Any] = (), **meta: Any) -> dict[str, Any]:
    return {"data": list(resources), "included": list(included), "meta": {"perPage": 100, **meta}}
