"""The whole truth about a sandboxed marketplace, for proofs and tests: nothing of it goes through the vendor's API."""

from __future__ import annotations

from typing import Any

from connectors.sandbox.stock import HOLDING, Adjustment, Reservation

from .entities import Listing, Transaction
from .marketplace import INTEGRATION_API, Marketplace


def listing_summary(marketplace: Marketplace, listing: Listing) -> dict[str, Any]:
    """One listing with its total, null while undefined."""
    return {
        "id": listing.listing_id,
        "title": listing.title,
        "author_id": listing.author_id,
        "state": listing.state,
        "deleted": listing.deleted,
        "total": marketplace.stock.stock(listing.listing_id).total,
        "public_data": listing.public_data,
        "metadata": listing.metadata,
    }


def adjustment_summary(marketplace: Marketplace, adjustment: Adjustment) -> dict[str, Any]:
    """One adjustment with its true author, whatever the feed tells."""
    origin = adjustment.origin
    return {
        "id": adjustment.adjustment_id,
        "listing_id": adjustment.listing_id,
        "at": adjustment.at,
        "quantity": adjustment.quantity,
        "total": adjustment.total,
        "reservation_id": adjustment.reservation_id,
        "source": origin.source,
        "client_id": origin.client_id,
        "user_id": origin.user_id,
        "admin_id": origin.admin_id,
        "own": origin.source == INTEGRATION_API and origin.client_id == marketplace.options.client_id,
    }


def reservation_summary(reservation: Reservation) -> dict[str, Any]:
    """One reservation, and whether its units are taken from the total."""
    return {
        "id": reservation.reservation_id,
        "listing_id": reservation.listing_id,
        "transaction_id": reservation.transaction_id,
        "quantity": reservation.quantity,
        "state": reservation.state,
        "holding": reservation.state in HOLDING,
    }


def transaction_summary(transaction: Transaction) -> dict[str, Any]:
    """One purchase with the transitions it completed."""
    return {
        "id": transaction.transaction_id,
        "listing_id": transaction.listing_id,
        "process": transaction.process_name,
        "state": transaction.state,
        "reservation_id": transaction.reservation_id,
        "transitions": [record.transition for record in transaction.transitions],
    }


def listing_state(marketplace: Marketplace, listing_id: str) -> dict[str, Any] | None:
    """One listing with everything about it; None when there never was one."""
    listing = marketplace.listings.get(listing_id)
    if listing is None:
        return None
    stock = marketplace.stock.stock(listing_id)
    return {
        **listing_summary(marketplace, listing),
        "adjustments": [adjustment_summary(marketplace, each) for each in stock.adjustments],
        "reservations": [reservation_summary(each) for each in stock.reservations],
        "transactions": [
            transaction_summary(marketplace.transactions[each.transaction_id])
            for each in stock.reservations
            if each.transaction_id in marketplace.transactions
        ],
    }


def whole_state(marketplace: Marketplace, *, adjustments: bool) -> dict[str, Any]:
    """Everything; the ledger may be left out, it is the bulk."""
    listings = marketplace.listings.values()
    state = {
        "client_id": marketplace.options.client_id,
        "marketplace_id": marketplace.card.marketplace_id,
        "provider_id": marketplace.provider.user_id,
        "last_sequence": marketplace.log.last_sequence,
        "listings": [listing_summary(marketplace, listing) for listing in listings],
        "reservations": [reservation_summary(each) for each in marketplace.stock.reservations.values()],
        "transactions": [transaction_summary(each) for each in marketplace.transactions.values()],
    }
    if adjustments:
        state["adjustments"] = [
            adjustment_summary(marketplace, each)
            for listing in listings
            for each in marketplace.stock.stock(listing.listing_id).adjustments
        ]
    return state
