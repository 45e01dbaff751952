from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from structlog.testing import capture_logs

from connectors.budget import Priority
from connectors.errors import (
    ConnectorError,
    NotFound,
    OutcomeUnknown,
    RateLimited,
    Rejected,
    Unauthorized,
    Unavailable,
    Unreadable,
)
from connectors.http import Http
from connectors.shopify.auth import FixedToken
from connectors.shopify.documents import CLOCK, ORDER, UNSUBSCRIBE
from connectors.shopify.graphql import GraphQL
from tests.unit.connectors.shopify.vendor import TOKEN, URL, Vendor, cost, toolbox

SHOP = {"shop": {"id": "gid://shopify/Shop/1"}}
DELETED: dict[str, Any] = {"webhookSubscriptionDelete": {"userErrors": []}}


@pytest.fixture
def graphql(vendor: Vendor) -> GraphQL:
    tools = toolbox(vendor)
    http = Http(tools, account="toys", base_url=URL, auth=FixedToken(TOKEN))
    return GraphQL(http, tools, account="toys", limit_key="shopify:toys", api_version="2026-10")


def refusal(code: str | None, message: str = "No.", **more: Any) -> dict[str, Any]:
    error = {"message": message, "extensions": {"code": code}} if code else {"message": message}
    return {"errors": [error], **more}


def throttled(requested: float, available: float) -> dict[str, Any]:
    return {**refusal("THROTTLED", "Throttled"), "extensions": cost(requested, available)}


def test_an_answer_is_its_data(vendor: Vendor, graphql: GraphQL) -> None:
    vendor.will("Clock", SHOP)
    assert graphql.ask(CLOCK).data == SHOP
    assert vendor.asked[0].headers["x-shopify-access-token"] == TOKEN


# Every status, every kind of error --------------------------------------------------------------------------------

RETRIED = 4


@pytest.mark.parametrize(
    ("answer", "error", "calls"),
    [
        (httpx.Response(400, json={"errors": "bad"}), Rejected, 1),
        (httpx.Response(401, json={"errors": "[API] Invalid API key or access token"}), Unauthorized, 1),
        (httpx.Response(402), Unauthorized, 1),
        (httpx.Response(403), Unauthorized, 1),
        (httpx.Response(404, text="<html>"), NotFound, 1),
        (httpx.Response(409), Rejected, 1),
        (httpx.Response(422), Rejected, 1),
        (httpx.Response(423), Unauthorized, 1),
        (httpx.Response(301, headers={"location": "https://evil.test/"}), Rejected, 1),
        (httpx.Response(204), Rejected, 1),
        (httpx.Response(429, headers={"retry-after": "2"}), RateLimited, RETRIED),
        (httpx.Response(429, headers={"retry-after": "500"}), RateLimited, 1),
        (httpx.Response(500), Unavailable, RETRIED),
        (httpx.Response(502, text="<html>"), Unavailable, RETRIED),
        (httpx.Response(503), Unavailable, RETRIED),
        (httpx.Response(504), Unavailable, RETRIED),
        (httpx.Response(530), Unavailable, RETRIED),
        (httpx.ConnectError("refused"), Unavailable, RETRIED),
        (httpx.ConnectTimeout("slow"), Unavailable, RETRIED),
        (httpx.ReadTimeout("slow"), Unavailable, RETRIED),
        (httpx.ReadError("reset"), Unavailable, RETRIED),
        (httpx.RemoteProtocolError("cut off"), Unavailable, RETRIED),
        (httpx.Response(200, text="<html>maintenance</html>"), Unreadable, 1),
        (httpx.Response(200, text=""), Unreadable, 1),
        (httpx.Response(200, text="[]"), Unreadable, 1),
        (httpx.Response(200, text="null"), Unreadable, 1),
        (httpx.Response(200, text="{}"), Unreadable, 1),
        (httpx.Response(200, text='{"data": null}'), Unreadable, 1),
        (httpx.Response(200, text='{"data": []}'), Unreadable, 1),
        (httpx.Response(200, text="[" * 100_000), Unreadable, 1),
        ({"errors": "[API] This shop is asleep"}, Rejected, 1),
        ({"errors": {"base": ["odd"]}}, Rejected, 1),
        ({"errors": [None, 3, {"extensions": []}]}, Rejected, 1),
        (refusal(None, "Parse error"), Rejected, 1),
        (refusal("MAX_COST_EXCEEDED"), Rejected, 1),
        (refusal("INVALID_VARIABLE"), Rejected, 1),
        (refusal("ACCESS_DENIED"), Unauthorized, 1),
        (refusal("ACCESS_DENIED", data=SHOP), Unauthorized, 1),
        (refusal("INTERNAL_SERVER_ERROR"), Unavailable, RETRIED),
        (refusal("INTERNAL_SERVER_ERROR", data={"shop": None}), Unavailable, RETRIED),
        (refusal("SOMETHING_NEW", data=SHOP), Rejected, 1),
        (throttled(50, 0), RateLimited, RETRIED),
    ],
)
def test_every_bad_answer_to_a_question_is_one_of_our_errors(
    vendor: Vendor, graphql: GraphQL, answer: Any, error: type[ConnectorError], calls: int
) -> None:
    vendor.will("Clock", answer)
    with pytest.raises(error) as caught:
        graphql.ask(CLOCK)
    assert type(caught.value) is error
    assert caught.value.account == "toys"
    assert TOKEN not in str(caught.value)
    assert len(vendor.asked) == calls


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (httpx.Response(401), Unauthorized),
        (httpx.Response(403), Unauthorized),
        (httpx.Response(404), NotFound),
        (httpx.Response(422), Rejected),
        (httpx.Response(429), RateLimited),
        (httpx.Response(500), OutcomeUnknown),
        (httpx.Response(200, text="<html>"), OutcomeUnknown),
        (httpx.Response(200, text="{}"), OutcomeUnknown),
        (httpx.ConnectError("refused"), Unavailable),
        (httpx.ReadTimeout("slow"), OutcomeUnknown),
        (refusal("INTERNAL_SERVER_ERROR"), OutcomeUnknown),
        (refusal("ACCESS_DENIED"), Unauthorized),
        (refusal("BAD_REQUEST"), Rejected),
        (throttled(50, 0), RateLimited),
    ],
)
def test_a_mutation_is_sent_once_whatever_comes_back(
    vendor: Vendor, graphql: GraphQL, answer: Any, error: type[ConnectorError]
) -> None:
    vendor.will("Unsubscribe", answer)
    with pytest.raises(error) as caught:
        graphql.tell(UNSUBSCRIBE, {"id": "gid://shopify/WebhookSubscription/1"})
    assert type(caught.value) is error
    assert len(vendor.asked) == 1


