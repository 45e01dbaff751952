"""What people and programs are told at the end."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from statistics import median
from typing import Any

from rich.console import Console
from rich.table import Table

from tests.chaos.run import Outcome

SHOWN_DIFFERENCES = 20


def as_json(outcome: Outcome) -> Mapping[str, Any]:
    """For programs."""
    options = outcome.options
    quiet = [one.seconds_to_quiet for one in outcome.rounds]
    return {
        "mode": options.mode,
        "broker": None if options.mode == "embedded" else options.broker,
        "seed": options.seed,
        "minutes": options.minutes,
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "seconds": round(outcome.seconds, 1),
        "rounds": len(outcome.rounds),
        "orders": outcome.orders,
        "order_lines": outcome.order_lines,
        "kills_and_outages": outcome.outages,
        "faults": len(outcome.struck),
        "by_kind": {f"{kind} {target}": count for (kind, target), count in sorted(outcome.by_kind().items())},
        "cut_answers": outcome.cut_answers,
        "did_not_end_when_asked": outcome.did_not_end,
        "times_the_disk_was_found_full": outcome.met_full_disk,
        "not_possible_here": list(outcome.cannot),
        "ended_by_themselves": outcome.ended_by_themselves,
        "deliveries_acknowledged": outcome.acknowledged,
        "delivery_statuses": outcome.delivery_statuses,
        "deliveries_lost": sum(1 for one in outcome.differences if one.kind == "delivery"),
        "seconds_to_quiet": {
            "median": round(median(quiet), 1) if quiet else None,
            "worst": round(max(quiet), 1) if quiet else None,
            "rounds": [round(seconds, 1) for seconds in quiet],
        },
        "calls": outcome.calls,
        "most_calls_in_a_second_after_return": outcome.most_calls_after_return,
        "most_calls_in_a_second_otherwise": outcome.most_calls_otherwise,
        "writes_without_answer": asdict(outcome.operations) if outcome.operations else None,
        "units_applied": outcome.proof.units_applied if outcome.proof else None,
        "pairs": outcome.proof.pairs if outcome.proof else None,
        "differences": [one.message for one in outcome.differences],
        "log": [
            {
                "round": number,
                "at": struck.at.isoformat(),
                "kind": struck.fault.kind.value,
                "target": struck.fault.target,
                "planned_seconds": round(struck.fault.seconds, 2),
                "seconds": round(struck.ended - struck.began, 2),
            }
            for number, one in enumerate(outcome.rounds, 1)
            for struck in sorted(one.struck, key=lambda struck: struck.began)
        ],
    }


def show(outcome: Outcome, console: Console) -> None:
    """Print the table, what is wrong if anything is, and one line to remember."""
    table = Table(title="What happened", title_justify="left", show_header=False, box=None, padding=(0, 2, 0, 0))
    table.add_column(justify="right")
    table.add_column()
    for number, words in _rows(outcome):
        table.add_row(number, words)
    console.print(table, highlight=False)
    for difference in outcome.differences[:SHOWN_DIFFERENCES]:
        console.print(f"✗ {difference.kind}: {difference.message}", style="red", markup=False, highlight=False)
    if len(outcome.differences) > SHOWN_DIFFERENCES:
        console.print(f"✗ and {len(outcome.differences) - SHOWN_DIFFERENCES} more", style="red")
    if outcome.kept_in is not None:
        console.print(f"The logs of all processes are kept in {outcome.kept_in}.", highlight=False)
    verdict = f"{len(outcome.differences)} differences after {outcome.outages} kills and outages."
    console.print(verdict, style="bold red" if outcome.differences else "bold green", highlight=False)


def _rows(outcome: Outcome) -> Iterator[tuple[str, str]]:
    options, quiet = outcome.options, [one.seconds_to_quiet for one in outcome.rounds]
    where = "embedded, SQLite" if options.mode == "embedded" else f"PostgreSQL, broker {options.broker}"
    yield f"{options.minutes:g}", f"minutes of faults in {len(outcome.rounds)} rounds ({where}; seed {options.seed})"
    yield f"{outcome.seconds / 60:.1f}", "minutes in all, with set-up, the ways to quiet and the proofs"
    yield str(os.cpu_count()), "cores, shared by all processes of the run"
    yield f"{outcome.order_lines:,}", f"order lines in {outcome.orders:,} orders"
    yield f"{outcome.outages:,}", "kills and outages, of these:"
    for (kind, target), count in sorted(outcome.by_kind().items()):
        yield f"{count:,}", f"  {target}: {kind}"
    for name, count in outcome.cut_answers.items():
        if count:
            yield f"{count:,}", f"answers of {name} broken off in their middle"
    for name, codes in outcome.ended_by_themselves.items():
        yield f"{len(codes):,}", f"times {name} ended by itself and was started again (exit codes {sorted(set(codes))})"
    for name, times in outcome.did_not_end.items():
        yield f"{times:,}", f"times {name} did not end when it was asked to, after all was over"
    if outcome.met_full_disk:
        yield f"{outcome.met_full_disk:,}", "times trueup told that the disk was full"
    for words in outcome.cannot:
        yield "0", f"not possible here: {words}"
    yield f"{outcome.acknowledged:,}", "deliveries answered with 200, every one of them in the database or named below"
    yield f"{median(quiet):.1f}", "seconds to quiet after the last fault, median of the rounds"
    yield f"{max(quiet):.1f}", "seconds to quiet after the last fault, worst round"
    for vendor, after in outcome.most_calls_after_return.items():
        otherwise = outcome.most_calls_otherwise[vendor]
        yield f"{after:,}", f"calls to the {vendor} in the busiest second after it came back (otherwise: {otherwise:,})"
    if outcome.operations is not None:
        lost = outcome.operations
        yield f"{lost.unknown:,}", f"writes without an answer, {lost.settled:,} settled from the marketplace's records"
    if outcome.proof is not None:
        yield f"{outcome.proof.units_applied:,}", f"units moved, for {outcome.proof.pairs:,} pairs"
