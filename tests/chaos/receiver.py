"""The receiver is killed again and again under load: is every delivery that it answered with 200 in the database?

    python -m tests.chaos.receiver [--kills 50] [--databases sqlite postgresql] [--json FILE]

Senders do as a shop does: what was not answered with 200 they send again, with the same id, until it is.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass
from itertools import count
from pathlib import Path
from random import Random

import pytest
from sqlalchemy import create_engine, text

from tests import servers
from tests.chaos.backing import Postgres
from tests.chaos.parts import TRUEUP, Part, wait_until
from tests.receiving import CHANNEL, SECRET, SHOP, order_body, signed
from worker.store import Store
from worker.store.migrate import upgrade

SENDERS = 32
BODIES = 50
ANSWER_SECONDS = 5.0
AGAIN_SECONDS = 0.02
LIFE_SECONDS = (0.1, 1.5)
"""How long the receiver answers between its start and its end."""
UNDER_WAY = 20
"""Answers of a life, at least, before it ends: it dies under load."""

CONFIGURATION = f"""
[database]
url = "file:database_url"
[broker]
url = "{{broker}}"
[marketplace]
connector = "sharetribe"
client_id = "nobody-is-called"
client_secret = "file:secret"
[channels.{CHANNEL}]
connector = "shopify"
any_seller = true
shop = "{SHOP}"
access_token = "file:secret"
webhook_secrets = ["file:secret"]
[web]
port = {{port}}
[console]
enabled = false
[log]
level = "warning"
format = "json"
"""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one database's run came to."""

    database: str
    kills: int
    acknowledged: int
    """Different deliveries answered with 200."""
    lost: int
    """Of those, the ones that are not in the database."""
    stored: int
    """Rows; as many as there were deliveries, however often they were sent."""
    sent_again: int
    """Attempts that got no answer because the receiver died, or another one than 200."""
    other_answers: dict[int, int]
    seconds: float

    @property
    def holds(self) -> bool:
        return not self.lost and self.stored == self.acknowledged


class Senders:
    """Many connections that send signed deliveries without a pause, in a thread of their own."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._numbers = count(1)
        self._prepared = [_prepared(1000 + number, port) for number in range(BODIES)]
        self._stopping = False
        self._thread = threading.Thread(target=lambda: asyncio.run(self._send_all()), name="senders", daemon=True)
        self._failure: BaseException | None = None
        self.acknowledged: set[str] = set()
        self.unanswered = 0
        self.other_answers: Counter[int] = Counter()

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Let everybody have their last delivery acknowledged. Raises what went wrong."""
        self._stopping = True
        self._thread.join()
        if self._failure is not None:
            raise self._failure

    async def _send_all(self) -> None:
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(SENDERS):
                    group.create_task(self._send())
        except BaseException as failure:  # noqa: BLE001  raised again by `stop`
            self._failure = failure

    async def _send(self) -> None:
        connection: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        while not self._stopping:
            number = next(self._numbers)
            delivery_id = f"{number:036d}"
            before, after = self._prepared[number % BODIES]
            while delivery_id not in self.acknowledged:
                try:
                    async with asyncio.timeout(ANSWER_SECONDS):
                        if connection is None:
                            connection = await asyncio.open_connection("127.0.0.1", self._port)
                        reader, writer = connection
                        writer.write(before + delivery_id.encode() + after)
                        head = await reader.readuntil(b"\r\n\r\n")
                except (OSError, TimeoutError, asyncio.IncompleteReadError):
                    self.unanswered += connection is not None
                    if connection is not None:
                        connection[1].transport.abort()
                    connection = None
                    await asyncio.sleep(AGAIN_SECONDS)
                    continue
                status = int(head.split(b" ", 2)[1])
                if status == 200:
                    self.acknowledged.add(delivery_id)
                else:
                    self.other_answers[status] += 1
                    await asyncio.sleep(AGAIN_SECONDS)
                if b"connection: close" in head.lower():
                    writer.transport.abort()
                    connection = None
        if connection is not None:
            connection[1].transport.abort()


def _prepared(order: int, port: int) -> tuple[bytes, bytes]:
    """A request before and after its delivery id, which is not signed."""
    body, mark = order_body(order), "#" * 36
    headers = {"Host": f"127.0.0.1:{port}", "Content-Length": str(len(body)), **signed(body, delivery_id=mark)}
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    before, after = f"POST /hooks/{CHANNEL} HTTP/1.1\r\n{head}\r\n".encode().split(mark.encode())
    return before, after + body


