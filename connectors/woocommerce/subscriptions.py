"""The shop's webhooks for one address: are they there, are they on; register what is missing, turn on what went off.

A delivery that fails is not sent again, and after a few failures in a row the shop turns the webhook off for good. So
after every outage of ours longer than a few orders it is off, and stays off until somebody turns it on: this does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import structlog

from connectors.contract import Subscription
from connectors.errors import Rejected, Unauthorized, Unreadable
from connectors.text import legible
from connectors.woocommerce.client import Client
from connectors.woocommerce.orders import shaped
from connectors.woocommerce.settings import Topic, WooCommerceSettings
from connectors.woocommerce.shapes import WebhookRow

log = structlog.get_logger()

MISSING = "not registered"
TURNED_OFF = "turned off by the shop after deliveries had failed"
PAUSED = "paused by somebody in the shop; set it active there"
PAGE = 100
MAX_PAGES = 20


class Subscriptions:
    """The shop's webhooks, whoever made them."""

    def __init__(self, client: Client, settings: WooCommerceSettings, *, account: str) -> None:
        self._client = client
        self._account = account
        self._topics = settings.include_topics
        self._secret = settings.webhook_secrets[0] if settings.webhook_secrets else None

    def at(self, address: str) -> list[Subscription]:
        """One entry per wanted topic, in order; see `Hooks.subscriptions`."""
        try:
            there = self._webhooks()
        except Unauthorized as error:
            # The key may do to read orders; then sales are found by polling, and this must not stop it.
            problem = f"the shop does not let this key see webhooks ({error.code or 'no reason given'})"
            return [Subscription(topic, address, problem) for topic in self._topics]
        return [Subscription(topic, address, _problem(_of(topic, address, there))) for topic in self._topics]

    def register(self, address: str) -> list[Subscription]:
        """Register what is missing, turn on what the shop turned off; see `Hooks.subscribe`.

        What somebody paused stays so. A topic that the shop refuses does not keep the others from being registered: its
        `problem` tells why.
        """
        try:
            there = self._webhooks()
        except Unauthorized:
            return self.at(address)
        refusals: dict[Topic, str] = {}
        for topic in self._topics:
            own = _of(topic, address, there)
            problem = _problem(own)
            if problem == MISSING:
                refusals[topic] = self._create(topic, address)
            elif problem == TURNED_OFF:
                refusals[topic] = self._turn_on(next(one for one in own if one.status == "disabled"))
        if not refusals:
            return [Subscription(topic, address, _problem(_of(topic, address, there))) for topic in self._topics]
        return [
            Subscription(found.topic, found.address, _worded(found.problem, refusals.get(topic)))
            for topic, found in zip(self._topics, self.at(address), strict=True)
        ]

    def problems_anywhere(self) -> dict[str, str]:
        """Wanted topic -> what is wrong with its webhooks, at whatever address. Empty when every topic has a sound one.

        Raises what a read raises.
        """
        there = self._webhooks()
        found = {topic: _problem([one for one in there if one.topic == topic]) for topic in self._topics}
        return {topic: problem for topic, problem in found.items() if problem}

    def _create(self, topic: Topic, address: str) -> str:
        """Register one topic. Returns why it was refused, or an empty text."""
        wanted = {"name": f"trueup {topic}", "topic": topic, "delivery_url": address, "status": "active"}
        return self._tell("POST", "webhooks", wanted)

    def _turn_on(self, webhook: WebhookRow) -> str:
        # Its secret cannot be seen. A wrong one makes deliveries fail, so the right one is set along.
        refusal = self._tell("PUT", f"webhooks/{webhook.id}", {"status": "active"})
        if not refusal:
            log.warning("webhook_turned_on_again", account=self._account, topic=webhook.topic, webhook=webhook.id)
        return refusal

    def _tell(self, method: str, path: str, wanted: Mapping[str, Any]) -> str:
        if self._secret is None:
            return "webhook_secrets is not set, and without a secret of ours no delivery could be verified"
        try:
            self._client.tell(method, path, {**wanted, "secret": self._secret.get_secret_value()})
        except (Rejected, Unauthorized) as error:
            return f"the shop refused it: {error.message}"
        return ""

    def _webhooks(self) -> list[WebhookRow]:
        found: list[WebhookRow] = []
        for number in range(1, MAX_PAGES + 1):
            # By id, so that one made meanwhile moves none to another page.
            params = {"per_page": PAGE, "page": number, "orderby": "id", "order": "asc"}
            value = self._client.get("webhooks", params).value
            found += shaped(value, list[WebhookRow], "the list of webhooks")
            if len(value) < PAGE:
                return found
        raise Unreadable(f"the shop lists more than {MAX_PAGES * PAGE} webhooks")


def _of(topic: Topic, address: str, webhooks: Sequence[WebhookRow]) -> list[WebhookRow]:
    return [one for one in webhooks if one.topic == topic and one.delivery_url == address]


def _problem(webhooks: Sequence[WebhookRow]) -> str:
    """What is wrong with all of these, which are of one topic; empty if one of them is on."""
    statuses = {one.status for one in webhooks}
    if not statuses:
        return MISSING
    if "active" in statuses:
        return ""
    if "disabled" in statuses:
        return TURNED_OFF
    if "paused" in statuses:
        return PAUSED
    return legible(f"is {min(statuses)[:40]}, which this connector does not know")


def _worded(problem: str, refusal: str | None) -> str:
    return f"{problem}: {refusal}" if problem and refusal else problem
