"""One Acme account as a channel: where sales happen.

An ability is declared by having its methods. Remove those of what the vendor does not offer, all of them together.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

from connectors.contract import Check, Gone, Notice, Order, OrderPage, OrderRef, Receipt, Subscription, UnreadableOrder
from connectors.http import Toolbox

from trueup_acme.client import Client
from trueup_acme.settings import AcmeSettings


class AcmeChannel:
    """Implements `Polled`, `Askable` and `Hooks`. Opening calls nobody; `close` it when done."""

    refusal_status = 401
    """What a delivery with a bad signature is answered; another one if the webhook would be turned off for it."""

    def __init__(self, name: str, settings: AcmeSettings, toolbox: Toolbox) -> None:
        self._name = name
        self._settings = settings
        self._clock = toolbox.clock
        self._client = Client(settings, toolbox, account=name)

    # Polled: changed orders, from a place on ----------------------------------------------------------------------

    def orders(self, cursor: str) -> OrderPage:
        """See `Polled.orders`."""
        raise NotImplementedError(
            "AcmeChannel.orders in trueup_acme/channel.py: "
            "ask Acme for a page of whole orders that changed since the cursor, oldest change first, "
            "up to 3 s before its own present moment; say where to go on"
        )

    def cursor_at(self, moment: datetime) -> str:
        """See `Polled.cursor_at`."""
        raise NotImplementedError(
            "AcmeChannel.cursor_at in trueup_acme/channel.py: "
            "the cursor from which `orders` reads everything that changed at or after a moment"
        )

    # Askable: what an order is now --------------------------------------------------------------------------------

    def recent(self, since: datetime) -> Iterator[Sequence[OrderRef | UnreadableOrder]]:
        """See `Askable.recent`."""
        raise NotImplementedError(
            "AcmeChannel.recent in trueup_acme/channel.py: "
            "ids and revisions of the orders that changed since a moment, as cheaply as Acme can tell "
            "them"
        )

    def order(self, order_id: str) -> Order | Gone:
        """See `Askable.order`."""
        raise NotImplementedError(
            "AcmeChannel.order in trueup_acme/channel.py: "
            "one whole order as it is now, or Gone where Acme itself says that there is no such order"
        )

    # Hooks: what is sent to us ------------------------------------------------------------------------------------

    def receive(self, headers: Mapping[str, str], body: bytes) -> Receipt:
        """See `Hooks.receive`."""
        raise NotImplementedError(
            "AcmeChannel.receive in trueup_acme/channel.py: "
            "verify the signature over the raw body with hmac.compare_digest, raise InvalidSignature "
            "and nothing else, keep only what stock needs"
        )

    def read(self, topic: str, kept: bytes) -> Sequence[Notice]:
        """See `Hooks.read`."""
        raise NotImplementedError(
            "AcmeChannel.read in trueup_acme/channel.py: "
            "what a kept delivery says; an order where it holds a whole one, Look where it only names "
            "one, Ignored for the rest, Unreadable for what is no delivery"
        )

    def subscriptions(self, address: str) -> Sequence[Subscription]:
        """See `Hooks.subscriptions`."""
        raise NotImplementedError(
            "AcmeChannel.subscriptions in trueup_acme/channel.py: "
            "what is registered for an address and what is wrong with it; nothing at all where "
            "webhooks are set up by a person"
        )

    def subscribe(self, address: str) -> Sequence[Subscription]:
        """See `Hooks.subscribe`."""
        raise NotImplementedError(
            "AcmeChannel.subscribe in trueup_acme/channel.py: "
            "register what is missing, once; the same as `subscriptions` where a person does it"
        )

    # Channel and Clocked ------------------------------------------------------------------------------------------

    def check(self) -> Sequence[Check]:
        """See `Channel.check`."""
        raise NotImplementedError(
            "AcmeChannel.check in trueup_acme/channel.py: "
            "try the credentials with the cheapest read, and say what to do about whatever fails; "
            "return it, do not raise it"
        )

    @property
    def clock_skew_seconds(self) -> float | None:
        """See `Clocked`."""
        return self._client.http.clock_skew_seconds

    def close(self) -> None:
        """Close all connections. Idempotent."""
        self._client.http.close()
