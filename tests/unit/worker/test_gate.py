"""How many threads do the same work at once."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from worker.gate import Gate


def count(rounds: Iterator[None]) -> int:
    return sum(1 for _ in rounds)


def test_an_open_gate_gives_one_round() -> None:
    with Gate(1).entered() as rounds:
        assert count(rounds) == 1


def test_a_full_gate_gives_none_and_makes_those_inside_look_once_more() -> None:
    gate = Gate(1)
    with gate.entered() as rounds:
        next(rounds)
        for _ in range(3):
            with gate.entered() as refused:
                assert count(refused) == 0
        assert count(rounds) == 1


def test_it_lets_as_many_in_as_it_says() -> None:
    gate = Gate(2)
    with gate.entered() as first, gate.entered() as second, gate.entered() as third:
        assert (next(first, "none"), next(second, "none"), next(third, "none")) == (None, None, "none")


def test_who_fails_inside_leaves_the_gate_open() -> None:
    gate = Gate(1)
    with pytest.raises(ZeroDivisionError), gate.entered():
        raise ZeroDivisionError
    with gate.entered() as rounds:
        assert count(rounds) == 1


def test_no_ring_is_lost_among_many_threads() -> None:
    """Whatever is put down before a ring is picked up by some round that begins after it."""
    gate, waiting, handled, lock = Gate(1), [0], [0], threading.Lock()

    def ring() -> None:
        for _ in range(200):
            with lock:
                waiting[0] += 1
            with gate.entered() as rounds:
                for _ in rounds:
                    with lock:
                        handled[0] += waiting[0]
                        waiting[0] = 0

    threads = [threading.Thread(target=ring) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (waiting[0], handled[0]) == (0, 800)
