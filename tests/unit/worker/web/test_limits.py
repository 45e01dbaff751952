from __future__ import annotations

from connectors.sandbox.clock import VirtualClock
from worker.web.limits import Seldom


def test_the_first_goes_through_and_the_next_wait() -> None:
    seldom = Seldom(VirtualClock(), 60)

    assert seldom.lets_through("refused") == 1
    assert seldom.lets_through("refused") is None


def test_kinds_do_not_hinder_each_other() -> None:
    seldom = Seldom(VirtualClock(), 60)
    seldom.lets_through("refused")

    assert seldom.lets_through("too large") == 1


def test_what_was_kept_back_is_counted_by_the_next() -> None:
    clock = VirtualClock()
    seldom = Seldom(clock, 60)
    for _ in range(5):
        seldom.lets_through("refused")
    clock.advance(59)
    assert seldom.lets_through("refused") is None
    clock.advance(1)

    assert seldom.lets_through("refused") == 6
    clock.advance(60)
    assert seldom.lets_through("refused") == 1
