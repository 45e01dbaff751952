"""Entities as resources: attributes, relationships, included resources, sparse fields (API reference, index).

A relationship is shown only when it was asked for by `include`, except in events, which carry the to-one links.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from connectors.sandbox.stock import Adjustment, Reservation, ReservationChange

from . import entities
from .errors import ApiError
from .marketplace import Marketplace
from .values import Id

Related = Callable[[Marketplace, Any], Any]
Tree = dict[str, "Tree"]


@dataclass(frozen=True, slots=True)
class Kind:
    """How one type of resource is shown. A relation gives an entity, None, or a list of entities."""

    type: str
    id: Callable[[Any], str]
    attributes: Callable[[Any], dict[str, Any]]
    relations: Mapping[str, Related]


def _listing_attributes(listing: entities.Listing) -> dict[str, Any]:
    return {
        "title": listing.title,
        "description": listing.description,
        "geolocation": listing.geolocation,
        "createdAt": listing.created_at,
        "price": listing.price,
        "availabilityPlan": None,
        "publicData": listing.public_data,
        "privateData": listing.private_data,
        "metadata": listing.metadata,
        "state": listing.state,
        "deleted": listing.deleted,
    }


def _stock(listing: entities.Listing, total: int | None) -> entities.Stock | None:
    return None if total is None else entities.Stock(listing.stock_id, total)


def _listing_relations(get: Callable[[Any], entities.Listing], stock: Related) -> Mapping[str, Related]:
    return {
        "marketplace": lambda marketplace, _: marketplace.card,
        "author": lambda marketplace, entity: marketplace.users.get(get(entity).author_id),
        "images": lambda *_: [],
        "currentStock": stock,
    }


def _transaction_attributes(transaction: entities.Transaction) -> dict[str, Any]:
    return {
        "createdAt": transaction.created_at,
        "processName": transaction.process_name,
        "processVersion": 1,
        "lastTransition": transaction.last.transition,
        "lastTransitionedAt": transaction.last.created_at,
        "state": transaction.state,
        "lineItems": [],
        "payinTotal": None,
        "payoutTotal": None,
        "protectedData": {},
        "metadata": {},
        "transitions": [
            {"transition": record.transition, "createdAt": record.created_at, "by": record.by}
            for record in transaction.transitions
        ],
    }


def _listing_of(marketplace: Marketplace, entity: Any) -> Any:
    return marketplace.listings.get(entity.listing_id)


def _sold_listing(marketplace: Marketplace, transaction: entities.Transaction) -> entities.Listing | None:
    listing = marketplace.listings[transaction.listing_id]
    return None if listing.deleted and marketplace.switches.deleted_listing == "unlinked" else listing


_RESERVATION_RELATIONS: Mapping[str, Related] = {
    "listing": _listing_of,
    "transaction": lambda marketplace, entity: marketplace.transactions.get(entity.transaction_id),
}


def _of_reservation(relation: Related) -> Related:
    return lambda marketplace, change: relation(marketplace, change.reservation)


KINDS: Mapping[type, Kind] = {
    entities.MarketplaceCard: Kind(
        "marketplace", lambda card: card.marketplace_id, lambda card: {"name": card.name, "description": None}, {}
    ),
    entities.User: Kind(
        "user",
        lambda user: user.user_id,
        lambda user: {
            "createdAt": user.created_at,
            "banned": False,
            "deleted": False,
            "profile": {"displayName": user.display_name, "publicData": {}, "privateData": {}, "metadata": {}},
        },
        {"marketplace": lambda marketplace, _: marketplace.card},
    ),
    entities.Listing: Kind(
        "listing",
        lambda listing: listing.listing_id,
        _listing_attributes,
        _listing_relations(
            lambda listing: listing,
            lambda marketplace, listing: _stock(listing, marketplace.stock.stock(listing.listing_id).total),
        ),
    ),
    entities.IndexedListing: Kind(
        "listing",
        lambda entry: entry.listing.listing_id,
        lambda entry: _listing_attributes(entry.listing),
        _listing_relations(lambda entry: entry.listing, lambda _, entry: _stock(entry.listing, entry.total)),
    ),
    entities.Stock: Kind("stock", lambda stock: stock.stock_id, lambda stock: {"quantity": stock.quantity}, {}),
    Adjustment: Kind(
        "stockAdjustment",
        lambda adjustment: adjustment.adjustment_id,
        lambda adjustment: {"at": adjustment.at, "quantity": adjustment.quantity},
        {
            "listing": _listing_of,
            "stockReservation": lambda marketplace, adjustment: marketplace.stock.reservations.get(
                adjustment.reservation_id
            ),
        },
    ),
    Reservation: Kind(
        "stockReservation",
        lambda reservation: reservation.reservation_id,
        lambda reservation: {"quantity": reservation.quantity, "state": reservation.state},
        {**_RESERVATION_RELATIONS, "stockAdjustments": lambda _, reservation: list(reservation.adjustments)},
    ),
    ReservationChange: Kind(
        "stockReservation",
        lambda change: change.reservation.reservation_id,
        lambda change: {"quantity": change.reservation.quantity, "state": change.state},
        {name: _of_reservation(relation) for name, relation in _RESERVATION_RELATIONS.items()},
    ),
    entities.Transaction: Kind(
        "transaction",
        lambda transaction: transaction.transaction_id,
        _transaction_attributes,
        {
            "marketplace": lambda marketplace, _: marketplace.card,
            "listing": _sold_listing,
            "customer": lambda marketplace, transaction: marketplace.users.get(transaction.customer_id),
            "provider": lambda marketplace, transaction: marketplace.users.get(transaction.provider_id),
            "stockReservation": lambda marketplace, transaction: marketplace.stock.reservations.get(
                transaction.reservation_id
            ),
        },
    ),
}


def identity(entity: Any) -> dict[str, Any]:
    """Id and type alone, as commands answer and relationships point."""
    kind = KINDS[type(entity)]
    return {"id": Id(kind.id(entity)), "type": kind.type}


def linked(marketplace: Marketplace, entity: Any) -> dict[str, Any]:
    """A resource as events carry it: all attributes, and links to its to-one relations and images."""
    kind = KINDS[type(entity)]
    relationships = {}
    for name, relation in kind.relations.items():
        related = relation(marketplace, entity)
        if not isinstance(related, list) or name == "images":
            relationships[name] = _link(related)
    return {**identity(entity), "attributes": kind.attributes(entity), "relationships": relationships}


def _link(related: Any) -> dict[str, Any]:
    if related is None:
        return {"data": None}
    if isinstance(related, list):
        return {"data": [identity(each) for each in related]}
    return {"data": identity(related)}


class Renderer:
    """Renders one answer: which relations to include, which attributes to show, how many of a to-many relation."""

    def __init__(self, marketplace: Marketplace, query: Mapping[str, str]) -> None:
        self._marketplace = marketplace
        self._tree = _tree(query.get("include", "").split(","))
        self._fields = {
            key.removeprefix("fields."): frozenset(value.split(","))
            for key, value in query.items()
            if key.startswith("fields.")
        }
        self._limits = {
            key.removeprefix("limit."): int(value)
            for key, value in query.items()
            if key.startswith("limit.") and value.isdecimal()
        }
        self._included: dict[tuple[str, str], dict[str, Any]] = {}

    def body(self, primary: Any, meta: Mapping[str, Any]) -> dict[str, Any]:
        """The whole envelope."""
        if isinstance(primary, Sequence):
            answer: dict[str, Any] = {"data": [self._resource(entity, self._tree) for entity in primary]}
        else:
            answer = {"data": self._resource(primary, self._tree)}
        if self._included:
            answer["included"] = list(self._included.values())
        if meta:
            answer["meta"] = meta
        return answer

    def event(self, event: dict[str, Any]) -> dict[str, Any]:
        """An event made elsewhere, with its attributes thinned."""
        return {**event, "attributes": self._thinned("event", event["attributes"])}

    def _resource(self, entity: Any, tree: Tree) -> dict[str, Any]:
        kind = KINDS[type(entity)]
        resource: dict[str, Any] = {
            "id": Id(kind.id(entity)),
            "type": kind.type,
            "attributes": self._thinned(kind.type, kind.attributes(entity)),
        }
        if tree:
            resource["relationships"] = {name: self._relation(kind, entity, name, tree[name]) for name in tree}
        return resource

    def _relation(self, kind: Kind, entity: Any, name: str, tree: Tree) -> dict[str, Any]:
        relation = kind.relations.get(name)
        if relation is None:
            title = f"{kind.type} has no relationship {name}."
            raise ApiError(400, "validation-invalid-value", title, path=("include",), part="query")
        related = relation(self._marketplace, entity)
        if isinstance(related, list):
            related = related[: self._limits.get(name)]
        for each in related if isinstance(related, list) else [] if related is None else [related]:
            if not self._is_hidden(each):
                self._include(each, tree)
        return _link(related)

    def _is_hidden(self, entity: Any) -> bool:
        deleted = isinstance(entity, entities.Listing) and entity.deleted
        return deleted and self._marketplace.switches.deleted_listing != "included"

    def _include(self, entity: Any, tree: Tree) -> None:
        kind = KINDS[type(entity)]
        key = (kind.type, kind.id(entity))
        if key not in self._included:
            self._included[key] = {}
            self._included[key] = self._resource(entity, tree)

    def _thinned(self, type_name: str, attributes: dict[str, Any]) -> dict[str, Any]:
        wanted = self._fields.get(type_name)
        if wanted is None:
            return attributes
        return {name: value for name, value in attributes.items() if name in wanted}


def _tree(paths: Iterable[str]) -> Tree:
    tree: Tree = {}
    for path in paths:
        branch = tree
        for name in filter(None, path.split(".")):
            branch = branch.setdefault(name, {})
    return tree
