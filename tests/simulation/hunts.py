"""How many seeds it takes to catch each broken variant of the code."""

from __future__ import annotations

import multiprocessing
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from tests.simulation.history import play
from tests.simulation.mutants import MUTANTS, Mutant
from tests.simulation.scenario import make


@dataclass(frozen=True, slots=True)
class Caught:
    """What came of the hunt for one variant."""

    mutant: str
    seeds: int
    """Played in all, the one that caught it included."""
    by: str
    """The promise it broke first; empty when it was not caught."""
    said: str


def hunt(name: str, *, first: int, most: int, events: int) -> Caught:
    """Play seeds from `first` on with this fault in the code, until one breaks a promise that it keeps without."""
    mutant: Mutant = MUTANTS[name]
    for number in range(most):
        scenario = make(first + number, events=events)
        with mutant.broken():
            broken = play(scenario).broken
        if broken is not None and play(scenario).broken is None:
            return Caught(name, number + 1, broken.promise, str(broken))
    return Caught(name, most, "", "")


def main(names: Sequence[str], *, first: int, most: int, events: int, jobs: int) -> int:
    """Hunt these variants, or all; prints the table of docs/reliability/simulation.md. 0 when every one was caught."""
    wanted = list(names) or list(MUTANTS)
    escaped = 0
    sys.stdout.write("| variant | what it does wrong | seeds | caught by |\n| --- | --- | --- | --- |\n")
    work = partial(hunt, first=first, most=most, events=events)
    with multiprocessing.get_context("spawn").Pool(jobs, maxtasksperchild=1) as pool:
        for caught in pool.imap_unordered(work, wanted, chunksize=1):
            escaped += not caught.by
            by = caught.by or "**not caught**"
            sys.stderr.write(f"{caught.mutant}: {caught.said}\n")
            sys.stdout.write(f"| {caught.mutant} | {MUTANTS[caught.mutant].rule} | {caught.seeds} | {by} |\n")
            sys.stdout.flush()
    return 1 if escaped else 0
