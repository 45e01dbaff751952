"""The Marketplacer sandbox by plain HTTP: what the vendor's documentation says of each answer, and each switch."""

from __future__ import annotations

import base64
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from connectors.sandbox.clock import VirtualClock
from tests.conformance.marketplacer_sandbox.api import KEY, Api, served

# Keys


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 401),
        ({"Authorization": "Bearer wrong"}, 401),
        ({"Authorization": f"Bearer {KEY}"}, 200),
        ({"MARKETPLACER-API-KEY": KEY}, 200),
        ({"MARKETPLACER-API-KEY": "wrong"}, 401),
        ({"Authorization": f"Bearer {KEY}", "MARKETPLACER-API-KEY": KEY}, 400),
    ],
)
def test_a_key_stands_in_one_of_two_headers(api: Api, headers: dict[str, str], status: int) -> None:
    assert api.http.get("/api/v2/client/variants", headers=headers).status_code == status


def test_basic_authentication_stands_before_everything(clock: VirtualClock) -> None:
    with served(clock, basic_user="staging") as api:
        basic = base64.b64encode(b"staging:sandbox-password").decode()
        for headers, status in (
            ({"Authorization": f"Bearer {KEY}"}, 401),
            ({"Authorization": f"Basic {basic}"}, 401),
            ({"Authorization": f"Basic {basic}", "MARKETPLACER-API-KEY": KEY}, 200),
        ):
            assert api.http.get("/api/v2/client/variants", headers=headers).status_code == status


def test_a_seller_sees_its_own(api: Api) -> None:
    number = api.variant()
    other = api.control("/sellers", {"name": "other", "api_key": "key-of-2"})
    assert other == {"id": 2, "api_key": "key-of-2"}
    assert api.get("variants", key="key-of-2")["data"] == []
    for method in ("GET", "PUT"):
        body = {"data": {"type": "variants", "attributes": {"count_on_hand": 1}}} if method == "PUT" else None
        assert api.call(method, f"variants/{number}", body, key="key-of-2").status_code == 404
    assert api.call("GET", f"variants/{number}/inventories", key="key-of-2").status_code == 404
    api.sell("MUG")
    assert api.get("invoices", key="key-of-2")["data"] == []


@pytest.mark.parametrize("shown", [True, False])
def test_too_many_requests(clock: VirtualClock, shown: bool) -> None:
    with served(clock, per_second=5, switches={"retry_after_shown": shown}) as api:
        statuses = [api.call("GET", "variants").status_code for _ in range(5)]
        refused = api.call("GET", "variants")
        assert statuses == [200] * 5
        assert (refused.status_code, refused.headers.get("retry-after")) == (429, "1" if shown else None)
        clock.advance(1)
        assert api.call("GET", "variants").status_code == 200


@pytest.mark.parametrize(("form", "start"), [("json_api", '{"errors":[{"status":"404"'), ("empty", ""), ("html", "<!")])
def test_a_refusal_may_hold_anything(clock: VirtualClock, form: str, start: str) -> None:
    with served(clock, switches={"error_body": form}) as api:
        refused = api.call("GET", "variants/4711")
        assert refused.status_code == 404
        assert refused.text.startswith(start)


# Lists


def test_pages_have_links_and_a_size_that_is_granted(clock: VirtualClock) -> None:
    with served(clock, page_length=4, longest_page=6) as api:
        api.control("/adverts", {"adverts": [{"variants": [{"external_id": f"V{n}"} for n in range(10)]}]})
        first = api.get("variants")
        assert len(first["data"]) == 4
        assert {name: dict(_query(link))["page[number]"] for name, link in first["links"].items()} == {
            "first": "1",
            "next": "2",
            "last": "3",
        }
        assert len(api.get("variants?page[size]=100")["data"]) == 6
        assert api.call("GET", "variants?page[number]=0").status_code == 422
        assert api.get("variants?page[number]=9")["data"] == []


def _query(link: str) -> list[tuple[str, str]]:
    return parse_qsl(urlsplit(link).query)


