"""What a case works at: the connector, the wire to its sandbox, and ways to ask that tell what is wrong."""

from __future__ import annotations

import random
from typing import Any, Generic, TypeVar

import httpx

from connectors.budget import LocalBudgets
from connectors.clock import Clock
from connectors.contract import Marketplace
from connectors.http import Timeouts, Toolbox
from connectors.testing.sandboxes import CanBeCarried, ChannelSandbox, MarketplaceSandbox
from connectors.testing.verdict import NotShown
from connectors.testing.wire import Wire
from connectors.transport import MAX_CONNECTIONS

MAX_PAGES = 500
"""No case has as many; who needs more goes in circles."""

S = TypeVar("S", bound=ChannelSandbox | MarketplaceSandbox)
A = TypeVar("A")


class Bench(Generic[S]):
    """One sandbox, the wire to it, and the connectors opened on it."""

    def __init__(self, sandbox: S) -> None:
        self.sandbox = sandbox
        self.clock = sandbox.clock
        self.wire = Wire(_way_to(sandbox))
        self._budgets = LocalBudgets(self.clock)
        self._opened: list[Any] = []

    def toolbox(self, *, clock: Clock | None = None, timeouts: Timeouts | None = None) -> Toolbox:
        """What the worker would hand the connector, but for the wire."""
        return Toolbox(
            clock or self.clock,
            self._budgets,
            random.Random(1),  # noqa: S311  # jitter that can be repeated
            transport=self.wire,
            timeouts=timeouts or Timeouts(),
        )

    def can(self, ability: type[A], what: str) -> A:
        """The sandbox, as one that can do this; the case is not shown otherwise."""
        if not isinstance(self.sandbox, ability):
            reason = f"the sandbox has no {what}: see {ability.__name__} in connectors.testing"
            raise NotShown(reason, lacks=ability.__name__)
        return self.sandbox

    def opened(self, connector: object) -> None:
        """Remember what has to be closed."""
        self._opened.append(connector)

    def close(self) -> None:
        """Close every connector that was opened, and the wire."""
        for opened in self._opened:
            for end in ("close", "disconnect"):
                # A marketplace's `close` takes a listing off sale; what closes it is `disconnect`.
                if end == "close" and isinstance(opened, Marketplace):
                    continue
                getattr(opened, end, lambda: None)()
        self.wire.close()


def _way_to(sandbox: object) -> httpx.BaseTransport:
    if isinstance(sandbox, CanBeCarried):
        return sandbox.transport
    return httpx.HTTPTransport(trust_env=False, limits=httpx.Limits(max_connections=MAX_CONNECTIONS))
