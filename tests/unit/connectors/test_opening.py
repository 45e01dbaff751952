from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest
import structlog
from pydantic import BaseModel

from connectors import registry
from connectors.budget import LocalBudgets
from connectors.http import Toolbox
from connectors.opening import open_channel, open_marketplace
from connectors.registry import BrokenConnectorError, Connector
from connectors.sandbox.clock import VirtualClock


class Settings(BaseModel):
    """Nothing can be set."""


SETTINGS = Settings()
CLOCK = VirtualClock()
TOOLS = Toolbox(clock=CLOCK, budgets=LocalBudgets(CLOCK), random=random.Random(1))
SECRET = "canary-7f3a9c"

Offer = Callable[[object], None]


class Plain:
    """The least of a channel."""

    def check(self) -> tuple[()]:
        return ()


class Polled(Plain):
    def orders(self, cursor: str) -> Any: ...

    def cursor_at(self, moment: Any) -> str:
        return ""


class Shelf(Plain):
    """The least of a marketplace."""

    guard = evidence = unlimited_from = None

    def listing(self, listing_id: str) -> Any: ...

    def adjust(self, listing_id: str, *, seen: int, delta: int) -> Any: ...

    def listings(self) -> Any: ...


def refuse(*_: Any) -> Any:
    raise ValueError(f"cannot use {SECRET}")


@pytest.fixture
def offer(monkeypatch: pytest.MonkeyPatch) -> Offer:
    """Installs a connector `acme` that opens what it is given, in both roles."""

    def install(opened: Any) -> None:
        give = opened if callable(opened) else lambda *_: opened
        connector = Connector(
            "acme",
            channel_settings=Settings,
            open_channel=give,
            marketplace_settings=Settings,
            open_marketplace=give,
        )
        monkeypatch.setattr(registry, "_load", lambda _place: connector)

    monkeypatch.setitem(registry.BUILT_IN, "acme", "acme:CONNECTOR")
    return install


@pytest.mark.parametrize("channel", [Plain(), Polled()])
def test_a_channel_of_whole_abilities_is_opened(offer: Offer, channel: Plain) -> None:
    offer(channel)
    assert open_channel("acme", "corner", SETTINGS, TOOLS) is channel


def test_a_marketplace_of_whole_abilities_is_opened(offer: Offer) -> None:
    shelf: Any = Shelf()
    offer(shelf)
    assert open_marketplace("acme", SETTINGS, TOOLS) is shelf


@pytest.mark.parametrize(
    ("lost", "said"),
    [
        ("cursor_at", "has no cursor_at, which belongs to Polled of connectors.contract"),
        ("check", "has no check, which belongs to Channel of connectors.contract"),
    ],
)
def test_half_an_ability_of_a_channel_is_told(
    offer: Offer, monkeypatch: pytest.MonkeyPatch, lost: str, said: str
) -> None:
    monkeypatch.delattr(Polled if lost in vars(Polled) else Plain, lost)
    offer(Polled())
    with pytest.raises(BrokenConnectorError) as refused:
        open_channel("acme", "corner", SETTINGS, TOOLS)
    assert str(refused.value) == f"the connector 'acme' (acme:CONNECTOR) opens a channel that {said}"


def test_half_an_ability_of_a_marketplace_is_told(offer: Offer, monkeypatch: pytest.MonkeyPatch) -> None:
    """The usual mistake: connections are ended in `disconnect`, `close` closes a listing."""
    monkeypatch.setattr(Shelf, "close", lambda self: None, raising=False)
    offer(Shelf())
    with pytest.raises(BrokenConnectorError, match="has no open, which belongs to Closable"):
        open_marketplace("acme", SETTINGS, TOOLS)


def test_something_else_is_told(offer: Offer) -> None:
    offer(None)
    with pytest.raises(BrokenConnectorError, match="opens a channel that has no check"):
        open_channel("acme", "corner", SETTINGS, TOOLS)
    with pytest.raises(BrokenConnectorError, match="opens a marketplace that has no "):
        open_marketplace("acme", SETTINGS, TOOLS)


def test_an_error_while_opening_is_told_without_what_it_says(offer: Offer) -> None:
    offer(refuse)
    with structlog.testing.capture_logs() as logs, pytest.raises(BrokenConnectorError) as refused:
        open_channel("acme", "corner", SETTINGS, TOOLS)
    assert "cannot open a channel: ValueError, whose traceback is in the log" in str(refused.value)
    assert SECRET not in str(refused.value)
    assert [entry["event"] for entry in logs] == ["connector_not_opened"]