def test_a_mutation_that_went_well_gives_its_data(vendor: Vendor, graphql: GraphQL) -> None:
    vendor.will("Unsubscribe", DELETED)
    assert graphql.tell(UNSUBSCRIBE, {"id": "1"}) == DELETED


def test_trouble_that_passes_is_not_told(vendor: Vendor, graphql: GraphQL) -> None:
    vendor.will(
        "Clock",
        httpx.ReadError("reset"),
        httpx.Response(502),
        refusal("INTERNAL_SERVER_ERROR"),
        throttled(50, 0),
        SHOP,
    )
    assert graphql.ask(CLOCK).data == SHOP


def test_what_the_vendor_says_is_shown_shortened(vendor: Vendor, graphql: GraphQL) -> None:
    vendor.will("Clock", {"errors": "no " * 1000})
    with pytest.raises(Rejected) as caught:
        graphql.ask(CLOCK)
    assert "no no no" in str(caught.value)
    assert len(str(caught.value)) < 300


def test_what_looks_like_a_secret_is_masked(vendor: Vendor, graphql: GraphQL) -> None:
    vendor.will("Clock", {"errors": [{"message": f"token {TOKEN} of ada@example.com"}]})
    with pytest.raises(Rejected) as caught:
        graphql.ask(CLOCK)
    assert TOKEN not in str(caught.value)
    assert "ada" not in str(caught.value)


def test_a_search_the_vendor_did_not_understand_is_a_fault(vendor: Vendor, graphql: GraphQL) -> None:
    warning = {"field": "updated", "message": "Invalid search field for this query.", "code": "invalid_field"}
    extensions = {"search": [{"path": ["orders"], "query": "updated:1", "warnings": [warning]}]}
    vendor.will("Clock", {"data": SHOP, "extensions": extensions})
    with pytest.raises(Rejected, match="Invalid search field") as caught:
        graphql.ask(CLOCK)
    assert caught.value.code == "search"


def test_a_search_the_vendor_understood_is_none(vendor: Vendor, graphql: GraphQL) -> None:
    vendor.will("Clock", {"data": SHOP, "extensions": {"search": [{"path": ["orders"], "warnings": []}]}})
    assert graphql.ask(CLOCK).data == SHOP


# Points -----------------------------------------------------------------------------------------------------------


def test_a_throttled_question_waits_until_its_points_are_there(vendor: Vendor, graphql: GraphQL) -> None:
    vendor.will("Clock", throttled(650, 50), SHOP)
    graphql.ask(CLOCK)
    assert 6.0 <= vendor.clock.monotonic() <= 6.6


