"""One listing, and writing its stock: every answer the vendor can give."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
import respx

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
    Sales,
    Stock,
)
from connectors.errors import NotFound, OutcomeUnknown, Rejected, StockMismatch, Unavailable, Unreadable
from connectors.http import Toolbox
from connectors.marketplacer import ClosingMarketplace, MarketplacerMarketplace
from tests.unit.connectors.marketplacer.vendor import (
    Vendor,
    advert,
    inventory,
    marketplace_settings,
    page,
    sent,
    variant,
)

LIST = ("GET", "variants")
SHOW, WRITE = ("GET", "variants/11"), ("PUT", "variants/11")
INVENTORIES, WRITE_INVENTORIES = ("GET", "variants/11/inventories"), ("PUT", "variants/11/inventories")


def found(vendor: Vendor, variant_id: Any = 11) -> respx.Route:
    """The lookup finds one variant."""
    return vendor.answers(*LIST, *[page([variant(999, variant_id)])] * 5)


def one(*given: Any, **more: Any) -> dict[str, Any]:
    return {"data": [variant(*given, **more)]}


def test_it_says_what_a_write_guarantees_and_what_it_tells(
    marketplace: MarketplacerMarketplace, toolbox: Toolbox
) -> None:
    assert isinstance(marketplace, Marketplace)
    assert isinstance(marketplace, Sales)
    assert not isinstance(marketplace, Feed | Closable | Ledger)
    assert (marketplace.guard, marketplace.evidence) == (Guard.ABSOLUTE, Evidence.NONE)
    assert marketplace.unlimited_from is None
    assert isinstance(ClosingMarketplace(marketplace_settings(close_adverts=True), toolbox), Closable)


# Reading


def test_a_listing_is_a_variant_by_its_external_id(vendor: Vendor, marketplace: MarketplacerMarketplace) -> None:
    asked = found(vendor)
    shown = vendor.answers(*SHOW, one(3), {"data": variant(2)})
    assert marketplace.listing("MUG") == Listing("MUG", ListingState.PUBLISHED, Stock.counted(3))
    assert marketplace.listing("MUG").stock == Stock.counted(2)
    assert asked.calls[0].request.url.params["external_id"] == "MUG"
    assert (asked.call_count, shown.call_count) == (1, 2), "the id is looked up once"


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ({"count_on_hand": 0}, Stock.counted(0)),
        ({"count_on_hand": -2}, Stock.counted(-2)),
        ({"infinite": None}, Stock.counted(3)),
        ({"infinite": True}, UNLIMITED),
        ({"infinite": True, "count_on_hand": None}, UNLIMITED),
        ({"something": "new"}, Stock.counted(3)),
        ({"external_id": None}, Stock.counted(3)),
    ],
)
def test_what_a_variant_has(
    vendor: Vendor, marketplace: MarketplacerMarketplace, attributes: dict[str, Any], expected: Stock
) -> None:
    found(vendor)
    vendor.answers(*SHOW, one(**{"count": 3, **attributes}) if "count_on_hand" not in attributes else _with(attributes))
    assert marketplace.listing("MUG").stock == expected


def _with(attributes: dict[str, Any]) -> dict[str, Any]:
    shown = variant()
    shown["attributes"] |= attributes
    return {"data": [shown]}


@pytest.mark.parametrize(
    "answer",
    [
        _with({"count_on_hand": None}),
        _with({"count_on_hand": 2.0}),
        _with({"count_on_hand": True}),
        _with({"count_on_hand": "3"}),
        _with({"count_on_hand": 2**63}),
        _with({"infinite": "yes"}),
        one(3, 12),
        {"data": []},
        {"data": [variant(), variant()]},
        {"data": None},
        [],
        None,
    ],
)
def test_a_variant_without_its_documented_shape(
    vendor: Vendor, marketplace: MarketplacerMarketplace, answer: Any
) -> None:
    found(vendor)
    vendor.answers(*SHOW, answer)
    with pytest.raises(Unreadable):
        marketplace.listing("MUG")
    vendor.answers(*SHOW, answer)
    with pytest.raises(Rejected, match="not sent"):
        marketplace.adjust("MUG", seen=3, delta=-1)


def test_a_replaced_id_is_looked_up_once_more(vendor: Vendor, marketplace: MarketplacerMarketplace) -> None:
    asked = vendor.answers(*LIST, page([variant(3, 11)]), page([variant(3, 12)]))
    vendor.on(*SHOW).mock(side_effect=[httpx.Response(200, json=one(3)), httpx.Response(404)])
    vendor.answers("GET", "variants/12", one(2, 12), one(2, 12))
    assert [marketplace.listing("MUG").stock.total for _ in range(3)] == [3, 2, 2]
    assert asked.call_count == 2


def test_an_id_that_became_anothers_is_not_believed(vendor: Vendor, marketplace: MarketplacerMarketplace) -> None:
    vendor.answers(*LIST, page([variant(3, 11)]), page([variant(3, 12)]))
    vendor.answers(*SHOW, one(3), one(50, external_id="CUP"))
    vendor.answers("GET", "variants/12", one(2, 12))
    assert [marketplace.listing("MUG").stock.total for _ in range(2)] == [3, 2]


@pytest.mark.parametrize(
    ("listed", "expected"),
    [
        ([], NotFound),
        ([variant(external_id="CUP")], NotFound),
        ([variant(3, 11), variant(3, 12)], Unreadable),
        ([variant(3, 11), variant(3, 11)], None),
        ([variant(3, 11), variant(3, 12, external_id="CUP")], None),
        (["nonsense"], Unreadable),
    ],
)
def test_what_a_lookup_finds(
    vendor: Vendor, marketplace: MarketplacerMarketplace, listed: list[Any], expected: type[Exception] | None
) -> None:
    vendor.answers(*LIST, page(listed))
    vendor.answers(*SHOW, one(3))
    if expected is None:
        assert marketplace.listing("MUG").stock == Stock.counted(3)
    else:
        with pytest.raises(expected):
            marketplace.listing("MUG")


def test_what_is_listed_and_then_not_there_is_no_deletion(vendor: Vendor, marketplace: MarketplacerMarketplace) -> None:
    found(vendor)
    vendor.on(*SHOW).mock(return_value=httpx.Response(404))
    with pytest.raises(Unreadable, match="listed with id 11"):
        marketplace.listing("MUG")


@pytest.mark.parametrize("name", ["MUG", "/MUG", "2/", "x/MUG", "-2/MUG", "²/MUG", ""])
def test_a_name_that_is_none_in_a_multi_store(multi_store: MarketplacerMarketplace, name: str) -> None:
    with pytest.raises(NotFound):
        multi_store.listing(name)


@pytest.mark.parametrize(
    ("records", "expected"),
    [
        ([inventory(3)], Stock.counted(3)),
        ([inventory(0)], Stock.counted(0)),
        ([inventory(9, 3), inventory(4)], Stock.counted(4)),
        ([inventory(9, 3)], UNDEFINED),
        ([], UNDEFINED),
        ([{"id": 1, "type": "inventories", "attributes": {"infinite": True, "seller_id": 2}}], UNLIMITED),
        ([inventory(3, fulfilment_provider={"name": "new"})], Stock.counted(3)),
    ],
)
def test_a_sellers_inventory(
    vendor: Vendor, multi_store: MarketplacerMarketplace, records: list[Any], expected: Stock
) -> None:
    found(vendor)
    vendor.answers(*INVENTORIES, {"data": records})
    assert multi_store.listing("2/MUG") == Listing("2/MUG", ListingState.PUBLISHED, expected, "2")


@pytest.mark.parametrize(
    "answer",
    [
        {"data": [inventory(3), inventory(4)]},
        {"data": [inventory(3, price="a lot")]},
        {"data": [inventory(3, price=True)]},
        {"data": [inventory(3, price="0.12345678901234567890")]},
        {"data": [inventory(3, price="123456789012345.123456789")]},
        {"data": [{"id": 1, "attributes": {"infinite": True}}]},
        {"data": {}},
        {},
    ],
)
def test_inventories_without_their_documented_shape(
    vendor: Vendor, multi_store: MarketplacerMarketplace, answer: Any
) -> None:
    found(vendor)
    vendor.answers(*INVENTORIES, answer)
    with pytest.raises(Unreadable):
        multi_store.listing("2/MUG")


# Writing


def test_a_write_reads_sets_the_number_and_reads_back(vendor: Vendor, marketplace: MarketplacerMarketplace) -> None:
    found(vendor)
    read = vendor.answers(*SHOW, one(3), one(1))
    written = vendor.answers(*WRITE, one(2))
    assert marketplace.adjust("MUG", seen=3, delta=-1) == Adjusted(1)
    assert sent(written) == {"data": {"type": "variants", "attributes": {"count_on_hand": 2}}}
    assert (read.call_count, written.call_count) == (2, 1)


@pytest.mark.parametrize(
    ("price", "sale_price", "expected"),
    [
        ("27.38", None, {"price": 27.38}),
        ("500", "450.5", {"price": 500, "sale_price": 450.5}),
        ("100.", "0", {"price": 100, "sale_price": 0}),
        (30.0, 12, {"price": 30, "sale_price": 12}),
        (None, None, {}),
    ],
)
def test_an_inventory_is_written_with_the_price_it_had(
    vendor: Vendor, multi_store: MarketplacerMarketplace, price: Any, sale_price: Any, expected: dict[str, Any]
) -> None:
    found(vendor)
    record = inventory(3, price=price, sale_price=sale_price)
    vendor.answers(*INVENTORIES, {"data": [inventory(9, 3), record]}, {"data": [inventory(2)]})
    written = vendor.answers(*WRITE_INVENTORIES, {"data": [inventory(2)]})
    assert multi_store.adjust("2/MUG", seen=3, delta=-1) == Adjusted(2)
    attributes = {"count_on_hand": 2, "seller_id": 2, **expected}
    assert sent(written) == {"data": [{"type": "inventories", "attributes": attributes}]}


def test_a_member_names_no_seller(vendor: Vendor, toolbox: Toolbox) -> None:
    member = MarketplacerMarketplace(marketplace_settings(inventory="multi_store", seller_id=2), toolbox)
    found(vendor)
    vendor.answers(*INVENTORIES, {"data": [inventory(3)]}, {"data": [inventory(2)]})
    written = vendor.answers(*WRITE_INVENTORIES, {"data": [inventory(2)]})
    member.adjust("2/MUG", seen=3, delta=-1)
    assert "seller_id" not in sent(written)["data"][0]["attributes"]
    with pytest.raises(NotFound):
        member.adjust("3/MUG", seen=3, delta=-1)


@pytest.mark.parametrize(("seen", "delta"), [(3, -4), (3, 0), (2**63 - 1, 1), (-5, 3)])
def test_what_is_never_sent(marketplace: MarketplacerMarketplace, seen: int, delta: int) -> None:
    with pytest.raises(Rejected, match="never allowed"):
        marketplace.adjust("MUG", seen=seen, delta=delta)


@pytest.mark.parametrize("answer", [one(4), one(2), one(infinite=True), one(-1)])
def test_anything_but_what_was_seen_is_a_mismatch(
    vendor: Vendor, marketplace: MarketplacerMarketplace, answer: Any
) -> None:
    found(vendor)
    vendor.answers(*SHOW, answer)
    with pytest.raises(StockMismatch):
        marketplace.adjust("MUG", seen=3, delta=-1)


@pytest.mark.parametrize("back", [httpx.Response(404), httpx.Response(401), httpx.Response(200, text="{"), None])
def test_what_cannot_be_read_back_is_what_the_answer_says(
    vendor: Vendor, marketplace: MarketplacerMarketplace, back: httpx.Response | None
) -> None:
    found(vendor)
    failures = [httpx.ConnectError("gone")] * 4 if back is None else [back]
    vendor.on(*SHOW).mock(side_effect=[httpx.Response(200, json=one(3)), *failures])
    written = vendor.answers(*WRITE, one(2))
    assert marketplace.adjust("MUG", seen=3, delta=-1) == Adjusted(2)
    assert written.call_count == 1


@pytest.mark.parametrize(
    ("answered", "left", "expected"), [(2, 0, 0), (2, 7, 7), (3, 2, 2), (3, 3, None), (5, 1, None)]
)
def test_the_number_that_was_set_must_be_shown_somewhere(
    vendor: Vendor, marketplace: MarketplacerMarketplace, answered: int, left: int, expected: int | None
) -> None:
    found(vendor)
    vendor.answers(*SHOW, one(3), one(left))
    vendor.answers(*WRITE, one(answered))
    if expected is None:
        with pytest.raises(OutcomeUnknown, match="neither"):
            marketplace.adjust("MUG", seen=3, delta=-1)
    else:
        assert marketplace.adjust("MUG", seen=3, delta=-1) == Adjusted(expected)


@pytest.mark.parametrize("answer", [{"data": []}, {}, None, one(2, 12), _with({"count_on_hand": None})])
def test_an_answer_of_another_shape_is_no_answer(
    vendor: Vendor, marketplace: MarketplacerMarketplace, answer: Any
) -> None:
    found(vendor)
    vendor.answers(*SHOW, one(3), one(2))
    written = vendor.answers(*WRITE, answer)
    with pytest.raises(OutcomeUnknown):
        marketplace.adjust("MUG", seen=3, delta=-1)
    assert written.call_count == 1


def test_a_write_to_a_former_id_is_made_to_the_present_one(
    vendor: Vendor, marketplace: MarketplacerMarketplace
) -> None:
    vendor.answers(*LIST, page([variant(3, 11)]), page([variant(3, 12)]))
    vendor.answers(*SHOW, one(3), one(3))
    refused = vendor.on(*WRITE).mock(return_value=httpx.Response(404))
    vendor.answers("GET", "variants/12", one(3, 12), one(2, 12))
    written = vendor.answers("PUT", "variants/12", one(2, 12))
    marketplace.listing("MUG")
    assert marketplace.adjust("MUG", seen=3, delta=-1) == Adjusted(2)
    assert (refused.call_count, written.call_count) == (1, 1)


def test_the_present_one_is_read_before_it_is_written(vendor: Vendor, marketplace: MarketplacerMarketplace) -> None:
    vendor.answers(*LIST, page([variant(3, 11)]), page([variant(3, 12)]))
    vendor.answers(*SHOW, one(3), one(3))
    vendor.on(*WRITE).mock(return_value=httpx.Response(404))
    vendor.answers("GET", "variants/12", one(8, 12))
    marketplace.listing("MUG")
    with pytest.raises(StockMismatch):
        marketplace.adjust("MUG", seen=3, delta=-1)


def test_an_inventory_that_the_answer_does_not_show_is_no_answer(
    vendor: Vendor, multi_store: MarketplacerMarketplace
) -> None:
    found(vendor)
    vendor.answers(*INVENTORIES, {"data": [inventory(3)]})
    vendor.answers(*WRITE_INVENTORIES, {"data": [inventory(2, 3)]})
    with pytest.raises(OutcomeUnknown, match="no inventory of seller 2"):
        multi_store.adjust("2/MUG", seen=3, delta=-1)


# Closing


@pytest.fixture
def closing(vendor: Vendor, toolbox: Toolbox) -> ClosingMarketplace:
    found(vendor)
    return ClosingMarketplace(marketplace_settings(close_adverts=True), toolbox)


def test_an_advert_without_stock_is_unpublished(vendor: Vendor, closing: ClosingMarketplace) -> None:
    asked = vendor.answers("GET", "adverts", page([advert(99, advert_id=4), advert(11, 12)]))
    vendor.answers("GET", "adverts/5", {"data": advert(11, 12)})
    vendor.answers(*SHOW, one(0), one(0))
    vendor.answers("GET", "variants/12", one(0, 12, external_id=None))
    written = vendor.answers("PUT", "adverts/5", {"data": advert(11, 12, published=False)})
    closing.close("MUG")
    assert asked.calls[0].request.url.params["sku"] == "M-1"
    assert sent(written) == {"data": {"type": "adverts", "attributes": {"published": False}}}


@pytest.mark.parametrize("other", [one(1, 12), one(0, 12, infinite=True)])
def test_an_advert_with_something_left_stays(vendor: Vendor, closing: ClosingMarketplace, other: Any) -> None:
    vendor.answers("GET", "adverts", page([advert(11, 12)]))
    vendor.answers("GET", "adverts/5", {"data": advert(11, 12)})
    vendor.answers(*SHOW, one(0), one(0))
    vendor.answers("GET", "variants/12", other)
    closing.close("MUG")


@pytest.mark.parametrize(
    "answer", [{"data": advert(11)}, {"data": []}, {}, {"data": advert(11, published="no")}, {"data": {"id": 5}}]
)
def test_an_answer_that_does_not_show_it_unpublished_is_no_answer(
    vendor: Vendor, closing: ClosingMarketplace, answer: Any
) -> None:
    vendor.answers("GET", "adverts", page([advert(11)]))
    vendor.answers("GET", "adverts/5", {"data": advert(11)})
    vendor.answers(*SHOW, one(0), one(0))
    vendor.answers("PUT", "adverts/5", answer)
    with pytest.raises(OutcomeUnknown):
        closing.close("MUG")


def test_a_variant_without_an_advert_cannot_be_closed(vendor: Vendor, closing: ClosingMarketplace) -> None:
    vendor.answers("GET", "adverts", page([]), page([]), page([]))
    vendor.answers(*SHOW, one(0), one(0))
    with pytest.raises(Rejected, match="no advert names variant 11"):
        closing.close("MUG")


def test_a_site_that_is_down_while_closing_is_unavailable(vendor: Vendor, closing: ClosingMarketplace) -> None:
    vendor.on(*SHOW).mock(side_effect=httpx.ConnectError("gone"))
    with pytest.raises(Unavailable):
        closing.close("MUG")
