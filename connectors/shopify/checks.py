"""What `doctor` tries at a shop."""

from __future__ import annotations

from connectors.checks import clocks
from connectors.contract import Check
from connectors.errors import ConnectorError
from connectors.http import Http
from connectors.shopify.access import READ_ALL_ORDERS, READ_ORDERS, Access
from connectors.shopify.graphql import GraphQL
from connectors.shopify.settings import ShopifySettings
from connectors.shopify.subscriptions import Subscriptions


def checks(
    settings: ShopifySettings, graphql: GraphQL, http: Http, access: Access, subscriptions: Subscriptions
) -> list[Check]:
    """One entry per thing tried. When the shop cannot be asked at all, what depends on asking it is left out."""
    found = [_signing(settings), _exclusions(settings)]
    try:
        scopes = access.scopes()
    except ConnectorError as error:
        return [Check("access", False, str(error), "check shop, credentials and that the app is installed"), *found]
    found = [
        Check("access", True, f"{settings.shop} accepts the credentials"),
        _scopes(scopes),
        _history(scopes),
        _version(graphql),
        clocks(http.clock_skew_seconds, "the shop"),
        *found,
    ]
    try:
        found.append(_webhooks(settings, subscriptions))
    except ConnectorError as error:
        found.append(Check("webhooks", False, str(error), "without them sales are found by polling only"))
    return found


def _scopes(scopes: frozenset[str]) -> Check:
    # The vendor grants reading along with writing, and then names the scope for writing only.
    if scopes & {READ_ORDERS, READ_ALL_ORDERS, "write_orders"}:
        return Check("scope read_orders", True, "granted")
    return Check("scope read_orders", False, "not granted", "give the app the scope read_orders and install it again")


def _history(scopes: frozenset[str]) -> Check:
    if READ_ALL_ORDERS in scopes:
        return Check("scope read_all_orders", True, "granted")
    detail = (
        "warning: not granted. The shop shows orders of the last 60 days only: later returns of older orders are not "
        "seen, and a deleted order cannot be told from an old one. The vendor grants it on request"
    )
    return Check("scope read_all_orders", True, detail)


def _version(graphql: GraphQL) -> Check:
    if graphql.served_version in (None, graphql.api_version):
        return Check("API version", True, graphql.api_version)
    return Check(
        "API version",
        False,
        f"asked for {graphql.api_version}, answered by {graphql.served_version}: ours is not supported any more",
        "set api_version to a supported one after reading the vendor's release notes",
    )


def _webhooks(settings: ShopifySettings, subscriptions: Subscriptions) -> Check:
    there = subscriptions.topics_anywhere()
    missing = [topic for topic in settings.include_topics if topic not in there]
    if not missing:
        return Check("webhooks", True, f"{len(there)} topics are registered")
    detail = f"not registered: {', '.join(missing)}"
    return Check("webhooks", False, detail, "register them; without them sales are found by polling only")


def _signing(settings: ShopifySettings) -> Check:
    if settings.signing_secrets:
        return Check("webhook secret", True, "set")
    detail = "neither webhook_secrets nor client_secret is set: every delivery is refused"
    return Check("webhook secret", False, detail, "set webhook_secrets to the app's client secret")


def _exclusions(settings: ShopifySettings) -> Check:
    rules = [
        f"{what} {', '.join(words)}"
        for what, words in (
            ("sources", settings.exclude_sources),
            ("apps", settings.exclude_apps),
            ("tags", settings.exclude_tags),
        )
        if words
    ]
    if rules:
        return Check("exclusion rules", True, f"orders do not count when of {'; '.join(rules)}")
    detail = (
        "none. If orders of the marketplace are mirrored into this shop for fulfilment, exclude them by source, app or "
        "tag: their units are reserved on the marketplace already and would be taken twice"
    )
    return Check("exclusion rules", True, detail)
