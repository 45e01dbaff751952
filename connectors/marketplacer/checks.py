"""What `doctor` tries at a site, in either role."""

from __future__ import annotations

from connectors.checks import clocks
from connectors.contract import Check
from connectors.errors import ConnectorError, Unauthorized
from connectors.marketplacer.client import Client
from connectors.marketplacer.resources import ShapeError, key_of, mapping
from connectors.marketplacer.settings import MarketplacerChannelSettings, MarketplacerMarketplaceSettings

QUERY = "query ($id: ID!) { node(id: $id) { __typename ... on Invoice { id legacyId } } }"
"""What a webhook must ask for, so that a delivery says which invoice to look at."""


def marketplace_checks(client: Client, settings: MarketplacerMarketplaceSettings) -> list[Check]:
    """One entry per thing tried. When the site cannot be asked at all, what depends on asking it is left out."""
    found = [_access(client, "variants", "reading the variants", settings.base_url)]
    if found[0].ok:
        found += [_identity(client, settings), _own_sales(client), clocks(client.http.clock_skew_seconds, "the site")]
        if settings.inventory == "multi_store" and settings.seller_id is None:
            found.append(_parent(client))
    return found


def channel_checks(client: Client, settings: MarketplacerChannelSettings) -> list[Check]:
    """As above."""
    found = [_access(client, "invoices", "reading the invoices", settings.base_url)]
    if found[0].ok:
        found.append(clocks(client.http.clock_skew_seconds, "the site"))
    return [*found, _webhooks(settings), _refunds(settings)]


def _access(client: Client, path: str, what: str, base_url: str) -> Check:
    try:
        client.page(path, what=what)
    except Unauthorized as error:
        remedy = "set the API key of a seller of this marketplace; behind HTTP basic authentication, its user too"
        return Check("access", ok=False, detail=str(error), remedy=remedy)
    except ConnectorError as error:
        remedy = f"see that {base_url} is the marketplace's own address and can be reached; try again"
        return Check("access", ok=False, detail=str(error), remedy=remedy)
    return Check("access", ok=True, detail="the site accepts the key")


def _identity(client: Client, settings: MarketplacerMarketplaceSettings) -> Check:
    """Whether the first page of variants shows what they are to be known by."""
    name, identity = "identity", settings.identity
    remedy = f"give every variant its own {identity}, or choose another `identity`"
    try:
        listed = client.page("variants", what="reading the variants").elements
        keys = [
            key_of(mapping(mapping(each, "a variant").get("attributes"), "attributes"), identity) for each in listed
        ]
    except (ConnectorError, ShapeError) as error:
        return Check(name, ok=False, detail=str(error), remedy=remedy)
    if not keys:
        return Check(name, ok=True, detail="the key sees no variants yet, so this could not be tried")
    missing = keys.count(None)
    detail = f"of the first {len(keys)} variants {missing} show no {identity}"
    return Check(name, ok=not missing, detail=detail, remedy=remedy if missing else "")


def _parent(client: Client) -> Check:
    """Only a multi-store's parent lists its members."""
    try:
        client.get("multi_store_memberships", what="reading the members of the multi-store")
    except ConnectorError as error:
        remedy = "the parent's key is needed; for a member's key set `seller_id` to its seller's id"
        return Check("multi-store", ok=False, detail=str(error), remedy=remedy)
    return Check("multi-store", ok=True, detail="the key may list its members")


def _own_sales(client: Client) -> Check:
    """Whether the marketplace's own sales are shown, without which an overwritten one cannot be named."""
    try:
        client.page("invoices", what="reading the invoices")
    except ConnectorError as error:
        remedy = "without invoices no sale that a write may have overwritten can be told"
        return Check("own sales", ok=False, detail=str(error), remedy=remedy)
    return Check("own sales", ok=True, detail="readable")


def _webhooks(settings: MarketplacerChannelSettings) -> Check:
    """No API that is documented lists a seller's webhooks, so whether they are there cannot be seen."""
    if not settings.webhook_secrets and not settings.webhook_hmac_keys:
        detail = "neither webhook_secrets nor webhook_hmac_keys is set: every delivery is refused"
        return Check("webhook secret", ok=False, detail=detail, remedy="set one; until then sales are found by polling")
    detail = (
        "note: cannot be seen from here. In the seller portal, one of type INVOICE to this channel's address with the"
        f" header {settings.webhook_header} and the query: {QUERY}"
    )
    return Check("webhooks", ok=True, detail=detail)


def _refunds(settings: MarketplacerChannelSettings) -> Check:
    meaning = {
        "ask": "parked for a person: the vendor does not say whether their units came back",
        "kept": "still committed: their units are gone",
        "returned": "committed no more: their units are for sale again",
    }
    return Check("refunds", ok=True, detail=f"refunded units are {meaning[settings.refunded]}")
