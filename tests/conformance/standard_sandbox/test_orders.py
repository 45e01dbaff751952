"""`GET /orders`: what docs/connectors/standard.md asks of it, and each way in which a system may differ."""

from __future__ import annotations

from typing import Any

import pytest

from connectors.sandbox.clock import VirtualClock
from tests.conformance.standard_sandbox.api import Api, Serve
from tests.unit.connectors.standard.vendor import schema_of

PAGE = schema_of("page")
SINCE = "2026-01-01T00:00:00Z"


def ids(page: Any) -> list[str]:
    return [order["order_id"] for order in page["orders"]]


def all_ids(api: Api, **params: Any) -> list[str]:
    page = api.get(**params)
    found = ids(page)
    while page["next"]:
        page = api.get(**{**params, "cursor": page["next"]})
        found += ids(page)
    return found


def test_pages_are_what_the_schema_says(api: Api) -> None:
    order = api.place({"sku": "A", "quantity": 3, "item_id": "i"}, {"sku": None, "quantity": 1}, source="web")
    api.change("cancel", order, (0, 1))
    for page in (api.get(updated_since=SINCE), api.get(order_id=order["id"])):
        assert list(PAGE.iter_errors(page)) == []
        (shown,) = page["orders"]
        assert (shown["version"], shown["lines"][0]["cancelled"], shown["source"]) == (2, 1, "web")
        assert shown["customer"]["name"] == "Ada Lovelace"


def test_a_token_is_asked_for(api: Api) -> None:
    assert api.call(token="another").status_code == 401
    assert api.http.get("/orders").status_code == 401


@pytest.mark.parametrize("params", [{"updated_since": "x"}, {"updated_since": "2026-01-01"}, {"limit": "0"}])
def test_what_makes_no_sense_is_refused(api: Api, params: dict[str, str]) -> None:
    assert api.call(**params).status_code == 400
    assert api.call(cursor="x").status_code == 400


def test_what_changed_since_oldest_change_first(api: Api, clock: VirtualClock) -> None:
    orders = [api.place() for _ in range(3)]
    clock.advance(60)
    moment = clock.now().isoformat()
    api.change("restock", orders[0], (0, 1))
    assert ids(api.get(updated_since=SINCE)) == [orders[1]["id"], orders[2]["id"], orders[0]["id"]]
    assert ids(api.get(updated_since=moment)) == [orders[0]["id"]]


def test_no_order_is_skipped_though_others_change_between_pages(api: Api) -> None:
    orders = [api.place() for _ in range(7)]
    page = api.get(updated_since=SINCE, limit=3)
    api.control(f"orders/{orders[0]['id']}/touch")
    found = ids(page) + all_ids(api, updated_since=SINCE, limit=3, cursor=page["next"])
    assert {*found} == {order["id"] for order in orders}


def test_a_deleted_order_is_in_no_answer(api: Api) -> None:
    order = api.place()
    api.delete(order)
    assert ids(api.get(updated_since=SINCE)) == ids(api.get(order_id=order["id"])) == []


def test_what_senders_do_differently(api: Api, clock: VirtualClock) -> None:
    clock.advance(0.25)
    orders = [api.place() for _ in range(3)]
    api.control("switches", {"versions": False, "whole_seconds": True})
    shown = api.get(updated_since=SINCE)["orders"][0]
    assert "version" not in shown
    assert shown["updated_at"] == "2026-01-10T00:00:00+00:00"
    api.control("switches", {"single_orders": False})
    assert len(ids(api.get(order_id=orders[0]["id"]))) == 3
    following = api.get(limit=1)["next"]
    api.control("switches", {"cursor_repeats": True})
    assert api.get(limit=1, cursor=following)["next"] == following
    api.control("switches", {"cursors_expire": True})
    assert api.call(limit=1, cursor=following).status_code == 410
    api.control("switches", {"dated": False})
    assert "date" not in api.call().headers


def test_a_change_may_take_its_time_to_be_listed(api: Api, clock: VirtualClock) -> None:
    api.control("switches", {"index_lag_seconds": 30})
    order = api.place()
    assert ids(api.get()) == []
    assert ids(api.get(order_id=order["id"])) == [order["id"]]
    clock.advance(30)
    assert ids(api.get()) == [order["id"]]


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("orders/S-9/cancel", {}, 409),
        ("orders/S-1000/cancel", {"lines": [{"line_id": "L1", "quantity": 4}]}, 409),
        ("orders/S-1000/restock", {"lines": [{"line_id": "L9", "quantity": 1}]}, 409),
        ("orders/S-1000/edit", {"set": [{"line_id": "L1", "quantity": 1}]}, 409),
        ("orders", {"orders": [{"order_id": "S-1000", "lines": [{}]}]}, 409),
        ("orders", {"orders": [{"lines": []}]}, 422),
        ("switches", {"weather": "fine"}, 422),
    ],
)
def test_what_cannot_be_done_is_not(api: Api, path: str, body: Any, status: int) -> None:
    api.change("cancel", api.place(), (0, 2))
    before = api.show("state")["orders"]
    assert api.control(path, body, status=status)["error"]
    assert api.show("state")["orders"] == before


def test_faults_strike_either_question(serve_with: Serve) -> None:
    with serve_with() as api:
        api.control("faults", {"operation": "order", "kind": "server_error"})
        api.control("faults", {"operation": "orders", "kind": "too_many_requests", "retry_after_seconds": 7})
        assert api.call().headers["retry-after"] == "7"
        assert api.call(order_id="S-1").status_code == 500
        assert api.call().status_code == api.call(order_id="S-1").status_code == 200
        assert api.show("counts")["calls"] == {"orders": 2, "order": 2}
