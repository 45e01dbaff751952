"""The store's integrations for one address: are they there, are they as they must be, register them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import Struct

from connectors.contract import Subscription
from connectors.elasticpath.client import PAGE, Client
from connectors.elasticpath.settings import ElasticPathChannelSettings
from connectors.errors import Rejected, Unreadable

EVENTS = ("order.updated", "order.authorized", "order.paid", "order.cancelled", "order.refunded")
"""Five, which is all that one integration may observe. A new order commits nothing before it is paid."""

MISSING = "not registered"
DISABLED = "disabled"
OTHER_SECRET = "sends another secret than this channel's first"  # noqa: S105  # nosec B105  # what is wrong
_NAME = "trueup"


class _Configuration(Struct, frozen=True):
    url: str = ""
    secret_key: str | None = None
    """None where the list does not show it, which it does in some versions only."""


class _Integration(Struct, frozen=True):
    id: str
    observes: list[str]
    enabled: bool = False
    integration_type: str = "webhook"
    configuration: _Configuration = _Configuration()


class Subscriptions:
    """The integrations of a store, whoever made them."""

    def __init__(self, client: Client, settings: ElasticPathChannelSettings) -> None:
        self._client = client
        secrets = settings.webhook_secrets
        self._secret = secrets[0].get_secret_value() if secrets else None

    def at(self, address: str) -> list[Subscription]:
        """One entry per event; see `Hooks.subscriptions`."""
        own = [each for each in self._integrations() if each.configuration.url == address]
        return [Subscription(event, address, self._problem(event, own)) for event in EVENTS]

    def register(self, address: str) -> list[Subscription]:
        """Make the integration, or set right the one there is; see `Hooks.subscribe`.

        Where the list does not show the secret it is set again: whether it is the right one cannot be told.
        """
        if self._secret is None:
            message = "webhook_secrets is not set: a delivery without a secret would be refused, so none is registered"
            raise Rejected(message, code="webhook_secrets")
        own = [each for each in self._integrations() if each.configuration.url == address]
        body = {
            "data": {
                "type": "integration",
                "name": _NAME,
                "description": "Tells trueup which orders to look at.",
                "enabled": True,
                "observes": list(EVENTS),
                "integration_type": "webhook",
                "configuration": {"url": address, "secret_key": self._secret},
            }
        }
        refusal = ""
        try:
            if not own:
                self._client.write("POST", "v2/integrations", body, what="registering an integration")
            elif own[0].configuration.secret_key is None or any(self._problem(event, own) for event in EVENTS):
                path = f"v2/integrations/{own[0].id}"
                self._client.write("PUT", path, body, what="setting an integration right")
        except Rejected as error:
            refusal = f": {error.message}"
        return [
            Subscription(each.topic, each.address, each.problem and each.problem + refusal) for each in self.at(address)
        ]

    def missing_anywhere(self) -> list[str]:
        """The events that no sound integration sends us, at whatever address."""
        there = [each for each in self._integrations() if self._secret in (each.configuration.secret_key, None)]
        return [event for event in EVENTS if self._problem(event, there)]

    def _problem(self, event: str, own: Sequence[_Integration]) -> str:
        problems = [self._defect(each) for each in own if event in each.observes and each.integration_type == "webhook"]
        return "" if "" in problems else (problems or [MISSING])[0]

    def _defect(self, integration: _Integration) -> str:
        if not integration.enabled:
            return DISABLED
        shown = integration.configuration.secret_key
        return OTHER_SECRET if shown is not None and shown != self._secret else ""

    def _integrations(self) -> list[_Integration]:
        found: dict[str, _Integration] = {}
        offset = 0
        while True:
            params = {"page[limit]": PAGE, "page[offset]": offset}
            answer = self._client.get("v2/integrations", params, what="reading the integrations")
            page = _page(answer)
            known = len(found)
            found |= {each.id: each for each in page}
            if len(page) < PAGE or len(found) == known:
                return list(found.values())
            offset += PAGE


def _page(answer: Any) -> list[_Integration]:
    try:
        return msgspec.convert(answer, _Page).data
    except (ValueError, RecursionError) as error:
        # The reason is left out: it might show a secret.
        raise Unreadable("the list of integrations does not have its documented shape") from error


class _Page(Struct, frozen=True):
    data: list[_Integration]
