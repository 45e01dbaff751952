"""`stock/compare_and_set`, `stock_adjustments/...` and `stock_reservations/show`."""

from __future__ import annotations

from bisect import bisect_left
from datetime import timedelta
from random import Random

from connectors.sandbox.stock import Adjustment, NotEnoughStockError, TotalMismatchError

from .endpoint import Call, Endpoint, Reply, page_of
from .entities import Stock
from .errors import ApiError, conflict, not_found
from .fields import PAGING, Field, natural, nonzero, optional, timestamp, uuid, whole

_DAY = timedelta(days=1)
_LEDGER_REACH = timedelta(days=366)


def compare_and_set(call: Call) -> Reply:
    """Applied only to exactly `oldTotal`; an equal `newTotal` is a success that leaves no trace."""
    marketplace, body = call.marketplace, call.body
    switches = marketplace.switches
    if "oldTotal" not in body and switches.omitted_old_total == "refused":
        raise ApiError(400, "validation-missing-key", "Key oldTotal is missing.", path=("oldTotal",))
    expected, total = body.get("oldTotal"), body["newTotal"]
    if expected is not None and expected < 0 and switches.negative_old_total == "refused":
        raise ApiError(400, "validation-invalid-value", "oldTotal is negative.", path=("oldTotal",))
    if total > switches.largest_total:
        raise ApiError(400, "validation-invalid-value", "newTotal is too large.", path=("newTotal",))
    listing = call.listing_for_command(body["listingId"])
    present = marketplace.stock.stock(listing.listing_id).total
    if present is None and expected == 0 and switches.zero_matches_undefined:
        expected = None
    try:
        adjustment = marketplace.stock.compare_and_set(listing.listing_id, expected, total, call.origin)
    except TotalMismatchError as error:
        raise ApiError(switches.mismatch_status, "old-total-mismatch", str(error)) from error
    return Reply(Stock(listing.stock_id, total), outcome="applied" if adjustment else "unchanged")


def create_adjustment(call: Call) -> Reply:
    """`stock_adjustments/create`: a delta, without a guard against repetition."""
    marketplace, switches = call.marketplace, call.marketplace.switches
    listing = call.listing_for_command(call.body["listingId"])
    present = marketplace.stock.stock(listing.listing_id).total
    if present is None and switches.first_adjustment == "refused":
        raise conflict("conflict", f"Listing {listing.listing_id} has no stock.")
    try:
        adjustment = marketplace.stock.adjust(
            listing.listing_id,
            call.body["quantity"],
            call.origin,
            allow_negative=switches.negative_result == "allowed",
        )
    except NotEnoughStockError as error:
        raise conflict("conflict", str(error)) from error
    return Reply(adjustment, outcome="applied")


def query_adjustments(call: Call) -> Reply:
    """The ledger of one listing from `start` (inclusive) to `end` (exclusive)."""
    marketplace, asked = call.marketplace, call.query
    start, end = asked["start"], asked["end"]
    now = marketplace.clock.now()
    for path, wrong in (
        ("start", not now - _LEDGER_REACH <= start <= now + _DAY),
        ("end", not start < end <= min(now + _DAY, start + _LEDGER_REACH)),
    ):
        if wrong:
            title = f"{path} is outside the range that can be asked for."
            raise ApiError(400, "validation-invalid-value", title, path=(path,), part="query")
    listing = marketplace.listing(asked["listingId"])
    if listing is None:
        raise not_found(f"Listing {asked['listingId']}")
    ledger = marketplace.stock.stock(listing.listing_id).adjustments
    first, last = (bisect_left(ledger, moment, key=lambda adjustment: adjustment.at) for moment in (start, end))
    return page_of(_ordered(ledger[first:last], marketplace.switches.adjustment_order), asked)


def _ordered(adjustments: list[Adjustment], order: str) -> list[Adjustment]:
    if order == "newest_first":
        adjustments.reverse()
    elif order == "shuffled":
        # The same shuffle for every page of one query.
        Random(len(adjustments)).shuffle(adjustments)
    return adjustments


def show_reservation(call: Call) -> Reply:
    """`stock_reservations/show`"""
    reservation = call.marketplace.stock.reservations.get(call.query["id"])
    if reservation is None:
        raise not_found(f"Stock reservation {call.query['id']}")
    return Reply(reservation)


ENDPOINTS = {
    "stock/compare_and_set": Endpoint(
        "POST",
        compare_and_set,
        body={
            "listingId": Field(uuid, required=True),
            "oldTotal": Field(optional(whole)),
            "newTotal": Field(natural, required=True),
        },
    ),
    "stock_adjustments/create": Endpoint(
        "POST",
        create_adjustment,
        body={"listingId": Field(uuid, required=True), "quantity": Field(nonzero, required=True)},
    ),
    "stock_adjustments/query": Endpoint(
        "GET",
        query_adjustments,
        query={
            "listingId": Field(uuid, required=True),
            "start": Field(timestamp, required=True),
            "end": Field(timestamp, required=True),
            **PAGING,
        },
    ),
    "stock_reservations/show": Endpoint("GET", show_reservation, query={"id": Field(uuid, required=True)}),
}
