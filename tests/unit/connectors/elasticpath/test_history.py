"""The transaction list as adjustments of what is available."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from connectors.contract import Author
from connectors.elasticpath import ElasticPathMarketplace
from connectors.elasticpath.history import Transaction, adjustments, moment
from connectors.elasticpath.resources import ShapeError
from connectors.errors import Unavailable, Unreadable
from connectors.http import Toolbox
from tests.unit.connectors.elasticpath.vendor import Vendor, marketplace_settings, page, transaction

T0 = datetime(2026, 1, 1, 10, tzinfo=UTC)
LISTED = ("GET", "v2/inventories/product-1/transactions")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2018-05-01 10:10:57 +0000 UTC", datetime(2018, 5, 1, 10, 10, 57, tzinfo=UTC)),
        ("2018-05-01 10:10:57.25 +0000 UTC", datetime(2018, 5, 1, 10, 10, 57, 250_000, tzinfo=UTC)),
        ("2018-05-01 12:10:57 +0200 CEST", datetime(2018, 5, 1, 10, 10, 57, tzinfo=UTC)),
        ("2018-05-01 10:10:57.123456789 +0000 UTC m=+0.001", datetime(2018, 5, 1, 10, 10, 57, 123_456, tzinfo=UTC)),
        ("2018-05-01T10:10:57Z", datetime(2018, 5, 1, 10, 10, 57, tzinfo=UTC)),
        ("2018-05-01T12:10:57.123456789+02:00", datetime(2018, 5, 1, 10, 10, 57, 123_456, tzinfo=UTC)),
    ],
)
def test_both_ways_of_writing_a_time(text: str, expected: datetime) -> None:
    assert moment(text) == expected


@pytest.mark.parametrize("value", ["", "yesterday", None, 17, "2018-05-01T10:10:57", "0001-01-01 00:00:00 +0000 UTC"])
def test_what_is_no_time(value: Any) -> None:
    with pytest.raises(ShapeError):
        moment(value)


def listed(*steps: tuple[str, int], apart_seconds: float = 1.0) -> list[Transaction]:
    return [
        Transaction(f"t-{place}", action, quantity, T0 + timedelta(seconds=place * apart_seconds))
        for place, (action, quantity) in enumerate(steps)
    ]


def moved(transactions: list[Transaction], **changes: Any) -> list[int]:
    asked = {"location": None, "since": T0, "sole_writer": False, **changes}
    return [each.quantity for each in adjustments("product-1", transactions, **asked)]


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        ([("create", 9), ("decrement", 2), ("increment", 1)], [9, -2, 1]),
        ([("create", 9), ("allocate", 2), ("deallocate", 1)], [9, -2, 1]),
        # A total of 12, of which 4 are allocated, is 8 available, from 5.
        ([("create", 9), ("allocate", 4), ("set", 12)], [9, -4, 3]),
        # Deleted in between, which leaves no entry.
        ([("create", 9), ("decrement", 2), ("create", 3)], [9, -2, -4]),
        ([("create", 9), ("create", 9)], [9]),
        ([("create", 0), ("increment", 4)], [4]),
        # Before what is known, a set says nothing; after what is unknown neither.
        ([("set", 12), ("decrement", 1)], [-1]),
        ([("create", 9), ("recount", 4), ("set", 12), ("decrement", 1)], [9, -1]),
        ([("create", 9), ("recount", 4), ("create", 5), ("set", 12)], [9, 5, 7]),
        ([("increment", 0)], []),
    ],
)
def test_how_far_each_action_moved_what_is_available(steps: list[tuple[str, int]], expected: list[int]) -> None:
    assert moved(listed(*steps)) == expected


def test_who_did_it_is_known_of_what_we_never_do() -> None:
    steps = listed(("create", 9), ("decrement", 2), ("allocate", 1), ("deallocate", 1), ("increment", 3), ("set", 1))
    for sole_writer, ours in ((False, None), (True, Author.OURS)):
        found = adjustments("product-1", steps, location=None, since=T0, sole_writer=sole_writer)
        other = Author.OTHER
        assert [each.author for each in found] == [other, ours, other, other, ours, other]
        assert not any(each.reservation for each in found)


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("apart_seconds", [0.0, 1.0])
def test_either_order_of_the_list_and_one_second_for_all(turned: bool, apart_seconds: float) -> None:
    steps = listed(("create", 9), ("decrement", 2), ("decrement", 1), ("increment", 5), apart_seconds=apart_seconds)
    found = adjustments("product-1", reversed(steps) if turned else steps, location=None, since=T0, sole_writer=False)
    assert [each.adjustment_id for each in found] == ["t-0", "t-1", "t-2", "t-3"]
    assert [each.at for each in found] == sorted({each.at for each in found})


def test_from_the_second_of_a_moment_on() -> None:
    steps = listed(("create", 9), ("decrement", 2), ("decrement", 1))
    assert moved(steps, since=T0 + timedelta(seconds=1.9)) == [-2, -1]
    assert moved(steps, since=T0 + timedelta(seconds=3)) == []


def test_of_our_location_alone() -> None:
    steps = [
        Transaction("t-1", "create", 9, T0, "york"),
        Transaction("t-2", "create", 50, T0, "hull"),
        Transaction("t-3", "decrement", 2, T0, "york"),
    ]
    assert moved(steps, location="york") == [9, -2]
    assert moved(steps) == []


# Reading the list


def test_the_basic_list_is_asked_for_without_pages(vendor: Vendor, marketplace: ElasticPathMarketplace) -> None:
    read = vendor.answers(*LISTED, {"data": [transaction("t-1", "create", 3), transaction("t-2")]})
    found = marketplace.adjustments("product-1", since=T0)
    assert [(each.adjustment_id, each.quantity) for each in found] == [("t-1", 3), ("t-2", -1)]
    assert not read.calls[0].request.url.params


def test_pages_are_read_where_there_are_some(vendor: Vendor, marketplace: ElasticPathMarketplace) -> None:
    read = vendor.answers(
        *LISTED,
        page([transaction("t-1", "create", 3), transaction("t-2")], total=3),
        page([transaction("t-2"), transaction("t-3")], total=3),
    )
    found = marketplace.adjustments("product-1", since=T0)
    assert [each.adjustment_id for each in found] == ["t-1", "t-2", "t-3"]
    assert dict(read.calls[1].request.url.params) == {"page[limit]": "100", "page[offset]": "2"}


def test_pages_that_do_not_lead_on_are_not_read_for_ever(vendor: Vendor, marketplace: ElasticPathMarketplace) -> None:
    vendor.on(*LISTED).respond(json=page([transaction()], total=3))
    with pytest.raises(Unavailable, match="1 of 3"):
        marketplace.adjustments("product-1", since=T0)


@pytest.mark.parametrize(
    "entry",
    [
        transaction(""),
        transaction(action=""),
        transaction(quantity="1"),
        transaction(quantity=2**64),
        transaction(at="soon"),
        {**transaction(), "timestamps": None},
        None,
    ],
)
def test_an_entry_without_its_documented_shape(vendor: Vendor, marketplace: ElasticPathMarketplace, entry: Any) -> None:
    vendor.answers(*LISTED, {"data": [entry]})
    with pytest.raises(Unreadable):
        marketplace.adjustments("product-1", since=T0)


def entry(name: str, action: str, quantity: int, location: str) -> dict[str, Any]:
    return {
        "id": name,
        "type": "stock-transaction",
        "attributes": {"action": action, "quantity": quantity, "location": location},
        "meta": {"timestamps": {"created_at": "2026-01-01T10:00:00Z"}},
    }


def test_the_multi_location_list(vendor: Vendor, toolbox: Toolbox) -> None:
    entries = [entry("t-1", "create", 9, "york"), entry("t-2", "create", 5, "hull"), entry("t-3", "set", 4, "york")]
    read = vendor.answers(*LISTED, page(entries, total=3))
    marketplace = ElasticPathMarketplace(marketplace_settings(inventory="multi_location", location="york"), toolbox)
    found = marketplace.adjustments("product-1", since=T0)
    assert [(each.adjustment_id, each.quantity) for each in found] == [("t-1", 9), ("t-3", -5)]
    assert read.calls[0].request.url.params["page[limit]"] == "100"
    assert read.calls[0].request.headers["ep-inventories-multi-location"] == "true"


def test_without_a_count_the_multi_location_list_ends_with_a_page_that_is_not_full(
    vendor: Vendor, toolbox: Toolbox
) -> None:
    entries = [entry(f"t-{number}", "increment", 1, "york") for number in range(130)]
    read = vendor.answers(*LISTED, page(entries[:100]), page(entries[100:]))
    marketplace = ElasticPathMarketplace(marketplace_settings(inventory="multi_location", location="york"), toolbox)
    assert len(marketplace.adjustments("product-1", since=T0)) == 130
    assert [call.request.url.params["page[offset]"] for call in read.calls] == ["0", "100"]


def test_full_pages_without_a_count_that_do_not_lead_on_are_not_read_for_ever(vendor: Vendor, toolbox: Toolbox) -> None:
    entries = [entry(f"t-{number}", "increment", 1, "york") for number in range(100)]
    vendor.on(*LISTED).respond(json=page(entries))
    marketplace = ElasticPathMarketplace(marketplace_settings(inventory="multi_location", location="york"), toolbox)
    with pytest.raises(Unavailable, match="100 of more"):
        marketplace.adjustments("product-1", since=T0)
