from __future__ import annotations

import threading
from typing import Any
from urllib.parse import parse_qs

import httpx
import pytest
from pydantic import SecretStr

from connectors.errors import OutcomeUnknown, RateLimited, Unauthorized, Unavailable
from connectors.http import Toolbox
from connectors.sandbox.clock import VirtualClock
from connectors.sharetribe import SharetribeMarketplace
from connectors.sharetribe.auth import TokenAuth
from tests.unit.connectors.sharetribe.vendor import CLIENT_SECRET, HTML, TOKEN, Vendor, error, listing, settings, stock

SHOWN = {"data": listing(), "included": [stock(3)]}
EXPIRED = error("auth-invalid-access-token", 401)


def forms(vendor: Vendor) -> list[dict[str, str]]:
    """What was sent to the token endpoint."""
    return [{k: v[0] for k, v in parse_qs(call.request.content.decode()).items()} for call in vendor.token.calls]


def tokens(vendor: Vendor, *answers: httpx.Response | Exception | dict[str, Any]) -> None:
    vendor.token.mock(
        side_effect=[httpx.Response(200, json=answer) if isinstance(answer, dict) else answer for answer in answers]
    )


def token(number: int, **changes: Any) -> dict[str, Any]:
    return {**TOKEN, "access_token": f"token-{number}", "refresh_token": f"refresh-{number}", **changes}


def test_the_first_token_is_had_with_the_secret_and_kept(vendor: Vendor, marketplace: SharetribeMarketplace) -> None:
    show = vendor.on("GET", "listings/show").respond(json=SHOWN)
    marketplace.listing("listing-1")
    marketplace.listing("listing-1")
    assert forms(vendor) == [
        {
            "client_id": "our-client-id",
            "client_secret": CLIENT_SECRET,
            "grant_type": "client_credentials",
            "scope": "integ",
        }
    ]
    request = vendor.token.calls[0].request
    assert request.headers["content-type"] == "application/x-www-form-urlencoded"
    assert request.headers["accept"] == "application/json"
    assert {call.request.headers["authorization"] for call in show.calls} == {"Bearer token-1"}
    assert marketplace.calls == 3


def test_a_token_is_refreshed_a_little_before_it_expires(
    vendor: Vendor, marketplace: SharetribeMarketplace, clock: VirtualClock
) -> None:
    show = vendor.on("GET", "listings/show").respond(json=SHOWN)
    tokens(vendor, token(1), token(2), token(3))
    marketplace.listing("listing-1")
    clock.advance(569)
    marketplace.listing("listing-1")
    clock.advance(2)
    marketplace.listing("listing-1")
    clock.advance(571)
    marketplace.listing("listing-1")
    assert [call.request.headers["authorization"] for call in show.calls] == [
        "Bearer token-1",
        "Bearer token-1",
        "Bearer token-2",
        "Bearer token-3",
    ]
    # The newest refresh token is used: they may rotate.
    assert forms(vendor)[1:] == [
        {"client_id": "our-client-id", "grant_type": "refresh_token", "refresh_token": f"refresh-{number}"}
        for number in (1, 2)
    ]


def test_a_lifetime_that_is_not_stated_is_taken_to_be_short(
    vendor: Vendor, marketplace: SharetribeMarketplace, clock: VirtualClock
) -> None:
    vendor.on("GET", "listings/show").respond(json=SHOWN)
    tokens(vendor, {"access_token": "a"}, {"access_token": "b"})
    marketplace.listing("listing-1")
    clock.advance(280)
    marketplace.listing("listing-1")
    assert [form["grant_type"] for form in forms(vendor)] == ["client_credentials", "client_credentials"]


@pytest.mark.parametrize(
    "refusal", [httpx.Response(401, text="Unauthorized"), httpx.Response(400), httpx.Response(403)]
)
def test_a_refused_refresh_token_falls_back_to_the_secret(
    vendor: Vendor, marketplace: SharetribeMarketplace, clock: VirtualClock, refusal: httpx.Response
) -> None:
    vendor.on("GET", "listings/show").respond(json=SHOWN)
    tokens(vendor, token(1), refusal, token(2))
    marketplace.listing("listing-1")
    clock.advance(600)
    marketplace.listing("listing-1")
    assert [form["grant_type"] for form in forms(vendor)] == [
        "client_credentials",
        "refresh_token",
        "client_credentials",
    ]


def test_a_read_refused_for_its_token_is_sent_again_with_a_fresh_one(
    vendor: Vendor, marketplace: SharetribeMarketplace
) -> None:
    show = vendor.on("GET", "listings/show").mock(side_effect=[EXPIRED, httpx.Response(200, json=SHOWN)])
    tokens(vendor, token(1), token(2))
    assert marketplace.listing("listing-1").stock.total == 3
    assert [call.request.headers["authorization"] for call in show.calls] == ["Bearer token-1", "Bearer token-2"]


def test_p4_a_write_refused_for_its_token_was_not_executed_and_is_sent_again_once(
    vendor: Vendor, marketplace: SharetribeMarketplace
) -> None:
    write = vendor.on("POST", "stock/compare_and_set").mock(
        side_effect=[EXPIRED, httpx.Response(200, json={"data": stock(2)})]
    )
    assert marketplace.adjust("listing-1", seen=3, delta=-1).total == 2
    assert [call.request.content for call in write.calls] == [write.calls[0].request.content] * 2


def test_a_token_refused_twice_is_unauthorized(vendor: Vendor, marketplace: SharetribeMarketplace) -> None:
    write = vendor.on("POST", "stock/compare_and_set").mock(return_value=EXPIRED)
    with pytest.raises(Unauthorized):
        marketplace.adjust("listing-1", seen=3, delta=-1)
    assert write.call_count == 2


