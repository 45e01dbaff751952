"""Tokens: every answer the vendor can give."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl

import httpx
import pytest

from connectors.elasticpath import ElasticPathMarketplace
from connectors.errors import ConnectorError, RateLimited, Unauthorized, Unavailable
from connectors.sandbox.clock import VirtualClock
from tests.unit.connectors.elasticpath.vendor import CLIENT_ID, CLIENT_SECRET, HTML, TOKEN, Vendor, error, page

LISTED = ("GET", "pcm/products")


def read(marketplace: ElasticPathMarketplace) -> None:
    list(marketplace.listings())


def test_a_token_is_asked_for_once_by_a_form(vendor: Vendor, marketplace: ElasticPathMarketplace) -> None:
    listed = vendor.on(*LISTED).respond(json=page([]))
    read(marketplace)
    read(marketplace)
    (call,) = vendor.token.calls
    assert call.request.headers["content-type"] == "application/x-www-form-urlencoded"
    assert dict(parse_qsl(call.request.content.decode())) == {
        "grant_type": "client_credentials",
        "client_id": CLIENT_ID,
        "client_secret": CLIENT_SECRET,
    }
    assert [each.request.headers["authorization"] for each in listed.calls] == ["Bearer token-1"] * 2


def test_a_token_is_renewed_before_it_ends(
    vendor: Vendor, marketplace: ElasticPathMarketplace, clock: VirtualClock
) -> None:
    vendor.on(*LISTED).respond(json=page([]))
    read(marketplace)
    clock.advance(3569)
    read(marketplace)
    assert vendor.token.call_count == 1
    clock.advance(2)
    read(marketplace)
    assert vendor.token.call_count == 2


def test_a_refused_token_is_replaced_once(vendor: Vendor, marketplace: ElasticPathMarketplace) -> None:
    listed = vendor.on(*LISTED)
    listed.mock(side_effect=[error(401, "Unauthorized"), httpx.Response(200, json=page([]))])
    read(marketplace)
    listed.mock(side_effect=[error(401, "Unauthorized")] * 2)
    with pytest.raises(Unauthorized):
        read(marketplace)
    assert vendor.token.call_count == 3


@pytest.mark.parametrize("answer", [TOKEN, {"data": TOKEN}])
def test_either_form_of_the_answer(vendor: Vendor, marketplace: ElasticPathMarketplace, answer: Any) -> None:
    vendor.token.respond(json=answer)
    vendor.on(*LISTED).respond(json=page([]))
    read(marketplace)


@pytest.mark.parametrize(
    ("response", "expected"),
    [
        (error(401, "Unauthorized", shown="401"), Unauthorized),
        (error(400), Unauthorized),
        (httpx.Response(403, text=HTML), Unauthorized),
        (httpx.Response(429), RateLimited),
        (httpx.Response(500, text=HTML), Unavailable),
        (httpx.Response(200, text=HTML), Unavailable),
        (httpx.Response(200, json=[]), Unavailable),
        (httpx.Response(200, json={"access_token": ""}), Unavailable),
        (httpx.Response(200, json={"access_token": "bad\ntoken"}), Unavailable),
        (httpx.Response(200, json={"access_token": "a", "expires_in": 0}), Unavailable),
        (httpx.Response(200, json={"access_token": "a", "expires_in": True}), Unavailable),
        (httpx.Response(302, headers={"location": "https://elsewhere.example"}), Unavailable),
    ],
)
def test_no_token_can_be_had(
    vendor: Vendor, marketplace: ElasticPathMarketplace, response: httpx.Response, expected: type[ConnectorError]
) -> None:
    vendor.token.mock(side_effect=lambda _: httpx.Response(response.status_code, content=response.content))
    with pytest.raises(expected) as caught:
        read(marketplace)
    assert CLIENT_SECRET not in str(caught.value)
    assert caught.value.account == "elasticpath"
    written = vendor.on("POST", "v2/inventories/product-1/transactions").respond(json={})
    with pytest.raises(expected):
        marketplace.adjust("product-1", seen=1, delta=-1)
    assert not written.called
