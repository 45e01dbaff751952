"""A Shopify shop."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import httpx

from worker.demo.replay import PlaceOrder
from worker.demo.vendors.base import DROPPED, DUPLICATED, REORDERED, Channel, Option, Secret

DOMAIN = "demo-shop.myshopify.com"
BUCKET_POINTS = 200_000
"""A real shop grants 2,000 and 100 a second; with that, polling would set the pace of the demo."""
RESTORE_POINTS_PER_SECOND = 50_000
RETRY_TIME_SCALE = 0.02
"""A real shop tries an unanswered webhook again after about a minute, here after about a second."""

API_VERSION = "2026-10"
ORDERS_PER_PAGE = 3
"""A query may request 1,000 points at most, and a line counts for one."""
LINES_PER_PAGE = 250
TIMEOUT_SECONDS = 60.0

_LINES = (
    "lineItems(first: $lines, after: $line_after) { nodes { id currentQuantity } pageInfo { hasNextPage endCursor } }"
)
ORDERS = f"""
query ($orders: Int!, $after: String, $lines: Int!, $line_after: String) {{
  orders(first: $orders, after: $after, sortKey: ID) {{
    nodes {{ id {_LINES} }}
    pageInfo {{ hasNextPage endCursor }}
  }}
}}
"""
MORE_LINES = f"query ($id: ID!, $lines: Int!, $line_after: String) {{ order(id: $id) {{ {_LINES} }} }}"


class ShopifyShop(Channel):
    """See `Channel`."""

    connector = "shopify"

    @property
    def options(self) -> Mapping[str, Any]:
        return {
            "shop_domain": DOMAIN,
            "seed": self.seed,
            "access_token": self.secret("shop"),
            "client_secret": self.secret("webhooks"),
            "bucket_points": BUCKET_POINTS,
            "restore_points_per_second": RESTORE_POINTS_PER_SECOND,
            "retry_time_scale": RETRY_TIME_SCALE,
            "delivery_faults": {"duplicate_rate": DUPLICATED, "reorder_rate": REORDERED, "drop_rate": DROPPED},
        }

    def account(self, url: str) -> Mapping[str, Option]:
        return {
            "shop": DOMAIN,
            "base_url": url,
            "access_token": Secret(self.options["access_token"]),
            "webhook_secrets": [Secret(self.options["client_secret"])],
        }

    def calls(self, counts: Mapping[str, Any]) -> int:
        """The counts beside them are of points and refusals."""
        return sum(count for name, count in counts["calls"].items() if name.startswith(("graphql/", "access_token")))

    def place(self, orders: Sequence[PlaceOrder]) -> Sequence[tuple[str, Sequence[str]]]:
        asked = [{"lines": [{"sku": line.sku, "quantity": line.units} for line in order.lines]} for order in orders]
        placed = self.control.post("/orders", {"orders": asked})["orders"]
        return [(str(order["id"]), [str(line) for line in order["lines"]]) for order in placed]

    def give_back(self, order_id: str, parts: Mapping[str, int]) -> None:
        lines = [{"line_id": int(line), "quantity": units, "restock_type": "CANCEL"} for line, units in parts.items()]
        self.control.post(f"/orders/{order_id}/refund", {"lines": lines})

    def committed(self) -> Mapping[str, int]:
        """By the shop's public API. Every refund of the demo puts its units back, so what is current is committed."""
        committed: dict[str, int] = {}
        headers = {"X-Shopify-Access-Token": self.options["access_token"]}
        with httpx.Client(
            base_url=self.control.url, headers=headers, timeout=TIMEOUT_SECONDS, trust_env=False
        ) as client:
            after: str | None = None
            while True:
                asked = {"orders": ORDERS_PER_PAGE, "after": after, "lines": LINES_PER_PAGE, "line_after": None}
                page = _ask(client, ORDERS, asked)["orders"]
                for order in page["nodes"]:
                    lines = order["lineItems"]
                    committed |= _lines(lines)
                    while lines["pageInfo"]["hasNextPage"]:
                        further = {
                            "id": order["id"],
                            "lines": LINES_PER_PAGE,
                            "line_after": lines["pageInfo"]["endCursor"],
                        }
                        lines = _ask(client, MORE_LINES, further)["order"]["lineItems"]
                        committed |= _lines(lines)
                if not page["pageInfo"]["hasNextPage"]:
                    return committed
                after = page["pageInfo"]["endCursor"]


def _lines(connection: Mapping[str, Any]) -> dict[str, int]:
    return {line["id"].rpartition("/")[2]: line["currentQuantity"] for line in connection["nodes"]}


def _ask(client: httpx.Client, document: str, variables: Mapping[str, Any]) -> Any:
    response = client.post(f"/admin/api/{API_VERSION}/graphql.json", json={"query": document, "variables": variables})
    response.raise_for_status()
    body = response.json()
    if body.get("errors"):
        raise RuntimeError(f"the shop refused the proof's question: {body['errors']}")
    return body["data"]
