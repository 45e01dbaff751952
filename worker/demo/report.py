"""What people and programs are told at the end."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from worker.demo.catalogue import Catalogue
from worker.demo.database import Operations
from worker.demo.proof import Difference, Proof
from worker.demo.replay import Replay
from worker.demo.vendors.base import Webhooks, Writes

SHOWN_DIFFERENCES = 20


@dataclass(frozen=True, slots=True)
class Usage:
    """What the trueup process has used."""

    cpu_seconds: float
    peak_rss_mb: float

    @classmethod
    def of(cls, answer: Mapping[str, Any]) -> Usage:
        return cls(answer["cpu_seconds"], answer["peak_rss_mb"])


@dataclass(frozen=True, slots=True)
class Outcome:
    """Everything there is to tell about one run."""

    replay: Replay
    catalogue: Catalogue
    proof: Proof
    operations: Operations
    anomalies: Mapping[str, Mapping[str, int]]
    marketplace_calls: int
    """Requests that trueup made, as are the next but one."""
    writes: Writes
    channel_calls: int
    webhooks: Webhooks
    bought: Mapping[str, int]
    """Purchases on the marketplace by how they ended, and who was turned away."""
    seconds: float
    """From the first order (or, with a backlog, from trueup's start) until quiet."""
    usage: Usage
    half_way_peak_rss_mb: float
    """The most memory until half of the lines were placed (backlog: until half of the writes were made)."""
    endpoints: Mapping[str, str]
    backlog: bool = False
    differences: list[Difference] = field(default_factory=list)
    """The proof's, and what kept it from becoming quiet."""

    @property
    def line_count(self) -> int:
        return len(self.replay.lines)

    def as_json(self) -> Mapping[str, Any]:
        """For programs. Units are of listings unless the name says otherwise."""
        replay, proof, writes = self.replay, self.proof, self.writes
        per_second = 1 / self.seconds if self.seconds else 0.0
        return {
            "orders": replay.orders,
            "order_lines": self.line_count,
            "not_products": replay.not_products,
            "write_offs": replay.write_offs,
            "unmatched": replay.unmatched_units,
            "unmatched_lines": replay.unmatched_lines,
            "inexpressible": replay.inexpressible_units,
            "units_committed": proof.units_committed,
            "units_applied": proof.units_applied,
            "units_pending": proof.units_pending,
            "units_waived": proof.units_waived,
            "listings": proof.listings,
            "links": len(self.catalogue.links),
            "pairs": proof.pairs,
            "mismatches": len(self.differences),
            "compare_and_sets": writes.sent,
            "compare_and_sets_applied": writes.applied,
            "stock_mismatches_retried": writes.refused,
            "unknown_outcomes": self.operations.unknown,
            "unknown_settled": self.operations.settled,
            "absent_revoked": self.operations.absent_revoked,
            "marketplace_calls": self.marketplace_calls,
            "channel_calls": self.channel_calls,
            "closed": writes.closings,
            "reopened": writes.openings,
            "oversold_listings": proof.oversold_listings,
            "units_missing": proof.units_missing,
            "at_risk_listings": proof.at_risk_listings,
            "undecided_listings": proof.undecided_listings,
            "anomalies": {kind: counts["open"] for kind, counts in self.anomalies.items() if counts["open"]},
            "anomalies_resolved": {
                kind: counts["resolved"] for kind, counts in self.anomalies.items() if counts["resolved"]
            },
            "webhooks": asdict(self.webhooks),
            "buyers": self.bought,
            "backlog": self.backlog,
            "seconds": round(self.seconds, 3),
            "cpu_seconds": round(self.usage.cpu_seconds, 3),
            "peak_rss_mb": round(self.usage.peak_rss_mb, 1),
            "half_way_peak_rss_mb": round(self.half_way_peak_rss_mb, 1),
            "writes_per_line": round(writes.sent / self.line_count, 4),
            "writes_per_listing": round(writes.sent / proof.listings, 4),
            "lines_per_second": round(self.line_count * per_second, 1),
            "writes_per_second": round(writes.sent * per_second, 1),
            "lines_per_cpu_second": round(self.line_count / self.usage.cpu_seconds, 1),
            "endpoints": self.endpoints,
        }


def write_json(outcome: Outcome, path: Path) -> None:
    """Write the figures for programs, and every difference in words."""
    content = {**outcome.as_json(), "differences": [difference.message for difference in outcome.differences]}
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def show(outcome: Outcome, console: Console) -> None:
    """Print the table, what is wrong if anything is, and one line to remember."""
    table = Table(title="What happened", title_justify="left", show_header=False, box=None, padding=(0, 2, 0, 0))
    table.add_column(justify="right")
    table.add_column()
    for number, words in _rows(outcome):
        table.add_row(f"{number:,}", words)
    console.print(table)
    console.print()
    for difference in outcome.differences[:SHOWN_DIFFERENCES]:
        console.print(f"✗ {difference.kind}: {difference.message}", style="red", markup=False, highlight=False)
    if len(outcome.differences) > SHOWN_DIFFERENCES:
        console.print(f"✗ and {len(outcome.differences) - SHOWN_DIFFERENCES} more", style="red")
    console.print(conclusion(outcome), style="bold red" if outcome.differences else "bold green", highlight=False)


def conclusion(outcome: Outcome) -> str:
    """One line that a person understands."""
    proof = outcome.proof
    if outcome.differences:
        wrong = len(outcome.differences)
        return f"✗ {wrong:,} " + (
            "number is not what it must be." if wrong == 1 else "numbers are not what they must be."
        )
    named = proof.at_risk_listings + proof.undecided_listings
    if named:
        return (
            f"✓ All {proof.listings:,} listings show exactly the stock they must have, but for what open anomalies name"
            f" on {named:,} of them: sales that a write may have overwritten, or a write that only a person can settle."
        )
    return (
        f"✓ All {proof.listings:,} listings show exactly the stock they must have: every one of {proof.units_applied:,}"
        f" units that moved is explained by an order line, {proof.units_missing:,} units are oversold and named,"
        " no unit is lost or taken twice."
    )


def _named(proof: Proof) -> Iterator[tuple[int, str]]:
    if proof.at_risk_listings:
        yield proof.at_risk_listings, "listings with a marketplace sale that a write may have overwritten, each named"
    if proof.undecided_listings:
        yield proof.undecided_listings, "listings with a write that only a person can settle, each named"


def _rows(outcome: Outcome) -> list[tuple[int | float, str]]:
    proof, replay, writes, webhooks = outcome.proof, outcome.replay, outcome.writes, outcome.webhooks
    buyers = ", ".join(f"{count:,} {how}" for how, count in outcome.bought.items())
    when_lost = f"{writes.lost_after:,} after the write and {writes.lost_before:,} before it"
    inexpressible = (replay.inexpressible_units, "cancelled units that the shop cannot express: they stay sold")
    return [
        (
            outcome.line_count,
            f"order lines in {replay.orders:,} orders, through {len(outcome.catalogue.links):,} SKU links",
        ),
        (replay.not_products, f"lines left out that are no products, and {replay.write_offs:,} stock write-offs"),
        (replay.unmatched_units, "cancelled units of earlier months, which no order here had"),
        *([inexpressible] if replay.inexpressible_units else []),
        (
            webhooks.dropped,
            f"webhooks dropped, {webhooks.duplicated:,} sent twice, {webhooks.reordered:,} late",
        ),
        (
            sum(outcome.bought.values()),
            f"buyers on the marketplace: {buyers}",
        ),
        (proof.units_committed, "units sold by the shop in the end, cancellations given back"),
        (proof.units_applied, f"units taken from {proof.listings:,} listings, by {writes.sent:,} stock writes"),
        (
            writes.refused,
            "of those met a buyer who was quicker, and were planned again",
        ),
        (
            outcome.operations.unknown,
            f"answers lost, {when_lost}; {outcome.operations.settled:,} settled from the marketplace's records",
        ),
        (
            writes.closings,
            f"closings at zero, {writes.openings:,} reopenings; closed now: {proof.closed_listings:,}",
        ),
        (proof.oversold_listings, f"listings oversold, {proof.units_missing:,} units missing in all"),
        *_named(proof),
        (round(outcome.seconds, 1), "seconds until all was quiet"),
        (
            round(outcome.usage.cpu_seconds, 1),
            f"seconds of processor time for trueup, at most {outcome.usage.peak_rss_mb:.0f} MB of memory",
        ),
    ]
