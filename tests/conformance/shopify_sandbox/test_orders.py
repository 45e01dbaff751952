"""Orders as the Admin API shows them, over real HTTP."""

from __future__ import annotations

from typing import Any

import pytest

from connectors.sandbox.clock import VirtualClock
from tests.conformance.shopify_sandbox.api import Api, Serve

LONG_AGO = "2020-01-01T00:00:00Z"
LINES = """
query Lines($id: ID!, $after: String) {
  order(id: $id) { lineItems(first: 250, after: $after) { nodes { id } pageInfo { hasNextPage endCursor } } }
}
"""


def only(api: Api) -> Any:
    nodes = api.since(LONG_AGO)["nodes"]
    assert len(nodes) == 1
    return nodes[0]


def number(gid: str) -> int:
    return int(gid.rpartition("/")[2])


def test_an_order_shows_its_lines(api: Api) -> None:
    placed = api.place(
        {"sku": "A", "quantity": 2},
        {"quantity": 1, "custom": True, "title": "Engraving"},
        {"sku": "GIFT", "quantity": 1, "gift_card": True},
        source_name="pos",
    )
    order = only(api)
    assert (number(order["id"]), order["legacyResourceId"]) == (placed["id"], str(placed["id"]))
    assert (order["createdAt"], order["updatedAt"]) == ("2026-01-10T00:00:00Z", "2026-01-10T00:00:00Z")
    assert (order["sourceName"], order["displayFinancialStatus"], order["cancelledAt"]) == ("pos", "PAID", None)
    sold, custom, gift = order["lineItems"]["nodes"]
    assert [number(line["id"]) for line in (sold, custom, gift)] == placed["lines"]
    assert (sold["sku"], sold["quantity"], sold["currentQuantity"], sold["unfulfilledQuantity"]) == ("A", 2, 2, 2)
    assert sold["variant"]["sku"] == "A"
    assert (custom["sku"], custom["variant"]) == (None, None)
    assert (gift["isGiftCard"], gift["requiresShipping"]) == (True, False)
    assert order["refunds"] == []


@pytest.mark.parametrize(
    ("kind", "restocked"), [("CANCEL", True), ("RETURN", True), ("NO_RESTOCK", False), ("LEGACY_RESTOCK", True)]
)
def test_each_restock_type_shows(api: Api, kind: str, restocked: bool) -> None:
    if kind == "LEGACY_RESTOCK":
        placed = api.place({"sku": "A", "quantity": 3, "legacy_restocked": 2})
    else:
        placed = api.place({"sku": "A", "quantity": 3})
        state = api.refund(placed, (0, 2, kind))
        assert state["lines"][0]["committed"] == (1 if restocked else 3)
    order = only(api)
    line = order["lineItems"]["nodes"][0]
    assert (line["quantity"], line["currentQuantity"], line["refundableQuantity"]) == (3, 1, 1)
    assert line["nonFulfillableQuantity"] == 2
    refunded = order["refunds"][0]["refundLineItems"]["nodes"][0]
    assert (refunded["quantity"], refunded["restockType"], refunded["restocked"]) == (2, kind, restocked)
    assert (refunded["location"] is not None) is restocked
    assert refunded["lineItem"]["id"] == line["id"]


def test_an_edit_shows_on_the_lines(api: Api, clock: VirtualClock) -> None:
    placed = api.place({"sku": "A", "quantity": 3}, {"sku": "B", "quantity": 1})
    clock.advance(60)
    first, second = placed["lines"]
    api.control(
        f"orders/{placed['id']}/edit",
        {
            "set": [{"line_id": first, "quantity": 1}, {"line_id": second, "quantity": 0, "restock": False}],
            "add": [{"sku": "C", "quantity": 4}],
        },
    )
    order = only(api)
    assert [(line["quantity"], line["currentQuantity"]) for line in order["lineItems"]["nodes"]] == [
        (3, 1),
        (1, 0),
        (4, 4),
    ]
    assert (order["edited"], order["updatedAt"], order["refunds"]) == (True, "2026-01-10T00:01:00Z", [])


