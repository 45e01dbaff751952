"""Every call: the key in one header, pages, and what an answer means."""

from __future__ import annotations

import base64
from typing import Any

import httpx
import pytest

from connectors.budget import Priority
from connectors.errors import NotFound, OutcomeUnknown, RateLimited, Rejected, Unauthorized, Unavailable, Unreadable
from connectors.http import Toolbox
from connectors.marketplacer.client import MAX_PASSES, Client
from connectors.sandbox.clock import VirtualClock
from tests.unit.connectors.marketplacer.vendor import API_KEY, HTML, Vendor, marketplace_settings, page


@pytest.fixture
def client(vendor: Vendor, toolbox: Toolbox) -> Client:
    return Client(marketplace_settings(), toolbox, account="site")


def test_the_key_is_a_bearer_token_or_stands_beside_basic_authentication(vendor: Vendor, toolbox: Toolbox) -> None:
    asked = vendor.answers("GET", "variants", page([]), page([]))
    Client(marketplace_settings(), toolbox, account="site").page("variants", what="reading")
    basic = marketplace_settings(basic_user="staging", basic_password="hush-hush")
    Client(basic, toolbox, account="site").page("variants", what="reading")
    plain, staged = (call.request.headers for call in asked.calls)
    assert (plain["authorization"], plain.get("marketplacer-api-key")) == (f"Bearer {API_KEY}", None)
    assert staged["authorization"] == f"Basic {base64.b64encode(b'staging:hush-hush').decode()}"
    assert staged["marketplacer-api-key"] == API_KEY


def test_a_page_asks_for_a_size_and_a_write_says_what_it_is(vendor: Vendor, client: Client) -> None:
    asked = vendor.answers("GET", "variants", page([]))
    client.page("variants", {"sku": "a b"}, number=3, what="reading")
    assert dict(asked.calls[0].request.url.params) == {"sku": "a b", "page[number]": "3", "page[size]": "100"}
    written = vendor.answers("PUT", "variants/1", {"data": {}})
    client.put("variants/1", {"data": {}}, what="writing")
    assert written.calls[0].request.headers["content-type"] == "application/vnd.api+json"


@pytest.mark.parametrize(
    ("links", "following"),
    [
        ({}, None),
        ({"next": None}, None),
        ({"next": 7}, None),
        ({"next": ""}, None),
        ({"next": "/api/v2/client/variants?page[number]=2&page[size]=50"}, 2),
        ({"next": "https://elsewhere.example/steal?page%5Bnumber%5D=2"}, 2),
        ({"next": "/variants?page[number]=1"}, None),
        ({"next": "/variants?page[number]=99"}, 2),
        ({"next": "/variants?page[number]=two"}, None),
        (None, None),
    ],
)
def test_where_a_list_goes_on(vendor: Vendor, client: Client, links: Any, following: int | None) -> None:
    vendor.answers("GET", "variants", {"data": [{"id": 1}], "links": links})
    assert client.page("variants", what="reading").following == following


def test_an_empty_page_is_the_last_whatever_it_says(vendor: Vendor, client: Client) -> None:
    vendor.answers("GET", "variants", page([], following=2))
    assert client.page("variants", what="reading").following is None


def test_pages_that_repeat_themselves_end(vendor: Vendor, client: Client) -> None:
    asked = vendor.on("GET", "variants").mock(
        side_effect=lambda request: httpx.Response(
            200, json=page([{"id": 1}], following=int(request.url.params["page[number]"]) + 1)
        )
    )
    with pytest.raises(Unreadable, match="nothing that those before did not"):
        list(client.pages("variants", what="reading", priority=Priority.READ))
    assert asked.call_count == 4


def test_a_list_of_several_pages_is_read_until_it_shows_nothing_new(vendor: Vendor, client: Client) -> None:
    first, second = page([{"id": 1}, {"id": 2}], following=2), page([{"id": 4}])
    moved = page([{"id": 2}, {"id": 3}], following=2)
    vendor.answers("GET", "invoices", first, second, moved, second, moved, second)
    found = list(client.whole("invoices", {}, what="reading", priority=Priority.READ))
    assert [sorted(each.ids) for each in found] == [["1", "2"], ["4"], ["2", "3"]]


