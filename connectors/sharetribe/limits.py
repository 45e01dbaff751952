"""What Sharetribe limits, per client address (docs, "Rate limiting in Sharetribe APIs")."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlsplit

from connectors.budget import Scope

IN_FLIGHT = 10


@dataclass(frozen=True, slots=True)
class Limits:
    """The scopes a call draws on, the one that a 429 speaks of first."""

    queries: tuple[Scope, ...]
    commands: tuple[Scope, ...]


def limits(base_url: str, environment: Literal["live", "dev"]) -> Limits:
    """The limits of one environment. Keyed by host: the vendor counts by address, whatever the credentials."""
    host = urlsplit(base_url).netloc
    places = Scope(f"sharetribe:in_flight:{host}", per_second=None, in_flight=IN_FLIGHT)
    if environment == "live":
        return Limits(queries=(places,), commands=(places,))
    # The average is documented, the burst only that there is one: these keep well below what the vendor's own SDK
    # starts with (100 queries, 50 commands).
    queries = Scope(f"sharetribe:queries:{host}", per_second=1.0, burst=10)
    commands = Scope(f"sharetribe:commands:{host}", per_second=0.5, burst=5)
    return Limits(queries=(queries, places), commands=(commands, places))
