"""The kit's whole contract against the sandbox, and what only Acorn does."""

from __future__ import annotations

import hmac
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
from connectors.contract import AccessEnded, Ignored
from connectors.errors import Unreadable
from connectors.http import Toolbox
from connectors.sandbox.clock import VirtualClock
from connectors.sandbox.serve import serve
from connectors.testing import ChannelKit, Delivery, Sold

from trueup_acorn import AcornChannel, AcornSettings
from trueup_acorn.hooks import notices
from trueup_acorn.orders import to_order
from trueup_acorn.sandbox import Options, create_app

OPTIONS = Options()


class AcornSandbox:
    """What people do in an Acorn shop, and what is true there."""

    page_size = 2
    missing_order = "A-0"
    signs_body = True
    enumerations = ("status",)

    def __init__(self, clock: VirtualClock, url: str) -> None:
        self.clock = clock
        self._url = url

    def open(self, toolbox: Toolbox) -> AcornChannel:
        settings = AcornSettings(
            shop=OPTIONS.shop,
            api_key=OPTIONS.api_key,
            webhook_secrets=(OPTIONS.webhook_secret,),
            page_size=self.page_size,
            base_url=self._url,
        )
        return AcornChannel("acorn", settings, toolbox)

    def place(self, *lines: Sold) -> str:
        items = [{"sku": line.sku, "quantity": line.quantity, "article": f"article-of-{line.sku}"} for line in lines]
        return str(self._control("POST", "orders", {"items": items})["id"])

    def committed(self, order_id: str) -> Mapping[str, int]:
        order = self._control("GET", f"orders/{order_id}")
        lives = order["status"] != "cancelled"
        return {item["sku"]: (item["quantity"] - item["returned"]) * lives for item in order["items"]}

    def touch(self, order_id: str) -> None:
        self._control("POST", f"orders/{order_id}", {})

    def cancel(self, order_id: str) -> None:
        self._control("POST", f"orders/{order_id}", {"status": "cancelled"})

    def edit(self, order_id: str, sku: str, quantity: int) -> None:
        self._control("POST", f"orders/{order_id}", {"items": {sku: {"quantity": quantity}}})

    def give_back(self, order_id: str, sku: str, quantity: int) -> None:
        self._control("POST", f"orders/{order_id}", {"items": {sku: {"returned": quantity}}})

    def delete(self, order_id: str) -> None:
        self._control("DELETE", f"orders/{order_id}")

    def revoke(self) -> None:
        self._control("POST", "revoke")

    def tell(self) -> None:
        # Nobody listens there: what was sent can be seen all the same.
        hook = {"url": "http://127.0.0.1:9/hooks/acorn", "events": ["order.changed", "order.deleted"]}
        headers = {"authorization": f"Bearer {OPTIONS.api_key.get_secret_value()}"}
        httpx.post(f"{self._url}/v1/shops/{OPTIONS.shop}/webhooks", json=hook, headers=headers).raise_for_status()

    def told(self) -> Sequence[Delivery]:
        return [Delivery(one["headers"], one["body"].encode()) for one in self._control("GET", "told")]

    def signed(self, like: Delivery, body: bytes) -> Delivery:
        signature = hmac.new(OPTIONS.webhook_secret.get_secret_value().encode(), body, "sha256").hexdigest()
        return Delivery({**like.headers, "acorn-signature": signature}, body)

    def _control(self, method: str, path: str, body: Any = None) -> Any:
        answer = httpx.request(method, f"{self._url}/_control/{path}", json=body)
        answer.raise_for_status()
        return answer.json()


class TestAcorn(ChannelKit):
    """`pytest` runs every case of the contract that a channel of this kind has to pass."""

    not_shown = (
        "test_what_is_listed_late_is_named_by_recent",  # Acorn lists an order at once.
        "test_tokens_that_end_early_are_replaced_without_a_word",  # A key lasts until it is revoked.
    )

    @contextmanager
    def sandbox(self) -> Iterator[AcornSandbox]:
        clock = VirtualClock()
        with serve(create_app(OPTIONS, clock)) as url:
            yield AcornSandbox(clock, url)


def order(**changes: Any) -> bytes:
    items = [{"id": "1", "quantity": 3, "returned": 1, "sku": "MUG", "article": "77"}]
    plain = {"id": "A-1", "version": 1, "status": "paid", "placed_at": "2026-01-01T12:00:00+01:00", "items": items}
    return json.dumps({**plain, **changes}).encode()


def test_an_order_from_the_marketplace_is_left_out_by_its_source() -> None:
    found = to_order(order(source="marketplace"), ("marketplace",), fetched_at=None)
    assert (found.excluded, found.lines) == ("source marketplace", ())


@pytest.mark.parametrize(
    "changes",
    [
        {"status": "put-aside"},
        {"items": [{"id": "1", "quantity": 1, "returned": 2}]},
        {"items": [{"id": "1", "quantity": 1}, {"id": "1", "quantity": 1}]},
        {"items": [{"id": "1", "quantity": 1.5}]},
        {"placed_at": "2026-01-01T12:00:00"},
    ],
)
def test_what_is_not_documented_is_not_guessed(changes: dict[str, Any]) -> None:
    with pytest.raises(Unreadable) as refused:
        to_order(order(**changes), (), fetched_at=None)
    assert refused.value.order_id == "A-1"


@pytest.mark.parametrize(
    ("event", "said"), [("access.revoked", AccessEnded()), ("invoice.paid", Ignored("unknown_topic"))]
)
def test_events_without_an_order(event: str, said: AccessEnded | Ignored) -> None:
    assert notices(json.dumps({"id": "evt-1", "event": event}).encode(), ()) == (said,)
