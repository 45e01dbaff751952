"""One receiver as a process of its own, attacked over loopback, with good deliveries in between."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path

from sqlalchemy import func, select

from tests.attack.inputs import Input, head, hostile, request
from tests.receiving import order_body, signature
from worker.store import Store
from worker.store.tables import Delivery
from worker.web.batching import ANSWER_SECONDS
from worker.web.server import MOST_CONNECTIONS, MOST_OPEN, REQUEST_SECONDS

AT_ONCE = 24
GOOD_EVERY = 100
WARM_UP = 500
"""Inputs before memory is first looked at: parsers, pools and caches are filled by then."""
PATIENCE_SECONDS = 15.0
UNHURRIED_SECONDS = ANSWER_SECONDS / 2
PAGE_BYTES = 4096


@dataclass(slots=True)
class Report:
    """What came of it."""

    seed: int
    inputs: int = 0
    seconds: float = 0.0
    statuses: Counter[str] = field(default_factory=Counter)
    """Answers to hostile inputs by status; `closed` is a connection that ended without one."""
    accepted: list[str] = field(default_factory=list)
    """Kinds of hostile inputs that were answered 200, or stored."""
    failed: list[str] = field(default_factory=list)
    """Kinds that were answered 500, or not at all and kept open."""
    good: int = 0
    """Good deliveries in between, each answered 200."""
    repeats: int = 0
    """Old deliveries sent again, each answered 200 and stored no second time."""
    stored: int = 0
    memory_before: int = 0
    memory_after: int = 0
    """Resident bytes of the receiver."""
    log_lines: int = 0
    slow_cut: int = 0
    slow_longest_seconds: float = 0.0
    idle_opened: int = 0
    idle_held: int = 0
    overload: Counter[str] = field(default_factory=Counter)
    overload_longest_seconds: float = 0.0
    """Until one was sent away while the database was locked."""

    def as_json(self) -> str:
        return json.dumps(asdict(self))


class ReceiverProcess:
    """The receiver with its own memory and its own log."""

    def __init__(self, url: str, log: Path, log_format: str = "json") -> None:
        self.log = log
        arguments = [sys.executable, "-m", "tests.attack", "--serve", url, "--log-format", log_format]
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=output, text=True
            )
        assert self._process.stdout is not None
        self.address = json.loads(self._process.stdout.readline())["url"]
        self.host, port = self.address.removeprefix("http://").split(":")
        self.port = int(port)

    @property
    def memory(self) -> int:
        """Resident bytes."""
        return int(Path(f"/proc/{self._process.pid}/statm").read_text().split()[1]) * PAGE_BYTES

    def end(self) -> int:
        """Let it end as on SIGTERM; its exit code."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        code = self._process.wait(60)
        assert self._process.stdout is not None
        self._process.stdout.close()
        return code


@contextmanager
def receiver(url: str, log: Path, log_format: str = "json") -> Iterator[ReceiverProcess]:
    process = ReceiverProcess(url, log, log_format)
    try:
        yield process
    finally:
        assert process.end() == 0


async def send(process: ReceiverProcess, data: bytes, *, half_close: bool = False) -> list[str]:
    """The statuses of all answers until the connection ends; `open` if it does not, `closed` without an answer."""
    answer = b""
    reader, writer = await asyncio.open_connection(process.host, process.port)
    try:
        # Also "not connected", when the other end has gone before we say that nothing more comes.
        with suppress(OSError):
            writer.write(data)
            if half_close:
                writer.write_eof()
            # An early answer ends the connection while we still send.
            while piece := await asyncio.wait_for(reader.read(65536), PATIENCE_SECONDS):
                answer += piece
    except TimeoutError:
        return ["open"]
    finally:
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()
    lines = [line for line in answer.split(b"\r\n") if line.startswith(b"HTTP/1.1 ")]
    return [line[9:12].decode("ascii", "replace") for line in lines if line[9:12] != b"100"] or ["closed"]