def test_a_list_of_one_page_is_read_once(vendor: Vendor, client: Client) -> None:
    asked = vendor.answers("GET", "invoices", page([{"id": 1}]))
    assert len(list(client.whole("invoices", {}, what="reading", priority=Priority.READ))) == 1
    assert asked.call_count == 1


def test_a_list_that_never_comes_to_rest_is_told(vendor: Vendor, client: Client) -> None:
    bodies = [
        body for number in range(MAX_PASSES) for body in (page([{"id": number}], following=2), page([{"id": 99}]))
    ]
    vendor.answers("GET", "invoices", *bodies)
    with pytest.raises(Unavailable, match="something new in each"):
        list(client.whole("invoices", {}, what="reading", priority=Priority.READ))


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (400, Rejected),
        (401, Unauthorized),
        (403, Unauthorized),
        (404, NotFound),
        (422, Rejected),
        (301, Rejected),
        (204, Unreadable),
    ],
)
@pytest.mark.parametrize("body", [b"", HTML.encode(), b'{"errors":[{"status":"422","title":"No"}]}', b"\xff"])
def test_the_status_alone_tells_what_a_refused_read_means(
    vendor: Vendor, client: Client, status: int, expected: type[Exception], body: bytes
) -> None:
    vendor.on("GET", "variants/1").mock(return_value=httpx.Response(status, content=b"" if status == 204 else body))
    with pytest.raises(expected):
        client.one("variants", "1", what="reading variant 1")


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (400, Rejected),
        (401, Unauthorized),
        (404, NotFound),
        (422, Rejected),
        (301, OutcomeUnknown),
        (500, OutcomeUnknown),
    ],
)
def test_only_a_refusal_is_certain_not_to_have_been_executed(
    vendor: Vendor, client: Client, status: int, expected: type[Exception]
) -> None:
    written = vendor.on("PUT", "variants/1").mock(return_value=httpx.Response(status, text=HTML))
    with pytest.raises(expected):
        client.put("variants/1", {}, what="writing")
    assert written.call_count == 1


def test_half_an_invoice_is_not_shown_in_an_error(vendor: Vendor, client: Client) -> None:
    vendor.on("GET", "invoices/1").mock(return_value=httpx.Response(200, text='{"data":{"surname":"Lovelace"'))
    with pytest.raises(Unreadable) as caught:
        client.one("invoices", "1", what="reading invoice 1")
    assert "Lovelace" not in str(caught.value)


def test_a_list_that_is_none_is_no_empty_list(vendor: Vendor, client: Client) -> None:
    vendor.on("GET", "variants").mock(return_value=httpx.Response(404, text=HTML))
    with pytest.raises(Unavailable, match="no seller API"):
        client.page("variants", what="reading the variants")


def test_too_many_requests_without_a_time_mean_a_minute(vendor: Vendor, client: Client, clock: VirtualClock) -> None:
    vendor.on("PUT", "variants/1").mock(return_value=httpx.Response(429))
    with pytest.raises(RateLimited) as caught:
        client.put("variants/1", {}, what="writing")
    assert caught.value.retry_after_seconds == 60
    vendor.answers("GET", "variants", page([]))
    with pytest.raises(RateLimited):
        client.page("variants", what="reading")
    clock.advance(60)
    client.page("variants", what="reading")


def test_an_id_cannot_lead_elsewhere(vendor: Vendor, client: Client) -> None:
    asked = vendor.router.route(path__startswith="/api/v2/client/").mock(return_value=httpx.Response(404))
    with pytest.raises(NotFound):
        client.one("variants", "../invoices?x", what="reading")
    assert asked.calls[0].request.url.raw_path == b"/api/v2/client/variants/..%2Finvoices%3Fx"
