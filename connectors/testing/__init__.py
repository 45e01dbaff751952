"""The kit: one declaration in a connector's test module runs the whole contract against it. A pytest plugin.

    from collections.abc import Iterator
    from contextlib import contextmanager

    from connectors.testing import ChannelKit, Sold, VirtualClock

    class AcmeSandbox:                          # what people do in Acme, and what is true there
        page_size = 20
        missing_order = "0"

        def __init__(self, clock: VirtualClock, url: str) -> None:
            self.clock = clock                  # the sandbox's own time; the kit moves it
            ...

        def open(self, toolbox: Toolbox) -> Channel:
            return AcmeChannel("acme", AcmeSettings(base_url=self.url, ...), toolbox)

        def place(self, *lines: Sold) -> str: ...                       # one new order; its id
        def committed(self, order_id: str) -> Mapping[str, int]: ...    # units by SKU, as the vendor itself counts
        def cancel(self, order_id: str) -> None: ...                    # optional, as all that follow

    class TestAcme(ChannelKit):
        @contextmanager
        def sandbox(self) -> Iterator[AcmeSandbox]:
            clock = VirtualClock()
            with serve(create_app(clock)) as url:
                yield AcmeSandbox(clock, url)

That is all: `pytest` then runs `TestAcme::test_a_page_read_again_is_the_same` and all the others. For a marketplace it
is `class TestAcmeStock(MarketplaceKit)` over a `MarketplaceSandbox`. A vendor with several ways to be set up has one
class for each. The distribution's extra `testing` brings what the kit needs.

**What you write** is `ChannelSandbox` or `MarketplaceSandbox` (see `connectors.testing.sandboxes`): a handful of
methods. Everything else is optional and is declared by being there, as the abilities of a connector are: a sandbox with
a method `cancel` fulfils `CanCancel`. A sandbox is a server of yours on loopback, or an `httpx.MockTransport` in this
very process: then say so in an attribute `transport`.

**What goes wrong on the wire, the kit does by itself**: it opens the connector with a `toolbox.transport` of its own
that loses answers, throttles, delays, executes late, cuts bodies short, leaves out fields and swaps numbers on their
way between connector and sandbox. A connector that calls out by `connectors.http.Http(toolbox, ...)` needs nothing for
it. Which request is the stock write, it finds out by looking at the total before and after each.

**Which cases run** follows from the protocols of `connectors.contract` that the connector implements (`Polled`,
`Askable`, `Hooks`, `Ledger`, `Feed`, `Closable`, `Sales`, ...) and from what its `guard` and `evidence` say. A case
that cannot be shown, because the connector has no such ability or the sandbox no such method, is no failure; it is
listed under "not shown" at the end of the run, with what is missing. To hold a connector to what it has shown once,
name in the class what is known to be missing (a protocol or a case); then any other case that is not shown fails:

    class TestAcme(ChannelKit):
        not_shown = ("Hooks", "CanDelete", "test_an_order_of_several_lines_is_whole")

**What a failure says**: which promise of the contract is broken, what was seen, and what to mend.

docs/connectors/kit.md tells what each case shows.
"""

from connectors.sandbox.clock import VirtualClock
from connectors.testing.kits import ChannelKit, MarketplaceKit
from connectors.testing.sandboxes import (
    CanBeCarried,
    CanBuy,
    CanCancel,
    CanDelete,
    CanDistract,
    CanEdit,
    CanEditTotal,
    CanExpire,
    CanGiveBack,
    CanHideChanges,
    CanLag,
    CanLeaveOut,
    CanNameEnumerations,
    CanOfferUndefined,
    CanOfferUnlimited,
    CanRemove,
    CanRevoke,
    CanSign,
    CanTell,
    CanTellSale,
    CanTouch,
    ChannelSandbox,
    Delivery,
    MarketplaceSandbox,
    Sold,
)
from connectors.testing.verdict import ContractBroken, NotShown

__all__ = [
    "CanBeCarried",
    "CanBuy",
    "CanCancel",
    "CanDelete",
    "CanDistract",
    "CanEdit",
    "CanEditTotal",
    "CanExpire",
    "CanGiveBack",
    "CanHideChanges",
    "CanLag",
    "CanLeaveOut",
    "CanNameEnumerations",
    "CanOfferUndefined",
    "CanOfferUnlimited",
    "CanRemove",
    "CanRevoke",
    "CanSign",
    "CanTell",
    "CanTellSale",
    "CanTouch",
    "ChannelKit",
    "ChannelSandbox",
    "ContractBroken",
    "Delivery",
    "MarketplaceKit",
    "MarketplaceSandbox",
    "NotShown",
    "Sold",
    "VirtualClock",
]