def test_a_cancelled_order_shows_its_refund(api: Api) -> None:
    placed = api.place({"sku": "A", "quantity": 3})
    api.control(f"orders/{placed['id']}/cancel", {"reason": "FRAUD", "restock": True})
    order = only(api)
    assert (order["cancelledAt"], order["closedAt"]) == ("2026-01-10T00:00:00Z", "2026-01-10T00:00:00Z")
    assert (order["cancelReason"], order["displayFinancialStatus"]) == ("FRAUD", "REFUNDED")
    assert order["displayFulfillmentStatus"] == "UNFULFILLED"
    line = order["lineItems"]["nodes"][0]
    assert (line["quantity"], line["currentQuantity"]) == (3, 0)
    assert order["refunds"][0]["refundLineItems"]["nodes"][0]["restockType"] == "CANCEL"
    api.control("switches", {"current_quantity_after_cancel": "unchanged"})
    assert only(api)["lineItems"]["nodes"][0]["currentQuantity"] == 3


def test_a_deleted_order_is_nowhere(api: Api) -> None:
    placed = api.place()
    api.control(f"orders/{placed['id']}", method="DELETE")
    assert api.since(LONG_AGO)["nodes"] == []
    gid = f"gid://shopify/Order/{placed['id']}"
    assert api.ask("query ($id: ID!) { order(id: $id) { id } }", id=gid) == {"order": None}
    api.control(f"orders/{placed['id']}", method="DELETE", status=409)


def test_more_than_250_lines_are_read_by_nested_pages(api: Api) -> None:
    placed = api.place(*({"sku": f"S{number}", "quantity": 1} for number in range(687)))
    order = only(api)
    assert order["lineItems"]["pageInfo"]["hasNextPage"]
    read: list[str] = []
    after = None
    pages = 0
    while pages == 0 or after:
        page = api.ask(LINES, id=order["id"], after=after)["order"]["lineItems"]
        read += [node["id"] for node in page["nodes"]]
        after = page["pageInfo"]["endCursor"] if page["pageInfo"]["hasNextPage"] else None
        pages += 1
    assert pages == 3
    assert [number(gid) for gid in read] == placed["lines"]


def test_refund_lines_are_read_by_nested_pages(api: Api) -> None:
    placed = api.place(*({"sku": f"S{number}", "quantity": 1} for number in range(120)))
    refund_id = api.refund(placed, *((place, 1, "RETURN") for place in range(120)))["refund_id"]
    text = """query ($id: ID!, $after: String) { refund(id: $id) {
        order { id }
        refundLineItems(first: 100, after: $after) {
            nodes { quantity lineItem { id } } pageInfo { hasNextPage endCursor }
        }
    } }"""
    gid = f"gid://shopify/Refund/{refund_id}"
    page = api.ask(text, id=gid)["refund"]
    assert number(page["order"]["id"]) == placed["id"]
    rest = api.ask(text, id=gid, after=page["refundLineItems"]["pageInfo"]["endCursor"])["refund"]["refundLineItems"]
    assert not rest["pageInfo"]["hasNextPage"]
    read = page["refundLineItems"]["nodes"] + rest["nodes"]
    assert [number(one["lineItem"]["id"]) for one in read] == placed["lines"]


def test_paging_loses_nothing_while_orders_change(api: Api, clock: VirtualClock) -> None:
    placed = [api.place()["id"] for _ in range(12)]
    clock.advance(1)
    seen: list[int] = []
    after, more = None, True
    while more:
        page = api.since(LONG_AGO, first=5, after=after)
        seen += [number(node["id"]) for node in page["nodes"]]
        after, more = page["pageInfo"]["endCursor"], page["pageInfo"]["hasNextPage"]
        if len(seen) == 5:
            # One that was read and one that was not: both move to the end.
            api.control(f"orders/{placed[0]}/touch")
            api.control(f"orders/{placed[11]}/touch")
    assert seen == [*placed[:11], placed[0], placed[11]]


def test_sorting_backwards_and_by_other_keys(api: Api, clock: VirtualClock) -> None:
    placed = []
    for _ in range(3):
        placed.append(api.place()["id"])
        clock.advance(5)
    api.control(f"orders/{placed[0]}/touch")
    text = "query ($s: OrderSortKeys!, $r: Boolean!) { orders(first: 9, sortKey: $s, reverse: $r) { nodes { id } } }"

    def read(sort: str, *, reverse: bool) -> list[int]:
        return [number(node["id"]) for node in api.ask(text, s=sort, r=reverse)["orders"]["nodes"]]

    assert read("UPDATED_AT", reverse=False) == [placed[1], placed[2], placed[0]]
    assert read("UPDATED_AT", reverse=True) == [placed[0], placed[2], placed[1]]
    assert read("CREATED_AT", reverse=False) == placed
    assert read("TOTAL_PRICE", reverse=True) == placed[::-1]


