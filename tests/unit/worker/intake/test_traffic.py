"""When a channel has gone quiet."""

from __future__ import annotations

import pytest

from worker.intake.traffic import KEPT_HOURS, LEAST_KNOWN_HOURS, Quiet, is_still, quiet

DAY = [0] * 8 + [4] * 14 + [0] * 2
"""A shop that sleeps at night: from midnight on, orders in each hour."""
WEEKEND = [0] * 8 + [1] * 14 + [0] * 2
WEEK = DAY * 5 + WEEKEND * 2
USUAL = (WEEK * 2)[-KEPT_HOURS:]


@pytest.mark.parametrize("hour", range(24))
def test_nights_and_weekends_are_usual(hour: int) -> None:
    assert quiet(USUAL[: LEAST_KNOWN_HOURS + 72 + hour]) is None


def test_a_day_without_orders_is_not() -> None:
    assert quiet([*USUAL, *[0] * 24]) == Quiet(hours=24, orders=0, usual=14)
    assert quiet([*USUAL, *[0] * 16]) is None


def test_less_than_a_fifth_is_as_good_as_none() -> None:
    busy = [10] * KEPT_HOURS
    assert quiet([*busy, 2, 2, 2, 2, 2, 1]) == Quiet(hours=6, orders=11, usual=60)
    assert quiet([*busy, 2, 2, 2, 2, 2, 2]) is None


def test_few_orders_and_few_days_tell_nothing() -> None:
    rare = ([1] + [0] * 11) * 28
    assert quiet([*rare, *[0] * 72]) is None
    assert quiet([10] * (LEAST_KNOWN_HOURS - 1) + [0] * 6) is None
    assert quiet([0] * LEAST_KNOWN_HOURS + [10] * 12 + [0] * 6) is None


def test_what_was_found_stays_so_until_it_sells_again_however_usual_silence_has_become() -> None:
    silent = [*USUAL, *[0] * 200][-KEPT_HOURS:]
    found = Quiet(hours=24, orders=0, usual=14)
    assert quiet(silent) is None
    assert is_still(silent, found)
    assert is_still([*silent, 2], found)
    assert not is_still([*silent, 3], found)
