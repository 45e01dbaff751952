"""Versions, tokens, costs, refusals and broken answers, over real HTTP."""

from __future__ import annotations

from email.utils import parsedate_to_datetime
from typing import Any

import httpx
import pytest

from connectors.sandbox.clock import VirtualClock
from tests.conformance.shopify_sandbox.api import ORDERS_SINCE, Api, Serve

SHOP = "{ shop { name } }"
BIG = "{ orders(first: 50) { nodes { lineItems(first: 250) { nodes { variant { id } } } } } }"


def test_every_answer_names_version_request_and_the_sandboxs_time(api: Api, clock: VirtualClock) -> None:
    clock.advance(3600)
    first, second = api.post(SHOP, version="2026-07"), api.post(SHOP)
    assert (first.headers["X-Shopify-API-Version"], second.headers["X-Shopify-API-Version"]) == ("2026-07", "2026-10")
    assert first.headers["X-Request-Id"] != second.headers["X-Request-Id"]
    assert parsedate_to_datetime(first.headers["Date"]) == clock.now()


def test_a_retired_version_falls_forward_and_an_unheard_of_one_is_not_found(api: Api) -> None:
    assert api.post(SHOP, version="2024-01").headers["X-Shopify-API-Version"] == "2026-01"
    assert api.post(SHOP, version="2031-01").status_code == 404
    assert api.post(SHOP, version="latest").status_code == 404


def test_a_version_lacks_what_came_later(api: Api) -> None:
    text = '{ webhookSubscription(id: "gid://shopify/WebhookSubscription/1") { name } }'
    answer = api.post(text, version="2026-01").json()
    assert answer["errors"][0]["extensions"]["code"] == "undefinedField"
    assert "errors" not in api.post(text, version="2026-04").json()


def test_an_unknown_token_is_refused_with_errors_as_a_text(api: Api) -> None:
    answer = api.post(SHOP, token="shpat_other")
    assert answer.status_code == 401
    assert answer.json()["errors"].startswith("[API] Invalid API key or access token")
    assert api.http.post("/admin/api/2026-10/graphql.json", json={"query": SHOP}).status_code == 401


def test_the_client_credentials_grant_gives_tokens_that_end(api: Api, clock: VirtualClock) -> None:
    form = {"grant_type": "client_credentials", "client_id": "sandbox-client", "client_secret": "sandbox-secret"}
    granted = api.http.post("/admin/oauth/access_token", data=form).json()
    assert granted["expires_in"] == 86_399
    assert set(granted["scope"].split(",")) == set(api.options.scopes)
    assert api.post(SHOP, token=granted["access_token"]).status_code == 200
    assert api.http.post("/admin/oauth/access_token", json=form).status_code == 200
    clock.advance(86_400)
    assert api.post(SHOP, token=granted["access_token"]).status_code == 401
    assert api.http.post("/admin/oauth/access_token", data=form | {"client_secret": "x"}).status_code == 401
    assert api.http.post("/admin/oauth/access_token", data=form | {"grant_type": "code"}).status_code == 400


def test_expired_tokens_and_a_removed_application_are_refused(api: Api) -> None:
    form = {"grant_type": "client_credentials", "client_id": "sandbox-client", "client_secret": "sandbox-secret"}
    token = api.http.post("/admin/oauth/access_token", data=form).json()["access_token"]
    api.control("tokens/expire")
    assert api.post(SHOP, token=token).status_code == 401
    assert api.post(SHOP).status_code == 200
    api.control("uninstall")
    assert api.post(SHOP).status_code == 401
    assert api.http.post("/admin/oauth/access_token", data=form).status_code == 401
    api.control("reinstall")
    assert api.post(SHOP).status_code == 200


@pytest.mark.parametrize(
    "body", ["", "{", "[]", '{"query": 5}', '{"variables": {}}', '{"query": "{a}", "variables": 1}']
)
def test_a_body_that_is_no_request_is_a_bad_one(api: Api, body: str) -> None:
    headers = {"X-Shopify-Access-Token": api.token}
    answer = api.http.post("/admin/api/2026-10/graphql.json", content=body, headers=headers)
    assert answer.status_code == 400
    assert "errors" in answer.json()


