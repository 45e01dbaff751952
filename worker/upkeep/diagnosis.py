"""Naming the cause of a negative stock, as far as the marketplace's records tell."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from connectors.clock import Clock
from connectors.contract import Ledger, Listing, Marketplace, RemoteAdjustment, Trail
from worker.alerts import Finding, Kind
from worker.upkeep.negative import Suspect, direct, suspects, with_trail

WINDOW = timedelta(days=90)
"""How far back the log is read: marketplaces keep events about that long, to confirm a suspect with."""


class Diagnosis:
    """Asks the marketplace which reservation and transaction made a stock negative."""

    def __init__(self, marketplace: Marketplace, clock: Clock) -> None:
        self._marketplace = marketplace
        self._clock = clock

    def of(self, listing: Listing) -> Finding:
        """The finding about a listing whose fresh total is below zero. Raises what the connector raises."""
        found, by_itself = self._causes(listing)
        if by_itself is not None:
            cause = (
                f"Adjustment {by_itself.adjustment_id} of {by_itself.quantity} units, made by no transaction at"
                f" {by_itself.at:%Y-%m-%d %H:%M:%S} UTC, took it there: find out who made it, and correct the number."
            )
        elif found:
            first = found[0]
            cause = (
                f"Reservation {first.reservation_id} of transaction {first.transaction_id} is the likely cause:"
                f" {first.why}. Look at that transaction on the marketplace."
            )
        else:
            cause = (
                "No reservation contradicts its state: look in the listing's stock history for another's adjustment."
            )
        return Finding(
            Kind.NEGATIVE_STOCK,
            f"The stock of listing {listing.listing_id} is {listing.stock.total}, which should be impossible. {cause}",
            listing_id=listing.listing_id,
            detail={
                "total": listing.stock.total,
                "units_below_zero": -listing.stock.total,
                **({} if by_itself is None else {"adjustment": by_itself.adjustment_id}),
                "suspects": [
                    {
                        "reservation": suspect.reservation_id,
                        "transaction": suspect.transaction_id,
                        "why": suspect.why,
                        "certain": suspect.certain,
                    }
                    for suspect in found
                ],
            },
        )

    def _causes(self, listing: Listing) -> tuple[Sequence[Suspect], RemoteAdjustment | None]:
        """Suspects, the likeliest first; or the adjustment of nobody's reservation that did it alone."""
        if not isinstance(self._marketplace, Ledger):
            return (), None
        total = listing.stock.total
        ledger = self._marketplace.adjustments(listing.listing_id, since=self._clock.now() - WINDOW)
        by_itself = direct(total, ledger)
        if by_itself is not None:
            return (), by_itself
        found = [self._confirm(suspect) for suspect in suspects(total, ledger)]
        # With whose adjustment the total fell below zero tells more than a trail: what else was undone did no harm.
        found.sort(key=lambda suspect: (not suspect.crossed, not suspect.certain))
        return found, None

    def _confirm(self, suspect: Suspect) -> Suspect:
        if suspect.transaction_id is None or not isinstance(self._marketplace, Trail):
            return suspect
        return with_trail(suspect, self._marketplace.trail(suspect.transaction_id))
