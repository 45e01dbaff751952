"""The sweep, and what `doctor` tries."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from connectors.contract import UNLIMITED, Listing, Stock, UnreadableListing
from connectors.elasticpath import ElasticPathMarketplace
from connectors.errors import Unavailable, Unreadable
from connectors.http import Toolbox
from tests.unit.connectors.elasticpath.vendor import Vendor, error, marketplace_settings, page, product, sent, stock

LISTED = ("GET", "pcm/products")
MULTIPLE = ("POST", "v2/inventories/multiple")


def flat(marketplace: ElasticPathMarketplace) -> list[Listing | UnreadableListing]:
    return [each for found in marketplace.listings() for each in found]


def test_a_page_of_products_takes_one_more_call(vendor: Vendor, marketplace: ElasticPathMarketplace) -> None:
    listed = vendor.answers(*LISTED, page([product("a"), product("b")]))
    stocks = vendor.answers(*MULTIPLE, {"data": [stock(4, "a")]})
    found = flat(marketplace)
    assert [(each.listing_id, each.stock) for each in found if isinstance(each, Listing)] == [
        ("a", Stock.counted(4)),
        ("b", UNLIMITED),
    ]
    assert dict(listed.calls[0].request.url.params) == {"page[limit]": "100", "page[offset]": "0"}
    assert sent(stocks) == {"data": [{"id": "a"}, {"id": "b"}]}


def test_one_that_cannot_be_read_does_not_stop_its_neighbours(
    vendor: Vendor, marketplace: ElasticPathMarketplace
) -> None:
    products = [product("a"), {"id": "b"}, product("c", status="odd"), "nonsense", product("d"), product("e")]
    vendor.answers(*LISTED, page(products))
    vendor.answers(*MULTIPLE, {"data": [stock(1, "a"), stock(1, "d", total=7), stock(2, "e")]})
    found = flat(marketplace)
    assert [each.listing_id for each in found] == ["a", "b", "c", None, "d", "e"]
    assert [isinstance(each, Listing) for each in found] == [True, False, False, False, False, True]


@pytest.mark.parametrize("odd", [{"type": "stock", "available": 3}, "nonsense"])
def test_a_stock_record_of_nobody_has_each_asked_for_by_itself(
    vendor: Vendor, marketplace: ElasticPathMarketplace, odd: Any
) -> None:
    vendor.answers(*LISTED, page([product("a"), product("b"), product("c")]))
    vendor.answers(*MULTIPLE, {"data": [stock(1, "a"), odd]})
    vendor.answers("GET", "v2/inventories/a", {"data": stock(1, "a")})
    vendor.on("GET", "v2/inventories/b").mock(return_value=error(404, "Not Found"))
    vendor.answers("GET", "v2/inventories/c", {"data": None})
    a, b, c = flat(marketplace)
    assert isinstance(a, Listing)
    assert isinstance(b, Listing)
    assert (a.stock, b.stock) == (Stock.counted(1), UNLIMITED)
    assert isinstance(c, UnreadableListing)


def test_ids_that_are_refused_by_name_are_left_out(vendor: Vendor, marketplace: ElasticPathMarketplace) -> None:
    vendor.answers(*LISTED, page([product("a"), product("b"), product("c")]))
    stocks = vendor.on(*MULTIPLE).mock(
        side_effect=[
            error(404, "Not Found", meta={"missing_ids": ["b", "unasked"]}),
            httpx.Response(200, json={"data": [stock(1, "a"), stock(2, "c")]}),
        ]
    )
    assert [each.stock for each in flat(marketplace) if isinstance(each, Listing)] == [
        Stock.counted(1),
        UNLIMITED,
        Stock.counted(2),
    ]
    assert sent(stocks, 1) == {"data": [{"id": "a"}, {"id": "c"}]}


def test_a_bare_refusal_is_not_taken_for_products_without_stock(
    vendor: Vendor, marketplace: ElasticPathMarketplace
) -> None:
    vendor.answers(*LISTED, page([product("a")]))
    vendor.on(*MULTIPLE).respond(404, text="not here")
    with pytest.raises(Unavailable):
        flat(marketplace)


def test_pages_overlap_so_that_deletions_hide_nothing(vendor: Vendor, marketplace: ElasticPathMarketplace) -> None:
    everything = [product(f"p-{number}") for number in range(150)]
    listed = vendor.answers(*LISTED, page(everything[:100]), page(everything[95:]))
    vendor.on(*MULTIPLE).mock(return_value=httpx.Response(200, json={"data": []}))
    assert [each.listing_id for each in flat(marketplace)] == [f"p-{number}" for number in range(150)]
    assert listed.calls[1].request.url.params["page[offset]"] == "90"


def test_pages_that_do_not_lead_on_are_not_read_for_ever(vendor: Vendor, marketplace: ElasticPathMarketplace) -> None:
    vendor.on(*LISTED).respond(json=page([product(f"p-{number}") for number in range(100)]))
    vendor.on(*MULTIPLE).mock(return_value=httpx.Response(200, json={"data": []}))
    with pytest.raises(Unreadable, match="nothing that the pages before did not"):
        flat(marketplace)


def test_doctor_says_what_is_wrong(vendor: Vendor, marketplace: ElasticPathMarketplace, toolbox: Toolbox) -> None:
    listed = vendor.on(*LISTED).mock(return_value=error(403, "Forbidden"))
    (access,) = marketplace.check()
    assert (access.name, access.ok) == ("access", False)
    assert "application key" in access.remedy
    listed.mock(return_value=httpx.Response(200, json=page([])))
    vendor.on("GET", "v2/inventories").mock(return_value=error(403, "Forbidden"))
    assert [(each.name, each.ok) for each in marketplace.check()] == [
        ("access", True),
        ("stock", False),
        ("clock", True),
    ]
    vendor.on("GET", "v2/inventories").respond(json=page([]))
    locations = page([{"id": "l", "type": "inventory_location", "attributes": {"slug": "hull"}}])
    vendor.on("GET", "v2/inventories/locations").respond(json=locations)
    located = ElasticPathMarketplace(marketplace_settings(inventory="multi_location", location="york"), toolbox)
    assert [(each.name, each.ok) for each in located.check()] == [
        ("access", True),
        ("stock", True),
        ("location", False),
        ("clock", True),
    ]
