"""What reconciling has to tell operators."""

from __future__ import annotations

from typing import Any

from worker.alerts import Finding, Kind
from worker.alerts.anomalies import fingerprint

RESOLVED_WHEN_COMPLETE = (
    Kind.OVERSOLD,
    Kind.RETURN_WAITING,
    Kind.WRITE_REJECTED,
    Kind.ABSENT_REVOKED,
    Kind.LISTING_GONE,
)
"""Their cause is gone once nothing is pending on the listing."""

RESOLVED_WHEN_SHORT = (Kind.RETURN_WAITING, Kind.WRITE_REJECTED, Kind.ABSENT_REVOKED)
"""Their cause is gone once nothing but an oversell is pending."""


def oversold(listing_id: str, units: int, total: int) -> Finding:
    """Channels sold more than there is."""
    return Finding(
        Kind.OVERSOLD,
        f"Listing {listing_id} is oversold by {units} units: channels sold them, and its stock is {total}. The latest"
        " sales wait and are taken by themselves when stock comes in; otherwise cancel them in the shop.",
        listing_id=listing_id,
        detail={"missing_units": units, "total": total},
    )


def return_waiting(listing_id: str, units: int, total: int) -> Finding:
    """Units come back to a listing that would stay below zero."""
    return Finding(
        Kind.RETURN_WAITING,
        f"Listing {listing_id} is owed {units} returned units, but its stock is {total} and would stay below zero."
        " They are given back once the negative stock is settled.",
        listing_id=listing_id,
        detail={"waiting_units": units, "total": total},
    )


def listing_gone(listing_id: str, units: int) -> Finding:
    """Sales wait for a listing that was deleted."""
    return Finding(
        Kind.LISTING_GONE,
        f"Listing {listing_id} no longer exists on the marketplace, but {units} units sold on channels wait for it."
        " Link the SKU to another listing with `trueup links correct`.",
        listing_id=listing_id,
        detail={"waiting_units": units},
    )


def write_rejected(listing_id: str, error: str) -> Finding:
    """A write will not work as sent."""
    return Finding(
        Kind.WRITE_REJECTED,
        f"The marketplace refuses our stock write to listing {listing_id}: {error}. It is tried again from time to"
        " time; look at the listing on the marketplace.",
        listing_id=listing_id,
        detail={"error": error},
    )


def outcome_unknown(listing_id: str, operation: Any) -> Finding:
    """A write stays unsettled."""
    return Finding(
        Kind.OUTCOME_UNKNOWN,
        f"It is not known whether a write to listing {listing_id} ({operation.expected_total} to {operation.new_total},"
        f" prepared {operation.prepared_at:%Y-%m-%d %H:%M:%S} UTC) was executed, and the marketplace's records do not"
        f" tell yet. Nothing else is written there meanwhile. If it stays so, compare with the marketplace's history"
        f" and decide: `trueup operations settle {operation.id} applied|absent --reason ...`.",
        listing_id=listing_id,
        detail={"operation": operation.id},
    )


def unreadable_listing(listing_id: str | None, reason: str) -> Finding:
    """The marketplace shows a listing in a shape that it does not document."""
    named = f"Listing {listing_id}" if listing_id is not None else "A listing without an id"
    return Finding(
        Kind.UNREADABLE_LISTING,
        f"{named} cannot be read ({reason}): what is due on it waits, all others go on. Look at it on the marketplace;"
        " it is read again from time to time, and goes on by itself.",
        listing_id=listing_id,
        detail={"reason": reason},
    )


def unreadable_fingerprint(listing_id: str | None) -> str:
    """What identifies the anomaly of that listing."""
    return fingerprint(Kind.UNREADABLE_LISTING, listing_id=listing_id)


def absent_revoked(row: Any) -> Finding:
    """A write that had been taken for absent was executed after all."""
    return Finding(
        Kind.ABSENT_REVOKED,
        f"A write to listing {row.listing_id} ({row.expected_total} to {row.new_total}) that had been taken for absent"
        " was executed late. It counts now, and the surplus is given back by itself.",
        listing_id=row.listing_id,
        detail={"operation": row.id},
    )


def orphan(listing_id: str, adjustment: str) -> Finding:
    """An adjustment of ours that no operation of ours made."""
    return Finding(
        Kind.ORPHAN,
        f"Adjustment {adjustment} of listing {listing_id} was made with our credentials, but no operation of ours fits"
        " it. Nothing is written to this listing until a person has looked: is another program using these"
        f" credentials, or was the database restored? Then `trueup holds lift listing {listing_id}`.",
        listing_id=listing_id,
        key=adjustment,
        detail={"adjustment": adjustment},
    )


def unexplained_total(listing_id: str, reason: str) -> Finding:
    """The marketplace's own records do not lead to its number."""
    return Finding(
        Kind.UNEXPLAINED_TOTAL,
        f"The stock of listing {listing_id} cannot be explained: {reason}. trueup goes on looking; compare with the"
        " marketplace's own history.",
        listing_id=listing_id,
        detail={"reason": reason},
    )
