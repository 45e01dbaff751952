"""What nobody waits for."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from config.settings import WebSettings
from connectors.contract import Subscription
from connectors.errors import Unauthorized
from tests.world import CHANNEL, World
from worker.housekeeping import Housekeeping, hook_address
from worker.intake.inbox import Incoming
from worker.store.tables import Delivery, DeliveryState


def test_clock_skew_is_an_anomaly_that_resolves_itself(world: World) -> None:
    world.marketplace.clock_skew_seconds = 120.0  # type: ignore[attr-defined]
    keeping = Housekeeping(world.services)
    keeping.check_clocks()
    [anomaly] = world.services.anomalies.list()
    assert (anomaly.kind, anomaly.detail["seconds"]) == ("clock-skew", 120)
    world.marketplace.clock_skew_seconds = 1.0  # type: ignore[attr-defined]
    keeping.check_clocks()
    assert world.anomalies() == []


def test_broken_webhooks_are_an_anomaly_that_resolves_itself(world: World) -> None:
    web = WebSettings(public_url="https://stock.example.com")
    world.services.settings = world.services.settings.model_copy(update={"web": web})
    asked: list[str] = []

    def broken(address: str) -> list[Subscription]:
        asked.append(address)
        return [Subscription("orders/create", address, "deleted by the vendor")]

    whole = world.channel.subscribe
    world.channel.subscribe = broken  # type: ignore[method-assign]
    keeping = Housekeeping(world.services)
    keeping.check_subscriptions(CHANNEL)
    assert asked == ["https://stock.example.com/hooks/shop"]
    assert world.anomalies() == ["webhook-missing"]
    world.channel.subscribe = whole  # type: ignore[method-assign]
    keeping.check_subscriptions(CHANNEL)
    assert world.anomalies() == []


def test_refused_credentials_are_noticed_by_the_webhook_check(world: World) -> None:
    web = WebSettings(public_url="https://stock.example.com")
    world.services.settings = world.services.settings.model_copy(update={"web": web})

    def refuse(_address: str) -> list[Subscription]:
        raise Unauthorized("revoked", account=CHANNEL)

    world.channel.subscribe = refuse  # type: ignore[method-assign, assignment]
    with pytest.raises(Unauthorized):
        Housekeeping(world.services).check_subscriptions(CHANNEL)
    assert world.holds() == ["re-authorisation"]


def test_without_a_public_address_no_webhook_is_registered() -> None:
    assert hook_address("", "shop") == ""


def test_a_parked_delivery_is_no_anomaly_any_more_once_its_body_is_dropped(world: World) -> None:
    world.services.inbox.put([Incoming(CHANNEL, "d", "d", "orders", b"{", True, world.clock.now(), "c")])
    world.services.inbox.drain()
    assert world.anomalies() == ["parked-delivery"]
    world.pass_time(8 * 86400)
    Housekeeping(world.services).forget()
    assert world.anomalies() == []


def test_handled_deliveries_are_forgotten_after_their_days_and_nothing_else(world: World) -> None:
    world.listing(total=10)
    world.link()
    world.sell("1", {"A": 3})
    world.reconcile()
    world.clock.advance(timedelta(days=31).total_seconds())
    Housekeeping(world.services).forget()
    assert world.rows(Delivery.id) == []
    assert world.pairs() == [("A", 3, 3, 0)]


def test_what_could_not_be_read_is_never_forgotten_but_its_body_is_dropped_after_its_days(world: World) -> None:
    body = b'{"email": "ann@example.com"'
    world.services.inbox.put([Incoming(CHANNEL, "d1", "x", "orders", body, True, world.clock.now(), "c")])
    world.services.inbox.drain()
    kept: list[Any] = []
    for days in (6, 2, 100):
        world.pass_time(timedelta(days=days).total_seconds())
        Housekeeping(world.services).forget()
        kept += world.rows(Delivery.state, Delivery.kept)
    assert kept == [(DeliveryState.PARKED, body), (DeliveryState.PARKED, None), (DeliveryState.PARKED, None)]