@pytest.mark.parametrize(("last", "shown"), [("missing", {}), ("null", {"next": None}), ("itself", {"next": "1"})])
@pytest.mark.parametrize("links", ["absolute", "relative"])
def test_a_last_page_says_so_in_one_of_three_ways(
    clock: VirtualClock, last: str, shown: dict[str, Any], links: str
) -> None:
    with served(clock, switches={"last_next": last, "links": links}) as api:
        api.variant()
        found = api.get("variants")["links"]
        following = found.get("next")
        assert ("next" in found) == ("next" in shown)
        assert (following and dict(_query(following))["page[number]"]) == shown.get("next")
        assert found["first"].startswith("http" if links == "absolute" else "/api/v2/client/variants?")


@pytest.mark.parametrize(
    ("order", "expected"),
    [("oldest_first", [0, 1, 2]), ("newest_first", [2, 1, 0]), ("last_changed_first", [0, 2, 1])],
)
def test_lists_come_in_one_of_several_orders(clock: VirtualClock, order: str, expected: list[int]) -> None:
    with served(clock, switches={"list_order": order}) as api:
        api.variant(count=9)
        made = []
        for _ in range(3):
            clock.advance(1)
            made += api.sell("MUG")
        clock.advance(1)
        api.control(f"/invoices/{made[0]['id']}/touch")
        assert [each["id"] for each in api.get("invoices")["data"]] == [made[place]["id"] for place in expected]


def test_lists_may_lag_behind(clock: VirtualClock) -> None:
    with served(clock, switches={"list_lag_seconds": 60}) as api:
        number = api.variant(count=5)
        clock.advance(100)
        api.control("/variants/MUG/edit", {"change": -2})
        api.control("/variants/MUG/churn")
        api.sell("MUG")
        (listed,) = api.get("variants")["data"]
        assert (listed["id"], listed["attributes"]["count_on_hand"]) == (number, 5)
        assert api.call("GET", f"variants/{number}").status_code == 404
        assert api.get("invoices")["data"] == []
        clock.advance(60)
        (listed,) = api.get("variants")["data"]
        assert (listed["id"] != number, listed["attributes"]["count_on_hand"]) == (True, 2)
        assert len(api.get("invoices")["data"]) == 1


# Variants and adverts


@pytest.mark.parametrize("data", ["array", "object"])
@pytest.mark.parametrize("ids", ["numbers", "texts"])
@pytest.mark.parametrize("shown", [True, False])
def test_a_variant_in_every_form(clock: VirtualClock, data: str, ids: str, shown: bool) -> None:
    switches = {"variant_data": data, "ids": ids, "external_id_shown": shown, "infinite_shown": shown}
    with served(clock, switches=switches) as api:
        number = api.variant(price="27.38")
        found = api.get(f"variants/{number}")["data"]
        found = found[0] if data == "array" else found
        assert found["id"] == (number if ids == "numbers" else str(number))
        assert found["attributes"]["price"] == 27.38
        assert ("external_id" in found["attributes"], "infinite" in found["attributes"]) == (shown, shown)


def test_variants_are_found_by_their_names(api: Api) -> None:
    number = api.variant("MUG")
    api.variant("CUP")
    for filters in ({"external_id": "MUG"}, {"sku": "sku-MUG"}, {"external_id": "MUG", "sku": "sku-MUG"}):
        assert [each["id"] for each in api.get("variants", **filters)["data"]] == [number]
    assert api.get("variants", external_id="MUG", sku="sku-CUP")["data"] == []


def test_a_number_is_set_whatever_was_there(api: Api) -> None:
    number = api.variant(count=5, price="10")
    api.sell("MUG", quantity=2)
    shown = api.put(f"variants/{number}", "variants", count_on_hand=5).json()["data"][0]["attributes"]
    assert (shown["count_on_hand"], shown["price"]) == (5, 10.0)
    for wrong in (-1, "5", 2.5, True):
        assert api.put(f"variants/{number}", "variants", count_on_hand=wrong).status_code == 422
    own = [each["quantity"] for each in api.look("/variants/MUG")["records"][0]["adjustments"] if each["own"]]
    assert own == [2], "the sale is overwritten"
    assert api.look("/variants/MUG")["records"][0]["own_adjustments"] == 2


