"""Tokens, and the order in which a request is checked."""

from __future__ import annotations

from uuid import uuid4

import pytest

from connectors.sandbox.clock import VirtualClock
from tests.conformance.sharetribe_sandbox.api import ROOT, Api, Serve, code


def refresh(api: Api, token: str, **changes: str) -> dict[str, str]:
    return {"grant_type": "refresh_token", "refresh_token": token, "client_id": api.options.client_id, **changes}


def test_client_credentials_give_a_token_that_works(api: Api) -> None:
    answer = api.fetch_token().json()
    assert set(answer) == {"access_token", "refresh_token", "token_type", "expires_in", "scope"}
    assert (answer["token_type"], answer["scope"]) == ("bearer", "integ")
    shown = api.http.get(
        f"{ROOT}/marketplace/show", headers={"Authorization": f"bearer {answer['access_token']}"}
    ).json()
    assert shown["data"]["type"] == "marketplace"


@pytest.mark.parametrize("wrong", [{"client_secret": "x"}, {"client_id": "x"}, {"scope": "user"}, {"grant_type": "x"}])
def test_bad_credentials_are_refused_in_plain_text(api: Api, wrong: dict[str, str]) -> None:
    form = {
        "client_id": api.options.client_id,
        "client_secret": "sandbox-secret",
        "grant_type": "client_credentials",
        "scope": "integ",
    }
    refused = api.fetch_token(**{**form, **wrong})
    assert (refused.status_code, refused.text) == (401, "Unauthorized")
    assert refused.headers["content-type"].startswith("text/plain")


def test_a_refresh_rotates_the_refresh_token(api: Api) -> None:
    first = api.fetch_token().json()
    second = api.fetch_token(**refresh(api, first["refresh_token"]))
    assert second.status_code == 200
    assert second.json()["refresh_token"] != first["refresh_token"]
    assert api.fetch_token(**refresh(api, first["refresh_token"])).status_code == 401


def test_a_refresh_can_keep_the_refresh_token(api: Api) -> None:
    api.switch(rotate_refresh_tokens=False)
    token = api.fetch_token().json()["refresh_token"]
    for _ in range(2):
        assert api.fetch_token(**refresh(api, token)).json()["refresh_token"] == token


def test_a_refresh_without_client_id_is_a_switch(api: Api) -> None:
    token = api.fetch_token().json()["refresh_token"]
    form = {"grant_type": "refresh_token", "refresh_token": token}
    assert api.fetch_token(**form).status_code == 401
    api.switch(refresh_needs_client_id=False)
    assert api.fetch_token(**form).status_code == 200


def test_access_tokens_expire_by_the_sandbox_clock(api: Api, clock: VirtualClock) -> None:
    expires_in = api.fetch_token().json()["expires_in"]
    assert api.get("marketplace/show").status_code == 200
    clock.advance(expires_in)
    refused = api.get("marketplace/show")
    assert (refused.status_code, code(refused)) == (401, "auth-invalid-access-token")


def test_tokens_can_be_expired_at_once(api: Api) -> None:
    token = api.fetch_token().json()["refresh_token"]
    assert api.get("marketplace/show").status_code == 200
    api.control("tokens/expire")
    assert code(api.get("marketplace/show")) == "auth-invalid-access-token"
    assert api.fetch_token(**refresh(api, token)).status_code == 200
    api.control("tokens/expire", {"refresh_tokens": True})
    assert api.fetch_token(**refresh(api, token)).status_code == 401


def test_a_revoked_refresh_token_is_refused(api: Api) -> None:
    token = api.fetch_token().json()["refresh_token"]
    for action in ("revoked", "nothing"):
        answer = api.http.post("/v1/auth/revoke", data={"token": token}, headers=api.authorization())
        assert answer.json() == {"action": action}
    assert api.fetch_token(**refresh(api, token)).status_code == 401


