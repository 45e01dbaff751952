"""Faults and limits, as a client sees them; and the record the sandbox keeps of them."""

from __future__ import annotations

import threading
from typing import Any

import httpx
import pytest

from connectors.sandbox.clock import VirtualClock
from tests.conformance.sharetribe_sandbox.api import Api, Serve, code, until

CAS = "stock/compare_and_set"


def arm(api: Api, kind: str, operation: str = CAS, **details: Any) -> None:
    api.control("faults", {"operation": operation, "kind": kind, **details})


@pytest.mark.parametrize(("reset", "error"), [(True, httpx.ReadError), (False, httpx.RemoteProtocolError)])
def test_a_connection_dropped_before_execution(api: Api, reset: bool, error: type[Exception]) -> None:
    listing_id = api.listing(10)
    arm(api, "drop_before", reset=reset)
    with pytest.raises(error):
        api.compare_and_set(listing_id, 10, 9)
    assert api.total(listing_id) == 10
    assert api.look("counts")["lost_before"] == {CAS: 1}
    assert api.compare_and_set(listing_id, 10, 9).status_code == 200


@pytest.mark.parametrize(("reset", "error"), [(True, httpx.ReadError), (False, httpx.RemoteProtocolError)])
def test_a_connection_dropped_after_execution(api: Api, reset: bool, error: type[Exception]) -> None:
    listing_id = api.listing(10)
    arm(api, "drop_after", reset=reset, times=2)
    for _ in range(2):
        with pytest.raises(error):
            api.compare_and_set(listing_id, 10, 9)
    assert api.total(listing_id) == 9
    counts = api.look("counts")
    assert counts["lost_after"] == {CAS: {"applied": 1, "old-total-mismatch": 1}}
    assert counts["outcomes"][CAS] == {"applied": 1, "old-total-mismatch": 1}


def test_a_call_can_be_executed_long_after_its_connection_broke(api: Api, clock: VirtualClock) -> None:
    listing_id = api.listing(10)
    arm(api, "late", seconds=60)
    with pytest.raises(httpx.ReadError):
        api.compare_and_set(listing_id, 10, 9)
    clock.advance(59)
    assert api.total(listing_id) == 10
    clock.advance(1)
    until(lambda: api.total(listing_id) == 9)
    assert api.look("counts")["outcomes"][CAS] == {"applied": 1}


def test_a_delayed_call_is_executed_although_its_caller_gave_up(api: Api, clock: VirtualClock) -> None:
    listing_id = api.listing(10)
    headers = api.authorization()
    arm(api, "delay", seconds=60)
    with pytest.raises(httpx.ReadTimeout):
        api.http.post(
            "/v1/integration_api/stock/compare_and_set",
            json={"listingId": listing_id, "oldTotal": 10, "newTotal": 9},
            headers=headers,
            timeout=0.1,
        )
    until(lambda: api.look("faults")["struck"] != {})
    assert api.total(listing_id) == 10
    clock.advance(60)
    until(lambda: api.total(listing_id) == 9)


def test_a_slow_call_is_executed_before_it_answers(api: Api) -> None:
    listing_id = api.listing(10)
    headers = api.authorization()
    arm(api, "slow", seconds=60)
    with pytest.raises(httpx.ReadTimeout):
        api.http.post(
            "/v1/integration_api/stock/compare_and_set",
            json={"listingId": listing_id, "oldTotal": 10, "newTotal": 9},
            headers=headers,
            timeout=0.1,
        )
    until(lambda: api.total(listing_id) == 9)


@pytest.mark.parametrize(("seconds", "header"), [(7, "7"), (None, None)])
def test_a_429_comes_with_or_without_retry_after(api: Api, seconds: int | None, header: str | None) -> None:
    arm(api, "too_many_requests", "listings/show", retry_after_seconds=seconds)
    refused = api.get("listings/show", id=api.listing())
    assert (refused.status_code, code(refused)) == (429, "too-many-requests")
    assert refused.headers.get("retry-after") == header


@pytest.mark.parametrize(("kind", "status"), [("server_error", 500), ("bad_gateway", 502)])
@pytest.mark.parametrize(("executed", "total"), [(False, 10), (True, 9)])
def test_an_html_error_says_nothing_about_execution(
    api: Api, kind: str, status: int, executed: bool, total: int
) -> None:
    listing_id = api.listing(10)
    arm(api, kind, executed=executed)
    answer = api.compare_and_set(listing_id, 10, 9)
    assert (answer.status_code, answer.headers["content-type"].partition(";")[0]) == (status, "text/html")
    assert api.total(listing_id) == total


def test_any_answer_can_be_armed(api: Api) -> None:
    arm(api, "answer", "marketplace/show", status=200, body="", content_type="application/json")
    answer = api.get("marketplace/show")
    assert (answer.status_code, answer.content) == (200, b"")


