"""What the two vendors say, fetched with plain HTTP for the proof."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from typing import Any

import httpx

from worker.demo.control import Control
from worker.demo.proof import ListingNumbers

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


def shop_lines(shop_url: str, access_token: str) -> Mapping[str, int]:
    """Committed units of every line of every order, as the shop's public API shows them now.

    Every refund of the demo puts its units back, so what is current on a line is what is committed.
    """
    committed: dict[str, int] = {}
    with httpx.Client(
        base_url=shop_url, headers={"X-Shopify-Access-Token": access_token}, timeout=TIMEOUT_SECONDS, trust_env=False
    ) as client:
        after: str | None = None
        while True:
            asked = {"orders": ORDERS_PER_PAGE, "after": after, "lines": LINES_PER_PAGE, "line_after": None}
            page = _ask(client, ORDERS, asked)["orders"]
            for order in page["nodes"]:
                lines = order["lineItems"]
                committed |= _lines(lines)
                while lines["pageInfo"]["hasNextPage"]:
                    further = {"id": order["id"], "lines": LINES_PER_PAGE, "line_after": lines["pageInfo"]["endCursor"]}
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


def marketplace_listings(marketplace: Control) -> Mapping[str, ListingNumbers]:
    """Every listing by the marketplace's own knowledge: totals, reservations, and who made which adjustment."""
    state = marketplace.get("/state")
    reserved: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for reservation in state["reservations"]:
        reserved[reservation["listing_id"]][reservation["state"]] += reservation["quantity"]
    own: Counter[str] = Counter()
    for adjustment in state["adjustments"]:
        if adjustment["own"]:
            own[adjustment["listing_id"]] += adjustment["quantity"]
    return {
        listing["id"]: ListingNumbers(
            total=listing["total"],
            state="deleted" if listing["deleted"] else listing["state"],
            reserved=reserved[listing["id"]],
            own_adjustments=own[listing["id"]],
        )
        for listing in state["listings"]
    }
