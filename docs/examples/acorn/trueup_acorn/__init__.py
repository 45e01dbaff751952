"""Acorn Tills: the tills and web shop of one business as a channel of trueup.

Read `settings` for what is configured, `orders` for what an order commits, `hooks` for what a webhook is believed, and
`channel` for how orders are read. The sandbox beside them is no part of it: the two agree through the protocol alone.
"""

from __future__ import annotations

from connectors.registry import Connector

from trueup_acorn.channel import AcornChannel
from trueup_acorn.settings import AcornSettings

CONNECTOR = Connector(
    name="acorn",
    contract=1,
    channel_settings=AcornSettings,
    open_channel=AcornChannel,
    sandbox="trueup_acorn.sandbox",
)

__all__ = ["CONNECTOR", "AcornChannel", "AcornSettings"]
