"""One listing, and writing its stock: every answer the vendor can give."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from connectors.contract import UNDEFINED, UNLIMITED, Adjusted, Listing, ListingState, Marketplace, Stock
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
from connectors.sharetribe import SharetribeMarketplace
from tests.unit.connectors.sharetribe.vendor import HTML, Vendor, error, listing, settings, stock

WRITE = ("POST", "stock/compare_and_set")
SHOW = ("GET", "listings/show")


def shown(resource: dict[str, Any] | None = None, *included: dict[str, Any]) -> dict[str, Any]:
    return {"data": resource or listing(), "included": list(included) or [stock(3)]}


def test_it_is_a_marketplace(marketplace: SharetribeMarketplace) -> None:
    assert isinstance(marketplace, Marketplace)
    assert marketplace.unlimited_from == 10**12


# Reading


def test_a_listing_is_read_whole_and_sparse(vendor: Vendor, marketplace: SharetribeMarketplace) -> None:
    show = vendor.answers(*SHOW, shown())
    found = marketplace.listing("listing-1")
    assert found == Listing("listing-1", ListingState.PUBLISHED, Stock.counted(3), "seller-1", "A mug")
    query = show.calls[0].request.url.params
    assert dict(query) == {
        "id": "listing-1",
        "include": "author,currentStock",
        "fields.listing": "createdAt,deleted,state,title",
        "fields.stock": "quantity",
        "fields.user": "createdAt",
    }
    assert show.calls[0].request.headers["accept"] == "application/json"


@pytest.mark.parametrize(
    ("attributes", "state"),
    [
        ({"state": "draft"}, ListingState.DRAFT),
        ({"state": "pendingApproval"}, ListingState.PENDING_APPROVAL),
        ({"state": "published"}, ListingState.PUBLISHED),
        ({"state": "closed"}, ListingState.CLOSED),
        ({"state": "closed", "deleted": True}, ListingState.DELETED),
    ],
)
def test_states(
    vendor: Vendor, marketplace: SharetribeMarketplace, attributes: dict[str, Any], state: ListingState
) -> None:
    vendor.answers(*SHOW, shown(listing(**attributes)))
    assert marketplace.listing("listing-1").state is state


@pytest.mark.parametrize(
    ("quantity", "expected"),
    [
        (0, Stock.counted(0)),
        (-2, Stock.counted(-2)),
        (10**12 - 1, Stock.counted(10**12 - 1)),
        (10**12, UNLIMITED),
        (10**15, UNLIMITED),
        (2**63, UNLIMITED),
    ],
)
def test_totals(vendor: Vendor, marketplace: SharetribeMarketplace, quantity: int, expected: Stock) -> None:
    vendor.answers(*SHOW, shown(None, stock(quantity)))
    assert marketplace.listing("listing-1").stock == expected


@pytest.mark.parametrize("relationships", [None, {}, {"currentStock": None}, {"currentStock": {"data": None}}])
def test_stock_that_is_nowhere_is_undefined(
    vendor: Vendor, marketplace: SharetribeMarketplace, relationships: object
) -> None:
    vendor.answers(*SHOW, {"data": {**listing(), "relationships": relationships}})
    assert marketplace.listing("listing-1").stock == UNDEFINED


def test_ids_in_the_form_of_the_vendors_own_client_are_understood(
    vendor: Vendor, marketplace: SharetribeMarketplace
) -> None:
    resource = listing()
    resource["id"] = {"uuid": "listing-1"}
    resource["relationships"]["currentStock"]["data"]["id"] = {"uuid": "stock-1"}
    vendor.answers(*SHOW, shown(resource, stock(3)))
    assert marketplace.listing("listing-1").stock == Stock.counted(3)


@pytest.mark.parametrize(
    ("key", "attributes", "sku"),
    [
        ("metadata.sku", {"metadata": {"sku": "A-1"}}, "A-1"),
        ("publicData.ean", {"publicData": {"ean": 4006381333931}}, "4006381333931"),
        ("metadata.sku", {"metadata": {"sku": ""}}, None),
        ("metadata.sku", {"metadata": {"sku": ["A"]}}, None),
        ("metadata.sku", {"metadata": {"sku": True}}, None),
        ("metadata.sku", {"metadata": None}, None),
        ("metadata.sku", {}, None),
    ],
)
def test_a_sku_is_a_hint(
    vendor: Vendor, toolbox: Toolbox, key: str, attributes: dict[str, Any], sku: str | None
) -> None:
    show = vendor.answers(*SHOW, shown(listing(**attributes)))
    assert SharetribeMarketplace(settings(sku_key=key), toolbox).listing("listing-1").sku == sku
    assert key.partition(".")[0] in show.calls[0].request.url.params["fields.listing"]


@pytest.mark.parametrize(
    "body",
    [
        [],
        "data",
        {},
        {"data": None},
        {"data": []},
        {"data": {**listing(), "attributes": None}},
        {"data": {**listing(), "id": None}},
        {"data": {**listing(), "id": 7}},
        {"data": {**listing(), "id": {"uuid": ""}}},
        shown(listing(state="vacant")),
        shown(listing(state=["published"])),
        shown(listing(state=None)),
        shown(None, stock("3")),
        shown(None, stock(3.0)),
        shown(None, stock(1.5)),
        shown(None, stock(True)),
        shown(None, stock(None)),
        shown(None, stock(-(2**63))),
        shown(None, stock(3, "another-stock")),
        {"data": listing(), "included": {}},
        {"data": listing(), "included": [None]},
        {"data": listing(), "included": [{"id": "stock-1"}]},
        {"data": {**listing(), "relationships": {"currentStock": {"data": "stock-1"}}}},
    ],
)
def test_a_listing_of_another_shape_is_unreadable(
    vendor: Vendor, marketplace: SharetribeMarketplace, body: object
) -> None:
    vendor.answers(*SHOW, body)
    with pytest.raises(Unreadable, match="reading listing listing-1"):
        marketplace.listing("listing-1")


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (error("not-found", 404), NotFound),
        (error("listing-not-found", 404), NotFound),
        (error("validation-invalid-value", 400), Rejected),
        (error("bad-request", 400), Rejected),
        (error("unsupported-content-type", 400), Rejected),
        (error("auth-missing-access-token", 401), Unauthorized),
        (error("forbidden", 403), Unauthorized),
        (error("too-many-requests", 400), RateLimited),
        (error("brand-new-code", 418), Rejected),
        (httpx.Response(401, text="Unauthorized"), Unauthorized),
        (httpx.Response(403, html=HTML), Unauthorized),
        (httpx.Response(429), RateLimited),
        # A 404 that is not the vendor's own says nothing about the listing.
        (httpx.Response(404, html=HTML), Unavailable),
        (httpx.Response(404), Unavailable),
        (httpx.Response(400, json={"errors": []}), Unavailable),
        (httpx.Response(400, json={"errors": [{"code": 5}]}), Unavailable),
        (httpx.Response(301, headers={"location": "https://elsewhere.test"}), Rejected),
        (httpx.Response(500, html=HTML), Unavailable),
        (httpx.Response(502), Unavailable),
        (httpx.Response(200, html=HTML), Unreadable),
        (httpx.Response(200), Unreadable),
        (httpx.ReadTimeout("slow"), Unavailable),
        (httpx.ReadError("reset"), Unavailable),
        (httpx.ConnectError("refused"), Unavailable),
    ],
)
def test_refusals_of_a_read(
    vendor: Vendor, marketplace: SharetribeMarketplace, answer: httpx.Response | Exception, kind: type[ConnectorError]
) -> None:
    vendor.on(*SHOW).mock(side_effect=lambda _: _raised_or(answer))
    with pytest.raises(kind) as caught:
        marketplace.listing("listing-1")
    assert type(caught.value) is kind
    assert caught.value.account == "sharetribe"


def _raised_or(answer: httpx.Response | Exception) -> httpx.Response:
    if isinstance(answer, Exception):
        raise answer
    return answer


# Writing


def test_a_write_is_one_compare_and_set(vendor: Vendor, marketplace: SharetribeMarketplace) -> None:
    write = vendor.answers(*WRITE, {"data": stock(7)})
    assert marketplace.adjust("listing-1", seen=10, delta=-3) == Adjusted(7)
    request = write.calls[0].request
    assert json.loads(request.content) == {"listingId": "listing-1", "oldTotal": 10, "newTotal": 7}
    assert dict(request.url.params) == {"expand": "true"}
    assert request.headers["content-type"] == "application/json"


def test_a_negative_total_can_be_raised(vendor: Vendor, marketplace: SharetribeMarketplace) -> None:
    write = vendor.answers(*WRITE, {"data": stock(0)})
    assert marketplace.adjust("listing-1", seen=-2, delta=2) == Adjusted(0)
    assert json.loads(write.calls[0].request.content)["oldTotal"] == -2


@pytest.mark.parametrize(
    "body",
    [
        {"data": {"id": "stock-1", "type": "stock"}},
        {"data": {"id": {"uuid": "stock-1"}, "type": "stock", "attributes": None}},
        {"data": {"id": "stock-1", "type": "stock", "attributes": {}}},
    ],
)
def test_an_answer_without_attributes_is_an_answer(
    vendor: Vendor, marketplace: SharetribeMarketplace, body: object
) -> None:
    vendor.answers(*WRITE, body)
    assert marketplace.adjust("listing-1", seen=10, delta=-3) == Adjusted(7)


@pytest.mark.parametrize(
    ("seen", "delta"), [(2, -3), (-5, 2), (3, 0), (10**12, -1), (10**12 - 1, 1), (2**63 - 1, 1), (10**30, -1)]
)
def test_p5_what_is_never_allowed_is_not_sent(
    vendor: Vendor, marketplace: SharetribeMarketplace, seen: int, delta: int
) -> None:
    write = vendor.answers(*WRITE, {"data": stock(0)})
    with pytest.raises(Rejected, match=r"listing listing-1 from .* was not sent"):
        marketplace.adjust("listing-1", seen=seen, delta=delta)
    assert not write.called
    assert not vendor.token.called


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (error("old-total-mismatch", 409), StockMismatch),
        (error("old-total-mismatch", 400), StockMismatch),
        (error("old-total-mismatch", 422), StockMismatch),
        (error("old-total-mismatch", 200), StockMismatch),
        (error("transaction-listing-insufficient-stock", 409), InsufficientStock),
        (error("listing-not-found", 409), NotFound),
        (error("not-found", 404), NotFound),
        (error("listing-invalid-state", 409), Rejected),
        (error("validation-disallowed-key", 400, source={"path": ["oldTotal"], "type": "body"}), Rejected),
        (error("validation-invalid-value", 400, source={"pointer": "/x"}), Rejected),
        (error("validation-missing-key", 400), Rejected),
        (error("request-upload-over-limit", 413), Rejected),
        (error("forbidden", 403), Unauthorized),
        (httpx.Response(403, html=HTML), Unauthorized),
        (error("too-many-requests", 429), RateLimited),
        (httpx.Response(429), RateLimited),
        (httpx.ConnectError("refused"), Unavailable),
        (httpx.ConnectTimeout("slow"), Unavailable),
        (httpx.PoolTimeout("full"), Unavailable),
        (httpx.ReadTimeout("slow"), OutcomeUnknown),
        (httpx.ReadError("reset"), OutcomeUnknown),
        (httpx.WriteError("reset"), OutcomeUnknown),
        (httpx.RemoteProtocolError("closed"), OutcomeUnknown),
        (httpx.Response(500, html=HTML), OutcomeUnknown),
        (error("internal", 500), OutcomeUnknown),
        (httpx.Response(502, html=HTML), OutcomeUnknown),
        (httpx.Response(503), OutcomeUnknown),
        (httpx.Response(504), OutcomeUnknown),
        (httpx.Response(400, html=HTML), OutcomeUnknown),
        (httpx.Response(404, html=HTML), OutcomeUnknown),
        (httpx.Response(409), OutcomeUnknown),
        (httpx.Response(302, headers={"location": "/x"}), OutcomeUnknown),
        (httpx.Response(200, html=HTML), OutcomeUnknown),
        (httpx.Response(200), OutcomeUnknown),
        (httpx.Response(204), OutcomeUnknown),
        (httpx.Response(200, json={}), OutcomeUnknown),
        (httpx.Response(200, json={"data": []}), OutcomeUnknown),
        (httpx.Response(200, json={"data": {}}), OutcomeUnknown),
        (httpx.Response(200, json={"data": {"type": "stock"}}), OutcomeUnknown),
        (httpx.Response(200, json={"data": stock(6)}), OutcomeUnknown),
        (httpx.Response(200, json={"data": listing()}), OutcomeUnknown),
        (error("something-new", 200), OutcomeUnknown),
    ],
)
def test_p4_every_other_answer_to_a_write(
    vendor: Vendor, marketplace: SharetribeMarketplace, answer: httpx.Response | Exception, kind: type[ConnectorError]
) -> None:
    write = vendor.on(*WRITE).mock(side_effect=lambda _: _raised_or(answer))
    with pytest.raises(kind) as caught:
        marketplace.adjust("listing-1", seen=10, delta=-3)
    assert type(caught.value) is kind
    assert caught.value.account == "sharetribe"
    assert write.call_count == 1


def test_a_refusal_names_the_listing_the_reason_and_the_code(
    vendor: Vendor, marketplace: SharetribeMarketplace
) -> None:
    answer = error("validation-invalid-value", 400, title="Bad total", source={"path": ["newTotal"], "type": "body"})
    vendor.on(*WRITE).mock(return_value=answer)
    with pytest.raises(Rejected) as caught:
        marketplace.adjust("listing-1", seen=10, delta=-3)
    assert str(caught.value) == (
        "sharetribe: Sharetribe refused changing the stock of listing listing-1 from 10 to 7: "
        "Bad total (newTotal) [validation-invalid-value]"
    )


def test_a_mismatch_names_what_was_seen(vendor: Vendor, marketplace: SharetribeMarketplace) -> None:
    vendor.on(*WRITE).mock(return_value=error("old-total-mismatch"))
    with pytest.raises(StockMismatch, match="listing listing-1 does not have 10 units any more"):
        marketplace.adjust("listing-1", seen=10, delta=-3)


def test_the_first_error_with_a_code_decides(vendor: Vendor, marketplace: SharetribeMarketplace) -> None:
    entries = [{"code": None}, {"code": "old-total-mismatch"}]
    vendor.on(*WRITE).mock(return_value=httpx.Response(409, json={"errors": entries}))
    with pytest.raises(StockMismatch):
        marketplace.adjust("listing-1", seen=10, delta=-3)


@pytest.mark.parametrize(
    ("look", "kind"),
    [
        (error("not-found", 404), NotFound),
        (httpx.Response(200, json=shown()), Rejected),
        (httpx.Response(200, html=HTML), Rejected),
        (httpx.Response(500), Unavailable),
    ],
)
def test_a_bare_conflict_is_explained_by_a_look_at_the_listing(
    vendor: Vendor, marketplace: SharetribeMarketplace, look: httpx.Response, kind: type[ConnectorError]
) -> None:
    vendor.on(*WRITE).mock(return_value=error("conflict"))
    vendor.on(*SHOW).mock(return_value=look)
    with pytest.raises(kind) as caught:
        marketplace.adjust("listing-1", seen=10, delta=-3)
    assert type(caught.value) is kind


# Closing and opening


@pytest.mark.parametrize("act", ["close", "open"])
def test_closing_and_opening(vendor: Vendor, marketplace: SharetribeMarketplace, act: str) -> None:
    write = vendor.answers("POST", f"listings/{act}", {"data": {"id": {"uuid": "listing-1"}, "type": "listing"}})
    getattr(marketplace, act)("listing-1")
    assert json.loads(write.calls[0].request.content) == {"id": "listing-1"}


@pytest.mark.parametrize("code", ["conflict", "listing-invalid-state"])
@pytest.mark.parametrize(("act", "state"), [("close", "closed"), ("open", "published")])
def test_repeating_does_no_harm(
    vendor: Vendor, marketplace: SharetribeMarketplace, code: str, act: str, state: str
) -> None:
    vendor.on("POST", f"listings/{act}").mock(return_value=error(code))
    vendor.answers(*SHOW, shown(listing(state=state)))
    getattr(marketplace, act)("listing-1")


@pytest.mark.parametrize(("act", "state"), [("close", "draft"), ("open", "pendingApproval")])
def test_a_state_that_does_not_allow_it_is_rejected(
    vendor: Vendor, marketplace: SharetribeMarketplace, act: str, state: str
) -> None:
    vendor.on("POST", f"listings/{act}").mock(return_value=error("listing-invalid-state"))
    vendor.answers(*SHOW, shown(listing(state=state)))
    with pytest.raises(Rejected, match=f"a request to {act} listing listing-1 is refused: it is "):
        getattr(marketplace, act)("listing-1")


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (error("listing-not-found"), NotFound),
        (error("forbidden", 403), Unauthorized),
        (error("validation-invalid-value", 400), Rejected),
        (httpx.Response(200, json={"data": {"id": "another", "type": "listing"}}), OutcomeUnknown),
        (httpx.Response(200, html=HTML), OutcomeUnknown),
        (httpx.Response(500), OutcomeUnknown),
    ],
)
def test_p4_other_answers_to_closing(
    vendor: Vendor, marketplace: SharetribeMarketplace, answer: httpx.Response, kind: type[ConnectorError]
) -> None:
    vendor.on("POST", "listings/close").mock(return_value=answer)
    with pytest.raises(kind):
        marketplace.close("listing-1")
