"""Links that look like a mistake: two SKUs of one channel that take the same units from one listing, and no others."""

from __future__ import annotations

from collections.abc import Sequence

from worker.alerts import Anomalies, Finding, Kind
from worker.links import repository
from worker.store import Transaction

NAMED = 20
"""Of many listings, those that are told by their ids."""


def judge_doubles(transaction: Transaction, anomalies: Anomalies, channel: str) -> None:
    """Tell of a channel's listings with such links, or that there are none any more."""
    doubled = sorted(set(repository.doubled(transaction, channel)))
    finding = _finding(channel, doubled)
    if doubled:
        anomalies.open_seldom_in(transaction, [finding])
    else:
        anomalies.resolve_in(transaction, [finding.fingerprint], "no listing has two such links any more")


def _finding(channel: str, listing_ids: Sequence[str]) -> Finding:
    more = f" and {len(listing_ids) - NAMED} more" if len(listing_ids) > NAMED else ""
    return Finding(
        Kind.DUPLICATE_LINK,
        f"Several SKUs of channel {channel} are linked, with the same units, to one listing each:"
        f" {', '.join(listing_ids[:NAMED])}{more}. If one product is sold under two SKUs there, this is right:"
        " acknowledge it. Else each of its sales is taken from the wrong listing: see `trueup links export`.",
        channel=channel,
        detail={"listings": len(listing_ids), "listing_ids": list(listing_ids[:NAMED])},
    )
