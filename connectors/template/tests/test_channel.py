"""The kit's whole contract, with the channel against its sandbox."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from connectors.http import Toolbox
from connectors.sandbox.clock import VirtualClock
from connectors.sandbox.serve import serve
from connectors.testing import ChannelKit, Delivery, Sold

from trueup_acme.channel import AcmeChannel
from trueup_acme.sandbox import Options, Vendor, create_app
from trueup_acme.settings import AcmeSettings


class AcmeShop:
    """What people do there, and what is true: see `connectors.testing.sandboxes` for what more it may do."""

    page_size = 2
    missing_order = "0"

    def __init__(self, vendor: Vendor, clock: VirtualClock, url: str) -> None:
        self.clock = clock
        self._vendor = vendor
        self._url = url

    def open(self, toolbox: Toolbox) -> AcmeChannel:
        settings = AcmeSettings(
            api_key=self._vendor.options.api_key,
            page_size=self.page_size,
            base_url=self._url,
        )
        return AcmeChannel("acme", settings, toolbox)

    def place(self, *lines: Sold) -> str:
        return self._vendor.place({line.sku: line.quantity for line in lines})

    def committed(self, order_id: str) -> Mapping[str, int]:
        return dict(self._vendor.orders[order_id].units)

    def cancel(self, order_id: str) -> None:
        self._vendor.change(order_id, dict.fromkeys(self.committed(order_id), 0))

    def edit(self, order_id: str, sku: str, quantity: int) -> None:
        self._vendor.change(order_id, {sku: quantity})

    def touch(self, order_id: str) -> None:
        self._vendor.change(order_id, {})

    def delete(self, order_id: str) -> None:
        del self._vendor.orders[order_id]

    def revoke(self) -> None:
        self._vendor.revoked = True

    signs_body = True

    def tell(self) -> None:
        raise NotImplementedError(
            "AcmeShop.tell in tests/test_channel.py: "
            "have the sandbox send webhooks from now on; without webhooks, remove `tell` and `told`"
        )

    def told(self) -> Sequence[Delivery]:
        raise NotImplementedError(
            "AcmeShop.told in tests/test_channel.py: "
            "the webhooks that the sandbox has sent since `tell`, with their headers in lower case"
        )


class TestAcmeChannel(ChannelKit):
    """`pytest` runs every case that a channel of this kind has to pass.

    It lists what it could not show. Once that is only what the vendor does not have, name it in a tuple `not_shown`.
    """

    @contextmanager
    def sandbox(self) -> Iterator[AcmeShop]:
        clock = VirtualClock()
        app = create_app(Options(), clock)
        with serve(app) as url:
            yield AcmeShop(app.state.vendor, clock, url)
