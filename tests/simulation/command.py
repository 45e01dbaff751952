"""The command behind `make simulate`: many histories on all cores, or one with its trace."""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tests.simulation import hunts
from tests.simulation.history import Verdict, play
from tests.simulation.scenario import EVENTS, Scenario, make
from tests.simulation.shrink import MOST_TRIES, shrink
from tests.simulation.vendors import MAIN, PAIRINGS, Pairing

PROGRESS_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Asked:
    """One history to play."""

    seed: int
    events: int
    pairing: Pairing


@dataclass(frozen=True, slots=True)
class Played:
    """What one history of a long run leaves behind."""

    seed: int
    pairing: Pairing
    events: int
    broken: str
    """Empty when every promise held."""
    counts: Counter[str]
    cpu_seconds: float


def play_one(asked: Asked) -> Played:
    """Play one history, for a pool of processes."""
    started = time.process_time()
    verdict = play(make(asked.seed, events=asked.events, pairing=asked.pairing))
    broken = "" if verdict.broken is None else str(verdict.broken)
    spent = time.process_time() - started
    return Played(asked.seed, asked.pairing, verdict.events, broken, verdict.counts, spent)


def played(asked: Sequence[Asked], jobs: int) -> Iterator[Played]:
    """Play all of these, several at a time, in any order."""
    if jobs == 1:
        yield from map(play_one, asked)
        return
    # Spawned, so that each begins with a database and an engine of its own.
    with multiprocessing.get_context("spawn").Pool(jobs, maxtasksperchild=200) as pool:
        yield from pool.imap_unordered(play_one, asked, chunksize=1)


