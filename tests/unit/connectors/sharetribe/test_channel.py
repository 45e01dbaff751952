"""Sharetribe as a channel: every answer the vendor can give."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr, ValidationError

from connectors.contract import Channel, Clocked, Gone, Hooks, Located, Order, OrderLine, UnreadableOrder
from connectors.errors import ConnectorError, RateLimited, Rejected, Unauthorized, Unavailable, Unreadable
from connectors.http import Toolbox
from connectors.sandbox.clock import VirtualClock
from connectors.sharetribe import SharetribeChannel, SharetribeChannelSettings, sales
from connectors.sharetribe.resources import ShapeError, as_resource, included
from tests.unit.connectors.sharetribe.vendor import CLIENT_ID, CLIENT_SECRET, HTML, Vendor, error, event, link, page

START = datetime(2026, 1, 1, tzinfo=UTC)
LIST = ("GET", "transactions/query")
ONE = ("GET", "transactions/show")
EVENTS = ("GET", "events/query")


def channel_settings(**changes: Any) -> SharetribeChannelSettings:
    return SharetribeChannelSettings.model_validate(
        {"client_id": CLIENT_ID, "client_secret": SecretStr(CLIENT_SECRET), **changes}
    )


@pytest.fixture
def channel(vendor: Vendor, toolbox: Toolbox) -> Iterator[SharetribeChannel]:
    opened = SharetribeChannel("market", channel_settings(), toolbox)
    yield opened
    opened.close()


def transaction(
    transaction_id: str = "transaction-1",
    *,
    reservation: str | None = "reservation-1",
    listing: str | None = "listing-1",
    changed_at: Any = "2026-01-01T10:00:00.123Z",
    **attributes: Any,
) -> dict[str, Any]:
    return {
        "id": transaction_id,
        "type": "transaction",
        "attributes": {
            "createdAt": "2026-01-01T09:00:00.000Z",
            "lastTransitionedAt": changed_at,
            "processName": "default-purchase",
            **attributes,
        },
        "relationships": {
            "listing": link("listing", listing),
            "stockReservation": link("stockReservation", reservation),
        },
    }


def reservation(
    reservation_id: str = "reservation-1", *, quantity: Any = 2, state: Any = "accepted", adjustments: Any = ()
) -> dict[str, Any]:
    links = [{"id": each, "type": "stockAdjustment"} for each in adjustments]
    return {
        "id": reservation_id,
        "type": "stockReservation",
        "attributes": {"quantity": quantity, "state": state},
        "relationships": {"stockAdjustments": {"data": links}},
    }


def taken(adjustment_id: str, at: str) -> dict[str, Any]:
    return {"id": adjustment_id, "type": "stockAdjustment", "attributes": {"at": at}}


def read(node: Any, *came: Any, **changes: Any) -> Order:
    known = included({"included": list(came)})
    return sales.order(node, known, channel_settings(**changes), fetched_at=START)


def test_it_is_a_channel_without_hooks(channel: SharetribeChannel) -> None:
    assert isinstance(channel, Channel)
    assert isinstance(channel, Clocked)
    assert isinstance(channel, Located)
    assert not isinstance(channel, Hooks)


# What a transaction says


@pytest.mark.parametrize(
    ("state", "committed"), [("pending", 2), ("accepted", 2), ("proposed", 0), ("declined", 0), ("cancelled", 0)]
)
def test_what_is_held_is_committed(state: str, committed: int) -> None:
    found = read(transaction(), reservation(state=state))
    assert found.lines == (OrderLine("reservation-1", "listing-1", "listing-1", committed),)
    assert found.revision == 1_767_261_600_123


def test_an_order_is_as_old_as_the_first_unit_it_took() -> None:
    early, late = taken("a-1", "2026-01-01T09:30:00.000Z"), taken("a-2", "2026-01-01T09:40:00.000Z")
    held = reservation(adjustments=["a-2", "a-1", "one that did not come along"])
    assert read(transaction(), held, late, early).placed_at == START + timedelta(hours=9, minutes=30)
    assert read(transaction(), reservation()).placed_at == START + timedelta(hours=9)


@pytest.mark.parametrize(
    ("node", "came"),
    [
        (transaction(), []),
        (transaction(), [reservation(state="lent")]),
        (transaction(), [reservation(state=None)]),
        (transaction(), [reservation(state=["accepted"])]),
        (transaction(), [reservation(quantity=-1)]),
        (transaction(), [reservation(quantity="2")]),
        (transaction(), [reservation(quantity=2**63)]),
        (transaction(), [reservation(adjustments=["a-1"]), taken("a-1", "yesterday")]),
        (transaction(), [{**reservation(), "relationships": {"stockAdjustments": {"data": {}}}}]),
        (transaction(listing=None), [reservation()]),
        (transaction(changed_at=None), [reservation()]),
        (transaction(createdAt="2026-01-01T09:00:00"), [reservation()]),
        ({"id": "transaction-1", "type": "transaction"}, [reservation()]),
        ({**transaction(), "relationships": None}, [reservation()]),
        ({**transaction(), "relationships": {"customer": {"data": None}}}, [reservation()]),
        ({**transaction(), "relationships": {"stockReservation": {"links": {}}}}, [reservation()]),
        ({**transaction(), "relationships": {"stockReservation": ["reservation-1"]}}, [reservation()]),
        ({name: part for name, part in transaction().items() if name != "relationships"}, [reservation()]),
    ],
)
def test_what_is_not_documented_is_no_order(node: Any, came: list[Any]) -> None:
    with pytest.raises(ShapeError):
        read(node, *came)


def test_a_provider_that_is_not_named_is_no_other_provider() -> None:
    with pytest.raises(ShapeError, match="provider"):
        read(transaction(), reservation(), provider_id="seller-1")


def test_what_is_kept_of_an_unreadable_transaction_is_not_personal() -> None:
    node = transaction(protectedData={"phone": "555"}, payinTotal={"amount": 1, "currency": "USD"})
    kept = json.loads(sales.reduced(node))
    assert kept == {
        "createdAt": "2026-01-01T09:00:00.000Z",
        "lastTransitionedAt": "2026-01-01T10:00:00.123Z",
        "processName": "default-purchase",
        "listing": ["listing", "listing-1"],
        "stockReservation": ["stockReservation", "reservation-1"],
        "provider": None,
    }
    assert json.loads(sales.reduced("nonsense")) == {"listing": None, "stockReservation": None, "provider": None}


# Polling


def test_nothing_personal_is_asked_for(vendor: Vendor, channel: SharetribeChannel) -> None:
    listed = vendor.answers(*LIST, page([]))
    followed = vendor.answers(*EVENTS, page([event(5, "transaction/initiated", transaction())]))
    vendor.answers(*ONE, {"data": transaction(), "included": [reservation()]})
    first = channel.orders(channel.cursor_at(START))
    (order,) = channel.orders(first.cursor).orders
    assert order.order_id == "transaction-1"
    asked = dict(listed.calls[0].request.url.params)
    assert asked == {
        "page": "1",
        "sort": "lastTransitionedAt",
        "perPage": "100",
        "hasStockReservation": "true",
        "include": "listing,stockReservation,stockReservation.stockAdjustments",
        "fields.transaction": "createdAt,lastTransitionedAt,processName",
        "fields.listing": "createdAt",
        "fields.stockReservation": "quantity,state",
        "fields.stockAdjustment": "at",
        "fields.user": "createdAt",
    }
    assert dict(followed.calls[0].request.url.params) == {
        "eventTypes": "transaction/initiated,transaction/transitioned",
        "createdAtStart": "2025-12-31T23:59:00.000Z",
        "fields.event": "createdAt,eventType,resourceId,sequenceId",
    }


def test_one_that_cannot_be_read_does_not_stop_its_neighbours(vendor: Vendor, channel: SharetribeChannel) -> None:
    nodes = [transaction(), transaction("transaction-2", reservation="lost"), "nonsense", {"id": "transaction-3"}]
    vendor.answers(*LIST, page(nodes, [reservation()]))
    found = channel.orders(channel.cursor_at(START))
    assert [each.order_id for each in found.orders] == ["transaction-1"]
    assert [each.order_id for each in found.unreadable] == ["transaction-2", None, "transaction-3"]


def test_one_listed_as_holding_stock_that_shows_no_reservation_is_told(
    vendor: Vendor, channel: SharetribeChannel
) -> None:
    vendor.answers(*LIST, page([transaction("transaction-2", reservation=None), transaction()], [reservation()]))
    found = channel.orders(channel.cursor_at(START))
    assert [each.order_id for each in found.orders] == ["transaction-1"]
    assert [each.order_id for each in found.unreadable] == ["transaction-2"]


def test_an_event_that_cannot_be_read_does_not_stop_its_neighbours(vendor: Vendor, channel: SharetribeChannel) -> None:
    vendor.answers(*LIST, page([]))
    odd = event(6, "transaction/initiated", transaction("transaction-2"))
    odd["attributes"]["resourceId"] = None
    vendor.answers(*EVENTS, page([event(5, "transaction/initiated", transaction()), odd, "nonsense"]))
    vendor.answers(*ONE, {"data": transaction(), "included": [reservation()]})
    found = channel.orders(channel.orders(channel.cursor_at(START)).cursor)
    assert ([each.order_id for each in found.orders], len(found.unreadable)) == (["transaction-1"], 2)
    assert json.loads(found.cursor)["sequence"] == 6


@pytest.mark.parametrize(
    "nodes",
    [
        [transaction(changed_at=f"2026-01-01T10:00:0{second}.000Z") for second in range(3)],
        [transaction(changed_at=None)] * 100,
    ],
)
def test_a_list_that_is_not_newest_first_is_not_believed(
    vendor: Vendor, channel: SharetribeChannel, nodes: list[Any]
) -> None:
    vendor.on(*LIST).respond(json=page(nodes))
    for read_it in (lambda: channel.orders(channel.cursor_at(START)), lambda: list(channel.recent(START))):
        with pytest.raises(Unreadable) as caught:
            read_it()
        assert caught.value.account == "market"


def test_events_that_do_not_lead_on_are_not_read_for_ever(vendor: Vendor, channel: SharetribeChannel) -> None:
    vendor.answers(*LIST, page([]))
    vendor.on(*EVENTS).respond(json=page(["nonsense"] * 100))
    with pytest.raises(Unreadable, match="do not lead on"):
        channel.orders(channel.orders(channel.cursor_at(START)).cursor)


def test_recent_goes_on_past_what_it_cannot_read(vendor: Vendor, channel: SharetribeChannel) -> None:
    listed = vendor.answers(*LIST, page([transaction(), {"id": "odd"}, transaction(changed_at="2025-12-31T10:00:00Z")]))
    ((first, second),) = channel.recent(START)
    assert first.order_id == "transaction-1"
    assert isinstance(second, UnreadableOrder)
    assert "include" not in listed.calls[0].request.url.params


def test_a_list_without_an_end_has_one(vendor: Vendor, channel: SharetribeChannel) -> None:
    listed = vendor.on(*LIST).mock(return_value=httpx.Response(200, json=page([transaction()] * 100)))
    assert len(list(channel.recent(START))) == 100
    assert listed.call_count == 100


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (error("auth-invalid-access-token", 401), Unauthorized),
        (error("forbidden", 403), Unauthorized),
        (error("validation-invalid-params", 400), Rejected),
        (error("too-many-requests", 429), RateLimited),
        (httpx.Response(500, text=HTML), Unavailable),
        (httpx.Response(200, text=HTML), Unreadable),
        (httpx.Response(200, json={"data": {}}), Unreadable),
    ],
)
def test_a_page_that_is_refused(
    vendor: Vendor, channel: SharetribeChannel, answer: httpx.Response, expected: type[ConnectorError]
) -> None:
    vendor.on(*LIST).mock(
        side_effect=lambda _: httpx.Response(answer.status_code, headers=answer.headers, content=answer.content)
    )
    with pytest.raises(expected) as caught:
        channel.orders(channel.cursor_at(START))
    assert caught.value.account == "market"


def test_only_the_vendors_own_word_makes_an_order_gone(
    vendor: Vendor, channel: SharetribeChannel, clock: VirtualClock
) -> None:
    asked = vendor.on(*ONE).mock(return_value=error("not-found", 404))
    assert channel.order("transaction-1") == Gone("transaction-1", clock.now())
    asked.respond(404, text=HTML)
    with pytest.raises(Unavailable):
        channel.order("transaction-1")


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=12) | st.just("\ud800"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@st.composite
def spoiled(draw: st.DrawFn) -> Any:
    """A transaction with its reservation, one place of it replaced by anything."""
    value: Any = [transaction(), reservation(adjustments=["a-1"]), taken("a-1", "2026-01-01T09:30:00.000Z")]

    def replaced(value: Any) -> Any:
        if not isinstance(value, (dict, list)) or not value or draw(st.integers(0, 4)) == 0:
            return draw(anything)
        if isinstance(value, dict):
            key = draw(st.sampled_from(sorted(value)))
            return {**value, key: replaced(value[key])}
        place = draw(st.integers(0, len(value) - 1))
        return [*value[:place], replaced(value[place]), *value[place + 1 :]]

    return replaced(value)


@given(spoiled(), st.sampled_from([None, "publicData.sku"]))
def test_any_json_is_an_order_or_of_a_wrong_shape(value: Any, sku_key: str | None) -> None:
    node, *came = value if isinstance(value, list) and value else [value]
    sales.reduced(node)
    with suppress(ShapeError):
        found = read(as_resource(node), *came, sku_key=sku_key)
        assert all(0 <= line.committed < 2**63 for line in found.lines)


# Settings


def test_the_secret_is_never_shown() -> None:
    assert CLIENT_SECRET not in repr(channel_settings())


@pytest.mark.parametrize(
    "changes",
    [{"sku_key": "sku"}, {"provider_id": ""}, {"exclude_processes": [" "]}, {"base_url": "http://example.com"}],
)
def test_settings_that_cannot_be_meant_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        channel_settings(**changes)
