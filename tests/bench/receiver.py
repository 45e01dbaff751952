"""How many signed deliveries one receiver process stores and acknowledges per second, beside the least that could.

    python -m tests.bench.receiver [--seconds 4] [--connections 128]

The least is a bare Starlette handler that puts the raw body into one table, with one commit for all that wait: no
signature, no reading, no record of what was received. Both run in this one run, each in a process of its own, on the
same databases, under load from another process that reuses its connections and its requests.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import create_engine, event, text
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from config import logging
from config.settings import LogSettings
from tests import servers
from tests.receiving import CHANNEL, order_body, services, signed
from worker.store import Store
from worker.store.migrate import upgrade
from worker.web import WebServer, create_app

PATH = f"/hooks/{CHANNEL}"
WARM_UP_SECONDS = 0.7
BODIES = 200
"""Different ones, prepared before the load begins; the delivery's id, which is not signed, is new for each request."""
PLACEHOLDER = b"00000000-0000-0000-0000-000000000000"
GOOD = b"HTTP/1.1 200 OK\r\n"
END = b"\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Rate:
    """What one case achieved."""

    database: str
    receiver: str
    per_second: float
    stored: int
    cpu_seconds_per_1000: float
    """Of the receiver's process."""


# --- the load ---------------------------------------------------------------------------------------------------


class Load(asyncio.Protocol):
    """One connection: sends the next request when the last is answered, `depth` under way at a time."""

    def __init__(self, requests: Iterator[bytes], depth: int, tally: Tally) -> None:
        self._requests = requests
        self._depth = depth
        self._tally = tally
        self._rest = b""
        self._under_way = 0
        self._transport: asyncio.Transport | None = None
        self.done = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._send(self._depth)

    def data_received(self, data: bytes) -> None:
        data = self._rest + data
        end = data.rfind(END) + len(END)
        if end < len(END):
            self._rest = data
            return
        whole, self._rest = data[:end], data[end:]
        answered = whole.count(END)
        self._tally.count(answered, whole.count(GOOD))
        self._under_way -= answered
        if self._tally.running:
            self._send(answered)
        elif not self._under_way and not self.done.done():
            self.done.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.done.done():
            self.done.set_exception(RuntimeError(f"the receiver closed a connection: {exc}"))

    def _send(self, count: int) -> None:
        assert self._transport is not None
        self._under_way += count
        self._transport.write(b"".join(next(self._requests) for _ in range(count)))


class Tally:
    """Answers of all connections."""

    def __init__(self) -> None:
        self.running = True
        self.answered = 0
        self.good = 0

    def count(self, answered: int, good: int) -> None:
        self.answered += answered
        self.good += good


def requests(host: str) -> Iterator[bytes]:
    """Signed requests, each with a delivery id of its own."""
    prepared = []
    for number in range(BODIES):
        body = order_body(1000 + number)
        headers = {
            "Host": host,
            "Content-Length": str(len(body)),
            **signed(body, delivery_id=PLACEHOLDER.decode()),
        }
        head = "".join(f"{name}: {value}\r\n" for name, value in headers.items()).encode()
        prepared.append((b"POST " + PATH.encode() + b" HTTP/1.1\r\n" + head + b"\r\n" + body).split(PLACEHOLDER))
    prefix = os.urandom(8).hex().encode()
    count = 0
    while True:
        for before, after in prepared:
            count += 1
            yield before + b"%s-%019d" % (prefix, count) + after


async def load(url: str, seconds: float, connections: int, depth: int) -> dict[str, float]:
    host, port = url.removeprefix("http://").split(":")
    tally, source = Tally(), requests(f"{host}:{port}")
    loop = asyncio.get_running_loop()
    opened = [
        await loop.create_connection(lambda: Load(source, depth, tally), host, int(port)) for _ in range(connections)
    ]
    await asyncio.sleep(WARM_UP_SECONDS)
    began, before = time.perf_counter(), tally.answered
    await asyncio.sleep(seconds)
    answered, took = tally.answered - before, time.perf_counter() - began
    tally.running = False
    await asyncio.wait_for(asyncio.gather(*(protocol.done for _, protocol in opened)), 30)
    for transport, _ in opened:
        transport.close()
    if tally.good != tally.answered:
        raise RuntimeError(f"{tally.answered - tally.good} of {tally.answered} answers were not 200")
    return {"per_second": answered / took, "stored": tally.good}


# --- the two receivers ------------------------------------------------------------------------------------------


