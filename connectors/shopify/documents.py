"""Every GraphQL document this connector sends, and what each may cost.

The documents ask for what is used and for nothing personal. They are valid against the Admin API's schema of version
2026-10.

Costs are points as the vendor counts them ("Shopify API limits"): an object is 1 point, a scalar 0, a connection
depends on its page size. The formula for connections is not published. Here it is 2 and the page size times one item,
the dearest reading; `requested_cost` figures are therefore upper estimates, which pace us before the first answer
tells the true figure. A single query may request 1000 points on any plan, and no document here comes near it but the
page of orders, whose shape follows what the vendor says it costs.
"""

from __future__ import annotations

from dataclasses import dataclass

MAX_PAGE = 250
"""The most items the vendor gives in one page of any connection."""


@dataclass(frozen=True, slots=True)
class Document:
    """One GraphQL operation. `name` is its operation name too."""

    name: str
    text: str
    requested_cost: float
    """Points, as an upper estimate."""


def _connection(first: int, item_cost: float) -> float:
    # One more for the object `pageInfo`.
    return 2 + first * item_cost + 1


_LINE = "id quantity currentQuantity sku variant { id }"
_LINE_COST = 2
_REFUND_LINE = "quantity restockType lineItem { id }"
_REFUND_LINE_COST = 2
_HEAD = "id createdAt updatedAt cancelledAt displayFulfillmentStatus test sourceName app { id } tags"
_HEAD_COST = 2
_PAGE_INFO = "pageInfo { hasNextPage endCursor }"


# --------------------------------------------------------------------------------------------------------------
# Orders

_PAGE_COST = 900
"""What a page of orders may request: less than the maximum, since the formula is an estimate."""

_CROWDED = 0.1
"""The part of a page's orders that may have more lines than room before the next page is shaped otherwise."""

_ORDERS = f"""
query Orders($query: String!, $orders: Int!, $lines: Int!, $after: String) {{
  orders(first: $orders, after: $after, query: $query, sortKey: UPDATED_AT) {{
    nodes {{
      {_HEAD}
      lineItems(first: $lines) {{ nodes {{ {_LINE} }} {_PAGE_INFO} }}
      refunds(first: 1) {{ id }}
    }}
    {_PAGE_INFO}
  }}
}}
"""