class Campaign:
    """Everything that is sent to one receiver."""

    def __init__(self, process: ReceiverProcess, store: Store, seed: int) -> None:
        self._process = process
        self._store = store
        self._seed = seed
        self.report = Report(seed)
        self._numbers = iter(range(1, 10**9))
        self._sent: list[bytes] = []

    def stored(self) -> int:
        with self._store.read() as transaction:
            return transaction.scalar(select(func.count()).select_from(Delivery)) or 0

    async def good(self) -> None:
        """A good delivery is taken; and an old one that somebody sends again is taken for what it is."""
        number = next(self._numbers)
        body = order_body(10**9 + number)
        data = request(head(signature(body), delivery_id=f"good-{number}"), body)
        before = self.stored()
        assert await send(self._process, data) == ["200"]
        assert self.stored() == before + 1
        self.report.good += 1
        self._sent.append(data)
        assert await send(self._process, self._sent[number // 2]) == ["200"]
        assert self.stored() == before + 1
        self.report.repeats += 1

    async def attack(self, count: int) -> None:
        """`count` hostile inputs, many at once, with good deliveries between them."""
        began = time.monotonic()
        inputs = islice(hostile(self._seed), count)
        done = 0
        while batch := list(islice(inputs, GOOD_EVERY)):
            at_once = asyncio.Semaphore(AT_ONCE)
            before = self.stored()
            await asyncio.gather(*(self._one(one, at_once) for one in batch))
            if self.stored() != before:
                self.report.accepted.append(f"{self.stored() - before} stored of {Counter(one.kind for one in batch)}")
            await self.good()
            if done < WARM_UP <= done + len(batch) or not done:
                self.report.memory_before = self._process.memory
            done += len(batch)
        self.report.inputs += done
        self.report.memory_after = self._process.memory
        self.report.seconds = time.monotonic() - began

    async def _one(self, one: Input, at_once: asyncio.Semaphore) -> None:
        async with at_once:
            statuses = await send(self._process, one.data, half_close=one.half_close)
        self.report.statuses.update(statuses)
        if "200" in statuses:
            self.report.accepted.append(one.kind)
        if {"500", "open"} & set(statuses):
            self.report.failed.append(f"{one.kind}: {statuses}")

    async def slow(self, count: int) -> None:
        """Senders that drip, stall, or never read: each is cut off in time, and nobody else waits for them."""
        began = time.monotonic()
        cut = asyncio.gather(*(self._drip(number) for number in range(count)))
        await asyncio.sleep(0.5)
        await self.good()
        await cut
        self.report.slow_cut = count
        self.report.slow_longest_seconds = time.monotonic() - began
        assert self.report.slow_longest_seconds < 2 * REQUEST_SECONDS

    async def _drip(self, number: int) -> None:
        starts = [
            b"",
            b"POST /hooks/toys HTTP/1.1\r\nX: ",
            b"POST /hooks/toys HTTP/1.1\r\nHost: x\r\nContent-Length: 60000\r\n\r\n",
            b"POST /hooks/toys HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nea60\r\n",
            b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n\r\n",
        ]
        reader, writer = await asyncio.open_connection(self._process.host, self._process.port)
        writer.write(starts[number % len(starts)])
        with suppress(ConnectionError):
            while not reader.at_eof():
                writer.write(b"\r\n" if number % len(starts) == len(starts) - 1 else b"x")
                with suppress(TimeoutError):
                    await asyncio.wait_for(reader.read(65536), 1.0)
        writer.close()

    async def crowd(self) -> None:
        """More connections than may be: those beyond end at once, and all is well when the others are gone."""
        opened = [await asyncio.open_connection(self._process.host, self._process.port) for _ in range(MOST_OPEN + 100)]
        ended = await asyncio.gather(*(_has_ended(reader) for reader, _ in opened))
        self.report.idle_opened, self.report.idle_held = len(opened), ended.count(False)
        assert self.report.idle_held <= MOST_OPEN
        for _, writer in opened:
            writer.close()
        await self._until_taken()

    async def overload(self) -> None:
        """While the database is locked: nothing is taken that is not stored, and one too many is told so at once."""
        before = self.stored()
        bodies = [order_body(2 * 10**9 + number) for number in range(MOST_CONNECTIONS + 100)]
        with self._store.write():
            sending = {
                asyncio.create_task(self._timed(request(head(signature(body), delivery_id="crowd"), body)))
                for body in bodies
            }
            refused: set[asyncio.Task[tuple[list[str], float]]] = set()
            waiting = sending
            # Long before the others' own patience ends.
            deadline = time.monotonic() + UNHURRIED_SECONDS
            while len(refused) < 50 and time.monotonic() < deadline:
                done, waiting = await asyncio.wait(waiting, timeout=0.1)
                refused |= done
            assert refused, "nobody was sent away while the database was locked"
            assert {status for task in refused for status in task.result()[0]} == {"503"}
            self.report.overload_longest_seconds = max(task.result()[1] for task in refused)
        answers = Counter(status for statuses, _ in await asyncio.gather(*sending) for status in statuses)
        self.report.overload = answers
        assert set(answers) <= {"200", "503"}
        assert self.stored() - before == answers["200"]
        await self._until_taken()

    async def _timed(self, data: bytes) -> tuple[list[str], float]:
        began = time.monotonic()
        return await send(self._process, data), time.monotonic() - began

    async def _until_taken(self) -> None:
        """The crowd is gone once the server has seen its ends."""
        for _ in range(100):
            if await send(self._process, b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n") == ["200"]:
                break
            await asyncio.sleep(0.1)
        await self.good()

    def examine(self) -> None:
        """What is left behind: rows, and a log in which nothing begins a line or moves a cursor."""
        self.report.stored = self.stored()
        text = self._process.log.read_bytes().decode()
        lines = text.split("\n")[:-1]
        self.report.log_lines = len(lines)
        assert all(character.isprintable() for line in lines for character in line)
        assert "forged" not in "".join(line for line in lines if line.startswith("2026-01-01T00:00:00Z"))
        assert "Traceback" not in text
        for line in lines if lines and lines[0].startswith("{") else ():
            json.loads(line)


async def _has_ended(reader: asyncio.StreamReader) -> bool:
    with suppress(TimeoutError, ConnectionError):
        await asyncio.wait_for(reader.read(1), 0.5)
        return True
    return bool(reader.exception())