def test_several_applications_have_credentials_of_their_own(serve_with: Serve) -> None:
    with serve_with(other_applications={"other": "secret"}) as api:
        answer = api.fetch_token(
            client_id="other", client_secret="secret", grant_type="client_credentials", scope="integ"
        )
        listing_id = api.listing(5)
        api.switch(own_events="missing")
        start = api.look("state")["last_sequence"]
        api.http.post(
            f"{ROOT}/stock/compare_and_set",
            json={"listingId": listing_id, "oldTotal": 5, "newTotal": 4},
            headers={"Authorization": f"Bearer {answer.json()['access_token']}"},
        ).raise_for_status()
        adjustment = api.look(f"listings/{listing_id}")["adjustments"][-1]
        assert (adjustment["client_id"], adjustment["own"]) == ("other", False)
        assert [event["auditData"]["clientId"] for event in api.events(startAfterSequenceId=start)] == ["other"]


def test_checks_come_in_their_order(serve_with: Serve) -> None:
    """Rate, token, content type, unknown keys, missing keys, values, existence, state: each hides those behind it."""
    with serve_with(profile="dev", command_burst=8) as api:
        path = f"{ROOT}/listings/close"
        draft = api.listing(state="draft")
        token = api.authorization()
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        steps = [
            (api.http.post(path, content="{", headers=form), 401, "auth-missing-access-token"),
            (api.http.post(path, content="{", headers={**token, **form}), 400, "unsupported-content-type"),
            (
                api.http.post(path, content="{", headers={**token, "Content-Type": "application/json"}),
                400,
                "bad-request",
            ),
            (api.post("listings/close", {"nonsense": 1}), 400, "validation-disallowed-key"),
            (api.post("listings/close", {}), 400, "validation-missing-key"),
            (api.post("listings/close", {"id": 5}), 400, "validation-invalid-value"),
            (api.post("listings/close", {"id": str(uuid4())}), 409, "listing-not-found"),
            (api.post("listings/close", {"id": draft}), 409, "listing-invalid-state"),
            (api.http.post(path, content="{", headers=form), 429, "too-many-requests"),
        ]
        assert [(answer.status_code, code(answer)) for answer, _, _ in steps] == [step[1:] for step in steps]


def test_a_refused_token_executes_nothing(api: Api) -> None:
    listing_id = api.listing(5)
    refused = api.http.post(
        f"{ROOT}/stock/compare_and_set",
        json={"listingId": listing_id, "oldTotal": 5, "newTotal": 4},
        headers={"Authorization": "Bearer stale"},
    )
    assert code(refused) == "auth-invalid-access-token"
    assert api.total(listing_id) == 5


def test_errors_name_the_part_to_blame(api: Api) -> None:
    body = api.post("listings/close", {"id": str(uuid4()), "extra": 1}).json()["errors"][0]
    assert body["source"] == {"path": ["extra"], "type": "body"}
    query = api.get("listings/show", id="x").json()["errors"][0]
    assert query["source"] == {"path": ["id"], "type": "query"}


@pytest.mark.parametrize(("method", "endpoint"), [("GET", "stock/show"), ("GET", "listings/close")])
def test_what_does_not_exist_is_not_found(api: Api, method: str, endpoint: str) -> None:
    answer = api.http.request(method, f"{ROOT}/{endpoint}", headers=api.authorization())
    assert (answer.status_code, code(answer)) == (404, "not-found")


def test_the_date_header_follows_the_sandbox_clock(api: Api, clock: VirtualClock) -> None:
    clock.advance(3_600)
    assert api.get("marketplace/show").headers["date"] == "Thu, 01 Jan 2026 01:00:00 GMT"


def test_a_request_id_header_is_a_switch(api: Api) -> None:
    assert "x-request-id" not in api.get("marketplace/show").headers
    api.switch(request_id_header=True)
    assert api.get("marketplace/show").headers["x-request-id"]
