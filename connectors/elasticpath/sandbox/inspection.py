"""The whole truth about a sandboxed store, for proofs and tests: nothing of it goes through the vendor's API."""

from __future__ import annotations

from typing import Any

from connectors.sandbox.stock import HOLDING

from .entities import Order, Product
from .orders import Orders
from .store import Store


def product_summary(store: Store, product: Product) -> dict[str, Any]:
    """One product with what is available of it in all: null while it is not managed."""
    managed = store.managed(product.product_id)
    free = [store.available(each) or 0 for each in managed]
    return {
        "id": product.product_id,
        "sku": product.sku,
        "name": product.name,
        "status": product.status,
        "available": sum(free) if managed else None,
        "allocated": sum(each.allocated for each in managed),
        "locations": {each.location: store.available(each) for each in managed if each.location is not None},
    }


def _own(store: Store, product: Product) -> int:
    """Net units of what the application key did to its stock."""
    return sum(
        each.quantity
        for position in store.positions.get(product.product_id, {}).values()
        for each in store.stock.stock(position.key).adjustments
        if each.origin == store.by_application()
    )


def product_state(store: Store, product: Product) -> dict[str, Any]:
    """One product with everything that ever moved its stock, and by whom in truth."""
    positions = store.positions.get(product.product_id, {}).values()
    stocks = [(position, store.stock.stock(position.key)) for position in positions]
    return {
        **product_summary(store, product),
        "adjustments": [
            {
                "id": each.adjustment_id,
                "location": position.location,
                "at": each.at,
                "quantity": each.quantity,
                "available": each.total,
                "reservation_id": each.reservation_id,
                "own": each.origin == store.by_application(),
            }
            for position, stock in stocks
            for each in stock.adjustments
        ],
        "reservations": [
            {
                "id": each.reservation_id,
                "order_id": each.transaction_id,
                "quantity": each.quantity,
                "state": each.state,
                "holding": each.state in HOLDING,
            }
            for _, stock in stocks
            for each in stock.reservations
        ],
        "transactions": [
            {"id": each.transaction_id, "action": each.action, "quantity": each.quantity, "at": each.at}
            for each in store.transactions.get(product.product_id, ())
        ],
    }


def order_state(order: Order, orders: Orders) -> dict[str, Any]:
    """One order, with the units of each item that are gone for the seller."""
    committed = orders.committed(order)
    return {
        "id": order.order_id,
        "status": order.status,
        "payment": order.payment,
        "shipping": order.shipping,
        "created_at": order.created_at,
        "updated_at": order.updated_at,
        "items": [
            {
                "id": each.item_id,
                "product_id": each.product_id,
                "sku": each.sku,
                "quantity": each.quantity,
                "committed": committed.get(each.item_id, 0),
            }
            for each in order.items
        ],
    }


def whole_state(store: Store, orders: Orders) -> dict[str, Any]:
    """Everything."""
    return {
        "client_id": store.options.client_id,
        "products": [
            {**product_summary(store, each), "own_adjustments": _own(store, each)} for each in store.products.values()
        ],
        "orders": [order_state(states[-1], orders) for states in store.orders.values()],
    }
