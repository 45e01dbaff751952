"""Every way to read one listing of a marketplace, and what a spoilt answer may make of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from connectors.contract import (
    ChangePage,
    Feed,
    Ledger,
    Listing,
    ListingState,
    Marketplace,
    MarketplaceSale,
    RemoteAdjustment,
    Sales,
    Stock,
    StockChange,
    StockKind,
)
from connectors.testing.readings import Reading


def marketplace_readings(
    marketplace: Marketplace, listing_id: str, began: datetime, cursor: str | None, *, with_units: bool = True
) -> Sequence[Reading]:
    """Of one listing that is there, by what the marketplace can do."""
    readings = [
        Reading(
            "listing(listing_id)",
            lambda: marketplace.listing(listing_id),
            lambda found: found,
            _listing_complaint,
            _listing_units if with_units else None,
        ),
        Reading(
            "listings()",
            lambda: [each for page in marketplace.listings() for each in page],
            lambda found: found,
            _sweep_complaint,
        ),
    ]
    if isinstance(marketplace, Ledger):
        readings.append(
            Reading(
                "adjustments(listing_id)",
                lambda: marketplace.adjustments(listing_id, since=began),
                lambda found: [_essence(each) for each in found],
                _ledger_complaint,
            )
        )
    if isinstance(marketplace, Feed):
        readings.append(
            Reading("changes(cursor)", lambda: marketplace.changes(cursor), lambda page: page, _feed_complaint)
        )
    if isinstance(marketplace, Sales):
        readings.append(
            Reading(
                "sales(since)",
                lambda: [each for page in marketplace.sales(since=began) for each in page],
                lambda found: found,
                _sales_complaint,
            )
        )
    return readings


def _essence(adjustment: RemoteAdjustment) -> object:
    return adjustment.adjustment_id, adjustment.at, adjustment.quantity


def _stock_complaint(true: Stock, said: Stock) -> str | None:
    # Unlimited or undefined is what some vendors say by leaving a number out; neither is ever written to.
    if said.kind is not StockKind.COUNTED or said == true:
        return None
    return f"it has {said.total} units instead of {true.total}"


def _listing_complaint(true: Listing, said: Listing) -> str | None:
    if said.state is ListingState.DELETED:
        return "it passes for deleted"
    return _stock_complaint(true.stock, said.stock)


def _listing_units(said: Listing) -> int | None:
    return said.stock.total if said.stock.kind is StockKind.COUNTED else None


def _sweep_complaint(true: Iterable[Any], said: Sequence[Any]) -> str | None:
    told = {each.listing_id: each for each in said if isinstance(each, Listing)}
    # Under whatever name: what cannot be read may not tell its own.
    put_aside = any(not isinstance(each, Listing) for each in said)
    for listing in true:
        if listing.listing_id in told:
            complaint = _listing_complaint(listing, told[listing.listing_id])
            if complaint:
                return complaint
        elif not put_aside:
            return f"listing {listing.listing_id} is left out without a word"
    return None


def _ledger_complaint(true: Sequence[RemoteAdjustment], said: Sequence[RemoteAdjustment]) -> str | None:
    units = sum(each.quantity for each in true), sum(each.quantity for each in said)
    return None if units[0] == units[1] else f"its adjustments add up to {units[1]} units instead of {units[0]}"


def _feed_complaint(true: ChangePage, said: ChangePage) -> str | None:
    if said.unreadable or said.unknown_types:
        return None
    units = [
        sum(each.adjustment.quantity for each in page.changes if isinstance(each, StockChange)) for page in (true, said)
    ]
    if units[0] != units[1]:
        return f"its stock changes add up to {units[1]} units instead of {units[0]}, and the cursor leads past them"
    return None if len(true.changes) == len(said.changes) else "a change is left out, and the cursor leads past it"


def _sales_complaint(true: Sequence[Any], said: Sequence[Any]) -> str | None:
    if any(not isinstance(each, MarketplaceSale) for each in said):
        return None
    units = [sum(each.quantity for each in sales) for sales in (true, said)]
    return None if units[0] == units[1] else f"the sales add up to {units[1]} units instead of {units[0]}"
