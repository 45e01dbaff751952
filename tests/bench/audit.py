"""What an audit costs: calls to the marketplace, counted by the marketplace, in virtual time.

    python -m tests.bench.audit

The real connector speaks to the real sandbox over HTTP. Every listing is proved once, whatever is known of it; then
nothing changes and the audit runs again; then one unit of one listing is sold, and it runs once more.
"""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass

from config import logging
from config.settings import LogSettings
from tests.bench import at_rest
from tests.bench.at_rest import Deployment, deployment


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one audit."""

    what: str
    compared: int
    called_for: int
    calls: int
    """To the marketplace, the change feed's included."""
    seconds: float


def _audited(world: Deployment, what: str, *, fresh: bool = False) -> Cost:
    before, started = world.calls(), time.perf_counter()
    found = world.services.auditor.run(fresh=fresh)
    seconds = time.perf_counter() - started
    if not found.is_right:
        message = f"an audit found units without a cause: {found.states}"
        raise RuntimeError(message)
    calls = (world.calls() - before).marketplace
    return Cost(what, found.compared, found.called_for, calls, seconds)


def measure() -> list[Cost]:
    """Audit three times."""
    with deployment() as world:
        world.services.feed.follow()
        costs = [_audited(world, "everything, asked for anew", fresh=True)]
        costs.append(_audited(world, "nothing has changed since"))
        world.sell_one()
        world.clock.advance(3600)
        costs.append(_audited(world, "one unit was sold since"))
    return costs


def main() -> int:
    """Print the table; returns 1 when an unchanged listing was called for."""
    logging.configure(LogSettings(level="error"))
    costs = measure()
    sys.stdout.write(f"{'audit of ' + str(at_rest.LISTINGS) + ' listings':<30} listings asked about   calls  seconds\n")
    for cost in costs:
        sys.stdout.write(f"{cost.what:<30} {cost.called_for:>22} {cost.calls:>7} {cost.seconds:>8.2f}\n")
    unchanged = costs[1]
    return 0 if unchanged.called_for == 0 and costs[2].called_for == 1 else 1


if __name__ == "__main__":
    sys.exit(main())
