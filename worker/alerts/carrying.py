"""What a way to tell somebody offers, whatever it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from worker.alerts.message import StateChange

SEND_SECONDS = 20.0
"""How long one destination may take at a time, further tries included."""


@dataclass(frozen=True, slots=True)
class Carried:
    """How far a sending came."""

    taken: int
    """So many of the changes, from the first on."""
    reason: str | None = None
    """Why no more were taken, without any secret; None when nothing failed."""


class Carrier(Protocol):
    """Sends to one address. Raises nothing, and shows nothing of the address: a failure is a sentence."""

    @property
    def kind(self) -> str:
        """What sort of address it is, in a word."""
        ...

    @property
    def most(self) -> int:
        """How many changes it sends at a time."""
        ...

    def prepare(self) -> None:
        """Load what it needs, in the caller's thread."""
        ...

    def problem(self) -> str | None:
        """Why it cannot work as it is configured; None where nothing is known against it. Sends nothing."""
        ...

    def send(self, changes: Sequence[StateChange], now: datetime) -> Carried:
        """Send these, in their order, for `SEND_SECONDS` at most."""
        ...

    def test(self, destination: str, now: datetime) -> str | None:
        """Send a test; returns None, or why it failed."""
        ...
