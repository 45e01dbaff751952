"""standard: any system that can send its orders in our own format, be read for them, or leave them in files.

Read `orders` for the format and what an order commits, `signing` and `hooks` for messages, `asked` for a system that
can be read over HTTP, `directory` and `files` for one that leaves files. What a channel can do depends on how it is set
up: each way is a class of its own. The room knows of no vendor's, and nothing of its own sandbox: the two agree through
the protocol alone.
"""

from __future__ import annotations

from connectors.http import Toolbox
from connectors.registry import Connector
from connectors.standard.asked import AskedChannel
from connectors.standard.channel import StandardChannel
from connectors.standard.directory import DirectoryChannel
from connectors.standard.settings import StandardSettings


def open_channel(name: str, settings: StandardSettings, toolbox: Toolbox) -> StandardChannel:
    """The channel that these settings make possible. Calls nobody."""
    if settings.orders_url is not None:
        return AskedChannel(name, settings, toolbox)
    if settings.orders_directory is not None:
        return DirectoryChannel(name, settings, toolbox)
    return StandardChannel(name, settings, toolbox)


CONNECTOR = Connector(
    name="standard",
    channel_settings=StandardSettings,
    open_channel=open_channel,
    sandbox="connectors.standard.sandbox",
)

__all__ = ["CONNECTOR", "AskedChannel", "DirectoryChannel", "StandardChannel", "StandardSettings", "open_channel"]
