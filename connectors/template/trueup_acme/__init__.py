"""Acme for trueup.

Read `settings` for what is configured, `client` for how the vendor is called, and one module for each role. The sandbox
beside them is no part of it: the two agree through the protocol alone.
"""

from __future__ import annotations

from connectors.registry import Connector

from trueup_acme.channel import AcmeChannel  # new: channel
from trueup_acme.marketplace import AcmeMarketplace  # new: marketplace
from trueup_acme.settings import AcmeSettings

CONNECTOR = Connector(
    name="acme",
    contract=1,
    channel_settings=AcmeSettings,  # new: channel
    open_channel=AcmeChannel,  # new: channel
    marketplace_settings=AcmeSettings,  # new: marketplace
    open_marketplace=AcmeMarketplace,  # new: marketplace
    sandbox="trueup_acme.sandbox",
)
