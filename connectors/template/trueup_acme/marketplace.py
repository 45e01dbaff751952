"""One Acme account as the marketplace: whose stock is kept true.

A vendor may be able to do more: `Ledger`, `Feed`, `Closable`, `Trail` and `Sales` of `connectors.contract` are declared
by having their methods.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from connectors.contract import Adjusted, Check, Evidence, Guard, Listing, UnreadableListing
from connectors.http import Toolbox

from trueup_acme.client import Client
from trueup_acme.settings import AcmeSettings


class AcmeMarketplace:
    """Implements `Marketplace` and `Clocked`. Opening calls nobody; `disconnect` it when done."""

    guard = Guard.ABSOLUTE
    """What a write really guarantees. To decide: this is the least; claim no more than the vendor does."""
    evidence = Evidence.NONE
    """What the records tell of a write whose answer was lost. To decide: with `Ledger` it is more than this."""
    unlimited_from: int | None = None

    def __init__(self, settings: AcmeSettings, toolbox: Toolbox) -> None:
        self._settings = settings
        self._client = Client(settings, toolbox, account="acme")

    def listing(self, listing_id: str) -> Listing:
        """See `Marketplace.listing`."""
        raise NotImplementedError(
            "AcmeMarketplace.listing in trueup_acme/marketplace.py: "
            "one listing with its stock, read from where Acme knows it for certain, never from a "
            "search index or a cache"
        )

    def adjust(self, listing_id: str, *, seen: int, delta: int) -> Adjusted:
        """See `Marketplace.adjust`."""
        raise NotImplementedError(
            "AcmeMarketplace.adjust in trueup_acme/marketplace.py: "
            "one write by `self._client.post`, never a second one; every answer it can have becomes "
            "Adjusted or one of connectors.errors"
        )

    def listings(self) -> Iterator[Sequence[Listing | UnreadableListing]]:
        """See `Marketplace.listings`."""
        raise NotImplementedError(
            "AcmeMarketplace.listings in trueup_acme/marketplace.py: "
            "every listing, a page at a time; one that cannot be read is an UnreadableListing among "
            "its neighbours"
        )

    def check(self) -> Sequence[Check]:
        """See `Marketplace.check`."""
        raise NotImplementedError(
            "AcmeMarketplace.check in trueup_acme/marketplace.py: "
            "try the credentials with the cheapest read, and say what to do about whatever fails; "
            "return it, do not raise it"
        )

    @property
    def clock_skew_seconds(self) -> float | None:
        """See `Clocked`."""
        return self._client.http.clock_skew_seconds

    def disconnect(self) -> None:
        """Close all connections. Idempotent."""
        self._client.http.close()
