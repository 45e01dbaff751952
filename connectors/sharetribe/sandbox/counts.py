"""What was asked of the API, and what became of it."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import Any


class Counts:
    """By endpoint; used from the event loop only."""

    def __init__(self) -> None:
        self.calls: Counter[str] = Counter()
        """Requests that arrived, by endpoint."""
        self.outcomes: defaultdict[str, Counter[str]] = defaultdict(Counter)
        """What execution came to: `ok`, `applied`, `unchanged` or an error code."""
        self.lost_before: Counter[str] = Counter()
        """Requests whose connection broke and that never ran."""
        self.lost_after: defaultdict[str, Counter[str]] = defaultdict(Counter)
        """Requests whose connection broke although they ran, by outcome."""

    def summary(self) -> dict[str, Any]:
        """All of it, as JSON."""
        return {
            "calls": self.calls,
            "outcomes": self.outcomes,
            "lost_before": self.lost_before,
            "lost_after": self.lost_after,
        }
