from __future__ import annotations

import asyncio
import threading

import pytest

from connectors.sandbox.clock import VirtualClock
from worker.web.cached import Cached


class Question:
    """Counts how often it is asked; answers with that number once it may."""

    def __init__(self) -> None:
        self.asked = 0
        self.may_answer = threading.Event()
        self.may_answer.set()
        self.error: Exception | None = None

    def __call__(self) -> int:
        self.asked += 1
        self.may_answer.wait(30)
        if self.error is not None:
            raise self.error
        return self.asked


def test_an_answer_is_kept_for_its_time_only() -> None:
    clock, question = VirtualClock(), Question()

    async def ask() -> None:
        cached = Cached(question, clock, for_seconds=3, within_seconds=30)
        assert await cached.get() == 1
        clock.advance(2.9)
        assert await cached.get() == 1
        clock.advance(0.1)
        assert await cached.get() == 2

    asyncio.run(ask())


def test_many_who_ask_at_once_ask_once() -> None:
    question = Question()

    async def ask() -> None:
        cached = Cached(question, VirtualClock(), for_seconds=0, within_seconds=30)
        assert await asyncio.gather(*(cached.get() for _ in range(20))) == [1] * 20

    asyncio.run(ask())


def test_a_question_that_hangs_takes_one_thread_and_nobody_waits_for_ever() -> None:
    question = Question()
    question.may_answer.clear()

    async def ask() -> None:
        cached = Cached(question, VirtualClock(), for_seconds=3, within_seconds=0.01)
        try:
            for _ in range(3):
                with pytest.raises(TimeoutError):
                    await cached.get()
            assert question.asked == 1
        finally:
            question.may_answer.set()

    asyncio.run(ask())


def test_a_failure_is_told_and_not_kept() -> None:
    question = Question()
    question.error = RuntimeError("broken")

    async def ask() -> None:
        cached = Cached(question, VirtualClock(), for_seconds=3, within_seconds=30)
        with pytest.raises(RuntimeError, match="broken"):
            await cached.get()
        question.error = None
        assert await cached.get() == 2

    asyncio.run(ask())
