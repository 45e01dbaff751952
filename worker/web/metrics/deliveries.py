"""What the receiver counts: requests to hooks, and what became of them."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum

from prometheus_client import CollectorRegistry, Counter

from worker.web.metrics.names import ABOUT, Label, Name


class Outcome(StrEnum):
    """What became of a request to a hook."""

    STORED = "stored"
    """Committed and answered with 200; a repeated one too."""
    UNKNOWN_CHANNEL = "unknown_channel"
    WRONG_METHOD = "wrong_method"
    REFUSED = "refused"
    """Not signed by its sender."""
    TOO_LARGE = "too_large"
    INCOMPLETE = "incomplete"
    """The sender went away, or was too slow, before the body's end."""
    OVERLOADED = "overloaded"
    NOT_STORED = "not_stored"
    """The database is down, or did not take it."""
    FAILED = "failed"
    """The connector broke its contract."""


NO_CHANNEL = ""
"""The label for channels that do not exist: their names come from outside."""


class Meters:
    """The receiver's counters, ready made for each channel and outcome."""

    def __init__(self, registry: CollectorRegistry, channels: Iterable[str]) -> None:
        deliveries = Counter(
            Name.DELIVERIES,
            ABOUT[Name.DELIVERIES].says,
            [Label.CHANNEL, Label.OUTCOME],
            registry=registry,
        )
        self._deliveries = {
            (channel, outcome): deliveries.labels(channel, outcome)
            for channel in (*channels, NO_CHANNEL)
            for outcome in Outcome
            if (channel == NO_CHANNEL) == (outcome is Outcome.UNKNOWN_CHANNEL)
        }
        self._repeated = Counter(Name.DELIVERIES_REPEATED, ABOUT[Name.DELIVERIES_REPEATED].says, registry=registry)

    def count(self, channel: str, outcome: Outcome) -> None:
        self._deliveries[channel, outcome].inc()

    def count_repeated(self, deliveries: int) -> None:
        self._repeated.inc(deliveries)