@pytest.mark.parametrize("clears", [True, False])
def test_what_a_number_does_to_unlimited_stock(clock: VirtualClock, clears: bool) -> None:
    with served(clock, switches={"number_clears_infinite": clears}) as api:
        number = api.variant(infinite=True)
        api.put(f"variants/{number}", "variants", count_on_hand=7)
        assert api.look("/variants/MUG")["records"][0]["infinite"] is not clears
        api.put(f"variants/{number}", "variants", infinite=False)
        assert api.look("/variants/MUG")["records"][0]["infinite"] is False


def test_many_numbers_at_once_are_all_set_or_none(api: Api) -> None:
    mug, cup = api.variant("MUG"), api.variant("CUP")
    body: dict[str, Any] = {"count_on_hand": {str(mug): 2, str(cup): "INFINITE"}}
    assert api.call("POST", "variants/stock_on_hand", body).status_code == 201
    assert api.look("/variants/MUG")["records"][0]["count_on_hand"] == 2
    assert api.look("/variants/CUP")["records"][0]["infinite"] is True
    for wrong in ("INF", "OTHER", -1, None):
        body = {"count_on_hand": {str(mug): 9, str(cup): wrong}}
        assert api.call("POST", "variants/stock_on_hand", body).status_code == 422
    assert api.call("POST", "variants/stock_on_hand", {"count_on_hand": {"4711": 1}}).status_code == 404
    assert api.look("/variants/MUG")["records"][0]["count_on_hand"] == 2


def test_an_id_that_is_replaced_is_none_any_more(api: Api) -> None:
    number = api.variant()
    renewed = api.control("/variants/MUG/churn")
    assert renewed["former_ids"] == [number]
    assert api.call("GET", f"variants/{number}").status_code == 404
    assert api.get("variants", external_id="MUG")["data"][0]["id"] == renewed["id"]
    assert api.get(f"variants/{renewed['id']}")["data"][0]["attributes"]["count_on_hand"] == 5


def test_adverts_name_their_variants_and_show_them_on_request(api: Api) -> None:
    number = api.variant()
    api.variant("CUP")
    (found,) = api.get("adverts", sku="sku-MUG", include="variants")["data"]
    assert found["relationships"]["variants"]["data"] == [{"type": "variants", "id": number}]
    shown = api.get(f"adverts/{found['id']}", include="variants")
    assert [each["id"] for each in shown["included"]] == [number]
    assert "included" not in api.get(f"adverts/{found['id']}")
    assert api.get(f"adverts/{found['id']}/variants/{number}")["data"][0]["id"] == number
    assert (
        api.put(f"adverts/{found['id']}", "adverts", published=False).json()["data"]["attributes"]["published"] is False
    )
    assert api.put(f"adverts/{found['id']}", "adverts", published="no").status_code == 422


# Inventories


def test_the_parent_sets_anybodys_inventory_and_what_it_leaves_out_stays(parent: Api) -> None:
    number = parent.variant("CUP", 4)
    element = {
        "type": "inventories",
        "attributes": {"seller_id": 2, "count_on_hand": 10, "price": 500, "sale_price": 450},
    }
    other = {"type": "inventories", "attributes": {"seller_id": 3, "infinite": True}}
    answer = parent.call("PUT", f"variants/{number}/inventories", {"data": [element, other]})
    assert answer.status_code == 200
    shown = {each["attributes"]["seller_id"]: each["attributes"] for each in answer.json()["data"]}
    assert shown == {
        1: {"infinite": False, "seller_id": 1, "count_on_hand": 4, "price": None, "sale_price": None},
        2: {"infinite": False, "seller_id": 2, "count_on_hand": 10, "price": "500", "sale_price": "450"},
        3: {"infinite": True, "seller_id": 3},
    }
    assert parent.call("PUT", f"variants/{number}/inventories", {"data": []}).status_code == 422
    stranger = {"attributes": {"seller_id": 99, "count_on_hand": 1}}
    assert parent.call("PUT", f"variants/{number}/inventories", {"data": [stranger]}).status_code == 422


def test_of_a_member_only_the_last_element_counts_and_is_its_own(parent: Api) -> None:
    number = parent.variant("CUP", 4)
    data = [{"attributes": {"seller_id": 3, "count_on_hand": count}} for count in (7, 8)]
    parent.call("PUT", f"variants/{number}/inventories", {"data": data}, key="key-of-2")
    records = parent.look("/variants/CUP")["records"]
    assert {each["seller_id"]: each["count_on_hand"] for each in records} == {1: 4, 2: 8}
    parent.control("/sellers", {"name": "alone", "api_key": "key-of-4"})
    answer = parent.call("PUT", f"variants/{number}/inventories", {"data": data}, key="key-of-4")
    assert answer.status_code == 404


