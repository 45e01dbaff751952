"""One listing, and writing its stock: every answer the vendor can give."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from connectors.contract import (
    UNDEFINED,
    UNLIMITED,
    Adjusted,
    Closable,
    Evidence,
    Feed,
    Guard,
    Ledger,
    Listing,
    ListingState,
    Marketplace,
    Stock,
)
from connectors.elasticpath import ClosingMarketplace, ElasticPathMarketplace
from connectors.errors import (
    ConnectorError,
    InsufficientStock,
    NotFound,
    OutcomeUnknown,
    RateLimited,
    Rejected,
    StockMismatch,
    Unauthorized,
    Unavailable,
    Unreadable,
)
from connectors.http import Toolbox
from tests.unit.connectors.elasticpath.vendor import (
    HTML,
    INSUFFICIENT,
    Vendor,
    error,
    located,
    marketplace_settings,
    product,
    sent,
    stock,
    transaction,
)

PRODUCT = ("GET", "pcm/products/product-1")
STOCK = ("GET", "v2/inventories/product-1")
WRITE = ("POST", "v2/inventories/product-1/transactions")


def test_it_is_a_marketplace_with_a_ledger_and_says_what_a_write_guarantees(
    marketplace: ElasticPathMarketplace, toolbox: Toolbox
) -> None:
    assert isinstance(marketplace, Marketplace)
    assert isinstance(marketplace, Ledger)
    assert not isinstance(marketplace, Feed | Closable)
    assert (marketplace.guard, marketplace.evidence) == (Guard.RELATIVE, Evidence.ANONYMOUS)
    assert marketplace.unlimited_from is None
    sole = ClosingMarketplace(marketplace_settings(sole_writer=True), toolbox)
    assert isinstance(sole, Closable)
    assert sole.evidence is Evidence.ATTRIBUTED


# Reading


def test_a_listing_is_a_product_and_what_is_available_of_it(
    vendor: Vendor, marketplace: ElasticPathMarketplace
) -> None:
    vendor.answers(*PRODUCT, {"data": product()})
    read = vendor.answers(*STOCK, {"data": stock(3, allocated=4)})
    found = marketplace.listing("product-1")
    assert found == Listing("product-1", ListingState.PUBLISHED, Stock.counted(3), "", "A mug", "MUG")
    assert "ep-inventories-multi-location" not in read.calls[0].request.headers


@pytest.mark.parametrize(
    ("location", "resource", "expected"),
    [
        (None, located(available=5), Stock.counted(5)),
        ("york", located(available=9, york=5, hull=4), Stock.counted(5)),
        ("york", located(available=0, york=0), Stock.counted(0)),
        ("york", located(available=4, hull=4), UNDEFINED),
        ("york", located(available=4), UNDEFINED),
    ],
)
def test_the_multi_location_flavour_is_asked_for_by_its_header(
    vendor: Vendor, toolbox: Toolbox, location: str | None, resource: dict[str, Any], expected: Stock
) -> None:
    vendor.answers(*PRODUCT, {"data": product()})
    read = vendor.answers(*STOCK, {"data": resource})
    settings = marketplace_settings(inventory="multi_location", location=location)
    assert ElasticPathMarketplace(settings, toolbox).listing("product-1").stock == expected
    assert read.calls[0].request.headers["ep-inventories-multi-location"] == "true"


def test_stock_at_locations_of_which_none_is_chosen_is_unreadable(vendor: Vendor, toolbox: Toolbox) -> None:
    vendor.answers(*PRODUCT, {"data": product()})
    vendor.answers(*STOCK, {"data": located(york=3)})
    with pytest.raises(Unreadable, match="set `location`"):
        ElasticPathMarketplace(marketplace_settings(inventory="multi_location"), toolbox).listing("product-1")


def test_a_product_without_a_stock_record_is_unlimited(vendor: Vendor, marketplace: ElasticPathMarketplace) -> None:
    vendor.answers(*PRODUCT, {"data": product()})
    vendor.on(*STOCK).mock(return_value=error(404, "Not Found", shown=404))
    assert marketplace.listing("product-1").stock == UNLIMITED


@pytest.mark.parametrize(
    "numbers",
    [
        {"available": 3, "allocated": 1, "total": 5},
        {"available": None, "allocated": 1, "total": 5},
        {"available": 2.0, "allocated": 0, "total": 2},
        {"available": True, "allocated": 0, "total": 1},
        {"available": "3", "allocated": 0, "total": 3},
        {"available": 2**63, "allocated": 0, "total": 2**63},
        {},
    ],
)
def test_numbers_that_are_none_or_contradict_each_other(
    vendor: Vendor, marketplace: ElasticPathMarketplace, numbers: dict[str, Any]
) -> None:
    vendor.answers(*PRODUCT, {"data": product()})
    vendor.answers(*STOCK, {"data": {"id": "product-1", "type": "stock", **numbers}})
    with pytest.raises(Unreadable):
        marketplace.listing("product-1")


@pytest.mark.parametrize(
    "resource",
    [product(status="sold"), product(status=None), product("product-2"), {"id": "product-1"}, [], None],
)
def test_a_product_without_its_documented_shape(
    vendor: Vendor, marketplace: ElasticPathMarketplace, resource: Any
) -> None:
    vendor.answers(*PRODUCT, {"data": resource})
    vendor.answers(*STOCK, {"data": stock()})
    with pytest.raises(Unreadable):
        marketplace.listing("product-1")


def test_an_id_cannot_lead_elsewhere(vendor: Vendor, marketplace: ElasticPathMarketplace) -> None:
    asked = vendor.router.route(path__startswith="/pcm/products/").mock(return_value=error(404, "Not Found"))
    with pytest.raises(NotFound):
        marketplace.listing("../../v2/orders?x=1")
    assert asked.calls[0].request.url.raw_path == b"/pcm/products/..%2F..%2Fv2%2Forders%3Fx%3D1"


# Writing


@pytest.mark.parametrize(("delta", "action"), [(-2, "decrement"), (2, "increment")])
def test_a_write_is_a_read_and_one_transaction(
    vendor: Vendor, marketplace: ElasticPathMarketplace, delta: int, action: str
) -> None:
    read = vendor.answers(*STOCK, {"data": stock(3, allocated=1)})
    write = vendor.answers(*WRITE, {"data": transaction("t-9", action, 2)})
    assert marketplace.adjust("product-1", seen=3, delta=delta) == Adjusted(3 + delta, "t-9")
    assert (read.call_count, write.call_count) == (1, 1)
    assert sent(write) == {"data": {"type": "stock-transaction", "action": action, "quantity": 2}}


@pytest.mark.parametrize("location", [None, "york"])
def test_the_multi_location_flavour_writes_attributes(vendor: Vendor, toolbox: Toolbox, location: str | None) -> None:
    vendor.answers(*STOCK, {"data": located(york=3) if location else located(available=3)})
    # Without `meta`, which its schema does not require.
    made = {"id": "t-9", "type": "stock-transaction", "attributes": {"action": "decrement", "quantity": 1}}
    write = vendor.on(*WRITE).mock(return_value=httpx.Response(201, json={"data": made}))
    marketplace = ElasticPathMarketplace(marketplace_settings(inventory="multi_location", location=location), toolbox)
    assert marketplace.adjust("product-1", seen=3, delta=-1) == Adjusted(2, "t-9")
    place = {"location": location} if location else {}
    attributes = {"action": "decrement", "quantity": 1, **place}
    assert sent(write) == {"data": {"type": "stock-transaction", "attributes": attributes}}
    assert write.calls[0].request.headers["ep-inventories-multi-location"] == "true"


@pytest.mark.parametrize(("seen", "delta"), [(3, 0), (3, -4), (-1, 0), (2**63 - 1, 1), (-5, 2)])
def test_what_is_never_allowed_is_not_sent(
    vendor: Vendor, marketplace: ElasticPathMarketplace, seen: int, delta: int
) -> None:
    with pytest.raises(Rejected) as caught:
        marketplace.adjust("product-1", seen=seen, delta=delta)
    assert caught.value.code == "not_sent"
    assert marketplace.calls == 0


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (httpx.Response(200, json={"data": stock(2)}), StockMismatch),
        (httpx.Response(200, json={"data": stock(4)}), StockMismatch),
        (error(404, "Not Found"), StockMismatch),
        (httpx.Response(200, json={"data": stock(3, total=9)}), Rejected),
        (httpx.Response(404, text=HTML), Unavailable),
        (error(403), Unauthorized),
    ],
)
def test_nothing_is_sent_on_another_number_than_the_one_seen(
    vendor: Vendor, marketplace: ElasticPathMarketplace, answer: httpx.Response, expected: type[ConnectorError]
) -> None:
    vendor.on(*STOCK).mock(return_value=answer)
    write = vendor.on(*WRITE).respond(json={})
    with pytest.raises(expected):
        marketplace.adjust("product-1", seen=3, delta=-1)
    assert not write.called


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (error(422, "Cannot complete request", INSUFFICIENT, shown=422), InsufficientStock),
        (error(422, "Cannot complete request", INSUFFICIENT, shown="422"), InsufficientStock),
        (error(400, "Insufficient stock"), InsufficientStock),
        (error(422, "Cannot complete request", "because"), Rejected),
        (error(409, "Write conflict detected", shown=409), StockMismatch),
        (error(404, "Not Found"), NotFound),
        (error(400, "Bad Request", "Invalid product identifier"), Rejected),
        (error(404, "Not Found", "invalid product identifier"), Rejected),
        (error(400), Rejected),
        (error(403, "Forbidden"), Unauthorized),
        (httpx.Response(403, text=HTML), Unauthorized),
        (error(429, "Too many"), RateLimited),
        (httpx.Response(400, text=HTML), OutcomeUnknown),
        (httpx.Response(404, json={"errors": []}), OutcomeUnknown),
        (httpx.Response(302), OutcomeUnknown),
        (error(500, "Internal Server Error", INSUFFICIENT), OutcomeUnknown),
        (error(408), OutcomeUnknown),
        (httpx.Response(200, text=HTML), OutcomeUnknown),
        (httpx.Response(200, json={"errors": [{"title": "No"}]}), OutcomeUnknown),
        (httpx.Response(200, json={"data": transaction(action="increment")}), OutcomeUnknown),
        (httpx.Response(200, json={"data": transaction(quantity=2)}), OutcomeUnknown),
        (httpx.Response(200, json={"data": transaction("")}), OutcomeUnknown),
        (httpx.Response(204), OutcomeUnknown),
    ],
)
def test_p4_what_an_answer_to_a_write_means(
    vendor: Vendor, marketplace: ElasticPathMarketplace, answer: httpx.Response, expected: type[ConnectorError]
) -> None:
    vendor.answers(*STOCK, {"data": stock(3)})
    write = vendor.on(*WRITE).mock(return_value=answer)
    with pytest.raises(expected) as caught:
        marketplace.adjust("product-1", seen=3, delta=-1)
    assert type(caught.value) is expected
    assert write.call_count == 1


@pytest.mark.parametrize(
    ("failure", "expected"),
    [
        (httpx.ConnectError, Unavailable),
        (httpx.ConnectTimeout, Unavailable),
        (httpx.ReadTimeout, OutcomeUnknown),
        (httpx.RemoteProtocolError, OutcomeUnknown),
        (httpx.WriteError, OutcomeUnknown),
    ],
)
def test_p4_a_write_without_an_answer(
    vendor: Vendor,
    marketplace: ElasticPathMarketplace,
    failure: type[httpx.RequestError],
    expected: type[ConnectorError],
) -> None:
    vendor.answers(*STOCK, {"data": stock(3)})
    write = vendor.on(*WRITE).mock(side_effect=failure)
    with pytest.raises(expected):
        marketplace.adjust("product-1", seen=3, delta=-1)
    assert write.call_count == 1


def test_the_organisations_product_is_explained(vendor: Vendor, marketplace: ElasticPathMarketplace) -> None:
    vendor.answers(*STOCK, {"data": stock(3)})
    vendor.on(*WRITE).mock(return_value=error(400, "Bad Request", "Invalid product identifier"))
    with pytest.raises(Rejected, match="its stock is kept by another store") as caught:
        marketplace.adjust("product-1", seen=3, delta=-1)
    assert caught.value.code == "organization_product"


# Closing


@pytest.mark.parametrize(("act", "status"), [("close", "draft"), ("open", "live")])
def test_off_sale_is_a_draft(vendor: Vendor, toolbox: Toolbox, act: str, status: str) -> None:
    marketplace = ClosingMarketplace(marketplace_settings(close_by_status=True), toolbox)
    put = vendor.answers("PUT", "pcm/products/product-1", {"data": product(status=status)})
    getattr(marketplace, act)("product-1")
    assert sent(put) == {"data": {"type": "product", "id": "product-1", "attributes": {"status": status}}}


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (httpx.Response(200, json={"data": product(status="live")}), OutcomeUnknown),
        (httpx.Response(200, json={"data": product("product-2", status="draft")}), OutcomeUnknown),
        (httpx.Response(200, json={"data": None}), OutcomeUnknown),
        (error(404), NotFound),
        (error(409, "Write conflict detected"), Unavailable),
        (error(422), Rejected),
        (httpx.Response(502, text=HTML), OutcomeUnknown),
    ],
)
def test_a_closing_that_is_not_confirmed(
    vendor: Vendor, toolbox: Toolbox, answer: httpx.Response, expected: type[ConnectorError]
) -> None:
    vendor.on("PUT", "pcm/products/product-1").mock(return_value=answer)
    with pytest.raises(expected):
        ClosingMarketplace(marketplace_settings(close_by_status=True), toolbox).close("product-1")
