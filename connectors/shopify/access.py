"""What the app may do in the shop."""

from __future__ import annotations

import msgspec

from connectors.shopify import documents
from connectors.shopify.graphql import GraphQL
from connectors.shopify.orders import shaped

READ_ORDERS = "read_orders"
READ_ALL_ORDERS = "read_all_orders"
"""Without it the shop shows orders of the last 60 days only (vendor page "API access scopes")."""


class _Scope(msgspec.Struct):
    handle: str


class _Installation(msgspec.Struct, rename="camel"):
    access_scopes: list[_Scope]


class _Access(msgspec.Struct, rename="camel"):
    current_app_installation: _Installation


class Access:
    """The scopes the shop has granted."""

    def __init__(self, graphql: GraphQL) -> None:
        self._graphql = graphql
        self._all_orders = False

    def scopes(self) -> frozenset[str]:
        """Asked anew on every call."""
        granted = shaped(self._graphql.ask(documents.ACCESS).data, _Access, "the list of granted scopes")
        scopes = frozenset(scope.handle for scope in granted.current_app_installation.access_scopes)
        self._all_orders = READ_ALL_ORDERS in scopes
        return scopes

    def sees_all_orders(self) -> bool:
        """Whether an order the shop does not show is certainly not there. A yes is remembered, a no asked again."""
        return self._all_orders or READ_ALL_ORDERS in self.scopes()
