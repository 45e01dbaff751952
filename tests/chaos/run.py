"""One run: rounds of orders under faults, each ended by quiet and a proof."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from random import Random

from sqlalchemy import create_engine, text

from config import logging
from config.settings import LogSettings
from connectors.clock import SystemClock
from tests.chaos import flow, plan
from tests.chaos.parts import Warden
from tests.chaos.plan import OUTAGES, Kind
from tests.chaos.stage import Stage, stage
from tests.chaos.strikes import Strikes, Struck
from worker.demo import proof, quiet
from worker.demo.buyers import Buyers
from worker.demo.database import Database, Operations
from worker.demo.proof import Difference, Proof
from worker.demo.shop import Shop

LINES_PER_SECOND = 20
ROUND_SECONDS = 120.0
RECOVERING_SECONDS = 30.0
"""For how long after its return a vendor is watched for a storm."""
GONE = (Kind.REFUSE, Kind.SILENCE, Kind.PAUSE)
"""What makes a vendor come back."""
FULL_DISK = b"database or disk is full"


@dataclass(frozen=True, slots=True)
class Options:
    """How to run."""

    minutes: float = 2.0
    """Of faults while orders flow; every round's way to quiet comes on top."""
    seed: int = 1
    mode: str = "service"
    broker: str = "redis"
    """In service mode: redis or rabbitmq."""
    round_seconds: float = ROUND_SECONDS
    keep: bool = False
    """Whether the logs of all processes are kept even when nothing is wrong."""
    tell: Callable[[str], None] = print
    """Takes a line at a time: each fault with its moment, each round's end."""


@dataclass(frozen=True, slots=True)
class RoundOutcome:
    """How one round ended."""

    seconds_to_quiet: float
    struck: Sequence[Struck]
    differences: Sequence[Difference]


@dataclass
class Outcome:
    """Everything there is to tell about one run."""

    options: Options
    rounds: list[RoundOutcome] = field(default_factory=list)
    proof: Proof | None = None
    """The last round's."""
    operations: Operations | None = None
    orders: int = 0
    order_lines: int = 0
    acknowledged: int = 0
    """Deliveries answered with 200."""
    delivery_statuses: Mapping[int, int] = field(default_factory=dict)
    most_calls_after_return: dict[str, int] = field(default_factory=dict)
    """In any one second, by vendor."""
    most_calls_otherwise: dict[str, int] = field(default_factory=dict)
    calls: dict[str, int] = field(default_factory=dict)
    cut_answers: dict[str, int] = field(default_factory=dict)
    ended_by_themselves: dict[str, Sequence[int]] = field(default_factory=dict)
    """Exit codes of trueup's processes that ended without being killed, and were started again."""
    did_not_end: dict[str, int] = field(default_factory=dict)
    """trueup's processes that were asked to end when all was over, and had to be killed."""
    met_full_disk: int = 0
    """Lines in which trueup told that the disk was full."""
    cannot: Sequence[str] = ()
    seconds: float = 0.0
    kept_in: Path | None = None
    """Where the logs of all processes are."""

    @property
    def struck(self) -> Sequence[Struck]:
        return [struck for one in self.rounds for struck in one.struck]

    @property
    def differences(self) -> Sequence[Difference]:
        return [difference for one in self.rounds for difference in one.differences]

    @property
    def outages(self) -> int:
        """Kills and outages; cut and slow answers are not among them."""
        return sum(1 for struck in self.struck if struck.fault.kind in OUTAGES)

    def by_kind(self) -> Mapping[tuple[Kind, str], int]:
        return Counter((struck.fault.kind, struck.fault.target) for struck in self.struck)


def run(options: Options) -> Outcome:
    """Play the whole run. The first round with a difference is the last, and its logs are kept."""
    folder = Path(tempfile.mkdtemp(prefix="trueup-chaos-"))
    began = time.monotonic()
    outcome = Outcome(options)
    try:
        with (folder / "this.log").open("w", encoding="utf-8") as log:
            # What rooms used on this side log stays with the logs of the other processes.
            logging.configure(LogSettings(format="json"), stream=log)
            try:
                _play(options, folder, outcome)
            finally:
                logging.configure(LogSettings())
    except BaseException:
        options.tell(f"The logs of all processes are kept in {folder}.")
        raise
    outcome.seconds = time.monotonic() - began
    if outcome.differences or options.keep:
        outcome.kept_in = folder
    else:
        shutil.rmtree(folder, ignore_errors=True)
    return outcome


def _play(options: Options, folder: Path, outcome: Outcome) -> None:
    rounds = max(1, round(options.minutes * 60 / options.round_seconds))
    planned = flow.plan(rounds, round(LINES_PER_SECOND * options.round_seconds), options.seed)
    with stage(folder, planned.catalogue, mode=options.mode, broker=options.broker, seed=options.seed) as made:
        warden = Warden(made.own_parts)
        warden.start()
        try:
            play = _Play(options, planned, made, outcome)
            for number in range(rounds):
                play.round(number)
                if outcome.differences:
                    break
        finally:
            warden.stop()
            outcome.ended_by_themselves = {
                part.name: part.ended_by_itself for part in made.own_parts if part.ended_by_itself
            }
        play.count()
    outcome.did_not_end = {part.name: part.did_not_end for part in made.own_parts if part.did_not_end}


