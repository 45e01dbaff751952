"""What passes on a line, read as HTTP/1.1 without standing in its way: who called when, and what was answered.

Both look for the first line of a message, or one header, in a stream of pieces. JSON, the only content here, holds no
raw line ends, so that nothing in a body is mistaken for them.
"""

from __future__ import annotations

import re
import threading
import time
from bisect import bisect_left, bisect_right
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

_LONGEST_HEADER = 512
_REQUEST = re.compile(rb"(?:GET|POST|PUT|PATCH|DELETE) \S+ HTTP/1\.1\r\n")
_DELIVERY_ID = re.compile(rb"\r\nx-shopify-webhook-id: ([^\r\n]+)\r\n", re.IGNORECASE)
_STATUS = re.compile(rb"HTTP/1\.1 (\d{3})[^\r\n]*\r\n")


class Ear(Protocol):
    """Hears one connection."""

    def asked(self, piece: bytes) -> None: ...

    def answered(self, piece: bytes) -> None:
        """Told before anything of the answer goes on, or is cut."""


class Scanner:
    """Finds a pattern in a stream of pieces, also across their borders, each once."""

    def __init__(self, pattern: re.Pattern[bytes]) -> None:
        self._pattern = pattern
        self._rest = b""

    def found(self, piece: bytes) -> Iterator[re.Match[bytes]]:
        text, end = self._rest + piece, 0
        for match in self._pattern.finditer(text):
            end = match.end()
            yield match
        self._rest = text[max(end, len(text) - _LONGEST_HEADER) :]


class Calls:
    """When a vendor was called."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._moments: list[float] = []

    def ear(self) -> Ear:
        return _Counting(self)

    def called(self) -> None:
        self._moments.append(self._now())

    def __len__(self) -> int:
        return len(self._moments)

    def most_in_a_second(self, windows: Sequence[tuple[float, float]]) -> int:
        """The most calls within any one second that lies in one of the windows."""
        return max((self._most(*window) for window in windows), default=0)

    def _most(self, begin: float, end: float) -> int:
        inside = self._moments[bisect_left(self._moments, begin) : bisect_right(self._moments, end)]
        return max((bisect_left(inside, first + 1) - index for index, first in enumerate(inside)), default=0)


class _Counting:
    def __init__(self, calls: Calls) -> None:
        self._calls = calls
        self._requests = Scanner(_REQUEST)

    def asked(self, piece: bytes) -> None:
        for _ in self._requests.found(piece):
            self._calls.called()

    def answered(self, piece: bytes) -> None:
        """Not needed."""


class Deliveries:
    """Which webhooks the receiver answered, and how. A connection carries one request at a time."""

    def __init__(self) -> None:
        self.acknowledged: set[str] = set()
        """Ids of those that it answered with 200, whether or not that answer reached the shop."""
        self.statuses: Counter[int] = Counter()
        self._lock = threading.Lock()

    def ear(self) -> Ear:
        return _Pairing(self)

    def answered(self, delivery_id: str, status: int) -> None:
        with self._lock:
            self.statuses[status] += 1
            if status == 200:
                self.acknowledged.add(delivery_id)


class _Pairing:
    def __init__(self, deliveries: Deliveries) -> None:
        self._deliveries = deliveries
        self._ids = Scanner(_DELIVERY_ID)
        self._statuses = Scanner(_STATUS)
        self._asked: deque[str] = deque()

    def asked(self, piece: bytes) -> None:
        self._asked.extend(match[1].decode("latin-1") for match in self._ids.found(piece))

    def answered(self, piece: bytes) -> None:
        for match in self._statuses.found(piece):
            if self._asked:
                self._deliveries.answered(self._asked.popleft(), int(match[1]))
