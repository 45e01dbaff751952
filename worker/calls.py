"""How many calls went out, to whom, and how they ended: for metrics, the proof and the benchmarks."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from connectors.http import CallRecord


@dataclass(frozen=True, slots=True)
class CallKey:
    """What calls are counted by."""

    account: str
    path: str
    outcome: str
    """The status, or the name of the transport's error."""


@dataclass(slots=True)
class CallCounter:
    """Counts outgoing HTTP requests of this process. Thread-safe."""

    _counts: Counter[CallKey] = field(default_factory=Counter)
    _seconds: Counter[str] = field(default_factory=Counter)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def record(self, call: CallRecord) -> None:
        outcome = str(call.status) if call.status is not None else (call.error or "error")
        with self._lock:
            self._counts[CallKey(call.account, call.path, outcome)] += 1
            self._seconds[call.account] += call.seconds  # type: ignore[assignment]

    def counts(self) -> Mapping[CallKey, int]:
        with self._lock:
            return dict(self._counts)

    def seconds(self) -> Mapping[str, float]:
        """Time spent waiting for each account's answers."""
        with self._lock:
            return dict(self._seconds)

    def total(self, account: str | None = None) -> int:
        with self._lock:
            return sum(count for key, count in self._counts.items() if account in (None, key.account))
