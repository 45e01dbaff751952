"""The sweep, own sales, and what `doctor` tries."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from connectors.contract import (
    UNLIMITED,
    Listing,
    ListingState,
    MarketplaceSale,
    Stock,
    UnreadableListing,
    UnreadableOrder,
)
from connectors.errors import Unauthorized, Unavailable
from connectors.http import Toolbox
from connectors.marketplacer import ClosingMarketplace, MarketplacerMarketplace
from tests.unit.connectors.marketplacer.vendor import (
    CUSTOMER,
    Vendor,
    advert,
    inventory,
    invoice,
    line_item,
    marketplace_settings,
    page,
    variant,
)

SINCE = datetime(2026, 1, 1, 10, tzinfo=UTC)


# The sweep


def test_a_page_holds_listings_and_what_cannot_be_read(vendor: Vendor, marketplace: MarketplacerMarketplace) -> None:
    entries = [
        variant(3, 11),
        variant(4, 12, external_id="CUP", infinite=True),
        variant("many", 13, external_id="BAD"),
        variant(5, 14, external_id=None),
        variant(6, 15, external_id=""),
        variant(7, 16, external_id="MUG"),
        variant(7, 17, external_id="x" * 300),
        "nonsense",
        {"id": 18},
    ]
    vendor.answers("GET", "variants", page(entries))
    first, last = marketplace.listings()
    assert first[:2] == [
        Listing("MUG", ListingState.PUBLISHED, Stock.counted(3), sku="M-1"),
        Listing("CUP", ListingState.PUBLISHED, UNLIMITED, sku="M-1"),
    ]
    unreadable = [each for each in first if isinstance(each, UnreadableListing)]
    assert [each.listing_id for each in unreadable] == ["variant 13", "MUG", "variant 17", None, "variant 18"]
    assert last == [
        UnreadableListing(
            None,
            "2 variants show no external_id, by which they could be known, among them 14, 15: give each one of its own,"
            " or choose another `identity`",
        )
    ]


def test_the_same_variant_on_two_pages_is_no_second_one(vendor: Vendor, marketplace: MarketplacerMarketplace) -> None:
    vendor.answers(
        "GET",
        "variants",
        page([variant(3, 11)], following=2),
        page([variant(3, 11), variant(4, 12, external_id="CUP")]),
    )
    assert [each.listing_id for listed in marketplace.listings() for each in listed] == ["MUG", "MUG", "CUP"]


def test_a_sweep_teaches_ids(vendor: Vendor, marketplace: MarketplacerMarketplace) -> None:
    listed = vendor.answers("GET", "variants", page([variant(3, 11)]))
    vendor.answers("GET", "variants/11", {"data": [variant(3)]})
    list(marketplace.listings())
    marketplace.listing("MUG")
    assert listed.call_count == 1


@pytest.mark.parametrize("status", [400, 404, 409, 422])
def test_a_variant_without_inventories_is_left_out(
    vendor: Vendor, multi_store: MarketplacerMarketplace, status: int
) -> None:
    vendor.answers("GET", "variants", page([variant(0, 11), variant(0, 12, external_id="CUP")]))
    vendor.on("GET", "variants/11/inventories").mock(return_value=httpx.Response(status))
    vendor.answers("GET", "variants/12/inventories", {"data": [inventory(1, 2), inventory(2, 3)]})
    (listed,) = multi_store.listings()
    assert [(each.listing_id, each.stock.total) for each in listed if isinstance(each, Listing)] == [
        ("2/CUP", 1),
        ("3/CUP", 2),
    ]


def test_inventories_that_cannot_be_read_hide_no_others(vendor: Vendor, multi_store: MarketplacerMarketplace) -> None:
    vendor.answers("GET", "variants", page([variant(0, 11), variant(0, 12, external_id="CUP")]))
    vendor.answers("GET", "variants/11/inventories", {"data": [inventory("many")]})
    vendor.answers("GET", "variants/12/inventories", {"data": [inventory(1)]})
    (listed,) = multi_store.listings()
    assert [each.listing_id for each in listed] == ["variant 11", "2/CUP"]


@pytest.mark.parametrize(("status", "expected"), [(401, Unauthorized), (500, Unavailable)])
def test_trouble_is_no_missing_inventory(
    vendor: Vendor, multi_store: MarketplacerMarketplace, status: int, expected: type[Exception]
) -> None:
    vendor.answers("GET", "variants", page([variant(0, 11)]))
    vendor.on("GET", "variants/11/inventories").mock(return_value=httpx.Response(status))
    with pytest.raises(expected):
        list(multi_store.listings())


def test_where_adverts_count_they_say_what_is_on_sale(vendor: Vendor, toolbox: Toolbox) -> None:
    marketplace = ClosingMarketplace(marketplace_settings(close_adverts=True), toolbox)
    vendor.answers("GET", "adverts", page([advert(11, published=False), "nonsense", advert(advert_id=6)]))
    vendor.answers("GET", "variants", page([variant(3, 11), variant(4, 12, external_id="CUP")]))
    (listed,) = marketplace.listings()
    assert listed[0] == Listing("MUG", ListingState.CLOSED, Stock.counted(3), "", "Red mug", "M-1")
    assert listed[1] == UnreadableListing("CUP", "no advert names variant 12 as its own")


# Own sales


def test_own_sales_by_listing(vendor: Vendor, marketplace: MarketplacerMarketplace) -> None:
    beside = [line_item(31, 2), line_item(32, 1, variant_external_id=None), line_item(33, 0), CUSTOMER]
    asked = vendor.answers("GET", "invoices", page([invoice(21, [31, 32, 33])], included=beside))
    (found,) = marketplace.sales(since=SINCE)
    placed_at, paid_at = datetime(2026, 1, 1, 9, 59, tzinfo=UTC), datetime(2026, 1, 1, 10, 0, 0, 250_000, tzinfo=UTC)
    assert found == [
        MarketplaceSale("21/31", "MUG", 2, placed_at, paid_at),
        MarketplaceSale("21/32", None, 1, placed_at, paid_at),
    ]
    params = asked.calls[0].request.url.params
    assert params["since"] == "2026-01-01T09:59:55.000Z"
    assert params["include"] == "line_items"


def test_own_sales_of_a_multi_store_name_the_seller(vendor: Vendor, multi_store: MarketplacerMarketplace) -> None:
    pages = page([invoice(21), invoice(22, [line_item(34)], seller_id=None)], included=[line_item()])
    vendor.answers("GET", "invoices", pages)
    (found,) = multi_store.sales(since=SINCE)
    assert [each.listing_id for each in found if isinstance(each, MarketplaceSale)] == ["2/MUG", None]


@pytest.mark.parametrize("refunded", ["refunded", "cancelled", "never heard of"])
def test_a_sale_is_one_whatever_became_of_it(
    vendor: Vendor, marketplace: MarketplacerMarketplace, refunded: str
) -> None:
    vendor.answers("GET", "invoices", page([invoice(21, [line_item(status=refunded)], status=refunded)]))
    (found,) = marketplace.sales(since=SINCE)
    assert [each.quantity for each in found if isinstance(each, MarketplaceSale)] == [2]


def test_line_items_that_did_not_come_along_are_asked_for(vendor: Vendor, marketplace: MarketplacerMarketplace) -> None:
    vendor.answers("GET", "invoices", page([invoice(21), invoice(22, None), invoice(23)]))
    vendor.answers("GET", "invoices/21", {"data": invoice(21), "included": [line_item()]})
    vendor.answers("GET", "invoices/22", {"data": invoice(22)})
    vendor.on("GET", "invoices/23").mock(return_value=httpx.Response(404))
    (found,) = marketplace.sales(since=SINCE)
    assert [each.sale_id for each in found if isinstance(each, MarketplaceSale)] == ["21/31"]
    assert [each.order_id for each in found if isinstance(each, UnreadableOrder)] == ["22", "23"]


@pytest.mark.parametrize(
    "element",
    [
        "nonsense",
        {"id": 21},
        invoice(21, [line_item(quantity=-1)]),
        invoice(21, [line_item(quantity=2**63)]),
        invoice(21, [line_item()], paid_at="yesterday"),
        invoice(21, [line_item()], paid_at="0001-01-01T00:00:00+14:00"),
        invoice(21, [line_item(variant_external_id="x" * 300)]),
    ],
)
def test_a_sale_that_cannot_be_read_is_told(vendor: Vendor, marketplace: MarketplacerMarketplace, element: Any) -> None:
    vendor.answers("GET", "invoices", page([element]))
    ((found,),) = marketplace.sales(since=SINCE)
    assert isinstance(found, UnreadableOrder)
    assert b"Please ring" not in found.raw


# Doctor


def test_doctor_says_what_is_wrong(vendor: Vendor, multi_store: MarketplacerMarketplace) -> None:
    vendor.answers("GET", "variants", page([variant()]), page([variant(), variant(3, 12, external_id=None)]))
    vendor.on("GET", "invoices").mock(return_value=httpx.Response(403))
    vendor.on("GET", "multi_store_memberships").mock(return_value=httpx.Response(404))
    checks = {check.name: check for check in multi_store.check()}
    assert {name: check.ok for name, check in checks.items()} == {
        "access": True,
        "identity": False,
        "own sales": False,
        "clock": True,
        "multi-store": False,
    }
    assert "of the first 2 variants 1 show no external_id" in checks["identity"].detail
    assert all(check.remedy for check in checks.values() if not check.ok)


def test_a_site_that_cannot_be_asked_is_told_once(vendor: Vendor, marketplace: MarketplacerMarketplace) -> None:
    vendor.on("GET", "variants").mock(side_effect=httpx.ConnectError("gone"))
    assert [check.name for check in marketplace.check()] == ["access"]
