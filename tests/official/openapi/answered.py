"""A tour through our sandbox: each of its answers against the vendor's descriptions."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import httpx

from connectors.elasticpath.marketplace import MULTI_LOCATION
from connectors.elasticpath.sandbox import Options, create_app
from connectors.sandbox.clock import VirtualClock
from connectors.sandbox.serve import serve
from tests.official.openapi.description import Description
from tests.official.openapi.vendor import about
from tests.official.results import Result

NOBODY = "00000000-0000-4000-8000-000000000000"
BASIC: Mapping[str, str] = {}
WAIT_SECONDS = 10


class Tour:
    """Somebody who asks the sandbox for everything it has."""

    def __init__(self, url: str, options: Options, clock: VirtualClock, described: Mapping[str, Description]) -> None:
        self._described = described
        self._clock = clock
        self._options = options
        self.answered: Counter[str] = Counter()
        """How often each operation answered with each status."""
        self.troubles: dict[str, set[str]] = {}
        """By the same name: what of an answer was not as described."""
        self._http = httpx.Client(base_url=url, timeout=WAIT_SECONDS)
        self.url = url

    def ask(self, method: str, path: str, body: Any = None, *, head: Mapping[str, str] = BASIC, **query: Any) -> Any:
        """One call; the JSON of its answer, which is looked at."""
        params = {name.replace("_", "[", 1) + "]" if "page" in name else name: value for name, value in query.items()}
        return self._looked_at(self._http.request(method, path, json=body, headers=head, params=params))

    def log_in(self, secret: str | None = None, grant_type: str = "client_credentials") -> None:
        """Fetch a token, with the store's secret or another; one that comes is used from then on."""
        known = self._options.client_secret.get_secret_value()
        form = {"grant_type": grant_type, "client_id": self._options.client_id, "client_secret": secret or known}
        found = self._looked_at(self._http.post("/oauth/access_token", data=form))
        if "access_token" in found:
            self._http.headers["authorization"] = f"Bearer {found['access_token']}"

    def control(self, path: str, **body: Any) -> Any:
        """What people do in the store."""
        return self._http.post(f"/_control/{path}", json=body).raise_for_status().json()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def _looked_at(self, response: httpx.Response) -> Any:
        # Faster than its limit allows: each call comes a second after the one before.
        self._clock.advance(1)
        description = self._described[about(response.request)]
        operation = description.operation(response.request)
        path = response.request.url.path
        name = f"{about(response.request)}: {operation.name if operation else path}, {response.status_code}"
        self.answered[name] += 1
        self.troubles.setdefault(name, set()).update(description.against_answer(response.request, response))
        return response.json() if response.content else None


def check(described: Mapping[str, Description]) -> Iterator[Result]:
    """One result for each operation and status, in the order in which they were met."""
    options, clock = Options(), VirtualClock()
    with serve(create_app(options, clock)) as url:
        tour = Tour(url, options, clock, described)
        try:
            _log_in(tour)
            for flavour in (BASIC, MULTI_LOCATION):
                _stock(tour, flavour)
            _locations(tour)
            _products(tour)
            _orders(tour)
            _integrations(tour)
            _limits(tour)
        finally:
            tour.close()
    for name, times in tour.answered.items():
        troubles = sorted(tour.troubles[name])
        yield Result(f"{name}: {times} answers as described", not troubles, "; ".join(troubles))


def _log_in(tour: Tour) -> None:
    tour.log_in("another-secret")
    tour.log_in(grant_type="implicit")
    tour.log_in()


