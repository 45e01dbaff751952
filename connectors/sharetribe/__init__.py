"""Sharetribe: a marketplace reached through its Integration API, and its sandbox."""

from __future__ import annotations

from connectors.registry import Connector
from connectors.sharetribe.marketplace import SharetribeMarketplace
from connectors.sharetribe.settings import SharetribeMarketplaceSettings

__all__ = ["CONNECTOR", "SharetribeMarketplace", "SharetribeMarketplaceSettings"]

CONNECTOR = Connector(
    name="sharetribe",
    marketplace_settings=SharetribeMarketplaceSettings,
    open_marketplace=SharetribeMarketplace,
    sandbox="connectors.sharetribe.sandbox",
)