@dataclass(frozen=True, slots=True)
class PageShape:
    """How many orders a page holds, and how many lines of each it has room for.

    Refunds are rare and, counted as above, dear: the page asks only whether there are any. An order that has some, or
    more lines than there was room for, is read again by itself.
    """

    orders: int
    lines: int

    @classmethod
    def of(cls, orders: int) -> PageShape:
        """As many lines as surely can be paid for: 14 each for 25 orders, 34 for 12, 71 for 6, 250 for one."""
        per_order = (_PAGE_COST - _connection(0, 0)) / orders
        lines = int((per_order - _HEAD_COST - _connection(0, 0) - 1) / _LINE_COST)
        return cls(orders, max(1, min(MAX_PAGE, lines)))

    @property
    def document(self) -> Document:
        """The document that takes `orders` and `lines` as variables."""
        lines_cost = _connection(self.lines, _LINE_COST)
        return Document("Orders", _ORDERS, _connection(self.orders, _HEAD_COST + lines_cost + 1))

    def after(self, orders: int, crowded: int, requested_cost: float | None, most_orders: int) -> PageShape:
        """The shape for the next page, from what this one found. A wrong guess costs calls, nothing else.

        `crowded` of its `orders` had more lines than room; `requested_cost` is what the vendor counted for it. Where it
        counts less than we fear, the orders get more room; else there will be fewer of them.
        """
        if crowded > orders * _CROWDED:
            if requested_cost is not None and 2 * requested_cost <= _PAGE_COST and self.lines < MAX_PAGE:
                return PageShape(self.orders, min(MAX_PAGE, 2 * self.lines))
            return PageShape.of(max(1, self.orders // 2))
        if crowded == 0 and self.orders < most_orders:
            return PageShape.of(min(most_orders, 2 * self.orders))
        return self


RECENT = Document(
    "Recent",
    f"""
query Recent($query: String!, $first: Int!, $after: String) {{
  orders(first: $first, after: $after, query: $query, sortKey: UPDATED_AT) {{
    nodes {{ id updatedAt }}
    {_PAGE_INFO}
  }}
}}
""",
    _connection(MAX_PAGE, 1),
)

SINGLE_LINES = 100
SINGLE_REFUNDS = 5
SINGLE_REFUND_LINES = 40

ORDER = Document(
    "Order",
    f"""
query Order($id: ID!) {{
  order(id: $id) {{
    {_HEAD}
    lineItems(first: {SINGLE_LINES}) {{ nodes {{ {_LINE} }} {_PAGE_INFO} }}
    refunds(first: {SINGLE_REFUNDS}) {{
      id
      refundLineItems(first: {SINGLE_REFUND_LINES}) {{ nodes {{ {_REFUND_LINE} }} {_PAGE_INFO} }}
    }}
  }}
}}
""",
    _HEAD_COST
    + _connection(SINGLE_LINES, _LINE_COST)
    + SINGLE_REFUNDS * (1 + _connection(SINGLE_REFUND_LINES, _REFUND_LINE_COST)),
)

ORDER_LINES = Document(
    "OrderLines",
    f"""
query OrderLines($id: ID!, $first: Int!, $after: String) {{
  order(id: $id) {{
    updatedAt
    lineItems(first: $first, after: $after) {{ nodes {{ {_LINE} }} {_PAGE_INFO} }}
  }}
}}
""",
    1 + _connection(MAX_PAGE, _LINE_COST),
)

REFUND_IDS = Document(
    "RefundIds",
    """
query RefundIds($id: ID!, $first: Int!) {
  order(id: $id) {
    updatedAt
    refunds(first: $first) { id }
  }
}
""",
    1 + MAX_PAGE,
)

REFUND_LINES = Document(
    "RefundLines",
    f"""
query RefundLines($id: ID!, $first: Int!, $after: String) {{
  refund(id: $id) {{
    order {{ updatedAt }}
    refundLineItems(first: $first, after: $after) {{ nodes {{ {_REFUND_LINE} }} {_PAGE_INFO} }}
  }}
}}
""",
    2 + _connection(MAX_PAGE, _REFUND_LINE_COST),
)


# --------------------------------------------------------------------------------------------------------------
# The account

ACCESS = Document(
    "Access",
    """
query Access {
  currentAppInstallation { accessScopes { handle } }
  shop { myshopifyDomain }
}
""",
    # A list of unstated length counts as one object or as many: paced by the larger guess.
    30,
)

CLOCK = Document("Clock", "query Clock { shop { id } }", 1)
"""Asked for the `Date` header of its answer."""

_SUBSCRIPTION = "id topic uri format filter includeFields"

SUBSCRIPTIONS = Document(
    "Subscriptions",
    f"""
query Subscriptions($first: Int!, $after: String) {{
  webhookSubscriptions(first: $first, after: $after) {{
    nodes {{ {_SUBSCRIPTION} }}
    {_PAGE_INFO}
  }}
}}
""",
    _connection(MAX_PAGE, 1),
)

SUBSCRIBE = Document(
    "Subscribe",
    f"""
mutation Subscribe($topic: WebhookSubscriptionTopic!, $subscription: WebhookSubscriptionInput!) {{
  webhookSubscriptionCreate(topic: $topic, webhookSubscription: $subscription) {{
    webhookSubscription {{ {_SUBSCRIPTION} }}
    userErrors {{ field message }}
  }}
}}
""",
    13,
)

UNSUBSCRIBE = Document(
    "Unsubscribe",
    """
mutation Unsubscribe($id: ID!) {
  webhookSubscriptionDelete(id: $id) {
    userErrors { field message }
  }
}
""",
    12,
)