def _stock(tour: Tour, head: Mapping[str, str]) -> None:
    products = [{"sku": "MUG", "stock": 10}, {"sku": "CUP"}, {"sku": "JUG", "organization": True}]
    mug, cup, jug = (each["id"] for each in tour.control("products", products=products)["products"])
    for product_id in (mug, cup, NOBODY):
        tour.ask("GET", f"/v2/inventories/{product_id}", head=head)
    tour.ask("GET", "/v2/inventories", head=head, page_limit=1)
    asked = {"data": [{"id": mug}, {"id": cup}]}
    for unknown_ids in ("refused_named", "refused", "left_out"):
        tour.control("switches", unknown_ids=unknown_ids)
        tour.ask("POST", "/v2/inventories/multiple", asked, head=head)
    place = f"/v2/inventories/{mug}/transactions"
    steps = (("increment", 3), ("decrement", 1), ("allocate", 2), ("deallocate", 1), ("decrement", 999), ("hide", 1))
    for form in ("go", "rfc3339"):
        tour.control("switches", transaction_time=form)
        for action, quantity in steps:
            tour.ask("POST", place, _transaction(head, action, quantity), head=head)
        *_, last = tour.ask("GET", place, head=head)["data"]
        tour.ask("GET", f"{place}/{last['id']}", head=head)
    tour.ask("GET", f"{place}/{NOBODY}", head=head)
    tour.ask("GET", f"/v2/inventories/{NOBODY}/transactions", head=head)
    tour.ask("POST", f"/v2/inventories/{NOBODY}/transactions", _transaction(head, "increment", 1), head=head)
    for product_id in (cup, cup, jug, NOBODY):
        if head:
            stock = {"type": "stock", "id": product_id, "attributes": {"available": 5}}
            tour.ask("POST", "/v2/inventories", {"data": stock}, head=head)
        else:
            tour.ask("POST", f"/v2/inventories/{product_id}", {"data": {"quantity": 5}}, head=head)
    for _ in range(2):
        tour.ask("DELETE", f"/v2/inventories/{cup}", head=head)


def _transaction(head: Mapping[str, str], action: str, quantity: int, **more: Any) -> Any:
    fields = {"action": action, "quantity": quantity, **more}
    return {"data": {"type": "stock-transaction", **({"attributes": fields} if head else fields)}}


def _locations(tour: Tour) -> None:
    head = MULTI_LOCATION
    place = {"type": "inventory_location", "attributes": {"name": "York", "slug": "york"}}
    made = tour.ask("POST", "/v2/inventories/locations", {"data": place}, head=head)["data"]
    tour.ask("POST", "/v2/inventories/locations", {"data": {"type": "inventory_location"}}, head=head)
    tour.ask("GET", "/v2/inventories/locations", head=head, page_limit=100)
    for location_id in (made["id"], NOBODY):
        tour.ask("GET", f"/v2/inventories/locations/{location_id}", head=head)
    (jar,) = tour.control("products", products=[{"locations": {"york": 5, "hull": 2}}])["products"]
    stock = f"/v2/inventories/{jar['id']}"
    tour.ask("GET", stock, head=head)
    tour.ask("POST", f"{stock}/transactions", _transaction(head, "set", 3, location="york"), head=head)
    tour.ask("POST", f"{stock}/transactions", _transaction(head, "increment", 3, location="nowhere"), head=head)
    tour.ask("GET", f"{stock}/transactions", head=head, page_limit=2, page_offset=1)
    for locations in ({"york": {"available": 9}, "hull": None}, {"nowhere": {"available": 1}}):
        changed = {"id": jar["id"], "type": "stock", "attributes": {"locations": locations}}
        tour.ask("PUT", stock, {"data": changed}, head=head)
    tour.ask("GET", "/v2/inventories", head=head, filter="eq(location,york)")
    tour.ask("GET", "/v2/inventories", head=head, filter="nonsense")


def _products(tour: Tour) -> None:
    first, *_ = tour.ask("GET", "/pcm/products", page_limit=2, page_offset=1)["data"]
    tour.ask("GET", "/pcm/products", filter="nonsense")
    tour.ask("GET", "/pcm/products", filter="eq(sku,MUG)")
    for product_id, status in ((first["id"], "draft"), (first["id"], "live"), (first["id"], "sold"), (NOBODY, "live")):
        tour.ask("GET", f"/pcm/products/{product_id}")
        changed = {"type": "product", "id": product_id, "attributes": {"status": status}}
        tour.ask("PUT", f"/pcm/products/{product_id}", {"data": changed})