def test_a_search_narrows_and_its_warnings_are_told(api: Api, clock: VirtualClock) -> None:
    first = api.place(test=True)["id"]
    clock.advance(10)
    second = api.place({"sku": "B", "quantity": 1})["id"]
    text = "query ($q: String) { orders(first: 9, query: $q, sortKey: UPDATED_AT) { nodes { id } } }"

    def read(query: str) -> list[int]:
        return [number(node["id"]) for node in api.ask(text, q=query)["orders"]["nodes"]]

    assert read("updated_at:>='2026-01-10T00:00:10Z'") == [second]
    assert read("updated_at:<'2026-01-10T00:00:10Z'") == [first]
    assert read("test:false") == [second]
    assert read("sku:b") == [second]
    assert read(f"id:{first} OR id:{second}") == [first, second]
    assert read("status:open") == [first, second]
    answer = api.post(text, q="changed_at:>='2026-01-10T00:00:10Z'").json()
    assert len(answer["data"]["orders"]["nodes"]) == 2
    assert answer["extensions"]["search"] == [
        {
            "path": ["orders"],
            "query": "changed_at:>='2026-01-10T00:00:10Z'",
            "warnings": [
                {
                    "field": "changed_at",
                    "message": "Invalid search field for this query.",
                    "code": "invalid_field",
                }
            ],
        }
    ]


def test_a_lagging_index_hides_what_a_read_by_id_shows(serve_with: Serve, clock: VirtualClock) -> None:
    with serve_with(switches={"index_lag_seconds": [30, 30]}) as api:
        placed = api.place()
        gid = f"gid://shopify/Order/{placed['id']}"
        assert api.since(LONG_AGO)["nodes"] == []
        assert api.ask("query ($id: ID!) { order(id: $id) { id } }", id=gid)["order"]["id"] == gid
        clock.advance(30)
        assert only(api)["id"] == gid
        api.control(f"orders/{placed['id']}/touch")
        assert api.since("2026-01-10T00:00:30Z")["nodes"] == []


def test_old_orders_need_a_scope(serve_with: Serve) -> None:
    with serve_with(scopes=["read_orders"]) as api:
        api.place(created_at="2025-10-01T00:00:00Z")
        recent = api.place(created_at="2025-12-01T00:00:00Z")
        assert number(only(api)["id"]) == recent["id"]
    with serve_with(scopes=["read_products"]) as api:
        answer = api.post("{ orders(first: 1) { nodes { id } } }").json()
        assert (answer["data"], answer["errors"][0]["extensions"]["code"]) == (None, "ACCESS_DENIED")


def test_variants_are_found_by_sku(api: Api) -> None:
    api.control("variants", {"variants": [{"sku": "A"}, {"sku": "A", "tracked": False}, {"sku": "B"}]})
    text = """query ($q: String!) { productVariants(first: 10, query: $q) {
        edges { cursor node { sku inventoryItem { tracked } product { status } } } pageInfo { hasNextPage } } }"""
    edges = api.ask(text, q="sku:A")["productVariants"]["edges"]
    assert [edge["node"]["inventoryItem"]["tracked"] for edge in edges] == [True, False]


def test_the_shop_tells_of_itself(api: Api) -> None:
    answer = api.ask("""{ shop { name myshopifyDomain } currentAppInstallation { accessScopes { handle } }
        locations(first: 5) { nodes { id isActive fulfillsOnlineOrders } } }""")
    assert answer["shop"] == {"name": "Sandbox Shop", "myshopifyDomain": "sandbox-shop.myshopify.com"}
    handles = [scope["handle"] for scope in answer["currentAppInstallation"]["accessScopes"]]
    assert handles == sorted(api.options.scopes)
    assert answer["locations"]["nodes"][0]["isActive"]


def test_the_control_surface_refuses_what_cannot_be(api: Api) -> None:
    placed = api.place()
    assert "no order 1" in api.control("orders/1/touch", status=409)["error"]
    assert (
        "no line 5"
        in api.control(f"orders/{placed['id']}/edit", {"set": [{"line_id": 5, "quantity": 1}]}, status=409)["error"]
    )
    api.control("orders", {"orders": [{"lines": [{"sku": "A", "quantity": 0}]}]}, status=422)
    api.control("orders", {"order": []}, status=422)
    legacy = {"line_id": placed["lines"][0], "quantity": 1, "restock_type": "LEGACY_RESTOCK"}
    api.control(f"orders/{placed['id']}/refund", {"lines": [legacy]}, status=422)
    api.control("switches", {"connection_cost": "free"}, status=422)
