"""Everything that is measured, as the table of docs/benchmarks.md.

    python -m tests.bench.all [--seeds 1 2 3 4 5] [--limit 0] [--write docs/benchmarks.md]

Counts and ratios rather than times where that is possible: they mean the same on every machine. The runs of the whole
data take some minutes each.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console

from config import logging
from config.settings import LogSettings
from tests.bench import at_rest
from worker.demo import Options, run

Figures = Mapping[str, Any]

INTRODUCTION = """\
What `make bench` prints. Counts and ratios mean the same everywhere; rates are those of the machine below, which
carried both sandboxes, trueup and the program that places the orders at the same time."""


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table."""

    what: str
    must: str
    measured: str


def demo(seed: int, limit: int, *, backlog: bool = False) -> Figures:
    """One run of the demo; its figures. What it says goes to standard error."""
    with tempfile.TemporaryDirectory(prefix="trueup-bench-") as folder:
        path = Path(folder) / "figures.json"
        console = Console(stderr=True)
        console.rule(f"seed {seed}{', backlog' if backlog else ''}")
        run(Options(seed=seed, limit=limit, json=path, backlog=backlog, console=console))
        figures: Figures = json.loads(path.read_text(encoding="utf-8"))
        return figures


def live_rows(runs: Sequence[Figures]) -> Iterator[Row]:
    """What all seeds say together, and the pace of the first."""
    first = runs[0]
    differences = sum(figures["mismatches"] for figures in runs)
    yield Row(
        f"differences after the demo, {first['order_lines']:,} order lines, {len(runs)} seeds together",
        "0",
        f"{differences:,}",
    )
    yield Row(
        "live at full speed",
        "report",
        f"{first['writes_per_line']:.3f} writes per line, {first['lines_per_second']:,.0f} lines per second,"
        f" {first['writes_per_second']:,.0f} writes per second",
    )
    yield Row(
        f"peak memory of the trueup process, live, {first['order_lines']:,} lines; until half way",
        "under 300 MB, flat from half way on",
        f"{max(figures['peak_rss_mb'] for figures in runs):.0f} MB; {first['half_way_peak_rss_mb']:.0f} MB of"
        f" {first['peak_rss_mb']:.0f} MB",
    )


def backlog_rows(figures: Figures) -> Iterator[Row]:
    """All orders placed before trueup starts."""
    yield Row(
        "writes with all orders placed before the worker starts",
        "at most 1.1 per listing",
        f"{figures['writes_per_listing']:.2f} per listing ({figures['compare_and_sets']:,} for"
        f" {figures['listings']:,}; {figures['mismatches']:,} differences)",
    )
    yield Row(
        "order lines reconciled per CPU second of the trueup process, backlog",
        "report, aim 1,000",
        f"{figures['lines_per_cpu_second']:,.0f} ({figures['order_lines']:,} lines,"
        f" {figures['cpu_seconds']:.0f} s of processor time, start-up included)",
    )
    yield Row(
        "peak memory of the trueup process, backlog; until half way",
        "under 300 MB, flat from half way on",
        f"{figures['peak_rss_mb']:.0f} MB; {figures['half_way_peak_rss_mb']:.0f} MB",
    )


def rest_rows(counted: at_rest.Counted) -> Iterator[Row]:
    """Counted in virtual time."""
    yield Row("marketplace calls for one isolated sale, stock known from the feed", "1", f"{counted.calls_per_sale}")
    both = counted.marketplace_calls_per_minute + counted.channel_calls_per_minute
    yield Row(
        f"calls per minute at rest, {at_rest.LISTINGS:,} listings, feed interval {at_rest.FEED_SECONDS} s, mean over an"
        " hour of virtual time, sweep included",
        "at most 3",
        f"{both:.2f} ({counted.marketplace_calls_per_minute:.2f} to the marketplace,"
        f" {counted.channel_calls_per_minute:.2f} to the channel)",
    )


def receiver_rows() -> Iterator[Row]:
    """From `tests.bench.receiver`, in a process of its own."""
    finished = subprocess.run(
        [sys.executable, "-m", "tests.bench.receiver", "--json"], stdout=subprocess.PIPE, check=True
    )
    rates = {(rate["database"], rate["receiver"]): rate["per_second"] for rate in json.loads(finished.stdout)}
    for database in dict.fromkeys(name for name, _ in rates):
        ours, bare = rates[database, "trueup"], rates[database, "bare"]
        yield Row(
            f"signed deliveries stored and acknowledged per second, one receiver process, {database}",
            "report, aim half of bare",
            f"{ours:,.0f} beside {bare:,.0f} bare: {ours / bare:.0%}",
        )


def markdown(rows: Sequence[Row]) -> str:
    """The page."""
    lines = [
        "# Benchmarks",
        "",
        INTRODUCTION,
        "",
        f"- {os.cpu_count()} cores, {platform.system()} {platform.machine()}, Python {platform.python_version()}",
        f"- {datetime.now(UTC):%Y-%m-%d}",
        "",
        "| what | must reach | measured |",
        "| --- | --- | --- |",
        *(f"| {row.what} | {row.must} | {row.measured} |" for row in rows),
    ]
    return "\n".join(lines) + "\n"


def main() -> int:
    """Measure and print; returns 1 when any run of the demo found a difference."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3, 4, 5])
    parser.add_argument("--limit", type=int, default=0, help="order lines of each run; 0 is all")
    parser.add_argument("--without-receiver", action="store_true", help="leave the receiver's figures out")
    parser.add_argument("--write", type=Path, help="the page to write as well, e.g. docs/benchmarks.md")
    chosen = parser.parse_args()
    logging.configure(LogSettings(level="error"))
    rows = list(rest_rows(at_rest.measure()))
    if not chosen.without_receiver:
        rows += receiver_rows()
    backlog = demo(chosen.seeds[0], chosen.limit, backlog=True)
    live = [demo(seed, chosen.limit) for seed in chosen.seeds]
    page = markdown([*live_rows(live), *backlog_rows(backlog), *rows])
    sys.stdout.write(page)
    if chosen.write is not None:
        chosen.write.write_text(page, encoding="utf-8")
    return 1 if any(figures["mismatches"] for figures in [backlog, *live]) else 0


if __name__ == "__main__":
    sys.exit(main())
