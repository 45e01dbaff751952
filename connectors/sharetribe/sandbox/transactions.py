"""`transactions/...`"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from connectors.sandbox.stock import ReservationState

from .endpoint import Call, Endpoint, Reply, page_of
from .entities import Transaction
from .errors import not_found
from .fields import PAGING, Field, flag, mapping, names, names_of, one_of, text, timestamp, uuid
from .marketplace import Marketplace


def show(call: Call) -> Reply:
    """`transactions/show`"""
    transaction = call.marketplace.transactions.get(call.query["id"])
    if transaction is None:
        raise not_found(f"Transaction {call.query['id']}")
    return Reply(transaction)


def query(call: Call) -> Reply:
    """Newest first unless sorted."""
    marketplace, asked = call.marketplace, call.query
    tests = _tests(marketplace, asked)
    found = [each for each in marketplace.transactions.values() if all(test(each) for test in tests)]
    sort = asked.get("sort", "createdAt")
    by_transition = sort.removeprefix("-") == "lastTransitionedAt"
    found.sort(
        key=lambda each: (each.last.created_at if by_transition else each.created_at, each.transaction_id),
        reverse=not sort.startswith("-"),
    )
    limited = bool(asked.keys() - {"createdAtStart", "createdAtEnd", "page", "perPage"})
    return page_of(found, asked, reachable=marketplace.options.query_limit if limited else None)


def _tests(marketplace: Marketplace, asked: Mapping[str, Any]) -> list[Callable[[Transaction], bool]]:
    reservations = marketplace.stock.reservations

    def reservation_state(each: Transaction) -> ReservationState | None:
        return reservations[each.reservation_id].state if each.reservation_id else None

    possible: Mapping[str, Callable[[Any, Transaction], bool]] = {
        "createdAtStart": lambda start, each: each.created_at >= start,
        "createdAtEnd": lambda end, each: each.created_at < end,
        "listingId": lambda listing_id, each: each.listing_id == listing_id,
        "customerId": lambda user_id, each: each.customer_id == user_id,
        "providerId": lambda user_id, each: each.provider_id == user_id,
        "userId": lambda user_id, each: user_id in (each.customer_id, each.provider_id),
        "states": lambda states, each: each.state in states,
        "processNames": lambda wanted, each: each.process_name in wanted,
        "lastTransitions": lambda wanted, each: each.last.transition in wanted,
        "hasStockReservation": lambda wanted, each: (each.reservation_id is not None) == wanted,
        "stockReservationStates": lambda states, each: reservation_state(each) in states,
    }
    return [_bound(possible[key], value) for key, value in asked.items() if key in possible]


def _bound(test: Callable[[Any, Transaction], bool], value: Any) -> Callable[[Transaction], bool]:
    return lambda each: test(value, each)


def transition(call: Call) -> Reply:
    """Only the operator's transitions can be made here; they run as privileged."""
    return Reply(call.purchases.operator_transition(call.body["id"], call.body["transition"], call.client_id))


ENDPOINTS = {
    "transactions/show": Endpoint("GET", show, query={"id": Field(uuid, required=True)}),
    "transactions/query": Endpoint(
        "GET",
        query,
        query={
            "createdAtStart": Field(timestamp),
            "createdAtEnd": Field(timestamp),
            "listingId": Field(uuid),
            "customerId": Field(uuid),
            "providerId": Field(uuid),
            "userId": Field(uuid),
            "states": Field(names),
            "processNames": Field(names),
            "lastTransitions": Field(names),
            "hasStockReservation": Field(flag),
            "stockReservationStates": Field(names_of(*ReservationState)),
            "sort": Field(one_of("createdAt", "-createdAt", "lastTransitionedAt", "-lastTransitionedAt")),
            **PAGING,
        },
    ),
    "transactions/transition": Endpoint(
        "POST",
        transition,
        body={
            "id": Field(uuid, required=True),
            "transition": Field(text(200), required=True),
            "params": Field(mapping, required=True),
        },
    ),
}
