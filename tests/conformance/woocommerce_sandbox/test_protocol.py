"""The REST API: who may ask, what is listed, how pages go and drift, what each switch changes."""

from __future__ import annotations

from typing import Any

import pytest

from connectors.sandbox.clock import VirtualClock
from tests.conformance.woocommerce_sandbox.api import Api, Receiver, Serve

ALL = {"orderby": "id", "order": "asc", "per_page": 100}


def ids(rows: Any) -> list[int]:
    return [row["id"] for row in rows]


def test_a_wrong_key_is_refused_with_an_error_object(api: Api) -> None:
    for key in (("ck_sandbox", "cs_wrong"), ("", "")):
        answer = api.call("GET", "orders", key=key)
        assert answer.status_code == 401
        assert answer.json()["code"] == "woocommerce_rest_authentication_error"
    assert api.http.get("/wp-json/wc/v3/orders").status_code == 401
    api.control("switches", {"wrong_key_code": "woocommerce_rest_cannot_view"})
    assert api.http.get("/wp-json/wc/v3/orders").json()["code"] == "woocommerce_rest_cannot_view"


def test_a_key_for_reading_cannot_write(serve_with: Serve) -> None:
    with serve_with(permissions="read") as api:
        assert api.get("webhooks") == []
        assert api.register("order.created", "https://hooks.test/").status_code == 401


def test_ten_of_the_newest_are_listed_unless_asked_otherwise(api: Api) -> None:
    placed = [api.place()["id"] for _ in range(12)]
    answer = api.call("GET", "orders")
    assert ids(answer.json()) == placed[:1:-1]
    assert (answer.headers["x-wp-total"], answer.headers["x-wp-totalpages"]) == ("12", "2")
    assert ids(api.get("orders", page=2)) == placed[1::-1]
    assert api.get("orders", page=3) == []
    assert ids(api.get("orders", offset=10, order="asc")) == placed[10:]


@pytest.mark.parametrize(
    ("params", "named"),
    [
        ({"per_page": 101}, "per_page"),
        ({"per_page": 0}, "per_page"),
        ({"page": "x"}, "page"),
        ({"orderby": "price"}, "orderby"),
        ({"order": "up"}, "order"),
        ({"modified_after": "yesterday"}, "modified_after"),
    ],
)
def test_a_parameter_of_the_wrong_form_is_named(api: Api, params: dict[str, Any], named: str) -> None:
    api.place()
    answer = api.call("GET", "orders", params=params)
    assert answer.status_code == 400
    assert answer.json()["code"] == "rest_invalid_param"
    assert list(answer.json()["data"]["params"]) == [named]


def test_dates_are_read_in_the_sites_time_zone_unless_said_otherwise(api: Api, clock: VirtualClock) -> None:
    # The site is 5:30 ahead of UTC: what it calls noon is half past six.
    placed = api.place()["id"]
    row = api.get("orders")[0]
    assert (row["date_modified_gmt"], row["date_modified"]) == ("2026-01-10T00:00:00", "2026-01-10T05:30:00")
    assert ids(api.get("orders", modified_after="2026-01-09T23:59:59", dates_are_gmt="true")) == [placed]
    assert api.get("orders", modified_after="2026-01-10T05:30:00") == []
    assert ids(api.get("orders", modified_after="2026-01-10T05:29:59")) == [placed]
    api.control("switches", {"dates_are_gmt": False})
    assert api.get("orders", modified_after="2026-01-10T05:30:00", dates_are_gmt="true") == []


def test_the_ends_of_a_window_are_exclusive_or_not(api: Api) -> None:
    placed = api.place()["id"]
    moment = "2026-01-10T00:00:00"
    for inclusive in (False, True):
        api.control("switches", {"modified_after_inclusive": inclusive, "modified_before_inclusive": inclusive})
        for name in ("modified_after", "modified_before"):
            found = api.get("orders", dates_are_gmt="true", **{name: moment})
            assert ids(found) == ([placed] if inclusive else [])


def test_a_page_number_skips_an_order_when_another_is_touched(api: Api, clock: VirtualClock) -> None:
    placed = []
    for _ in range(4):
        placed.append(api.place()["id"])
        clock.advance(1)
    params = {"orderby": "modified", "order": "asc", "per_page": 2}
    first = ids(api.get("orders", page=1, **params))
    api.control(f"orders/{placed[0]}/touch")
    second = ids(api.get("orders", page=2, **params))
    assert (first, second) == (placed[:2], [placed[3], placed[0]])


def test_an_older_site_neither_sorts_nor_filters_by_modification(api: Api, clock: VirtualClock) -> None:
    placed = api.place()["id"]
    api.control("switches", {"orderby_modified": False, "modified_filters": False})
    assert api.call("GET", "orders", params={"orderby": "modified"}).status_code == 400
    found = api.get("orders", modified_after="2027-01-01T00:00:00", dates_are_gmt="true")
    assert ids(found) == [placed]


