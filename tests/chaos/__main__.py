"""`python -m tests.chaos`: real processes under kills and faults while orders flow; 0 differences, or exit code 1."""

from __future__ import annotations

import argparse
import json
import signal
import sys
from pathlib import Path

import pytest
from rich.console import Console

from tests.chaos import report
from tests.chaos.backing import MissingError
from tests.chaos.run import ROUND_SECONDS, Options, run

HELD, DIFFERS, MISSING = 0, 1, 3
"""Exit codes."""


def main() -> int:
    """Run as the arguments say; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=(__doc__ or "").partition(": ")[2])
    parser.add_argument("--minutes", type=float, default=2.0, help="of faults while orders flow (default: 2)")
    parser.add_argument("--seed", type=int, default=1, help="draws kills and faults (default: 1)")
    parser.add_argument("--mode", choices=["service", "embedded"], default="service")
    parser.add_argument("--broker", choices=["redis", "rabbitmq"], default="redis", help="in service mode")
    parser.add_argument("--round-seconds", type=float, default=ROUND_SECONDS, help="faults between two proofs")
    parser.add_argument("--json", type=Path, metavar="FILE", help="where to write the figures and the log of faults")
    parser.add_argument("--keep", action="store_true", help="keep the logs of all processes in any case")
    chosen = parser.parse_args()
    # Either ends the run by an exception, so that everything it has started is stopped.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.default_int_handler)
    console = Console(width=None if sys.stdout.isatty() else 120)
    options = Options(
        minutes=chosen.minutes,
        seed=chosen.seed,
        mode=chosen.mode,
        broker=chosen.broker,
        round_seconds=min(chosen.round_seconds, chosen.minutes * 60),
        keep=chosen.keep,
        tell=lambda line: console.print(line, markup=False, highlight=False, soft_wrap=True),
    )
    try:
        outcome = run(options)
    except (MissingError, pytest.fail.Exception) as missing:
        console.print(str(missing), style="red", markup=False, highlight=False)
        return MISSING
    report.show(outcome, console)
    if chosen.json is not None:
        chosen.json.write_text(json.dumps(report.as_json(outcome), indent=2) + "\n", encoding="utf-8")
    return DIFFERS if outcome.differences else HELD


if __name__ == "__main__":
    sys.exit(main())
