"""The kit's whole contract, with the marketplace against its sandbox."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from connectors.http import Toolbox
from connectors.sandbox.clock import VirtualClock
from connectors.sandbox.serve import serve
from connectors.testing import MarketplaceKit

from trueup_acme.marketplace import AcmeMarketplace
from trueup_acme.sandbox import Options, Vendor, create_app
from trueup_acme.settings import AcmeSettings


class AcmeShelves:
    """What people do there, and what is true: see `connectors.testing.sandboxes` for what more it may do."""

    page_size = 2
    missing_listing = "0"

    def __init__(self, vendor: Vendor, clock: VirtualClock, url: str) -> None:
        self.clock = clock
        self._vendor = vendor
        self._url = url

    def open(self, toolbox: Toolbox) -> AcmeMarketplace:
        settings = AcmeSettings(
            api_key=self._vendor.options.api_key,
            page_size=self.page_size,
            base_url=self._url,
        )
        return AcmeMarketplace(settings, toolbox)

    def offer(self, total: int) -> str:
        return self._vendor.offer(total)

    def total(self, listing_id: str) -> int:
        return self._vendor.listings[listing_id]

    def buy(self, listing_id: str, quantity: int) -> None:
        self._vendor.listings[listing_id] -= quantity

    def edit_total(self, listing_id: str, total: int) -> None:
        self._vendor.listings[listing_id] = total

    def remove(self, listing_id: str) -> None:
        del self._vendor.listings[listing_id]

    def revoke(self) -> None:
        self._vendor.revoked = True


class TestAcmeMarketplace(MarketplaceKit):
    """`pytest` runs every case that a marketplace with this guard and this evidence has to pass.

    It lists what it could not show. Once that is only what the vendor does not have, name it in a tuple `not_shown`.
    """

    @contextmanager
    def sandbox(self) -> Iterator[AcmeShelves]:
        clock = VirtualClock()
        app = create_app(Options(), clock)
        with serve(app) as url:
            yield AcmeShelves(app.state.vendor, clock, url)
