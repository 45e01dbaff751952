from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import pytest
import respx

from connectors.errors import ConnectorError, RateLimited, Unauthorized, Unavailable
from connectors.http import Http, Toolbox
from connectors.sandbox.clock import VirtualClock
from connectors.shopify.auth import HEADER, auth
from connectors.shopify.settings import ShopifySettings
from tests.unit.connectors.shopify.vendor import NOW, TOKEN, URL, Vendor, settings, toolbox

ASK = f"{URL}/admin/oauth/access_token"
CALL = f"{URL}/admin/api/x"


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock(NOW)


@pytest.fixture
def router() -> respx.Router:
    return respx.Router(assert_all_called=False)


@pytest.fixture
def http(clock: VirtualClock, router: respx.Router) -> Http:
    tools = toolbox(Vendor(clock))
    by_grant = settings(access_token=None, client_id="app", client_secret="hush")
    return Http(
        Toolbox(tools.clock, tools.budgets, tools.random, httpx.MockTransport(router.handler)),
        account="toys",
        base_url=URL,
        auth=auth(by_grant, clock, account="toys"),
    )


def granting(*tokens: str, seconds: float = 86_399) -> Callable[[httpx.Request], httpx.Response]:
    waiting = list(tokens)
    return lambda _: httpx.Response(200, json={"access_token": waiting.pop(0), "expires_in": seconds, "scope": "x"})


def test_a_fixed_token_goes_with_every_request() -> None:
    flow = auth(settings(), VirtualClock(), account="toys").auth_flow(httpx.Request("POST", CALL))
    assert next(flow).headers[HEADER] == TOKEN


def test_settings_that_were_never_checked_open_nothing() -> None:
    unchecked = ShopifySettings.model_construct(shop="toys.myshopify.com", client_id="app")
    with pytest.raises(ValueError, match="no way in"):
        auth(unchecked, VirtualClock(), account="toys")


def test_the_grant_is_asked_once_for_many_requests(http: Http, router: respx.Router) -> None:
    asked = router.post(ASK).mock(side_effect=granting("shpua_one"))
    called = router.post(CALL).respond(200)
    http.read("POST", "/admin/api/x")
    http.read("POST", "/admin/api/x")
    assert asked.call_count == 1
    assert asked.calls[0].request.content == b"grant_type=client_credentials&client_id=app&client_secret=hush"
    assert [call.request.headers[HEADER] for call in called.calls] == ["shpua_one", "shpua_one"]


def test_a_token_is_replaced_before_it_ends(http: Http, router: respx.Router, clock: VirtualClock) -> None:
    asked = router.post(ASK).mock(side_effect=granting("one", "two"))
    called = router.post(CALL).respond(200)
    http.read("POST", "/admin/api/x")
    clock.advance(86_399 - 301)
    http.read("POST", "/admin/api/x")
    clock.advance(2)
    http.read("POST", "/admin/api/x")
    assert asked.call_count == 2
    assert [call.request.headers[HEADER] for call in called.calls] == ["one", "one", "two"]


def test_a_refused_token_is_replaced_once_even_for_a_write(http: Http, router: respx.Router) -> None:
    router.post(ASK).mock(side_effect=granting("one", "two"))
    tokens: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        tokens.append(request.headers[HEADER])
        return httpx.Response(401 if len(tokens) == 2 else 200)

    router.post(CALL).mock(side_effect=answer)
    http.read("POST", "/admin/api/x")
    assert http.write("POST", "/admin/api/x").status_code == 200
    assert tokens == ["one", "one", "two"]


def test_a_new_token_that_is_refused_is_not_replaced_for_ever(http: Http, router: respx.Router) -> None:
    asked = router.post(ASK).mock(side_effect=granting("one", "two", "three"))
    router.post(CALL).respond(401)
    assert http.read("POST", "/admin/api/x").status_code == 401
    assert asked.call_count == 1
    assert http.read("POST", "/admin/api/x").status_code == 401
    assert asked.call_count == 2


def test_the_question_for_a_token_has_the_time_outs_of_the_call_it_is_for(http: Http, router: respx.Router) -> None:
    asked = router.post(ASK).mock(side_effect=granting("one"))
    called = router.post(CALL).respond(200)
    http.read("POST", "/admin/api/x")
    assert asked.calls[0].request.extensions["timeout"] == called.calls[0].request.extensions["timeout"]
    assert asked.calls[0].request.extensions["timeout"]["read"] == 10.0


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (httpx.Response(400, json={"error": "invalid_client", "client_secret": "hush"}), Unauthorized),
        (httpx.Response(401), Unauthorized),
        (httpx.Response(403), Unauthorized),
        (httpx.Response(404, text="<html>no such shop</html>"), Unauthorized),
        (httpx.Response(302, headers={"location": "https://evil.test"}), Unauthorized),
        (httpx.Response(429, headers={"retry-after": "40"}), RateLimited),
        (httpx.Response(503, text="<html>"), Unavailable),
        (httpx.Response(200, text="<html>welcome</html>"), Unavailable),
        (httpx.Response(200, text=""), Unavailable),
        (httpx.Response(200, json=[]), Unavailable),
        (httpx.Response(200, json={"access_token": None}), Unavailable),
        (httpx.Response(200, json={"access_token": ""}), Unavailable),
        (httpx.Response(200, json={"access_token": "a\r\nb", "expires_in": 10}), Unavailable),
        (httpx.Response(200, json={"access_token": "hush-hush", "expires_in": "soon"}), Unavailable),
        (httpx.Response(200, json={"access_token": "hush-hush", "expires_in": -1}), Unavailable),
        (httpx.Response(200, text="[" * 100_000), Unavailable),
        (httpx.ConnectError("refused"), Unavailable),
        (httpx.ReadTimeout("slow"), Unavailable),
    ],
)
@pytest.mark.parametrize("kind", ["read", "write"])
def test_what_goes_wrong_with_the_grant(
    http: Http, router: respx.Router, answer: Any, error: type[ConnectorError], kind: str
) -> None:
    router.post(ASK).mock(side_effect=[answer] * 9)
    called = router.post(CALL).respond(200)
    with pytest.raises(error) as caught:
        getattr(http, kind)("POST", "/admin/api/x")
    assert called.call_count == 0
    assert caught.value.account == "toys"
    assert "hush" not in str(caught.value)