def test_a_throttled_question_waits_a_second_at_least(vendor: Vendor, graphql: GraphQL) -> None:
    vendor.will("Clock", throttled(50, 60), refusal("THROTTLED"), SHOP)
    graphql.ask(CLOCK)
    assert 2.0 <= vendor.clock.monotonic() <= 3.1


def test_a_bucket_that_stays_empty_is_told_with_the_time_to_wait(vendor: Vendor, graphql: GraphQL) -> None:
    vendor.will("Clock", throttled(1000, 0))
    with pytest.raises(RateLimited) as caught:
        graphql.ask(CLOCK)
    assert caught.value.retry_after_seconds is not None
    assert 10.0 <= caught.value.retry_after_seconds <= 10.5


def test_a_wait_beyond_bounds_is_told_at_once(vendor: Vendor, graphql: GraphQL) -> None:
    vendor.will("Clock", {**refusal("THROTTLED"), "extensions": cost(1000, 0, rate=10)}, SHOP)
    with pytest.raises(RateLimited) as caught:
        graphql.ask(CLOCK)
    assert caught.value.account == "toys"
    assert len(vendor.asked) == 1


def test_after_too_many_requests_everybody_stays_away_for_as_long_as_told(vendor: Vendor, graphql: GraphQL) -> None:
    vendor.will("Clock", httpx.Response(429, headers={"retry-after": "25"}), SHOP)
    with pytest.raises(RateLimited):
        graphql.ask(CLOCK)
    assert vendor.clock.monotonic() == 0
    graphql.ask(CLOCK)
    assert vendor.clock.monotonic() == pytest.approx(25)


def test_the_next_question_waits_for_the_points_the_vendor_says_are_missing(vendor: Vendor, graphql: GraphQL) -> None:
    vendor.will("Clock", {"data": SHOP, "extensions": cost(500, 200, actual=100)}, SHOP)
    graphql.ask(CLOCK)
    assert vendor.clock.monotonic() == 0
    assert graphql.ask(CLOCK).asked_at == vendor.clock.now()
    assert vendor.clock.monotonic() == pytest.approx(3.0)


def test_what_a_document_really_cost_is_what_it_spends(vendor: Vendor, graphql: GraphQL) -> None:
    # 625 points by our estimate; the first answer says 10, so that 37 more fit into the thousand.
    answer = {"data": {"order": None}, "extensions": cost(10, 900, actual=10, size=1000, rate=1000)}
    vendor.will("Order", answer)
    for _ in range(38):
        graphql.ask(ORDER, {"id": "gid://shopify/Order/1"})
    assert vendor.clock.monotonic() == 0


def test_before_the_first_answer_the_smallest_bucket_is_assumed(vendor: Vendor, graphql: GraphQL) -> None:
    vendor.will("Order", {"order": None})
    graphql.ask(ORDER, {"id": "gid://shopify/Order/1"})
    graphql.ask(ORDER, {"id": "gid://shopify/Order/1"})
    assert vendor.clock.monotonic() == pytest.approx((2 * 625 - 1000) / 50)


@pytest.mark.parametrize(
    "extensions",
    [None, [], {"cost": None}, {"cost": {}}, cost(1, 1, rate=0), cost(1, 1, size=0), cost(float("nan"), 1),
     cost("many", 1), {"cost": {"throttleStatus": [], "requestedQueryCost": 1}}, cost(10**400, 1)],
)  # fmt: skip
def test_cost_figures_that_make_no_sense_are_not_used(vendor: Vendor, graphql: GraphQL, extensions: Any) -> None:
    text = json.dumps({"data": SHOP, "extensions": extensions})
    vendor.will("Clock", httpx.Response(200, text=text))
    assert graphql.ask(CLOCK).data == SHOP
    assert graphql.ask(CLOCK, priority=Priority.SWEEP).data == SHOP
    assert vendor.clock.monotonic() == 0


# Versions ---------------------------------------------------------------------------------------------------------


def test_a_retired_version_is_noticed_and_warned_of_once(vendor: Vendor, graphql: GraphQL) -> None:
    vendor.will("Clock", SHOP)
    vendor.version = "2027-01"
    with capture_logs() as logs:
        graphql.ask(CLOCK)
        graphql.ask(CLOCK)
    assert [entry["event"] for entry in logs] == ["shopify_api_version_replaced"]
    assert (logs[0]["requested"], logs[0]["served"], logs[0]["log_level"]) == ("2026-10", "2027-01", "warning")
    assert graphql.served_version == "2027-01"


@pytest.mark.parametrize("version", ["2026-10", None])
def test_the_version_asked_for_is_no_news(vendor: Vendor, graphql: GraphQL, version: str | None) -> None:
    vendor.will("Clock", SHOP)
    vendor.version = version
    with capture_logs() as logs:
        graphql.ask(CLOCK)
    assert logs == []