@pytest.mark.parametrize(("omitted", "price"), [("kept", "500"), ("reset", None)])
def test_what_becomes_of_what_is_not_mentioned(clock: VirtualClock, omitted: str, price: str | None) -> None:
    with served(clock, multi_store=True, switches={"omitted_fields": omitted}) as api:
        number = api.variant("CUP", 4, price="500")
        api.call(
            "PUT", f"variants/{number}/inventories", {"data": [{"attributes": {"seller_id": 1, "count_on_hand": 3}}]}
        )
        assert api.look("/variants/CUP")["records"][0]["price"] == price


def test_a_deleted_inventory_is_gone_with_its_price(parent: Api) -> None:
    number = parent.variant("CUP", 4, price="500")
    (record,) = parent.get(f"variants/{number}/inventories")["data"]
    path = f"variants/{number}/inventories/{record['id']}"
    assert parent.call("DELETE", path, key="key-of-2").status_code == 404
    assert parent.call("DELETE", path).status_code == 204
    assert parent.get(f"variants/{number}/inventories")["data"] == []
    assert parent.call("DELETE", path).status_code == 404


@pytest.mark.parametrize("answer", ["400", "404", "422", "empty"])
def test_single_seller_variants_have_no_inventories(clock: VirtualClock, answer: str) -> None:
    with served(clock, switches={"single_seller_inventories": answer}) as api:
        found = api.call("GET", f"variants/{api.variant()}/inventories")
        assert found.status_code == (200 if answer == "empty" else int(answer))


def test_only_the_parent_lists_members(parent: Api) -> None:
    listed = parent.get("multi_store_memberships")["data"]
    assert [each["attributes"] for each in listed] == [
        {"seller_id": 2, "seller_name": "key-of-2"},
        {"seller_id": 3, "seller_name": "key-of-3"},
    ]
    assert parent.call("GET", "multi_store_memberships", key="key-of-2").status_code == 404


# Purchases


@pytest.mark.parametrize(("falls", "counts"), [("creation", [3, 3, 3]), ("payment", [5, 3, 3]), ("never", [5, 5, 5])])
@pytest.mark.parametrize("restocks", [True, False])
def test_when_a_sale_lowers_the_stock_and_what_gives_it_back(
    clock: VirtualClock, falls: str, counts: list[int], restocks: bool
) -> None:
    with served(clock, switches={"stock_falls": falls, "refund_restocks": restocks}) as api:
        api.variant(count=5)

        def count() -> Any:
            return api.look("/variants/MUG")["records"][0]["count_on_hand"]

        (invoice,) = api.sell("MUG", steps=(), quantity=2)
        found = [count()]
        api.control(f"/invoices/{invoice['id']}/pay")
        found.append(count())
        api.control(f"/invoices/{invoice['id']}/send")
        assert [*found, count()] == counts
        refunded = api.control(f"/invoices/{invoice['id']}/refund")
        assert refunded["lines"][0]["committed"] == (0 if restocks else 2)
        assert count() == (5 if restocks else counts[2])


def test_a_purchase_that_nobody_pays_gives_its_units_back(api: Api) -> None:
    api.variant(count=5)
    (invoice,) = api.sell("MUG", steps=(), quantity=4)
    api.control("/purchases", {"purchases": [{"lines": [{"variant": "MUG", "quantity": 2}]}]}, status=409)
    api.control(f"/invoices/{invoice['id']}/expire")
    assert api.look("/variants/MUG")["records"][0]["count_on_hand"] == 5
    assert api.look("/state")["invoices"] == []


def test_a_purchase_that_is_refused_holds_nothing(api: Api) -> None:
    api.variant("MUG", 5)
    api.variant("CUP", 0)
    lines = [{"variant": "MUG", "quantity": 2}, {"variant": "CUP"}]
    api.control("/purchases", {"purchases": [{"lines": lines}]}, status=409)
    assert api.look("/variants/MUG")["records"][0]["count_on_hand"] == 5