class _Play:
    def __init__(self, options: Options, planned: flow.Flow, made: Stage, outcome: Outcome) -> None:
        self._options = options
        self._flow = planned
        self._stage = made
        self._outcome = outcome
        self._clock = SystemClock()
        self._shop = Shop(made.shop, self._clock)
        self._began = time.monotonic()

    def round(self, number: int) -> None:
        """Orders under faults until the round's time is over, then quiet, then the proof."""
        faults = plan.faults(
            Random(f"faults {self._options.seed} {number}"),
            self._stage.possibilities,
            seconds=self._options.round_seconds,
            round_number=number,
        )
        strikes = Strikes(self._stage.targets, self._options.tell)
        began = time.monotonic()
        with ThreadPoolExecutor(1, thread_name_prefix="strikes") as aside:
            striking = aside.submit(strikes.run, faults, began)
            self._place(self._flow.rounds[number], began)
            striking.result()
        over = time.monotonic()
        self._stage.mend()
        # The shop tries again now rather than after its own waits: what is measured is trueup's way to quiet.
        self._stage.shop.control.post("/flush")
        with Database(self._stage.database_url) as database:
            differences = self._settle(database)
            seconds_to_quiet = time.monotonic() - over
            if not differences:
                differences = self._prove(database, number + 1)
            self._outcome.operations = database.operations()
        self._outcome.rounds.append(RoundOutcome(seconds_to_quiet, strikes.struck, differences))
        self._options.tell(
            f"{datetime.now(UTC):%H:%M:%S}  round {number + 1} of {len(self._flow.rounds)}: {len(strikes.struck)}"
            f" faults, {self._shop.lines_placed:,} order lines so far, quiet after {seconds_to_quiet:.1f} s,"
            f" {len(differences)} differences"
        )

    def _place(self, part: flow.Round, began: float) -> None:
        crowd = Buyers(self._stage.marketplace, part.purchases)
        crowd.start()
        before = self._shop.lines_placed
        for piece in part.pieces:
            due = began + (self._shop.lines_placed - before) / LINES_PER_SECOND
            self._clock.sleep(max(0.0, due - time.monotonic()))
            self._shop.place(piece)
            crowd.lines_placed(self._shop.lines_placed - before)
        crowd.finish()

    def _settle(self, database: Database) -> list[Difference]:
        orders = len(self._shop.order_ids)
        try:
            quiet.wait_until_quiet(
                database,
                self._stage.shop,
                self._stage.marketplace,
                orders=orders,
                clock=self._clock,
                on_look=Seldom(self._options.tell),
            )
        except quiet.NeverQuietError as restless:
            return [Difference("quiet", "", str(restless))]
        return []

    def _prove(self, database: Database, rounds: int) -> list[Difference]:
        proved = proof.check(
            self._flow.expected(rounds, self._shop.line_ids),
            self._stage.shop.committed(),
            self._stage.marketplace.listings(),
            database.books(),
        )
        self._outcome.proof = proved
        return [*proved.differences, *self._lost_deliveries()]

    def _lost_deliveries(self) -> list[Difference]:
        """Answered with 200, and not in the database."""
        engine = create_engine(self._stage.database_url)
        with engine.connect() as connection:
            stored = set(connection.execute(text("SELECT delivery_id FROM deliveries")).scalars())
        engine.dispose()
        return [
            Difference("delivery", lost, f"delivery {lost} was answered with 200 and is not in the database")
            for lost in sorted(self._stage.deliveries.acknowledged - stored)
        ]

    def count(self) -> None:
        """What the lines have heard."""
        outcome, made = self._outcome, self._stage
        outcome.orders, outcome.order_lines = len(self._shop.order_ids), self._shop.lines_placed
        outcome.acknowledged = len(made.deliveries.acknowledged)
        outcome.delivery_statuses = dict(sorted(made.deliveries.statuses.items()))
        outcome.cut_answers = {name: line.cut_answers for name, line in made.targets.lines.items()}
        outcome.met_full_disk = sum(part.log_path.read_bytes().count(FULL_DISK) for part in made.own_parts)
        outcome.cannot = made.cannot
        for vendor, calls in made.calls.items():
            returns, otherwise = windows(outcome.struck, vendor, self._began, time.monotonic())
            outcome.calls[vendor] = len(calls)
            outcome.most_calls_after_return[vendor] = calls.most_in_a_second(returns)
            outcome.most_calls_otherwise[vendor] = calls.most_in_a_second(otherwise)


class Seldom:
    """Tells now and then what is left, while it takes long."""

    def __init__(self, tell: Callable[[str], None], every_seconds: float = 20.0) -> None:
        self._tell = tell
        self._every_seconds = every_seconds
        self._told_at = time.monotonic()

    def __call__(self, left: Mapping[str, int]) -> None:
        if time.monotonic() - self._told_at > self._every_seconds:
            self._told_at = time.monotonic()
            self._tell(f"{datetime.now(UTC):%H:%M:%S}  not quiet yet: {dict(left)}")


Windows = list[tuple[float, float]]


def windows(struck: Sequence[Struck], vendor: str, began: float, ended: float) -> tuple[Windows, Windows]:
    """The times right after the vendor came back, and those in which it was there all along."""
    away = sorted((one.began, one.ended) for one in struck if one.fault.target == vendor and one.fault.kind in GONE)
    returns, otherwise, free_from = [], [], began
    for number, (gone_at, back_at) in enumerate(away):
        if gone_at > free_from:
            otherwise.append((free_from, gone_at))
        next_at = away[number + 1][0] if number + 1 < len(away) else ended
        free_from = min(back_at + RECOVERING_SECONDS, max(next_at, back_at))
        returns.append((back_at, free_from))
    otherwise.append((free_from, ended))
    return returns, otherwise