def test_p4_a_write_sent_again_whose_answer_is_lost_is_unknown(
    vendor: Vendor, marketplace: SharetribeMarketplace
) -> None:
    vendor.on("POST", "stock/compare_and_set").mock(side_effect=[EXPIRED, httpx.ReadTimeout("slow")])
    with pytest.raises(OutcomeUnknown):
        marketplace.adjust("listing-1", seen=3, delta=-1)


def test_p8_refused_credentials_are_unauthorized_and_not_shown(
    vendor: Vendor, marketplace: SharetribeMarketplace
) -> None:
    tokens(vendor, *[httpx.Response(401, text="Unauthorized")] * 2)
    with pytest.raises(Unauthorized, match="check both in Console") as caught:
        marketplace.adjust("listing-1", seen=3, delta=-1)
    assert CLIENT_SECRET not in str(caught.value)
    with pytest.raises(Unauthorized):
        marketplace.listing("listing-1")


@pytest.mark.parametrize(
    "answer",
    [
        httpx.ConnectError("refused"),
        httpx.ReadTimeout("slow"),
        httpx.RemoteProtocolError("closed"),
        httpx.Response(500, text=HTML),
        httpx.Response(502),
        httpx.Response(200, text=HTML),
        httpx.Response(200),
        httpx.Response(302, headers={"location": "/login"}),
        httpx.Response(200, json=[]),
        httpx.Response(200, json={**TOKEN, "access_token": None}),
        httpx.Response(200, json={**TOKEN, "access_token": ""}),
        httpx.Response(200, json={**TOKEN, "access_token": "new\nline"}),
        httpx.Response(200, json={**TOKEN, "expires_in": "soon"}),
        httpx.Response(200, json={**TOKEN, "expires_in": True}),
        httpx.Response(200, json={**TOKEN, "expires_in": 0}),
    ],
)
def test_p4_a_write_without_a_token_was_never_sent(
    vendor: Vendor, marketplace: SharetribeMarketplace, answer: httpx.Response | Exception
) -> None:
    tokens(vendor, answer)
    with pytest.raises(Unavailable) as caught:
        marketplace.adjust("listing-1", seen=3, delta=-1)
    assert "token-1" not in str(caught.value)


def test_the_token_endpoints_limit_is_passed_on(vendor: Vendor, marketplace: SharetribeMarketplace) -> None:
    tokens(vendor, httpx.Response(429, headers={"retry-after": "40"}))
    with pytest.raises(RateLimited) as caught:
        marketplace.listing("listing-1")
    assert caught.value.retry_after_seconds == 40


def test_a_read_waits_for_a_token_endpoint_that_recovers(vendor: Vendor, marketplace: SharetribeMarketplace) -> None:
    vendor.on("GET", "listings/show").respond(json=SHOWN)
    tokens(vendor, httpx.ConnectError("refused"), httpx.Response(503), token(1))
    assert marketplace.listing("listing-1").stock.total == 3


def test_a_refresh_that_failed_starts_over_with_the_secret(
    vendor: Vendor, marketplace: SharetribeMarketplace, clock: VirtualClock
) -> None:
    vendor.on("GET", "listings/show").respond(json=SHOWN)
    tokens(vendor, token(1), httpx.ReadTimeout("slow"), token(2))
    marketplace.listing("listing-1")
    clock.advance(600)
    marketplace.listing("listing-1")
    assert [form["grant_type"] for form in forms(vendor)] == [
        "client_credentials",
        "refresh_token",
        "client_credentials",
    ]


def test_one_refresh_serves_all_threads(vendor: Vendor, toolbox: Toolbox) -> None:
    marketplace = SharetribeMarketplace(settings(), toolbox)
    gate = threading.Barrier(5)

    def answer(request: httpx.Request) -> httpx.Response:
        if request.headers["authorization"] == "Bearer token-1":
            gate.wait(10)
            return EXPIRED
        return httpx.Response(200, json=SHOWN)

    vendor.on("GET", "listings/show").mock(side_effect=answer)
    tokens(vendor, token(1), token(2))
    totals: list[int] = []
    threads = [
        threading.Thread(target=lambda: totals.append(marketplace.listing("listing-1").stock.total)) for _ in range(5)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert totals == [3] * 5
    assert [form["grant_type"] for form in forms(vendor)] == ["client_credentials", "refresh_token"]
    marketplace.disconnect()


class Watched(VirtualClock):
    """Notes when the second thread has looked at the time."""

    def __init__(self) -> None:
        super().__init__()
        self.looked = threading.Event()

    def monotonic(self) -> float:
        if threading.current_thread().name == "second":
            self.looked.set()
        return super().monotonic()


def test_threads_that_waited_for_a_token_in_vain_do_not_each_try_in_turn() -> None:
    clock = Watched()
    auth = TokenAuth(
        account="a", base_url="https://vendor.test", client_id="c", client_secret=SecretStr("s"), clock=clock
    )
    first = auth.sync_auth_flow(httpx.Request("GET", "https://vendor.test"))
    next(first)
    outcome: list[type[Exception]] = []

    def second() -> None:
        with pytest.raises(Unavailable, match="a moment ago") as caught:
            next(auth.sync_auth_flow(httpx.Request("GET", "https://vendor.test")))
        outcome.append(caught.type)

    thread = threading.Thread(target=second, name="second")
    thread.start()
    assert clock.looked.wait(10)
    clock.advance(3)
    first.close()
    thread.join(10)
    assert outcome == [Unavailable]
    assert next(auth.sync_auth_flow(httpx.Request("GET", "https://vendor.test"))).url.path == "/v1/auth/token"
