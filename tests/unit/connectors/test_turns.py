from __future__ import annotations

import gc
import threading

from connectors.turns import Turns


def test_a_name_has_one_turn_at_a_time_and_others_go_on() -> None:
    turns, there = Turns(threading.Lock), threading.Event()
    order: list[str] = []

    def second() -> None:
        there.set()
        with turns.of("one"):
            order.append("second")

    with turns.of("one"):
        waiter = threading.Thread(target=second)
        waiter.start()
        assert there.wait(10)
        with turns.of("another"):
            order.append("another")
        order.append("first")
    waiter.join(10)
    assert order == ["another", "first", "second"]


def test_nothing_is_kept_of_names_whose_turn_is_over() -> None:
    turns = Turns(threading.Lock)
    for number in range(100):
        with turns.of(str(number)):
            pass
    gc.collect()
    assert len(turns._turns) == 0
