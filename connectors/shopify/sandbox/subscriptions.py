"""Webhook subscriptions made through the API (Admin API, `webhookSubscriptionCreate`)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from urllib.parse import urlsplit

from connectors.clock import Clock

_FIRST_ID = 1_330_000_000_000
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


@dataclass(slots=True, eq=False)
class Subscription:
    """One registration."""

    subscription_id: int
    application: str
    topic: str
    """As in the header, e.g. `orders/create`."""
    uri: str
    encoding: str
    """`JSON` or `XML`; bodies here are JSON."""
    condition: str | None
    """The filter it was registered with; kept, and not applied."""
    include_fields: tuple[str, ...]
    name: str | None
    api_version: str
    """That of the request which made it; payloads name it."""
    created_at: int
    failures_in_a_row: int = 0


class SubscriptionRefusedError(Exception):
    """A registration the vendor does not take. The message is what its user error says."""


class Subscriptions:
    """All registrations on the shop, in order of their ids. Used from the event loop only."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._ids = count(_FIRST_ID + 1)
        self._by_id: dict[int, Subscription] = {}

    def add(
        self,
        application: str,
        topic: str,
        uri: str,
        *,
        api_version: str,
        encoding: str = "JSON",
        condition: str | None = None,
        include_fields: Sequence[str] = (),
        name: str | None = None,
    ) -> Subscription:
        """Raises `SubscriptionRefusedError`: the address is none, or is taken for the same topic, format and filter.

        Plain http is taken for addresses on this machine, where no certificate can be had.
        """
        if not _is_address(uri):
            message = "Address is invalid"
            raise SubscriptionRefusedError(message)
        wanted = application, topic, uri, encoding, condition
        for known in self._by_id.values():
            if (known.application, known.topic, known.uri, known.encoding, known.condition) == wanted:
                message = "Address for this topic has already been taken"
                raise SubscriptionRefusedError(message)
        subscription = Subscription(
            subscription_id=next(self._ids),
            application=application,
            topic=topic,
            uri=uri,
            encoding=encoding,
            condition=condition,
            include_fields=tuple(include_fields),
            name=name,
            api_version=api_version,
            created_at=int(self._clock.now().timestamp()),
        )
        self._by_id[subscription.subscription_id] = subscription
        return subscription

    def of(self, application: str) -> list[Subscription]:
        """One application's registrations; no application sees another's."""
        return [subscription for subscription in self._by_id.values() if subscription.application == application]

    def to(self, topic: str) -> list[Subscription]:
        """Everybody who wants to know of `topic`."""
        return [subscription for subscription in self._by_id.values() if subscription.topic == topic]

    def get(self, application: str, subscription_id: int) -> Subscription | None:
        """One of an application's registrations; None when it has no such one."""
        subscription = self._by_id.get(subscription_id)
        return subscription if subscription and subscription.application == application else None

    def delete(self, subscription: Subscription) -> bool:
        """End a registration; whether there still was one. What is under way goes on as it began."""
        return self._by_id.pop(subscription.subscription_id, None) is not None


def _is_address(uri: str) -> bool:
    try:
        address = urlsplit(uri)
    except ValueError:
        return False
    local = address.scheme == "http" and address.hostname in _LOOPBACK
    return bool(address.hostname) and (address.scheme == "https" or local)
