"""Every way in which a stock falls below zero, in histories of a Sharetribe marketplace with innocent transactions
around it: the one that is named is the guilty one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from random import Random
from typing import Any

import httpx
import pytest

from connectors.budget import LocalBudgets
from connectors.http import Toolbox
from connectors.registry import connector
from connectors.sandbox.clock import VirtualClock
from connectors.sandbox.serve import serve
from connectors.sharetribe import SharetribeMarketplace
from connectors.sharetribe.sandbox import Options, create_app
from connectors.sharetribe.sandbox.process import INQUIRY_PURCHASE, PROPOSED_PURCHASE
from tests.conformance.sharetribe_sandbox.api import Api
from worker.alerts import Finding
from worker.upkeep.diagnosis import Diagnosis

SEEDS = (1, 2, 3)
INNOCENTS_BEFORE, INNOCENTS_AFTER = 7, 4


class History:
    """A listing, and people who buy it, pay or do not, cancel and quarrel."""

    def __init__(self, api: Api, clock: VirtualClock, marketplace: SharetribeMarketplace, seed: int) -> None:
        self.api = api
        self.marketplace = marketplace
        self.random = Random(seed)
        self.clock = clock
        self.listing_id = api.listing(self.random.randint(4, 9))
        self.innocent: list[str] = []

    @property
    def total(self) -> int:
        return int(self.api.look(f"listings/{self.listing_id}")["total"])

    def pass_time(self, *, most_seconds: float = 200) -> None:
        self.clock.advance(self.random.uniform(0.01, most_seconds))

    def step(self, purchase: Any, *steps: str) -> Any:
        for step in steps:
            self.pass_time(most_seconds=60)
            self.api.step(purchase, step)
        return purchase

    def buy(self, quantity: int, *, process: str | None = None) -> Any:
        """A purchase of somebody who has done nothing wrong."""
        purchase = self.api.buy(self.listing_id, quantity, **({} if process is None else {"process": process}))
        self.innocent.append(purchase["id"])
        return purchase

    def edit(self, change: int) -> None:
        self.api.control(f"listings/{self.listing_id}/stock", {"change": change})

    def go_on(self, times: int) -> None:
        """Innocent things happen, each of which leaves the total as it was or lowers it, but not below zero."""
        for _ in range(times):
            self.pass_time()
            if self.total < 3:
                self.edit(4)
                self.pass_time()
            quantity = self.random.randint(1, 2)
            match self.random.choice(
                ("paid", "abandoned", "cancelled", "quarrel", "agreed", "refused", "failed", "edit")
            ):
                case "paid":
                    self.step(self.buy(quantity), "pay", "deliver")
                case "abandoned":
                    self.step(self.buy(quantity), "expire")
                case "cancelled":
                    self.step(self.buy(quantity), "pay", "cancel")
                case "quarrel":
                    self.step(self.buy(quantity), "pay", "deliver", "dispute", "cancel_disputed")
                case "agreed":
                    self.step(self.buy(quantity, process=PROPOSED_PURCHASE), "accept")
                case "refused":
                    self.step(self.buy(quantity, process=PROPOSED_PURCHASE), "decline")
                case "failed":
                    # Its release is undone too, but nobody took the units: no harm is done.
                    purchase = self.step(self.buy(quantity), "pay")
                    self.pass_time()
                    self.api.step(purchase, "fail_release", {"taker_units": 0})
                case _:
                    self.edit(self.random.choice((-1, 2)))

    def diagnosis(self) -> Finding:
        assert self.total < 0
        return Diagnosis(self.marketplace, self.clock).of(self.marketplace.listing(self.listing_id))


@pytest.fixture
def play() -> Iterator[Callable[[int], History]]:
    clock = VirtualClock()
    options = Options.model_validate({"switches": {"negative_result": "allowed"}})
    found = connector("sharetribe")
    assert found.marketplace_settings is not None
    assert found.open_marketplace is not None
    with serve(create_app(options, clock)) as url, httpx.Client(base_url=url, timeout=10) as client:
        settings = found.marketplace_settings.model_validate(
            {"client_id": options.client_id, "client_secret": options.client_secret, "base_url": url}
        )
        marketplace = found.open_marketplace(settings, Toolbox(clock, LocalBudgets(clock), Random(1)))
        assert isinstance(marketplace, SharetribeMarketplace)
        yield lambda seed: History(Api(client, options), clock, marketplace, seed)
        marketplace.disconnect()


# --- from which state, by which action, the units were given back -----------------------------------------------------

RELEASES: dict[str, tuple[str | None, tuple[str, ...]]] = {
    "declined when its payment expired": (None, ()),
    "cancelled when it was paid": (None, ("pay",)),
    "cancelled in a dispute": (None, ("pay", "deliver", "dispute")),
    "cancelled when the proposal was accepted": (PROPOSED_PURCHASE, ("accept",)),
    "declined after an inquiry": (INQUIRY_PURCHASE, ("request",)),
    "cancelled after an inquiry": (INQUIRY_PURCHASE, ("request", "pay")),
}


# --- who took them, before they were taken back -----------------------------------------------------------------------


def one_buyer(history: History, units: int) -> None:
    history.step(history.buy(units), "pay")


def many_buyers(history: History, units: int) -> None:
    for _ in range(units):
        history.buy(1)
        history.pass_time(most_seconds=5)


def our_write(history: History, units: int) -> None:
    history.marketplace.adjust(history.listing_id, seen=history.total, delta=-units)


def the_provider(history: History, units: int) -> None:
    history.edit(-units)


TAKERS = (one_buyer, many_buyers, our_write, the_provider)


def fall_below_zero(history: History, process: str | None, steps: tuple[str, ...], take: Callable[..., None]) -> Any:
    """The guilty purchase gives its units back, somebody takes them, and it takes them again; returns it."""
    if history.total < 4:
        history.edit(4)
    quantity = history.random.randint(2, 3)
    details = {} if process is None else {"process": process}
    guilty = history.api.buy(history.listing_id, 1 if process == INQUIRY_PURCHASE else quantity, **details)
    history.step(guilty, *steps)
    before = history.total
    history.api.step(guilty, "fail_release", {"taker_units": 0, "hold": True})
    released = history.total - before
    history.pass_time(most_seconds=20)
    take(history, history.total - history.random.randrange(released))
    history.pass_time(most_seconds=20)
    history.api.step(guilty, "undo_release")
    return guilty


@pytest.mark.parametrize("take", TAKERS, ids=lambda take: take.__name__)
@pytest.mark.parametrize("release", RELEASES)
def test_the_transaction_whose_release_was_undone_is_named(
    play: Callable[[int], History], release: str, take: Callable[..., None]
) -> None:
    process, steps = RELEASES[release]
    for seed in SEEDS:
        history = play(seed)
        history.go_on(INNOCENTS_BEFORE)
        guilty = fall_below_zero(history, process, steps, take)
        if release == "declined when its payment expired" and seed == SEEDS[0]:
            # Its trail does not end with the failed transition then.
            history.step(guilty, "pay")
        history.pass_time()
        finding = history.diagnosis()
        first = finding.detail["suspects"][0]
        assert (first["transaction"], first["certain"]) == (guilty["id"], True), seed
        assert f"transaction {guilty['id']} is the likely cause" in finding.message
        assert not [innocent for innocent in history.innocent if innocent in finding.message]


@pytest.mark.parametrize("seed", SEEDS)
def test_of_two_that_are_guilty_the_one_that_crossed_zero_is_named_first(
    play: Callable[[int], History], seed: int
) -> None:
    history = play(seed)
    history.go_on(INNOCENTS_BEFORE)
    history.edit(6)
    first, second = (history.step(history.api.buy(history.listing_id, 2), "pay") for _ in range(2))
    for purchase in (first, second):
        history.api.step(purchase, "fail_release", {"taker_units": 0, "hold": True})
    one_buyer(history, history.total)
    for purchase in (second, first):
        history.pass_time()
        history.api.step(purchase, "undo_release")
    found = [suspect["transaction"] for suspect in history.diagnosis().detail["suspects"]]
    assert found[0] == second["id"]
    assert first["id"] in found


@pytest.mark.parametrize("seed", SEEDS)
def test_an_adjustment_below_zero_is_named_itself_and_no_transaction(play: Callable[[int], History], seed: int) -> None:
    history = play(seed)
    history.go_on(INNOCENTS_BEFORE + INNOCENTS_AFTER)
    history.pass_time()
    history.api.forget_token()
    made = history.api.post(
        "stock_adjustments/create", {"listingId": history.listing_id, "quantity": -history.total - 2}, expand="true"
    ).json()["data"]["id"]
    finding = history.diagnosis()
    assert finding.detail["adjustment"] == made
    assert made in finding.message
    assert finding.detail["suspects"] == []


def test_what_began_before_the_log_is_read_is_not_blamed(play: Callable[[int], History]) -> None:
    """A dispute ends by itself after 60 days: its units come back within the days that are read, their taking lies
    before.
    """
    history = play(1)
    history.step(history.buy(2), "pay", "deliver", "dispute")
    history.clock.advance(59 * 86_400)
    old = history.step(history.buy(1), "pay", "deliver")
    history.clock.advance(40 * 86_400)
    history.step(old, "dispute")
    history.clock.advance(3 * 86_400)
    guilty = fall_below_zero(history, None, ("pay",), one_buyer)
    assert [each["transaction"] for each in history.diagnosis().detail["suspects"]] == [guilty["id"]]