def measure(
    database: str, kills: int, seed: int, *, redis_url: str, tell: Callable[[int], None] = lambda killed: None
) -> Outcome:
    """Kill the receiver `kills` times on a database of its own; `tell` is told after each."""
    random = Random(f"receiver {seed}")
    began = time.monotonic()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="trueup-receiver-")))
        url = stack.enter_context(_database(database, folder))
        port = servers.free_port()
        (folder / "database_url").write_text(url, encoding="utf-8")
        (folder / "secret").write_text(SECRET, encoding="utf-8")
        configuration = folder / "trueup.toml"
        configuration.write_text(CONFIGURATION.format(broker=redis_url, port=port), encoding="utf-8")
        receiver = Part("web", folder, [*TRUEUP, "web", "--config", configuration])
        stack.callback(receiver.end)
        receiver.start()
        senders = Senders(port)
        senders.start()
        for killed in range(1, kills + 1):
            before = len(senders.acknowledged)
            wait_until(_more(senders, before + UNDER_WAY), "the receiver", receiver.check_running)
            time.sleep(random.uniform(*LIFE_SECONDS))
            receiver.kill()
            receiver.start()
            tell(killed)
        senders.stop()
        engine = create_engine(url)
        with engine.connect() as connection:
            stored = list(connection.execute(text("SELECT delivery_id FROM deliveries")).scalars())
        engine.dispose()
    return Outcome(
        database=database,
        kills=kills,
        acknowledged=len(senders.acknowledged),
        lost=len(senders.acknowledged - set(stored)),
        stored=len(stored),
        sent_again=senders.unanswered + sum(senders.other_answers.values()),
        other_answers=dict(senders.other_answers),
        seconds=round(time.monotonic() - began, 1),
    )


def _more(senders: Senders, wanted: int) -> Callable[[], bool]:
    return lambda: len(senders.acknowledged) >= wanted


@contextmanager
def _database(name: str, folder: Path) -> Iterator[str]:
    """A migrated database, as durable as in production."""
    if name == "sqlite":
        url = f"sqlite:///{folder / 'trueup.db'}"
        _migrate(url)
        yield url
        return
    own = Path(tempfile.mkdtemp(prefix="trueup-pg-"))
    try:
        postgres = Postgres(own)
        postgres.start()
        try:
            _migrate(postgres.url())
            yield postgres.url()
        finally:
            postgres.end(signal.SIGINT)
    finally:
        shutil.rmtree(own, ignore_errors=True)


def _migrate(url: str) -> None:
    store = Store(url)
    upgrade(store)
    store.dispose()


def main() -> int:
    """Measure and print; returns 1 when a delivery was lost."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.receiver", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--kills", type=int, default=50, help="of the receiver, on each database (default: 50)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--databases", nargs="+", choices=["sqlite", "postgresql"], default=["sqlite", "postgresql"])
    parser.add_argument("--json", type=Path, metavar="FILE", help="where to write the figures")
    chosen = parser.parse_args()
    # Either ends the run by an exception, so that everything it has started is stopped.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.default_int_handler)
    outcomes = []
    with suppress(KeyboardInterrupt), servers.redis() as redis:
        for database in chosen.databases:
            outcome = measure(database, chosen.kills, chosen.seed, redis_url=redis.url, tell=_tell)
            outcomes.append(outcome)
            sys.stdout.write(
                f"\r{database:<12} {outcome.kills} kills, {outcome.acknowledged:,} deliveries answered with 200,"
                f" {outcome.lost} lost, {outcome.stored:,} rows; {outcome.sent_again:,} attempts without a 200"
                f" {outcome.other_answers or ''}; {outcome.seconds:.0f} s, {os.cpu_count()} cores\n"
            )
    if chosen.json is not None:
        chosen.json.write_text(json.dumps([asdict(one) for one in outcomes], indent=2) + "\n", encoding="utf-8")
    return 0 if len(outcomes) == len(chosen.databases) and all(one.holds for one in outcomes) else 1


def _tell(killed: int) -> None:
    if sys.stderr.isatty():
        sys.stderr.write(f"\r{killed} kills")


if __name__ == "__main__":
    try:
        sys.exit(main())
    except pytest.fail.Exception as missing:
        sys.exit(str(missing))
