"""How long a call may take in all, whatever it consists of: pages, repetitions, waits for a turn, bytes that drip.

Whoever calls a connector sets the bound; `connectors.http` and the network below it keep to what is left of it.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_ends_at: ContextVar[float] = ContextVar("ends_at", default=math.inf)


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """What this thread calls inside has to end in so many seconds; a bound around it that ends sooner stays."""
    token = _ends_at.set(min(_ends_at.get(), time.monotonic() + seconds))
    try:
        yield
    finally:
        _ends_at.reset(token)


def seconds_left() -> float:
    """What is left of the bound: 0 or less once it is over, infinite where nobody set one."""
    return _ends_at.get() - time.monotonic()
