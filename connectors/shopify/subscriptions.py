"""The shop's webhook registrations for one address: are they there, are they as they must be, register them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from connectors.answers import masked
from connectors.contract import Subscription
from connectors.errors import Rejected, Unreadable
from connectors.shopify import documents
from connectors.shopify.graphql import GraphQL
from connectors.shopify.orders import shaped
from connectors.shopify.settings import Topic
from connectors.shopify.shapes import PageInfo
from connectors.shopify.whole import next_page
from connectors.text import legible

_ORDER_FIELDS = (
    "id",
    "admin_graphql_api_id",
    "created_at",
    # Without a field that changes every time, the vendor drops a delivery that equals the one before ("Modify your
    # payloads").
    "updated_at",
    "cancelled_at",
    "fulfillment_status",
    "test",
    "source_name",
    "app_id",
    "tags",
    "line_items.id",
    "line_items.variant_id",
    "line_items.sku",
    "line_items.quantity",
    "line_items.current_quantity",
    # Whole, although only a part of it is used: an order without refunds must still say so with an empty list.
    "refunds",
)

FIELDS: Mapping[Topic, Sequence[str]] = {
    "orders/create": _ORDER_FIELDS,
    "orders/updated": _ORDER_FIELDS,
    "orders/cancelled": _ORDER_FIELDS,
    # The others have bodies of their own, of which only the order's number is used. These two bring nothing personal,
    # and no field of theirs is documented to change every time, so they are taken as they come.
    "orders/edited": (),
    "orders/delete": (),
    "refunds/create": ("id", "order_id", "created_at"),
    "app/uninstalled": ("id", "updated_at"),
}
"""The fields each topic is registered with (`includeFields`); none means all."""

MISSING = "not registered"


class _Registration(msgspec.Struct, rename="camel", frozen=True):
    id: str
    topic: str
    uri: str
    format: str
    filter: str | None
    include_fields: list[str] | None


class _UserError(msgspec.Struct, frozen=True):
    message: str


class _Outcome(msgspec.Struct, rename="camel", frozen=True):
    user_errors: list[_UserError]


class Subscriptions:
    """The registrations this app made through the API. Those in the app's configuration file are not listed here."""

    def __init__(self, graphql: GraphQL, topics: Sequence[Topic]) -> None:
        self._graphql = graphql
        self._topics = topics

    def at(self, address: str) -> list[Subscription]:
        """One entry per wanted topic, in order; see `Hooks.subscriptions`."""
        there = self._registrations()
        return [Subscription(topic, address, _problem(topic, _of(topic, address, there))) for topic in self._topics]

    def register(self, address: str) -> list[Subscription]:
        """Register what is missing, replace what is broken; see `Hooks.subscribe`.

        A topic that the shop refuses does not keep the others from being registered: its `problem` tells why.
        """
        there = self._registrations()
        refusals: dict[Topic, str] = {}
        for topic in self._topics:
            own = _of(topic, address, there)
            if not _problem(topic, own):
                continue
            for registration in own:
                # The vendor allows one registration per topic, address, format and filter, so the broken one has to go.
                self._tell(documents.UNSUBSCRIBE, "webhookSubscriptionDelete", {"id": registration.id})
            refusal = self._create(topic, address)
            if refusal:
                refusals[topic] = refusal
        return [
            Subscription(found.topic, found.address, _worded(found.problem, refusals.get(topic)))
            for topic, found in zip(self._topics, self.at(address), strict=True)
        ]

    def topics_anywhere(self) -> frozenset[str]:
        """The wanted topics that are registered and sound, at whatever address."""
        there = self._registrations()
        return frozenset(
            topic
            for topic in self._topics
            if any(not _problem(topic, [one]) for one in there if one.topic == _enum(topic))
        )

    def _create(self, topic: Topic, address: str) -> str:
        """Register one topic. Returns why it was refused, or an empty text."""
        subscription: dict[str, Any] = {"uri": address, "format": "JSON"}
        if FIELDS[topic]:
            subscription["includeFields"] = list(FIELDS[topic])
        variables = {"topic": _enum(topic), "subscription": subscription}
        try:
            errors = self._tell(documents.SUBSCRIBE, "webhookSubscriptionCreate", variables)
        except Rejected as error:
            return error.message
        return "; ".join(errors)

    def _tell(self, document: documents.Document, field: str, variables: Mapping[str, Any]) -> list[str]:
        answer = self._graphql.tell(document, variables)
        outcome = shaped(answer.get(field), _Outcome, f"the answer to {document.name}")
        return [legible(masked(" ".join(error.message.split())[:200], None)) for error in outcome.user_errors]

    def _registrations(self) -> list[_Registration]:
        registrations: list[_Registration] = []
        after = None
        while True:
            variables = {"first": documents.MAX_PAGE, "after": after}
            page = self._graphql.ask(documents.SUBSCRIPTIONS, variables).data.get("webhookSubscriptions")
            if not isinstance(page, dict):
                raise Unreadable("the list of webhook registrations does not have its documented shape")
            registrations += shaped(page.get("nodes"), list[_Registration], "the list of webhook registrations")
            after = next_page(shaped(page.get("pageInfo"), PageInfo, "the list of webhook registrations"), after)
            if after is None:
                return registrations


def _enum(topic: str) -> str:
    """`orders/create` as the API's enumeration spells it, `ORDERS_CREATE`."""
    return topic.replace("/", "_").upper()


def _of(topic: Topic, address: str, registrations: Sequence[_Registration]) -> list[_Registration]:
    return [one for one in registrations if one.topic == _enum(topic) and one.uri == address]


def _problem(topic: Topic, registrations: Sequence[_Registration]) -> str:
    """What is wrong with all of these, which are of one topic and address; empty if one of them is sound."""
    problems = [_defect(topic, registration) for registration in registrations] or [MISSING]
    return "" if "" in problems else problems[0]


def _defect(topic: Topic, registration: _Registration) -> str:
    if registration.format != "JSON":
        return legible(f"sends {registration.format[:40]} instead of JSON")
    if registration.filter:
        return "has a filter, so that some deliveries do not come"
    sent = set(registration.include_fields or ())
    lacking = [field for field in FIELDS[topic] if sent and not {field, field.split(".")[0]} & sent]
    return f"does not send {', '.join(lacking)}" if lacking else ""


def _worded(problem: str, refusal: str | None) -> str:
    return f"{problem}: the shop refused it: {refusal}" if problem and refusal else problem
