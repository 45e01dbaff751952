"""A delivery is its channel's only if no other channel has the secret it is signed with."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from pydantic import SecretStr
from sqlalchemy import func, select

from config.settings import ChannelSettings, Settings
from connectors.sandbox.clock import VirtualClock
from connectors.shopify import ShopifyChannel, ShopifySettings
from tests import receiving
from worker.intake.inbox import Incoming
from worker.services import Services
from worker.store import Store
from worker.store.tables import OrderLineRow, OrderRow


def shop(name: str, secret: str) -> ChannelSettings:
    options = ShopifySettings(
        shop=f"{name}.myshopify.com", access_token=SecretStr(f"shpat_{name}"), client_secret=SecretStr(secret)
    )
    return ChannelSettings(name=name, connector="shopify", any_seller=True, options=options)


def taken_in(store: Store, secrets: Mapping[str, str]) -> tuple[int, int]:
    """After toys' order was replayed to books: lines booked there, and orders to be fetched."""
    base = receiving.settings()
    settings: Settings = base.model_copy(
        update={"channels": {name: shop(name, secret) for name, secret in secrets.items()}}
    )
    clock = VirtualClock()
    services = Services(settings, clock=clock, store=store)
    services.register_channels()
    books = services.channels["books"]
    assert isinstance(books, ShopifyChannel)
    body = receiving.order_body(42, updated_at=clock.now().isoformat(), created_at=clock.now().isoformat())
    # Only the body is signed: the header that names the shop is anybody's to write.
    headers = {
        "x-shopify-hmac-sha256": receiving.signature(body, secrets["books"]),
        "x-shopify-shop-domain": "books.myshopify.com",
    }
    receipt = books.receive(headers, body)
    services.inbox.put([Incoming("books", "1", "d", receipt.topic, receipt.kept, receipt.raw, clock.now(), "c")])
    services.inbox.drain()
    with store.read() as transaction:
        lines = transaction.scalar(select(func.count()).select_from(OrderLineRow))
        to_fetch = transaction.scalar(select(func.count(OrderRow.fetch_at)))
    services.close()
    return lines or 0, to_fetch or 0


@pytest.mark.parametrize(
    ("toys", "found"), [("of-its-own", (3, 0)), ("of-both", (0, 1))], ids=["a secret of its own", "a secret of both"]
)
def test_a_body_that_may_be_another_channels_is_only_a_reason_to_look(
    store: Store, toys: str, found: tuple[int, int]
) -> None:
    assert taken_in(store, {"toys": toys, "books": "of-both"}) == found