def _orders(tour: Tour) -> None:
    tour.control("products", products=[{"sku": "BOWL", "stock": 99}])
    bowl = {"sku": "BOWL", "quantity": 2}
    custom, promotion = {"product_id": "", "sku": "", "quantity": 1}, {"sku": "TEN-OFF", "unit_amount": -100}
    tour.control("orders", orders=[{"items": [bowl, custom, promotion], "external_ref": "ref-1", "order_number": "17"}])
    for steps in ([], ["authorize"], ["part_pay"], ["pay", "cancel"], ["pay", "fulfil"], ["pay", "refund"]):
        tour.control("orders", orders=[{"items": [bowl], "steps": steps}])
    changed = 'ge(updated_at,"2020-01-01T00:00:00.000Z")'
    for missing_refs in ("null", "left_out"):
        tour.control("switches", missing_refs=missing_refs)
        tour.ask("GET", "/v2/orders", filter=changed, sort="created_at", include="items", page_limit=4)
        for order in tour.ask("GET", "/v2/orders", page_offset=4)["data"]:
            tour.ask("GET", f"/v2/orders/{order['id']}")
            tour.ask("GET", f"/v2/orders/{order['id']}", include="items")
            tour.ask("GET", f"/v2/orders/{order['id']}/items")
    tour.ask("GET", "/v2/orders", filter="nonsense")
    tour.ask("GET", "/v2/orders", page_offset=10_001)
    for path in (f"/v2/orders/{NOBODY}", f"/v2/orders/{NOBODY}/items"):
        tour.ask("GET", path)
    (oldest,) = tour.ask("GET", "/v2/orders", sort="created_at", page_limit=1)["data"]
    place = f"/v2/orders/{oldest['id']}"
    tour.ask("PUT", place, {"data": {"type": "order", "status": "cancelled"}})
    tour.ask("PUT", place, {"data": {"type": "order", "shipping": "fulfilled"}})
    tour.ask("PUT", f"/v2/orders/{NOBODY}", {"data": {"type": "order", "status": "cancelled"}})


def _integrations(tour: Tour) -> None:
    data = {
        "type": "integration",
        "name": "A webhook",
        "description": "Tells of orders.",
        "enabled": True,
        "observes": ["order.paid"],
        "integration_type": "webhook",
        # Which refuses the delivery: that makes a log.
        "configuration": {"url": f"{tour.url}/_control/clock", "secret_key": "a-secret-of-the-tour"},
    }
    made = tour.ask("POST", "/v2/integrations", {"data": data})["data"]
    tour.ask("POST", "/v2/integrations", {"data": {**data, "observes": ["order.paid"] * 6}})
    place = f"/v2/integrations/{made['id']}"
    for shown in (True, False):
        tour.control("switches", secret_listed=shown)
        tour.ask("GET", "/v2/integrations", page_limit=100)
    tour.ask("GET", place)
    tour.ask("PUT", place, {"data": data})
    tour.control("orders", orders=[{"items": [{"sku": "BOWL"}]}])
    until = time.monotonic() + WAIT_SECONDS
    while not tour.ask("GET", f"{place}/logs")["data"] and time.monotonic() < until:
        time.sleep(0.05)
    tour.ask("GET", "/v2/integrations/logs")
    tour.ask("DELETE", place)
    for method in ("GET", "PUT"):
        tour.ask(method, place, {"data": data} if method == "PUT" else None)


def _limits(tour: Tour) -> None:
    """Of every API: too many requests, and no token."""
    asked = (
        ("inventories/list", "/v2/inventories", BASIC),
        ("inventories/list", "/v2/inventories", MULTI_LOCATION),
        ("products/list", "/pcm/products", BASIC),
        ("orders/list", "/v2/orders", BASIC),
        ("integrations/list", "/v2/integrations", BASIC),
    )
    for operation, path, head in asked:
        tour.control("faults", operation=operation, kind="too_many_requests")
        tour.ask("GET", path, head=head)
    tour.control("tokens/expire")
    for _, path, head in asked:
        tour.ask("GET", path, head=head)