def bare_app(url: str) -> Starlette:
    """The least: one table, one commit for all that wait, the driver itself."""
    engine = create_engine(url)
    is_sqlite = engine.dialect.name == "sqlite"
    if is_sqlite:

        @event.listens_for(engine, "connect")
        def _prepare(connection: Any, _record: Any) -> None:
            for pragma in ("journal_mode=WAL", "synchronous=FULL"):
                connection.execute(f"PRAGMA {pragma}")

    generated = "INTEGER" if is_sqlite else "BIGINT GENERATED ALWAYS AS IDENTITY"
    with engine.begin() as connection:
        connection.execute(
            text(f"CREATE TABLE bodies (id {generated} PRIMARY KEY, body {'BLOB' if is_sqlite else 'BYTEA'})")
        )
    insert = f"INSERT INTO bodies (body) VALUES ({'?' if is_sqlite else '%s'})"
    raw = engine.raw_connection()
    waiting: queue.SimpleQueue[tuple[bytes, asyncio.Future[None]]] = queue.SimpleQueue()

    def write(loop: asyncio.AbstractEventLoop) -> None:
        while True:
            batch = [waiting.get()]
            while len(batch) < 500:
                try:
                    batch.append(waiting.get_nowait())
                except queue.Empty:
                    break
            raw.cursor().executemany(insert, [(body,) for body, _ in batch])
            raw.commit()
            loop.call_soon_threadsafe(answer, [stored for _, stored in batch])

    def answer(batch: list[asyncio.Future[None]]) -> None:
        for stored in batch:
            stored.set_result(None)

    async def hook(request: Request) -> Response:
        stored = asyncio.get_running_loop().create_future()
        waiting.put((await request.body(), stored))
        await stored
        return Response()

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> Any:
        threading.Thread(target=write, args=[asyncio.get_running_loop()], daemon=True).start()
        yield

    return Starlette(routes=[Route("/hooks/{channel}", hook, methods=["POST"])], lifespan=lifespan)


def serve(receiver: str, url: str) -> None:
    """Serve one receiver until standard input ends; prints its address, then the CPU seconds it took."""
    logging.configure(LogSettings())
    if receiver == "bare":
        app = bare_app(url)
    else:
        store = Store(url)
        upgrade(store)
        app = create_app(services(store), None)
    # The same server for both: what is compared is what the handler does.
    server = WebServer(app, "127.0.0.1", 0)
    say(json.dumps({"url": server.start()}))
    began = time.process_time()
    sys.stdin.read()
    say(json.dumps({"cpu_seconds": time.process_time() - began}))
    server.stop()


# --- the run ----------------------------------------------------------------------------------------------------


def measure(database: str, receiver: str, url: str, arguments: argparse.Namespace) -> Rate:
    module = [sys.executable, "-m", "tests.bench.receiver"]
    with subprocess.Popen(
        [*module, "--serve", receiver, "--url", url], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdout is not None
        assert server.stdin is not None
        address = json.loads(server.stdout.readline())["url"]
        client = subprocess.run(
            [
                *module,
                "--load",
                address,
                *("--seconds", str(arguments.seconds)),
                *("--connections", str(arguments.connections)),
                *("--depth", str(arguments.depth)),
            ],
            stdout=subprocess.PIPE,
            text=True,
            check=False,
        )
        server.stdin.close()
        used = json.loads(server.stdout.readline())["cpu_seconds"]
    if client.returncode:
        raise SystemExit(f"the load on {receiver} with {database} failed")
    got = json.loads(client.stdout)
    return Rate(database, receiver, got["per_second"], got["stored"], used / got["stored"] * 1000)


@contextmanager
def databases(wanted: list[str]) -> Iterator[Iterator[tuple[str, str, str]]]:
    """For each database and receiver, the address of an empty one."""
    with tempfile.TemporaryDirectory(prefix="trueup-bench-") as folder:

        def addresses() -> Iterator[tuple[str, str, str]]:
            if "sqlite" in wanted:
                for receiver in ("bare", "trueup"):
                    yield "sqlite", receiver, f"sqlite:///{Path(folder) / receiver}.db"
            if "postgresql" in wanted:
                with servers.postgres() as server:
                    for receiver in ("bare", "trueup"):
                        url = server.fresh()
                        yield "postgresql", receiver, url
                        server.drop(url)

        yield addresses()


def run(arguments: argparse.Namespace) -> list[Rate]:
    with databases(arguments.databases) as wanted:
        return [measure(database, receiver, url, arguments) for database, receiver, url in wanted]


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--seconds", type=float, default=4.0, help="for each case")
    parser.add_argument("--connections", type=int, default=128)
    parser.add_argument("--depth", type=int, default=1, help="requests under way on one connection")
    parser.add_argument("--databases", nargs="+", choices=["sqlite", "postgresql"], default=["sqlite", "postgresql"])
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    parser.add_argument("--serve", choices=["bare", "trueup"], help=argparse.SUPPRESS)
    parser.add_argument("--load", help=argparse.SUPPRESS)
    parser.add_argument("--url", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        serve(arguments.serve, arguments.url)
    elif arguments.load:
        got = asyncio.run(load(arguments.load, arguments.seconds, arguments.connections, arguments.depth))
        say(json.dumps(got))
    else:
        rates = run(arguments)
        if arguments.json:
            say(json.dumps([asdict(rate) for rate in rates]))
            return
        say(f"Signed deliveries stored and acknowledged per second, one receiver process, {os.cpu_count()} cores")
        for bare, ours in zip(rates[::2], rates[1::2], strict=True):
            say(
                f"{ours.database:<12} trueup {ours.per_second:>8,.0f}   bare {bare.per_second:>8,.0f}   "
                f"ratio {ours.per_second / bare.per_second:.2f}   CPU per 1,000: {ours.cpu_seconds_per_1000:.3f} s "
                f"and {bare.cpu_seconds_per_1000:.3f} s"
            )


if __name__ == "__main__":
    main()
