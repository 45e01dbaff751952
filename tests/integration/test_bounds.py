"""Every call ends, whatever is at the other end of a real connection."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing

import pytest

from connectors.budget import LocalBudgets
from connectors.clock import SystemClock
from connectors.deadline import seconds_left, within
from connectors.errors import OutcomeUnknown, Unavailable, Unreadable
from connectors.http import Http, Timeouts, Toolbox
from tests.shops import Mood, Shops, open_shops

SHOP = "shop"
DRIPS = [Mood.DRIPS_ITS_HEAD, Mood.DRIPS_ITS_BODY]


@pytest.fixture
def shops() -> Iterator[Shops]:
    with open_shops() as made:
        yield made


Open = Callable[..., Http]


@pytest.fixture
def opened(shops: Shops) -> Iterator[Open]:
    """Opens the shop's account with these time-outs."""
    with ExitStack() as stack:

        def open_account(**timeouts: float) -> Http:
            clock = SystemClock()
            toolbox = Toolbox(clock, LocalBudgets(clock), random.Random(1), timeouts=Timeouts(**timeouts))
            return stack.enter_context(closing(Http(toolbox, account=SHOP, base_url=f"{shops.url}/{SHOP}")))

        yield open_account


@pytest.mark.parametrize("mood", DRIPS)
def test_an_answer_that_drips_is_cut_off_and_a_read_of_it_not_tried_again(
    shops: Shops, opened: Open, mood: Mood
) -> None:
    shops.moods[SHOP] = mood
    http = opened(answer_seconds=1.0)
    with pytest.raises(Unavailable, match="ReadTimeout"):
        http.read("GET", "orders")
    assert http.calls == 1


@pytest.mark.parametrize("mood", DRIPS)
def test_p4_a_write_whose_answer_drips_is_unknown(shops: Shops, opened: Open, mood: Mood) -> None:
    shops.moods[SHOP] = mood
    with pytest.raises(OutcomeUnknown, match="ReadTimeout"):
        opened(answer_seconds=1.0).write("POST", "orders")


@pytest.mark.parametrize("mood", [Mood.HANGS, *DRIPS])
def test_a_call_ends_when_its_time_is_over_whatever_its_steps_may_take(shops: Shops, opened: Open, mood: Mood) -> None:
    shops.moods[SHOP] = mood
    http = opened(read_seconds=60.0)
    with within(0.5), pytest.raises(Unavailable):
        http.read("GET", "orders")
    assert http.calls == 1


def test_p4_nothing_is_sent_once_the_time_is_over(opened: Open) -> None:
    http = opened()
    with within(0.0):
        with pytest.raises(Unavailable, match="was not sent"):
            http.read("GET", "orders")
        with pytest.raises(Unavailable, match="was not sent"):
            http.write("POST", "orders")
    assert http.calls == 0
    assert http.read("GET", "orders").status_code == 200


def test_a_bound_within_a_bound_only_shortens_it() -> None:
    assert seconds_left() == float("inf")
    with within(1000):
        with within(10):
            assert seconds_left() <= 10
            with within(500):
                assert seconds_left() <= 10
        assert seconds_left() > 10
    assert seconds_left() == float("inf")


@pytest.mark.parametrize("mood", [Mood.ENDLESS, Mood.BOMB])
def test_an_answer_without_bounds_is_unreadable(shops: Shops, opened: Open, mood: Mood) -> None:
    shops.moods[SHOP] = mood
    with pytest.raises(Unreadable, match="more than 32 MiB"):
        opened().read("GET", "orders")


@pytest.mark.parametrize("mood", [Mood.CUT_OFF, Mood.GARBAGE])
def test_what_is_no_answer_is_none(shops: Shops, opened: Open, mood: Mood) -> None:
    shops.moods[SHOP] = mood
    http = opened(answer_seconds=1.0)
    with pytest.raises(Unavailable, match="got no answer"):
        http.read("GET", "orders")


def test_a_redirect_is_an_answer_and_followed_by_nobody(shops: Shops, opened: Open) -> None:
    shops.moods[SHOP] = Mood.REDIRECTS
    http = opened()
    assert http.read("GET", "orders").status_code == 302
    assert shops.asked[SHOP] == 1
