"""A few hundred histories, some always the same and some never seen before; longer runs are `make simulate`'s."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.simulation.command import failure
from tests.simulation.history import play
from tests.simulation.hunts import hunt
from tests.simulation.scenario import make
from tests.simulation.vendors import PAIRINGS, Pairing

# A broken history is shrunk before it is shown.
pytestmark = pytest.mark.timeout(600)

ROOT = Path(__file__).parents[2]
EVENTS = 25
"""Of each history here: a short one costs a fraction, and many short ones see more beginnings."""
BATCH = 10
FIXED = range(0, 220, BATCH)
FRESH = range(0, 20, BATCH)


def keep_every_promise(seeds: range) -> None:
    for seed in seeds:
        scenario = make(seed, events=EVENTS)
        verdict = play(scenario)
        if verdict.broken is not None:
            pytest.fail(failure(scenario, verdict, tries=40))


@pytest.mark.parametrize("first", FIXED)
def test_histories_of_fixed_seeds_keep_every_promise(first: int) -> None:
    keep_every_promise(range(first, first + BATCH))


@pytest.mark.parametrize("number", FRESH)
def test_histories_of_fresh_seeds_keep_every_promise(number: int) -> None:
    first = int.from_bytes(os.urandom(6), "big")
    keep_every_promise(range(first, first + BATCH))


def test_a_long_history_keeps_every_promise() -> None:
    scenario = make(0)
    verdict = play(scenario)
    assert verdict.broken is None, failure(scenario, verdict, tries=20)


@pytest.mark.parametrize("pairing", PAIRINGS, ids=str)
def test_a_history_on_every_marketplace_with_every_channel_keeps_every_promise(pairing: Pairing) -> None:
    scenario = make(PAIRINGS.index(pairing), events=EVENTS, pairing=pairing)
    verdict = play(scenario)
    if verdict.broken is not None:
        pytest.fail(failure(scenario, verdict, tries=40))


def test_the_same_seed_gives_the_same_trace_in_every_process() -> None:
    """Byte for byte, however the process happens to order its sets."""

    command = [sys.executable, "-m", "tests.simulation", "--seed", "11", "--events", "30"]
    running = [
        subprocess.Popen(
            command, cwd=ROOT, env={**os.environ, "PYTHONHASHSEED": hash_seed}, stdout=subprocess.PIPE, text=True
        )
        for hash_seed in ("1", "2")
    ]
    first, second = (process.communicate()[0] for process in running)
    assert first.count("\n") > 50
    assert second == first


@pytest.mark.parametrize("mutant", ["act-before-intent", "resend-blindly", "drop-the-unlinked"])
def test_a_broken_variant_is_caught(mutant: str) -> None:
    assert hunt(mutant, first=0, most=25, events=60).by
