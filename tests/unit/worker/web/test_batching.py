from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Sequence
from datetime import UTC, datetime
from typing import Any

import pytest

from worker.intake.inbox import Incoming
from worker.store import StorageUnavailable
from worker.web import batching
from worker.web.batching import Batcher, NotStored, Overloaded

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def delivery(name: str) -> Incoming:
    return Incoming("toys", name, "0" * 64, "orders/updated", b"{}", False, NOW, "c")


class Shelf:
    """Stores what it is given, in batches, as soon as it may."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.open = threading.Event()
        self.open.set()
        self.reached = threading.Event()
        self.bad: set[str] = set()
        self.down = False

    @property
    def stored(self) -> list[str]:
        return [name for batch in self.batches for name in batch]

    def put(self, deliveries: Sequence[Incoming]) -> None:
        self.reached.set()
        self.open.wait(30)
        names = [item.delivery_id for item in deliveries]
        if self.down:
            raise StorageUnavailable("the database cannot be used: it is away")
        if self.bad & set(names):
            raise ValueError("a NUL character")
        self.batches.append(names)


def run(test: Callable[[Batcher, Shelf], Coroutine[Any, Any, None]], *, most_waiting: int = 100) -> Shelf:
    shelf = Shelf()

    async def within() -> None:
        batcher = Batcher(shelf.put, most_waiting=most_waiting)
        await test(batcher, shelf)
        shelf.open.set()
        await batcher.close()

    asyncio.run(within())
    return shelf


async def until(event: threading.Event) -> None:
    assert await asyncio.to_thread(event.wait, 30)


def test_what_arrives_during_a_commit_shares_the_next() -> None:
    async def test(batcher: Batcher, shelf: Shelf) -> None:
        shelf.open.clear()
        first = asyncio.create_task(batcher.store(delivery("1")))
        await until(shelf.reached)
        others = [asyncio.create_task(batcher.store(delivery(str(n)))) for n in range(2, 8)]
        await asyncio.sleep(0)
        assert not first.done()
        shelf.open.set()
        await asyncio.gather(first, *others)

    shelf = run(test)
    assert shelf.batches == [["1"], ["2", "3", "4", "5", "6", "7"]]


def test_nobody_is_answered_before_the_commit() -> None:
    async def test(batcher: Batcher, shelf: Shelf) -> None:
        shelf.open.clear()
        storing = asyncio.create_task(batcher.store(delivery("1")))
        await until(shelf.reached)
        assert shelf.stored == []
        assert not storing.done()
        shelf.open.set()
        await storing
        assert shelf.stored == ["1"]

    run(test)


def test_a_batch_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batching, "MOST_AT_ONCE", 4)

    async def test(batcher: Batcher, shelf: Shelf) -> None:
        await asyncio.gather(*(batcher.store(delivery(str(n))) for n in range(10)))

    shelf = run(test)
    assert [len(batch) for batch in shelf.batches] == [4, 4, 2]


def test_a_full_queue_refuses_and_keeps_what_it_has() -> None:
    async def test(batcher: Batcher, shelf: Shelf) -> None:
        shelf.open.clear()
        taken = [asyncio.create_task(batcher.store(delivery("1")))]
        await until(shelf.reached)
        taken += [asyncio.create_task(batcher.store(delivery(str(n)))) for n in (2, 3)]
        await asyncio.sleep(0)
        with pytest.raises(Overloaded):
            await batcher.store(delivery("4"))
        shelf.open.set()
        await asyncio.gather(*taken)
        await batcher.store(delivery("5"))

    shelf = run(test, most_waiting=2)
    assert shelf.stored == ["1", "2", "3", "5"]


def test_a_database_that_is_down_fails_every_one_of_the_batch_and_recovers() -> None:
    async def test(batcher: Batcher, shelf: Shelf) -> None:
        shelf.down = True
        outcomes = await asyncio.gather(*(batcher.store(delivery(str(n))) for n in range(3)), return_exceptions=True)
        assert [type(outcome) for outcome in outcomes] == [StorageUnavailable] * 3
        shelf.down = False
        await batcher.store(delivery("later"))

    assert run(test).stored == ["later"]


def test_a_bad_delivery_does_not_hurt_its_neighbours() -> None:
    async def test(batcher: Batcher, shelf: Shelf) -> None:
        shelf.bad = {"2"}
        outcomes = await asyncio.gather(*(batcher.store(delivery(str(n))) for n in range(4)), return_exceptions=True)
        assert [type(outcome) for outcome in outcomes] == [type(None), type(None), NotStored, type(None)]

    assert run(test).stored == ["0", "1", "3"]


def test_a_database_that_hangs_keeps_nobody_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batching, "ANSWER_SECONDS", 0.01)

    async def test(batcher: Batcher, shelf: Shelf) -> None:
        shelf.open.clear()
        writing = asyncio.create_task(batcher.store(delivery("1")))
        await until(shelf.reached)
        waiting = asyncio.create_task(batcher.store(delivery("2")))
        for task in (writing, waiting):
            with pytest.raises(StorageUnavailable, match="no answer"):
                await task
        late = asyncio.create_task(batcher.store(delivery("3")))
        with pytest.raises(StorageUnavailable, match="no answer"):
            await late

    # What was being written is stored all the same; what only waited was never begun.
    assert run(test).stored == ["1"]


def test_closing_stores_what_waits_and_refuses_the_rest() -> None:
    async def test(batcher: Batcher, shelf: Shelf) -> None:
        shelf.open.clear()
        taken = [asyncio.create_task(batcher.store(delivery(str(n)))) for n in range(3)]
        await until(shelf.reached)
        closing = asyncio.create_task(batcher.close())
        await asyncio.sleep(0)
        with pytest.raises(Overloaded):
            await batcher.store(delivery("too late"))
        shelf.open.set()
        await closing
        assert shelf.stored == ["0", "1", "2"]
        await asyncio.gather(*taken)

    run(test)
