from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from worker.demo import catalogue, replay, report
from worker.demo.database import Operations
from worker.demo.proof import Difference, Proof
from worker.demo.report import Outcome, Usage
from worker.demo.sales import SalesLine
from worker.demo.vendors.base import Webhooks, Writes

PLANNED = replay.plan([SalesLine("1", "A", 5), SalesLine("1", "B", 5), SalesLine("C2", "A", -7)])
OUTCOME = Outcome(
    replay=PLANNED,
    catalogue=catalogue.build(PLANNED.committed_by_sku(), seed=1),
    proof=Proof([], 2, 2, 2, 5, 4, 1, 0, 1, 1, 1),
    operations=Operations(unknown=3, settled=3, absent_revoked=1),
    anomalies={"oversold": {"open": 1, "resolved": 2}, "absent-revoked": {"open": 0, "resolved": 1}},
    marketplace_calls=15,
    writes=Writes(sent=10, applied=8, refused=1, lost_after=2, lost_before=1, closings=2, openings=0),
    channel_calls=5,
    webhooks=Webhooks(dropped=1, duplicated=0, reordered=0),
    bought={"bought": 2, "turned away": 0},
    seconds=4.0,
    usage=Usage(cpu_seconds=2.0, peak_rss_mb=100.04),
    half_way_peak_rss_mb=90.0,
    endpoints={"shop": "http://127.0.0.1:1"},
)
WRONG = replace(OUTCOME, differences=[Difference("stock", "L", "listing L has 1 unit and must have 2")])


def shown(outcome: Outcome) -> str:
    console = Console(file=io.StringIO(), width=200)
    report.show(outcome, console)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_figures_are_counted_where_they_happened() -> None:
    figures = OUTCOME.as_json()

    assert (figures["orders"], figures["order_lines"], figures["unmatched"]) == (1, 2, 2)
    assert (figures["compare_and_sets"], figures["compare_and_sets_applied"]) == (10, 8)
    assert (figures["stock_mismatches_retried"], figures["closed"], figures["reopened"]) == (1, 2, 0)
    assert (figures["marketplace_calls"], figures["channel_calls"]) == (15, 5)
    assert (figures["unknown_outcomes"], figures["unknown_settled"], figures["absent_revoked"]) == (3, 3, 1)
    assert figures["anomalies"] == {"oversold": 1}
    assert figures["anomalies_resolved"] == {"oversold": 2, "absent-revoked": 1}
    assert (figures["writes_per_line"], figures["writes_per_listing"]) == (5.0, 5.0)
    assert (figures["lines_per_second"], figures["writes_per_second"], figures["lines_per_cpu_second"]) == (0.5, 2.5, 1)


def test_a_proof_that_holds_ends_with_a_line_a_person_understands() -> None:
    said = shown(OUTCOME)

    assert "All 2 listings show exactly the stock they must have" in said
    assert "✗" not in said


def test_every_difference_is_said_in_words() -> None:
    said = shown(WRONG)

    assert "listing L has 1 unit and must have 2" in said
    assert "1 number is not what it must be" in said
    assert "exactly the stock" not in said


def test_a_flood_of_differences_is_cut() -> None:
    flood = replace(OUTCOME, differences=[Difference("stock", "L", f"number {count}") for count in range(50)])

    said = shown(flood)
    assert "and 30 more" in said
    assert "50 numbers are not what they must be" in said


def test_the_file_for_programs_holds_figures_and_differences(tmp_path: Path) -> None:
    path = tmp_path / "figures.json"
    report.write_json(WRONG, path)
    figures = json.loads(path.read_text())

    assert figures["mismatches"] == 1
    assert figures["differences"] == ["listing L has 1 unit and must have 2"]