@pytest.mark.parametrize("items", ["included", "within", "left_out"])
def test_a_list_shows_line_items_in_one_of_three_ways(clock: VirtualClock, items: str) -> None:
    with served(clock, switches={"line_items": items}) as api:
        api.variant()
        (made,) = api.sell("MUG", quantity=2)
        listed = api.get("invoices", include="line_items")
        (ref,) = listed["data"][0]["relationships"]["line_items"]["data"]
        assert ("included" in listed, "attributes" in ref) == (items == "included", items == "within")
        single = api.get(f"invoices/{made['id']}")
        assert single["included"][0]["attributes"]["quantity"] == 2
        assert single["included"][0]["attributes"]["variant_external_id"] == "MUG"
        assert "included" not in api.get("invoices")


def test_times_carry_the_sites_own_offset(api: Api, clock: VirtualClock) -> None:
    api.variant()
    api.sell("MUG")
    clock.advance(1.25)
    api.sell("MUG")
    stamps = [each["attributes"]["paid_at"] for each in api.get("invoices")["data"]]
    assert stamps == ["2026-01-01T10:00:00+10:00", "2026-01-01T10:00:01.250+10:00"]


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("last", [True, False])
def test_windows_take_their_ends_in_or_not(clock: VirtualClock, first: bool, last: bool) -> None:
    with served(clock, switches={"from_inclusive": first, "until_inclusive": last}) as api:
        api.variant()
        api.sell("MUG")
        at = "2026-01-01T00:00:00Z"
        for begin, end in (("since", "until"), ("updated_since", "updated_before")):
            assert len(api.get("invoices", **{begin: at})["data"]) == first
            assert len(api.get("invoices", **{end: at})["data"]) == last
        assert len(api.get("invoices", status="paid")["data"]) == 1
        assert api.get("invoices", status="sent")["data"] == []
        assert api.call("GET", "invoices", status="lost").status_code == 422
        assert api.call("GET", "invoices", since="yesterday").status_code == 422


@pytest.mark.parametrize("updates", [True, False])
def test_whether_a_payment_is_a_change(clock: VirtualClock, updates: bool) -> None:
    with served(clock, switches={"payment_updates": updates}) as api:
        api.variant()
        (invoice,) = api.sell("MUG", steps=())
        clock.advance(60)
        api.control(f"/invoices/{invoice['id']}/pay")
        assert len(api.get("invoices", updated_since="2026-01-01T00:00:30Z")["data"]) == updates
        assert len(api.get("invoices", since="2026-01-01T00:00:30Z")["data"]) == 1


@pytest.mark.parametrize(
    ("delivery", "path"),
    [("buy_online", ["sent"]), ("click_and_collect", ["ready", "collected"])],
)
def test_an_invoice_goes_the_way_of_its_delivery(api: Api, delivery: str, path: list[str]) -> None:
    api.variant()
    (invoice,) = api.sell("MUG", delivery_type=delivery)
    for wrong in {"sent", "ready", "collected"} - {path[0]}:
        assert api.call("PUT", f"invoices/{invoice['id']}/{wrong}", {}).status_code == 422
    for status in path:
        shown = api.call("PUT", f"invoices/{invoice['id']}/{status}", {}).json()
        assert shown["data"]["attributes"]["status"] == status


def test_the_control_surface_refuses_what_cannot_be(api: Api) -> None:
    api.variant()
    (invoice,) = api.sell("MUG")
    for path, body, status in (
        ("/variants/NOTHING/edit", {}, 404),
        ("/variants/MUG/edit", {"change": -99}, 409),
        ("/variants/MUG/edit", {"change": 1, "count_on_hand": 1}, 422),
        ("/variants/MUG/edit", {"surprise": 1}, 422),
        (f"/invoices/{invoice['id']}/pay", {}, 422),
        (f"/invoices/{invoice['id']}/fly", {}, 404),
        (f"/invoices/{invoice['id']}/refund", {"line_id": 4711}, 404),
        ("/invoices/4711/pay", {}, 404),
        ("/sellers/99/key", {"api_key": "x"}, 404),
        ("/webhooks", {"url": "http://127.0.0.1:1", "hmac_key": "x"}, 422),
        ("/switches", {"surprise": 1}, 422),
        ("/faults", {"operation": "x", "kind": "odd"}, 422),
    ):
        assert "error" in api.control(path, body, status=status)
