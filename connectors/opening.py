"""Opening accounts: whatever a connector does then, it is told by its own name and its package's.

What is opened has to be what the contract says. An ability of which only a part is there is refused too: the worker
asks whether an account has it, would be told no, and nobody would ever know why a channel is not polled.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import structlog
from pydantic import BaseModel

from connectors.contract import (
    Askable,
    Channel,
    Closable,
    Feed,
    Hooks,
    Ledger,
    Marketplace,
    OrderFiles,
    Polled,
    Sales,
    Trail,
)
from connectors.http import Toolbox
from connectors.registry import BrokenConnectorError, connector, described

log = structlog.get_logger()

OF_A_CHANNEL: tuple[type, ...] = (Channel, Polled, Askable, OrderFiles, Hooks)
OF_A_MARKETPLACE: tuple[type, ...] = (Marketplace, Ledger, Feed, Closable, Trail, Sales)


def open_channel(of: str, name: str, settings: BaseModel, toolbox: Toolbox) -> Channel:
    """A channel of the connector `of`. Raises `BrokenConnectorError`."""
    with _told(of, "channel"):
        opened: Any = (connector(of).open_channel or _missing)(name, settings, toolbox)
    if problem := _incomplete(opened, OF_A_CHANNEL):
        raise BrokenConnectorError(f"{described(of)} opens a channel that {problem}")
    channel: Channel = opened
    return channel


def open_marketplace(of: str, settings: BaseModel, toolbox: Toolbox) -> Marketplace:
    """The marketplace of the connector `of`. Raises `BrokenConnectorError`."""
    with _told(of, "marketplace"):
        opened: Any = (connector(of).open_marketplace or _missing)(settings, toolbox)
    if problem := _incomplete(opened, OF_A_MARKETPLACE):
        raise BrokenConnectorError(f"{described(of)} opens a marketplace that {problem}")
    marketplace: Marketplace = opened
    return marketplace


@contextmanager
def _told(of: str, role: str) -> Iterator[None]:
    try:
        yield
    except BrokenConnectorError:
        raise
    except Exception as error:
        # Only what kind of error it was: its text is a stranger's, and may hold what it was opened with.
        log.exception("connector_not_opened", connector=of)
        message = f"{described(of)} cannot open a {role}: {type(error).__name__}, whose traceback is in the log"
        raise BrokenConnectorError(message) from error


def _missing(*_: object) -> None:
    """A role that the connector does not offer; the configuration does not let anybody ask for it."""


def _incomplete(opened: object, abilities: Iterable[type]) -> str:
    """What an account lacks of the abilities that it has a part of, and of its role; empty if nothing."""
    for position, ability in enumerate(abilities):
        own = [name for name in {**vars(ability), **ability.__annotations__} if not name.startswith("_")]
        lacks = [name for name in own if not hasattr(opened, name)]
        if lacks and (position == 0 or len(lacks) < len(own)):
            return f"has no {', '.join(lacks)}, which belongs to {ability.__name__} of connectors.contract"
    return ""