@pytest.mark.parametrize(
    ("text", "variables", "code"),
    [
        ("{ shop { nme } }", {}, "undefinedField"),
        ("{ orders(last: 5) { nodes { id } } }", {}, "argumentNotAccepted"),
        ("{ order { id } }", {}, "missingRequiredArguments"),
        ("query ($n: Int!) { orders(first: $n) { nodes { id } } }", {"n": "five"}, "INVALID_VARIABLE"),
        ("query ($n: Int!) { orders(first: $n) { nodes { id } } }", {}, "INVALID_VARIABLE"),
        ("{ orders { nodes { id } } }", {}, "BAD_REQUEST"),
        ("{ orders(first: 251) { nodes { id } } }", {}, "BAD_REQUEST"),
        ('{ orders(first: 5, after: "x") { nodes { id } } }', {}, "BAD_REQUEST"),
        ('{ order(id: "5") { id } }', {}, "RESOURCE_NOT_FOUND"),
        ("query ($i: [ID!]!) { nodes(ids: $i) { id } }", {"i": ["x"] * 251}, "MAX_INPUT_SIZE_EXCEEDED"),
    ],
)
def test_a_wrong_document_is_an_error_at_http_200(api: Api, text: str, variables: dict[str, Any], code: str) -> None:
    answer = api.post(text, **variables)
    assert answer.status_code == 200
    assert answer.json()["errors"][0]["extensions"]["code"] == code
    assert not any((answer.json().get("data") or {}).values())


def test_a_document_that_does_not_parse_is_an_error(api: Api) -> None:
    assert "Syntax Error" in api.post("{ shop {").json()["errors"][0]["message"]


def test_several_operations_need_a_name(api: Api) -> None:
    body = {"query": "query A { shop { name } } query B { shop { id } }"}
    headers = {"X-Shopify-Access-Token": api.token}
    path = "/admin/api/2026-10/graphql.json"
    assert "errors" in api.http.post(path, json=body, headers=headers).json()
    named = api.http.post(path, json=body | {"operationName": "B"}, headers=headers).json()
    assert list(named["data"]["shop"]) == ["id"]


def test_every_answer_tells_what_it_cost(api: Api) -> None:
    api.place({"sku": "A", "quantity": 1}, {"sku": "B", "quantity": 1})
    answer = api.post(ORDERS_SINCE, q="status:open", first=25).json()
    assert answer["extensions"]["cost"] == {
        "requestedQueryCost": 290,
        # An order, two lines at their least of one step (line, variant, item), a list of no refunds.
        "actualQueryCost": 2 + (1 + 2 + 1 * 3 + 1),
        "throttleStatus": {"maximumAvailable": 2000, "currentlyAvailable": 1991, "restoreRate": 100},
    }


def test_a_query_that_asks_for_too_much_is_refused(serve_with: Serve) -> None:
    with serve_with(switches={"connection_cost": "linear"}) as api:
        error = api.post(BIG).json()["errors"][0]
        assert error["extensions"]["code"] == "MAX_COST_EXCEEDED"
        assert "exceeds the single query max cost limit (1000)" in error["message"]
        assert api.show("counts")["bucket"]["currentlyAvailable"] == 2000
        api.control("switches", {"connection_cost": "logarithmic"})
        assert "errors" not in api.post(BIG).json()


def test_an_empty_bucket_throttles_at_http_200_and_fills_with_time(api: Api, clock: VirtualClock) -> None:
    api.control("bucket/empty")
    answer = api.post(BIG)
    assert answer.status_code == 200
    cost = answer.json()["extensions"]["cost"]
    assert answer.json()["errors"][0]["extensions"]["code"] == "THROTTLED"
    assert (cost["actualQueryCost"], cost["throttleStatus"]["currentlyAvailable"]) == (None, 0)
    clock.advance(cost["requestedQueryCost"] / cost["throttleStatus"]["restoreRate"])
    assert "errors" not in api.post(BIG).json()


def test_each_application_has_its_own_bucket(serve_with: Serve) -> None:
    with serve_with(other_applications={"observer": "shpat_observer"}) as api:
        api.control("bucket/empty")
        assert "errors" in api.post(SHOP).json()
        assert "errors" not in api.post(SHOP, token="shpat_observer").json()


def test_armed_faults_strike_the_calls_they_name(api: Api) -> None:
    api.control("faults", {"operation": "graphql/shop", "kind": "too_many_requests", "retry_after_seconds": 7})
    api.control("faults", {"operation": "graphql/shop", "kind": "bad_gateway"})
    api.control("faults", {"operation": "graphql/shop", "kind": "drop_before"})
    assert "errors" not in api.post("{ currentAppInstallation { id } }").json()
    limited = api.post(SHOP)
    assert (limited.status_code, limited.headers["Retry-After"]) == (429, "7")
    assert api.post(SHOP).status_code == 502
    with pytest.raises(httpx.TransportError):
        api.post(SHOP)
    assert api.post(SHOP).status_code == 200
    [struck] = api.show("faults")["struck"].values()
    assert struck == {"too_many_requests": 1, "bad_gateway": 1, "drop_before": 1}


def test_calls_and_points_are_counted(api: Api) -> None:
    api.post(SHOP)
    api.post("{ shop { nme } }")
    api.control("clock", {"seconds": 60})
    calls = api.show("counts")["calls"]
    assert (calls["graphql/shop"], calls["graphql/invalid"], calls["points_spent"]) == (1, 1, 1)
    assert calls["refused/undefinedField"] == 1
    assert api.show("clock")["now"] == "2026-01-10T00:01:00Z"
