"""A channel whose connector is broken: it stands still and says why, and nothing else is held up by it.

Whoever asks it is told what an operator has to read. A sender is told to come again, so that no vendor turns a webhook
off meanwhile; what has been received before is parked, to be replayed. Once the package is mended and trueup started
again, the channel goes on where it stood.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import NoReturn

from connectors.contract import Check, Gone, Notice, Order, OrderPage, OrderRef, Receipt, Subscription, UnreadableOrder
from connectors.errors import InvalidSignature, Rejected, Unreadable


class SetAside:
    """Implements `Polled`, `Askable` and `Hooks`, whatever the connector can do. Calls nobody."""

    refusal_status = 503

    def __init__(self, name: str, reason: str) -> None:
        self._name = name
        self._reason = reason

    def check(self) -> Sequence[Check]:
        """See `Channel.check`."""
        return [Check("connector", False, self._reason, "repair, update or remove that package, then restart trueup")]

    def orders(self, cursor: str) -> OrderPage:
        """See `Polled.orders`."""
        self._refuse()

    def cursor_at(self, moment: datetime) -> str:
        """See `Polled.cursor_at`. What is never used is never stored."""
        return ""

    def recent(self, since: datetime) -> Iterator[Sequence[OrderRef | UnreadableOrder]]:
        """See `Askable.recent`."""
        self._refuse()

    def order(self, order_id: str) -> Order | Gone:
        """See `Askable.order`."""
        self._refuse()

    def receive(self, headers: Mapping[str, str], body: bytes) -> Receipt:
        """See `Hooks.receive`."""
        raise InvalidSignature(self._reason, account=self._name, code="connector")

    def read(self, topic: str, kept: bytes) -> Sequence[Notice]:
        """See `Hooks.read`."""
        raise Unreadable(self._reason, account=self._name, code="connector")

    def subscriptions(self, address: str) -> Sequence[Subscription]:
        """See `Hooks.subscriptions`."""
        self._refuse()

    def subscribe(self, address: str) -> Sequence[Subscription]:
        """See `Hooks.subscribe`."""
        self._refuse()

    def _refuse(self) -> NoReturn:
        raise Rejected(self._reason, account=self._name, code="connector")
