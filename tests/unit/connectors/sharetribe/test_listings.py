"""The sweep over all listings, and what `doctor` tries."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from connectors.budget import Priority, Scope
from connectors.contract import Closable, Listing, UnreadableListing
from connectors.errors import Unreadable
from connectors.http import Toolbox
from connectors.sandbox.clock import VirtualClock
from connectors.sharetribe import SharetribeMarketplace
from connectors.sharetribe.resources import timestamp
from tests.unit.connectors.sharetribe.vendor import HTML, Vendor, error, listing, page, settings, stock

QUERY = ("GET", "listings/query")
START = datetime(2026, 1, 1, tzinfo=UTC)


class Catalogue:
    """A vendor's search: newest first, cut by `createdAtEnd`, in pages."""

    def __init__(self, created_at: dict[str, datetime], *, limit: int = 10_000) -> None:
        self.created_at = created_at
        self.limit = limit
        self.asked: list[dict[str, str]] = []
        self.after_each: Callable[[], object] = lambda: None

    def answer(self, request: httpx.Request) -> httpx.Response:
        asked = dict(request.url.params)
        self.asked.append(asked)
        end = (
            datetime.fromisoformat(asked["createdAtEnd"])
            if "createdAtEnd" in asked
            else datetime.max.replace(tzinfo=UTC)
        )
        found = sorted(((at, listing_id) for listing_id, at in self.created_at.items() if at < end), reverse=True)
        first = (int(asked["page"]) - 1) * 100
        resources = [listing(listing_id, createdAt=timestamp(at)) for at, listing_id in found[first : first + 100]]
        self.after_each()
        return httpx.Response(
            200, json=page(resources, [stock(3)], totalItems=len(found), paginationLimit=self.limit // 100)
        )


def sweep(vendor: Vendor, marketplace: SharetribeMarketplace, catalogue: Catalogue) -> list[str]:
    vendor.on(*QUERY).mock(side_effect=catalogue.answer)
    return [each.listing_id for found in marketplace.listings() for each in found if isinstance(each, Listing)]


def spread(count: int, *, every: timedelta = timedelta(seconds=1)) -> Catalogue:
    return Catalogue({f"listing-{number}": START + every * number for number in range(count)})


@pytest.mark.parametrize(("count", "calls"), [(0, 1), (1, 1), (99, 1), (100, 2), (1000, 11)])
def test_every_listing_is_seen_once(vendor: Vendor, marketplace: SharetribeMarketplace, count: int, calls: int) -> None:
    catalogue = spread(count)
    found = sweep(vendor, marketplace, catalogue)
    assert sorted(found) == sorted(catalogue.created_at)
    assert len(catalogue.asked) == calls


def test_more_listings_than_a_query_can_reach(vendor: Vendor, marketplace: SharetribeMarketplace) -> None:
    catalogue = spread(1050)
    catalogue.limit = 200
    assert len(set(sweep(vendor, marketplace, catalogue))) == 1050
    assert {asked["page"] for asked in catalogue.asked} == {"1"}


def test_listings_created_in_the_same_millisecond(vendor: Vendor, marketplace: SharetribeMarketplace) -> None:
    catalogue = Catalogue({f"listing-{number}": START + timedelta(seconds=number // 350) for number in range(1000)})
    found = sweep(vendor, marketplace, catalogue)
    assert sorted(found) == sorted(catalogue.created_at)


def test_too_many_listings_of_one_millisecond_are_said(vendor: Vendor, marketplace: SharetribeMarketplace) -> None:
    catalogue = spread(500, every=timedelta())
    catalogue.limit = 300
    with pytest.raises(Unreadable, match=r"more than 300 were created at 2026-01-01T00:00:00\.000Z"):
        sweep(vendor, marketplace, catalogue)


def test_a_listing_deleted_meanwhile_hides_no_other(vendor: Vendor, marketplace: SharetribeMarketplace) -> None:
    catalogue = spread(350)
    catalogue.after_each = lambda: catalogue.created_at.pop(
        max(catalogue.created_at, key=lambda k: catalogue.created_at[k])
    )
    everything = set(catalogue.created_at)
    assert set(sweep(vendor, marketplace, catalogue)) == everything


def test_a_listing_created_meanwhile_repeats_no_other(vendor: Vendor, marketplace: SharetribeMarketplace) -> None:
    catalogue = spread(350)
    catalogue.after_each = lambda: catalogue.created_at.update(
        {f"new-{len(catalogue.created_at)}": START + timedelta(days=1)}
    )
    found = sweep(vendor, marketplace, catalogue)
    assert len(found) == len(set(found))


def test_the_query_is_sparse_and_asks_for_all_states(vendor: Vendor, marketplace: SharetribeMarketplace) -> None:
    catalogue = spread(1)
    sweep(vendor, marketplace, catalogue)
    assert catalogue.asked == [
        {
            "page": "1",
            "perPage": "100",
            "include": "author,currentStock",
            "fields.listing": "createdAt,deleted,state,title",
            "fields.stock": "quantity",
            "fields.user": "createdAt",
        }
    ]


def test_another_order_than_the_documented_one_is_refused(vendor: Vendor, marketplace: SharetribeMarketplace) -> None:
    entries = [listing(f"listing-{n}", createdAt=timestamp(START + timedelta(seconds=n))) for n in range(100)]
    vendor.on(*QUERY).respond(json=page(entries, [stock(3)]))
    with pytest.raises(Unreadable, match="newest first"):
        list(marketplace.listings())


@pytest.mark.parametrize(
    ("broken", "named", "reason"),
    [
        (listing("listing-7", state="vacant"), "listing-7", "'vacant' is not a listing state"),
        (listing("listing-7", createdAt="now"), "listing-7", "is not a timestamp"),
        ({"id": "listing-7", "type": "listing"}, "listing-7", "attributes"),
        ({"type": "listing"}, None, "attributes"),
        (None, None, "data is not an object"),
    ],
)
def test_a_malformed_listing_is_named_and_its_neighbours_go_on(
    vendor: Vendor, marketplace: SharetribeMarketplace, broken: Any, named: str | None, reason: str
) -> None:
    vendor.answers(*QUERY, page([listing("listing-6"), broken, listing("listing-8")], [stock(3)]))
    [found] = marketplace.listings()
    assert [each.listing_id for each in found] == ["listing-6", named, "listing-8"]
    unreadable = found[1]
    assert isinstance(unreadable, UnreadableListing)
    assert reason in unreadable.reason


def test_a_malformed_listing_at_the_end_of_a_full_page_does_not_end_the_sweep(
    vendor: Vendor, marketplace: SharetribeMarketplace
) -> None:
    first = [listing(f"listing-{n}", createdAt=timestamp(START - timedelta(seconds=n))) for n in range(99)]
    last = listing("listing-100", createdAt=timestamp(START - timedelta(seconds=100)))
    vendor.answers(*QUERY, page([*first, listing("listing-99", createdAt=7)], [stock(3)]), page([last], [stock(3)]))
    found = [each.listing_id for shown in marketplace.listings() for each in shown]
    assert found == [f"listing-{n}" for n in range(101)]


def test_stock_that_came_along_malformed_spoils_its_listing_alone(
    vendor: Vendor, marketplace: SharetribeMarketplace
) -> None:
    vendor.answers(*QUERY, page([listing("listing-7")], [None, {"type": "stock"}]))
    [[found]] = marketplace.listings()
    assert isinstance(found, UnreadableListing)
    assert "currentStock did not come along" in found.reason


def test_a_sweep_lets_others_go_first(vendor: Vendor, toolbox: Toolbox, monkeypatch: pytest.MonkeyPatch) -> None:
    priorities: list[Priority] = []
    spend = toolbox.budgets.spend

    def noted(scope: Scope, *, priority: Priority, cost: float = 1.0) -> Any:
        priorities.append(priority)
        return spend(scope, priority=priority, cost=cost)

    monkeypatch.setattr(toolbox.budgets, "spend", noted)
    marketplace = SharetribeMarketplace(settings(), toolbox)
    sweep(vendor, marketplace, spread(1))
    assert priorities == [Priority.SWEEP]


def test_listings_can_be_closed(marketplace: SharetribeMarketplace) -> None:
    assert isinstance(marketplace, Closable)


# Doctor


def healthy(vendor: Vendor, **headers: str) -> None:
    vendor.on("GET", "marketplace/show").mock(
        return_value=httpx.Response(200, json={"data": {"id": "m", "type": "marketplace"}}, headers=headers)
    )
    vendor.on(*QUERY).mock(return_value=httpx.Response(200, json=page([]), headers=headers))
    vendor.on("GET", "events/query").mock(return_value=httpx.Response(200, json=page([]), headers=headers))


def test_a_healthy_marketplace(vendor: Vendor, marketplace: SharetribeMarketplace) -> None:
    healthy(vendor, date="Thu, 01 Jan 2026 00:00:20 GMT")
    checks = marketplace.check()
    assert [(check.name, check.ok, check.remedy) for check in checks] == [
        (name, True, "") for name in ("access", "listings", "events", "clock")
    ]
    assert checks[-1].detail == "the marketplace's clock is +20 s from ours"


def test_a_clock_that_is_off(vendor: Vendor, marketplace: SharetribeMarketplace, clock: VirtualClock) -> None:
    clock.advance(120)
    healthy(vendor, date="Thu, 01 Jan 2026 00:00:00 GMT")
    check = marketplace.check()[-1]
    assert not check.ok
    assert "-120 s" in check.detail
    assert check.remedy


def test_no_date_is_no_failure(vendor: Vendor, marketplace: SharetribeMarketplace) -> None:
    healthy(vendor)
    assert marketplace.check()[-1].ok


def test_refused_credentials_are_one_failure_with_a_remedy(vendor: Vendor, marketplace: SharetribeMarketplace) -> None:
    vendor.token.mock(return_value=httpx.Response(401, text="Unauthorized"))
    (check,) = marketplace.check()
    assert (check.name, check.ok) == ("access", False)
    assert "Integration application" in check.remedy


def test_a_wrong_host_is_a_failure_with_a_remedy(vendor: Vendor, marketplace: SharetribeMarketplace) -> None:
    vendor.token.mock(return_value=httpx.Response(404, html=HTML))
    (check,) = marketplace.check()
    assert not check.ok
    assert "https://flex-integ-api.sharetribe.com" in check.remedy


def test_what_is_not_readable_is_told_apart(vendor: Vendor, marketplace: SharetribeMarketplace) -> None:
    healthy(vendor)
    vendor.on("GET", "events/query").mock(return_value=error("forbidden", 403))
    assert [check.name for check in marketplace.check() if not check.ok] == ["events"]