def test_the_token_endpoint_has_faults_too(api: Api) -> None:
    arm(api, "bad_gateway", "auth/token")
    assert api.fetch_token().status_code == 502
    arm(api, "drop_before", "auth/token")
    with pytest.raises(httpx.ReadError):
        api.fetch_token()


def test_standing_rates_lose_about_their_share(serve_with: Serve) -> None:
    with serve_with(seed=11, lost_before_rate=0.1, lost_after_rate=0.1) as api:
        listing_id = api.listing(1_000)
        lost = 0
        for _ in range(300):
            total = api.look(f"listings/{listing_id}")["total"]
            try:
                api.compare_and_set(listing_id, total, total - 1)
            except httpx.ReadError:
                lost += 1
        counts = api.look("counts")
        before, after = counts["lost_before"][CAS], counts["lost_after"][CAS]["applied"]
        assert before + after == lost
        assert 10 < before < 60
        assert 10 < after < 60
        assert api.total(listing_id) == 1_000 - (300 - before)


def test_faults_can_be_cleared(api: Api) -> None:
    arm(api, "drop_before", "*", times=None)
    assert len(api.look("faults")["armed"]) == 1
    assert api.control("faults/clear")["armed"] == []
    assert api.get("marketplace/show").status_code == 200


def test_a_test_environment_limits_queries_and_commands_on_average(serve_with: Serve, clock: VirtualClock) -> None:
    with serve_with(profile="dev", query_burst=2, command_burst=1) as api:
        listing_id = api.listing(10)

        def queries() -> int:
            return api.get("listings/show", id=listing_id).status_code

        def commands() -> int:
            return api.compare_and_set(listing_id, 10, 10).status_code

        assert [queries() for _ in range(3)] == [200, 200, 429]
        assert [commands() for _ in range(2)] == [200, 429]
        clock.advance(1)
        assert [queries() for _ in range(2)] == [200, 429]
        assert commands() == 429
        clock.advance(1)
        assert commands() == 200
        api.switch(retry_after=True)
        assert api.compare_and_set(listing_id, 10, 10).headers["retry-after"] == "2"


def test_a_live_environment_limits_only_the_creation_of_listings(api: Api, clock: VirtualClock) -> None:
    author_id = api.look("state")["provider_id"]
    body = {"title": "Cup", "authorId": author_id, "state": "published"}
    statuses = [api.post("listings/create", body).status_code for _ in range(101)]
    assert statuses == [200] * 100 + [429]
    assert api.get("marketplace/show").status_code == 200
    clock.advance(0.6)
    assert api.post("listings/create", body).status_code == 200


@pytest.mark.parametrize(("concurrent", "refused"), [(3, 429), (None, 200)])
def test_requests_at_once_are_limited(
    serve_with: Serve, clock: VirtualClock, concurrent: int | None, refused: int
) -> None:
    with serve_with(concurrent=concurrent) as api:
        headers = api.authorization()
        arm(api, "delay", "marketplace/show", times=3, seconds=5)
        statuses: list[int] = []

        def call() -> None:
            response = api.http.get("/v1/integration_api/marketplace/show", headers=headers)
            statuses.append(response.status_code)

        threads = [threading.Thread(target=call) for _ in range(3)]
        for thread in threads:
            thread.start()
        until(lambda: api.look("faults")["struck"] == {"marketplace/show": {"delay": 3}})
        assert api.get("marketplace/show").status_code == refused
        clock.advance(5)
        for thread in threads:
            thread.join()
        assert statuses == [200] * 3
        assert api.get("marketplace/show").status_code == 200


def test_the_state_tells_everything(api: Api) -> None:
    listing_id = api.listing(10)
    purchase = api.buy(listing_id, 2)
    api.compare_and_set(listing_id, 8, 7)
    state = api.look("state")
    assert [(each["id"], each["total"], each["state"]) for each in state["listings"]] == [(listing_id, 7, "published")]
    assert [(each["quantity"], each["own"], each["reservation_id"]) for each in state["adjustments"]] == [
        (10, False, None),
        (-2, False, purchase["reservation_id"]),
        (-1, True, None),
    ]
    assert state["reservations"] == [
        {
            "id": purchase["reservation_id"],
            "listing_id": listing_id,
            "transaction_id": purchase["id"],
            "quantity": 2,
            "state": "pending",
            "holding": True,
        }
    ]
    assert state["transactions"][0]["id"] == purchase["id"]
    assert state["counts"]["calls"][CAS] == 1
    assert "adjustments" not in api.look("state?adjustments=false")
    one = api.look(f"listings/{listing_id}")
    assert (one["adjustments"], one["reservations"]) == (state["adjustments"], state["reservations"])


def test_a_control_request_that_is_not_understood_is_refused(api: Api) -> None:
    for path, body in (
        ("listings", {"listing": []}),
        ("switches", {"own_event": "missing"}),
        ("clock", {"seconds": -1}),
    ):
        assert api.http.post(f"/_control/{path}", json=body).status_code == 422
    assert api.http.get("/_control/listings/unknown").status_code == 404