def main(arguments: Sequence[str] | None = None) -> int:
    """Play what the arguments ask for; 0 when every promise held."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seeds", type=int, default=200, metavar="N", help="how many consecutive seeds (200)")
    parser.add_argument("--from", type=int, default=0, dest="first", metavar="SEED", help="the first of them (0)")
    parser.add_argument("--seed", type=int, default=None, help="play this one, and print its trace")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes (one for each core)")
    parser.add_argument("--keep-going", action="store_true", help="play on after a broken promise")
    parser.add_argument("--events", type=int, default=EVENTS, metavar="N", help=f"of each history ({EVENTS})")
    parser.add_argument(
        "--mutants", nargs="*", metavar="NAME", help="instead, look how soon broken variants are caught"
    )
    parser.add_argument("--pairing", type=_pairing, default=MAIN, metavar="MARKETPLACE+SHOP", help=f"on what ({MAIN})")
    parser.add_argument("--pairings", action="store_true", help="play the seeds on every pairing, and print a table")
    parser.add_argument("--no-shrink", action="store_true", help="print a broken history as it is")
    asked = parser.parse_args(arguments)
    seeds = range(asked.first, asked.first + asked.seeds)
    if asked.pairings:
        return _pairings(seeds, asked.events, asked.jobs)
    if asked.mutants is not None:
        return hunts.main(asked.mutants, first=asked.first, most=asked.seeds, events=asked.events, jobs=asked.jobs)
    if asked.seed is not None:
        return _one(Asked(asked.seed, asked.events, asked.pairing), shrinking=not asked.no_shrink)
    return _many(seeds, asked.events, asked.pairing, asked.jobs, keep_going=asked.keep_going)


def _pairing(text: str) -> Pairing:
    """As `Pairing.of`, whose words argparse would keep for itself."""
    try:
        return Pairing.of(text)
    except ValueError as wrong:
        raise argparse.ArgumentTypeError(str(wrong)) from None


def _one(asked: Asked, *, shrinking: bool) -> int:
    scenario = make(asked.seed, events=asked.events, pairing=asked.pairing)
    verdict = play(scenario)
    if verdict.broken is None:
        _say(verdict.trace.text())
        _say(f"\nseed {asked.seed}: {verdict.events} events, every promise held")
        return 0
    _say(failure(scenario, verdict, shrinking=shrinking))
    return 1


def failure(scenario: Scenario, verdict: Verdict, *, shrinking: bool = True, tries: int = MOST_TRIES) -> str:
    """Everything a person needs to see what happened: the seed, the fewest events, the trace, and how to repeat it."""
    broken = verdict.broken
    assert broken is not None, "nothing is broken"
    size = len(scenario.events)
    if shrinking:
        like = broken.like
        scenario = shrink(scenario, lambda smaller: _breaks(smaller, like), tries=tries)
        verdict = play(scenario)
        broken = verdict.broken or broken
    events = "\n".join(f"  {event}" for event in scenario.events)
    return (
        f"seed {scenario.seed} breaks {broken}\n\n"
        f"played on\n  {scenario.profile}\n\n"
        f"{len(scenario.events)} of {size} events are enough:\n{events}\n\n"
        f"trace of {broken.subject or 'everything'}:\n{verdict.trace.text(broken.subject)}\n\n"
        f"repeat it with: make simulate SEED={scenario.seed}{'' if size == EVENTS else f' EVENTS={size}'}"
        f"{'' if scenario.pairing == MAIN else f' PAIRING={scenario.pairing}'}"
    )


def _breaks(scenario: Scenario, like: tuple[str, str]) -> bool:
    broken = play(scenario).broken
    return broken is not None and broken.like == like


def _many(seeds: range, size: int, pairing: Pairing, jobs: int, *, keep_going: bool) -> int:
    started = time.monotonic()
    told = started
    events = cpu_seconds = 0.0
    counts: Counter[str] = Counter()
    broken: list[Played] = []
    done = 0
    for one in played([Asked(seed, size, pairing) for seed in seeds], jobs):
        done += 1
        events += one.events
        cpu_seconds += one.cpu_seconds
        counts.update(one.counts)
        if one.broken:
            broken.append(one)
            _say(f"seed {one.seed} breaks {one.broken}")
            if not keep_going:
                break
        if time.monotonic() - told > PROGRESS_SECONDS:
            told = time.monotonic()
            pace = done / (told - started) * 60
            sys.stderr.write(f"{done} of {len(seeds)} histories, {pace:.0f} a minute" + "\n")
    minutes = (time.monotonic() - started) / 60
    _say(_summary(seeds, done, int(events), counts, broken, minutes, cpu_seconds))
    if broken and not keep_going:
        scenario = make(broken[0].seed, events=size, pairing=pairing)
        _say(failure(scenario, play(scenario)))
    return 1 if broken else 0


def _pairings(seeds: range, size: int, jobs: int) -> int:
    """Every pairing by turns, so that a run that is stopped has seen something of each."""
    asked = [Asked(seed, size, pairing) for seed in seeds for pairing in PAIRINGS]
    clean: Counter[Pairing] = Counter()
    named: Counter[Pairing] = Counter()
    broken: Counter[Pairing] = Counter()
    for done, one in enumerate(played(asked, jobs), start=1):
        if one.broken:
            broken[one.pairing] += 1
            _say(f"{one.pairing} seed {one.seed} breaks {one.broken}")
        else:
            clean[one.pairing] += 1
            named[one.pairing] += one.counts["named differences"] > 0
        if not done % len(PAIRINGS):
            sys.stderr.write(f"{done} of {len(asked)} histories\n")
    _say("| marketplace | shop | clean | of them with a difference that an anomaly names | broken |")
    _say("| --- | --- | --- | --- | --- |")
    for pairing in PAIRINGS:
        _say(f"| {pairing.market} | {pairing.shop} | {clean[pairing]} | {named[pairing]} | {broken[pairing]} |")
    return 1 if broken else 0


def _summary(
    seeds: range, done: int, events: int, counts: Counter[str], broken: Sequence[Played], minutes: float, cpu: float
) -> str:
    verdict = "every promise held" if not broken else f"{len(broken)} broke a promise"
    calls = sum(number for name, number in counts.items() if name.startswith("call "))
    return (
        f"seeds {seeds.start} to {seeds.start + done - 1}: {done} histories, {events} events, {verdict}\n"
        f"  {counts['commits']} commits, {calls} calls, {counts['written']} stock writes executed,"
        f" {counts['Crash']} crashes, {counts['SpoilCall']} spoilt calls, {counts['Outage']} outages,"
        f" {counts['LoseCommit']} lost commits, {counts['Stop']} stops\n"
        f"  {done / minutes:.0f} histories a minute, {done / cpu * 60:.0f} for each minute of CPU"
        f"\n  go on with: make simulate FROM={seeds.start + done}"
    )


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()
