"""The Elastic Path sandbox by plain HTTP: what the vendor's documentation says of each answer."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest

from connectors.elasticpath.sandbox import Options, create_app
from connectors.sandbox.clock import VirtualClock
from connectors.sandbox.serve import serve

BASIC: dict[str, str] = {}
MULTI = {"EP-Inventories-Multi-Location": "true"}
MISSING = "00000000-0000-4000-8000-000000000000"


class Api:
    """The API with a token, and the control surface."""

    def __init__(self, client: httpx.Client) -> None:
        self.http = client
        self.token = self.ask_token().json()["access_token"]

    def ask_token(self, **changes: str) -> httpx.Response:
        form = {"grant_type": "client_credentials", "client_id": "sandbox-client", "client_secret": "sandbox-secret"}
        return self.http.post("/oauth/access_token", data={**form, **changes})

    def call(self, method: str, path: str, body: Any = None, **headers: str) -> httpx.Response:
        return self.http.request(method, path, json=body, headers={"Authorization": f"Bearer {self.token}", **headers})

    def control(self, path: str, body: Any = None) -> Any:
        answer = self.http.post(f"/_control{path}", json={} if body is None else body)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def product(self, **details: Any) -> str:
        return str(self.control("/products", {"products": [details]})["products"][0]["id"])

    def order(self, *steps: str, **item: Any) -> Any:
        new = {"items": [{"sku": "MUG", **item}], "steps": steps}
        return self.control("/orders", {"orders": [new]})["orders"][0]


@contextmanager
def served(clock: VirtualClock, **options: Any) -> Iterator[Api]:
    with serve(create_app(Options.model_validate(options), clock)) as url, httpx.Client(base_url=url) as client:
        yield Api(client)


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
def api(clock: VirtualClock) -> Iterator[Api]:
    with served(clock) as api:
        yield api


def test_a_token_is_flat_and_lives_an_hour(api: Api, clock: VirtualClock) -> None:
    answer = api.ask_token().json()
    assert (answer["token_type"], answer["expires_in"]) == ("Bearer", 3600)
    assert api.ask_token(client_secret="wrong").json() == {"errors": [{"status": "401", "title": "Unauthorized"}]}
    assert api.call("GET", "/v2/orders").status_code == 200
    clock.advance(3600)
    assert api.call("GET", "/v2/orders").status_code == 401


def test_the_basic_flavour_is_flat_and_counts_its_status(api: Api) -> None:
    product_id = api.product()
    path = f"/v2/inventories/{product_id}"
    assert api.call("GET", path).json()["errors"][0]["status"] == 404
    made = api.call("POST", path, {"data": {"quantity": 5}})
    assert made.status_code == 201
    assert made.json() == {"data": {"id": product_id, "type": "stock", "total": 5, "available": 5, "allocated": 0}}
    body = {"data": {"type": "stock-transaction", "action": "allocate", "quantity": 2}}
    assert api.call("POST", f"{path}/transactions", body).status_code == 200
    assert api.call("GET", path).json()["data"]["allocated"] == 2
    body["data"] |= {"action": "decrement", "quantity": 4}
    refused = api.call("POST", f"{path}/transactions", body)
    assert refused.status_code == 422
    assert "insufficient stock" in refused.json()["errors"][0]["detail"]
    body["data"]["action"] = "set"
    assert api.call("POST", f"{path}/transactions", body).status_code == 400
    listed = api.call("GET", f"{path}/transactions").json()["data"]
    assert [each["action"] for each in listed] == ["create", "allocate"]
    assert listed[0]["timestamps"] == {"created_at": "2026-01-01 00:00:00 +0000 UTC"}
    assert api.call("DELETE", path).status_code == 204
    assert api.call("GET", path).status_code == 404


@pytest.mark.parametrize(("again", "status", "available"), [("refused", 400, 5), ("replaces", 201, 8)])
@pytest.mark.parametrize(("unmanaged", "first"), [("not_found", 404), ("creates", 200)])
def test_what_is_not_documented_of_creation(
    clock: VirtualClock, again: str, status: int, available: int, unmanaged: str, first: int
) -> None:
    with served(clock, switches={"second_creation": again, "unmanaged_transaction": unmanaged}) as api:
        path = f"/v2/inventories/{api.product(stock=5)}"
        assert api.call("POST", path, {"data": {"quantity": 8}}).status_code == status
        assert api.call("GET", path).json()["data"]["available"] == available
        body = {"data": {"type": "stock-transaction", "action": "increment", "quantity": 2}}
        assert api.call("POST", f"/v2/inventories/{api.product()}/transactions", body).status_code == first


@pytest.mark.parametrize("outer_type", [True, False])
def test_the_multi_location_flavour_takes_either_body_and_spells_its_status(api: Api, outer_type: bool) -> None:
    product_id = api.product(locations={"york": 5})
    path = f"/v2/inventories/{product_id}/transactions"
    attributes = {"action": "decrement", "quantity": 2, "location": "york"}
    data: dict[str, Any] = {"type": "stock-transaction", "attributes": attributes}
    if not outer_type:
        data = {"attributes": {"type": "stock-transaction", **attributes}}
    assert api.call("POST", path, {"data": data}, **MULTI).status_code == 201
    data["attributes"]["quantity"] = 4
    refused = api.call("POST", path, {"data": data}, **MULTI)
    assert (refused.status_code, refused.json()["errors"][0]["status"]) == (422, "422")
    data["attributes"] |= {"action": "set", "quantity": 9}
    assert api.call("POST", path, {"data": data}, **MULTI).status_code == 201
    shown = api.call("GET", f"/v2/inventories/{product_id}", **MULTI).json()["data"]["attributes"]
    assert shown["locations"] == {"york": {"total": 9, "available": 9, "allocated": 0}}


def test_locations_are_set_and_taken_away(api: Api) -> None:
    api.call("POST", "/v2/inventories/locations", {"data": {"attributes": {"slug": "york", "name": "York"}}}, **MULTI)
    product_id = api.product()
    stock = {"type": "stock", "id": product_id, "attributes": {"locations": {"york": {"available": 4}}}}
    assert api.call("POST", "/v2/inventories", {"data": stock}, **MULTI).status_code == 201
    stock["attributes"] = {"locations": {"york": None}}
    assert api.call("PUT", f"/v2/inventories/{product_id}", {"data": stock}, **MULTI).status_code == 200
    stock["attributes"] = {"locations": {"nowhere": {"available": 1}}}
    refused = api.call("PUT", f"/v2/inventories/{product_id}", {"data": stock}, **MULTI)
    assert refused.json()["errors"][0] == {"status": "404", "title": "Not Found", "detail": "No location found"}
    assert [
        each["attributes"]["slug"] for each in api.call("GET", "/v2/inventories/locations", **MULTI).json()["data"]
    ] == ["york"]


@pytest.mark.parametrize(
    ("steps", "available", "allocated"),
    [
        ((), 10, 0),
        (("authorize",), 7, 3),
        (("authorize", "pay"), 7, 3),
        (("part_pay", "pay"), 7, 3),
        (("pay", "fulfil"), 7, 0),
        (("pay", "cancel"), 10, 0),
        (("pay", "refund"), 7, 3),
    ],
)
def test_what_an_order_does_to_stock(api: Api, steps: tuple[str, ...], available: int, allocated: int) -> None:
    product_id = api.product(stock=10, sku="MUG")
    api.order(*steps, quantity=3)
    shown = api.call("GET", f"/v2/inventories/{product_id}").json()["data"]
    assert (shown["available"], shown["allocated"], shown["total"]) == (available, allocated, available + allocated)


def test_only_what_is_there_can_be_paid_for(api: Api) -> None:
    api.product(stock=3, sku="MUG")
    first, second = api.order(quantity=2), api.order(quantity=2)
    api.control(f"/orders/{first['id']}/pay")
    refused = api.http.post(f"/_control/orders/{second['id']}/pay")
    assert (refused.status_code, refused.json()) == (400, {"error": refused.json()["error"]})
    assert (
        api.http.post("/_control/orders", json={"orders": [{"items": [{"sku": "MUG", "quantity": 2}]}]}).status_code
        == 400
    )


@pytest.mark.parametrize("steps", [("cancel", "pay"), ("fulfil",), ("pay", "fulfil", "cancel"), ("refund",)])
def test_a_step_that_an_orders_state_forbids(api: Api, steps: tuple[str, ...]) -> None:
    order = api.order(*steps[:-1])
    body = {"cancel": {"status": "cancelled"}, "fulfil": {"shipping": "fulfilled"}}.get(steps[-1])
    if body is None:
        assert api.http.post(f"/_control/orders/{order['id']}/{steps[-1]}").status_code == 422
    else:
        answer = api.call("PUT", f"/v2/orders/{order['id']}", {"data": {"type": "order", **body}})
        assert answer.status_code == 422


def test_orders_are_filtered_sorted_and_paged(api: Api, clock: VirtualClock) -> None:
    orders = []
    for _ in range(4):
        orders.append(api.order()["id"])
        clock.advance(60)
    api.control(f"/orders/{orders[1]}/touch")

    def ids(**query: Any) -> list[str]:
        return [each["id"] for each in api.http.get("/v2/orders", params=query, headers=head).json()["data"]]

    head = {"Authorization": f"Bearer {api.token}"}
    assert ids()[:2] == [orders[1], orders[3]]
    assert ids(sort="created_at") == orders
    assert ids(sort="-created_at") == orders[::-1]
    assert ids(filter='ge(created_at,"2026-01-01T00:01:00.000Z"):lt(updated_at,"2026-01-01T00:04:00Z")') == [
        orders[3],
        orders[2],
    ]
    assert ids(filter="ge(created_at,2026-01-02)") == []
    assert ids(filter="eq(payment,unpaid)", **{"page[limit]": 1, "page[offset]": 2}) == [ids()[2]]
    page = api.call("GET", "/v2/orders?include=items&page[limit]=2").json()
    assert page["meta"]["results"] == {"total": 4}
    assert [each["type"] for each in page["included"]["items"]] == ["order_item"] * 2


@pytest.mark.parametrize(
    "query",
    [
        "filter=nonsense",
        "filter=ge(updated_at,soon)",
        "filter=ge(status,paid)",
        "page[limit]=101",
        "page[offset]=10001",
        "sort=updated_at",
    ],
)
def test_a_list_that_cannot_be_asked_for(api: Api, query: str) -> None:
    assert api.call("GET", f"/v2/orders?{query}").status_code == 400


def test_a_sort_by_change_where_the_store_takes_it(clock: VirtualClock) -> None:
    with served(clock, switches={"updated_at_sort": "accepted"}) as api:
        assert api.call("GET", "/v2/orders?sort=updated_at").status_code == 200


def test_an_integration_observes_five_events_at_most(api: Api) -> None:
    data = {"name": "x", "observes": ["order.paid"] * 6, "integration_type": "webhook", "configuration": {"url": "u"}}
    refused = api.call("POST", "/v2/integrations", {"data": data})
    assert "event limit of 5" in refused.json()["errors"][0]["detail"]
    made = api.call("POST", "/v2/integrations", {"data": {**data, "observes": ["order.paid"]}}).json()["data"]
    assert made["enabled"] is False
    gone = api.call("DELETE", f"/v2/integrations/{made['id']}")
    assert (gone.status_code, gone.json()) == (200, {"data": {"type": "integration", "id": made["id"]}})


@pytest.mark.parametrize(("profile", "per_second"), [("development", 25), ("production", 100)])
def test_over_its_limit_a_store_refuses_without_saying_for_how_long(
    clock: VirtualClock, profile: str, per_second: int
) -> None:
    with served(clock, profile=profile) as api:
        statuses = [api.call("GET", "/v2/inventories").status_code for _ in range(per_second + 1)]
        assert statuses == [200] * per_second + [429]
        assert "retry-after" not in api.call("GET", "/v2/inventories").headers
        clock.advance(1)
        assert api.call("GET", "/v2/inventories").status_code == 200


def test_a_control_body_that_is_not_understood_is_told(api: Api) -> None:
    assert api.http.post("/_control/products", json={"products": [{"stock": -1}]}).status_code == 422
    assert api.http.post(f"/_control/products/{MISSING}/act", json={"action": "set", "quantity": 1}).status_code == 404
