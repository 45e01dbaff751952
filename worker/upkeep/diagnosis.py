"""Naming the cause of a negative stock, as far as the marketplace's records tell."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from connectors.clock import Clock
from connectors.contract import Ledger, Listing, Marketplace, Trail
from worker.alerts import Finding, Kind
from worker.upkeep.negative import Suspect, suspects, with_trail

WINDOW = timedelta(days=90)
"""How far back the log is read: marketplaces keep events about that long, to confirm a suspect with."""


class Diagnosis:
    """Asks the marketplace which reservation and transaction made a stock negative."""

    def __init__(self, marketplace: Marketplace, clock: Clock) -> None:
        self._marketplace = marketplace
        self._clock = clock

    def of(self, listing: Listing) -> Finding:
        """The finding about a listing whose fresh total is below zero. Raises what the connector raises."""
        found = self._suspects(listing)
        if found:
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

    def _suspects(self, listing: Listing) -> Sequence[Suspect]:
        """The likeliest first."""
        if not isinstance(self._marketplace, Ledger):
            return ()
        ledger = self._marketplace.adjustments(listing.listing_id, since=self._clock.now() - WINDOW)
        found = [self._confirm(suspect) for suspect in suspects(listing.stock.total, ledger)]
        # The sort is stable: of two equally certain suspects the one that crossed zero stays first.
        return sorted(found, key=lambda suspect: not suspect.certain)

    def _confirm(self, suspect: Suspect) -> Suspect:
        if suspect.transaction_id is None or not isinstance(self._marketplace, Trail):
            return suspect
        return with_trail(suspect, self._marketplace.trail(suspect.transaction_id))
