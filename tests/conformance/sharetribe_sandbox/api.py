"""Plain HTTP calls to a Sharetribe sandbox, as any client could make them."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, Protocol

import httpx

from connectors.sharetribe.sandbox import Options

ROOT = "/v1/integration_api"


class Api:
    """The vendor's API with a token fetched on first use, and the control surface."""

    def __init__(self, client: httpx.Client, options: Options) -> None:
        self.http = client
        self.options = options
        self._token: str | None = None

    def fetch_token(self, **form: str) -> httpx.Response:
        """One call of the token endpoint; by default with the sandbox's own credentials."""
        credentials = {
            "client_id": self.options.client_id,
            "client_secret": self.options.client_secret.get_secret_value(),
            "grant_type": "client_credentials",
            "scope": "integ",
        }
        return self.http.post("/v1/auth/token", data=form or credentials)

    def authorization(self) -> dict[str, str]:
        if self._token is None:
            self._token = self.fetch_token().json()["access_token"]
        return {"Authorization": f"Bearer {self._token}"}

    def forget_token(self) -> None:
        """Fetch a new one before the next call, as after its lifetime."""
        self._token = None

    def get(self, endpoint: str, **query: Any) -> httpx.Response:
        return self.http.get(f"{ROOT}/{endpoint}", params=query, headers=self.authorization())

    def post(self, endpoint: str, body: Any, **query: Any) -> httpx.Response:
        return self.http.post(f"{ROOT}/{endpoint}", json=body, params=query, headers=self.authorization())

    def control(self, path: str, body: Any = None) -> Any:
        """Do something on the control surface; it must succeed."""
        response = self.http.post(f"/_control/{path}", json=body or {})
        assert response.status_code == 200, response.text
        return response.json()

    def look(self, path: str) -> Any:
        """See something of the control surface."""
        response = self.http.get(f"/_control/{path}")
        assert response.status_code == 200, response.text
        return response.json()

    def switch(self, **switches: Any) -> None:
        self.control("switches", switches)

    def listing(self, stock: int | str | None = None, **details: Any) -> str:
        """A new listing's id."""
        made = self.control("listings", {"listings": [{"title": "Mug", "stock": stock, **details}]})
        return str(made["listings"][0]["id"])

    def total(self, listing_id: str) -> int | None:
        """The total as the vendor's API shows it."""
        answer = self.get("listings/show", id=listing_id, include="currentStock").json()
        included = answer.get("included")
        return included[0]["attributes"]["quantity"] if included else None

    def ledger(self, listing_id: str) -> list[int]:
        """The sandbox's own knowledge of the adjustments, oldest first."""
        return [each["quantity"] for each in self.look(f"listings/{listing_id}")["adjustments"]]

    def compare_and_set(self, listing_id: str, old: int | None, new: int) -> httpx.Response:
        return self.post("stock/compare_and_set", {"listingId": listing_id, "oldTotal": old, "newTotal": new})

    def buy(self, listing_id: str, quantity: int = 1, **details: Any) -> Any:
        """A purchase waiting for its payment."""
        return self.control("purchases", {"listing_id": listing_id, "quantity": quantity, **details})

    def step(self, purchase: Any, step: str, body: Any = None) -> Any:
        return self.control(f"purchases/{purchase['id']}/{step}", body)

    def events(self, **query: Any) -> list[dict[str, Any]]:
        """The attributes of one page of events."""
        response = self.get("events/query", **query)
        assert response.status_code == 200, response.text
        return [event["attributes"] for event in response.json()["data"]]


class Serve(Protocol):
    """Serves a sandbox with the given options."""

    def __call__(self, **options: Any) -> AbstractContextManager[Api]: ...


def code(response: httpx.Response) -> str:
    """The error code of a refusal."""
    assert response.is_error, response.text
    errors = response.json()["errors"]
    assert errors[0]["status"] == response.status_code
    return str(errors[0]["code"])


def until(condition: Callable[[], bool], *, seconds: float = 10) -> None:
    """Look again and again until it is so."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never became so"