def test_fields_are_left_out_unless_the_site_does_not_know_how(api: Api) -> None:
    order_id = api.place()["id"]
    assert api.get("orders", _fields="id,status") == [{"id": order_id, "status": "processing"}]
    assert api.get(f"orders/{order_id}", _fields="id") == {"id": order_id}
    api.control("switches", {"fields": False})
    assert "billing" in api.get(f"orders/{order_id}", _fields="id")


def test_trash_and_drafts_are_not_listed_but_read(api: Api) -> None:
    draft, gone = api.place(status="checkout-draft")["id"], api.place()
    api.control(f"orders/{gone['id']}/trash")
    assert api.get("orders") == []
    assert api.get(f"orders/{gone['id']}")["status"] == "trash"
    api.control("switches", {"drafts_listed": True})
    assert ids(api.get("orders")) == [draft]
    api.delete(gone)
    answer = api.call("GET", f"orders/{gone['id']}")
    assert (answer.status_code, answer.json()["code"]) == (404, "woocommerce_rest_shop_order_invalid_id")


def test_what_is_not_there_is_said_in_json(api: Api) -> None:
    assert api.call("GET", "nothing").json()["code"] == "rest_no_route"
    assert api.call("GET", "orders/1/refunds").status_code == 404
    assert api.call("GET", "webhooks/1").status_code == 404


def test_refunds_have_quantities_below_zero_and_name_their_line(api: Api) -> None:
    order = api.place({"sku": "A", "quantity": 5}, {"sku": "B", "quantity": 2})
    first = api.refund(order, (0, 2), (1, 1))["refund_id"]
    second = api.refund(order)["refund_id"]
    assert [refund["id"] for refund in api.get(f"orders/{order['id']}")["refunds"]] == [first, second]
    newest, oldest = api.get(f"orders/{order['id']}/refunds")
    assert (newest["id"], newest["line_items"]) == (second, [])
    assert [
        (line["quantity"], [meta["value"] for meta in line["meta_data"] if meta["key"] == "_refunded_item_id"])
        for line in oldest["line_items"]
    ] == [(-2, [str(order["lines"][0])]), (-1, [str(order["lines"][1])])]


def test_a_sku_is_the_products_of_now(api: Api) -> None:
    order = api.place({"sku": "A"})
    item_id = api.show(f"orders/{order['id']}")["lines"][0]["item_id"]
    assert api.get(f"orders/{order['id']}")["line_items"][0]["sku"] == "A"
    api.control(f"products/{item_id}", method="DELETE")
    (line,) = api.get(f"orders/{order['id']}")["line_items"]
    assert (line["sku"], line["product_id"]) == (None, 0)


def test_a_webhook_is_made_listed_changed_and_removed(api: Api, receiver: Receiver) -> None:
    made = api.register("order.updated", receiver.url).json()
    assert "secret" not in made
    assert api.get("webhooks") == [made]
    changed = api.call("PUT", f"webhooks/{made['id']}", json={"status": "paused"}).json()
    assert (changed["status"], api.get("webhooks", status="active")) == ("paused", [])
    assert api.call("DELETE", f"webhooks/{made['id']}").status_code == 200
    assert api.get("webhooks") == []


@pytest.mark.parametrize(
    "wanted",
    [
        {"topic": "order.sold"},
        {"topic": "refund.created"},
        {"topic": "action.init"},
        {"delivery_url": "ftp://x"},
        {"status": "on"},
    ],
    ids=str,
)
def test_a_webhook_that_makes_no_sense_is_refused(api: Api, wanted: dict[str, str]) -> None:
    body = {"topic": "order.updated", "delivery_url": "https://hooks.test/", "status": "active", **wanted}
    assert api.call("POST", "webhooks", json=body).status_code == 400
    assert api.get("webhooks") == []


def test_a_fault_strikes_the_call_it_is_armed_for(api: Api) -> None:
    api.place()
    api.control("faults", {"operation": "orders", "kind": "answer", "status": 503, "body": "<html>Maintenance</html>"})
    answer = api.call("GET", "orders")
    assert (answer.status_code, answer.headers["content-type"].partition(";")[0]) == (503, "text/html")
    assert api.call("GET", "orders").status_code == 200
    assert api.show("faults")["struck"] == {"orders": {"answer": 1}}


def test_impossible_and_misshapen_commands_change_nothing(api: Api) -> None:
    order = api.place({"sku": "A", "quantity": 2})
    api.control("orders/1/touch", status=409)
    api.control(f"orders/{order['id']}/refund", {"lines": [{"line_id": order["lines"][0], "quantity": 3}]}, status=409)
    api.control(f"orders/{order['id']}/refund", {"lines": [{"line_id": 1, "quantity": 1}]}, status=409)
    api.control(f"orders/{order['id']}/restore", status=409)
    api.control("orders", {"orders": [{"lines": []}]}, status=422)
    api.control("switches", {"unheard_of": 1}, status=422)
    assert api.show(f"orders/{order['id']}")["refunds"] == []
