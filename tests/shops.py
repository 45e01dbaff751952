"""Many shops behind one address on this machine, each well or ill as told: real sockets, with what a client must
survive on them. They speak what `connectors.standard` reads.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import threading
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from datetime import UTC, datetime
from enum import StrEnum
from functools import cache
from typing import Any
from urllib.parse import parse_qs, urlsplit

PIECE = b"x" * 65_536
DRIP_SECONDS = 0.2
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"


class Mood(StrEnum):
    """What a shop does with a request."""

    WELL = "well"
    HANGS = "hangs"
    """It accepts, reads, and never answers."""
    DRIPS_ITS_HEAD = "drips its head"
    DRIPS_ITS_BODY = "drips its body"
    ENDLESS = "endless"
    """A body without an end, as fast as it is read."""
    BOMB = "bomb"
    """A few kilobytes that unpack to many megabytes."""
    REDIRECTS = "redirects"
    """To itself."""
    HTML = "html"
    CUT_OFF = "cut off"
    """Less than was announced, and then the end of the connection."""
    GARBAGE = "garbage"
    """Not HTTP at all."""


class Shops:
    """The shops by name, and how often each was asked."""

    def __init__(self) -> None:
        self.url = ""
        self.moods: dict[str, Mood] = {}
        self.asked: Counter[str] = Counter()
        """Requests for changed orders, as they came in."""
        self._orders: dict[str, list[dict[str, Any]]] = {}

    def sell(self, shop: str, order_id: str, lines: dict[str, int]) -> None:
        """An order of SKUs and units, placed now."""
        moment = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        rows = [{"line_id": sku, "sku": sku, "quantity": units} for sku, units in lines.items()]
        order = {"order_id": order_id, "placed_at": moment, "version": 1, "lines": rows}
        self._orders.setdefault(shop, []).append(order)

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        with suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            async with _closing(writer):
                while True:
                    head = await reader.readuntil(b"\r\n\r\n")
                    target = urlsplit(head.split(b" ", 2)[1].decode())
                    shop = target.path.split("/")[1]
                    query = parse_qs(target.query)
                    if "order_id" not in query:
                        self.asked[shop] += 1
                    async for piece in self._answer(shop, query):
                        writer.write(piece)
                        await writer.drain()
                    if self.moods.get(shop, Mood.WELL) is not Mood.WELL:
                        return

    async def _answer(self, shop: str, query: dict[str, list[str]]) -> AsyncIterator[bytes]:
        match self.moods.get(shop, Mood.WELL):
            case Mood.WELL:
                found = self._orders.get(shop, [])
                if wanted := query.get("order_id"):
                    found = [order for order in found if order["order_id"] in wanted]
                body = json.dumps({"orders": found, "next": None}).encode()
                yield HEAD + b"content-length: %d\r\n\r\n" % len(body) + body
            case Mood.HANGS:
                await asyncio.sleep(3600)
            case Mood.DRIPS_ITS_HEAD:
                yield HEAD
                for number in range(10_000):
                    await asyncio.sleep(DRIP_SECONDS)
                    yield b"x-%d: y\r\n" % number
            case Mood.DRIPS_ITS_BODY:
                yield HEAD + b"content-length: 1000000\r\n\r\n"
                for _ in range(10_000):
                    await asyncio.sleep(DRIP_SECONDS)
                    yield b" "
            case Mood.ENDLESS:
                yield HEAD + b"\r\n"
                while True:
                    yield PIECE
            case Mood.BOMB:
                packed = _bomb()
                yield HEAD + b"content-encoding: gzip\r\ncontent-length: %d\r\n\r\n" % len(packed) + packed
            case Mood.REDIRECTS:
                where = f"{self.url}/{shop}/orders".encode()
                yield b"HTTP/1.1 302 Found\r\nlocation: %s\r\ncontent-length: 0\r\n\r\n" % where
            case Mood.HTML:
                body = b"<html>Checking your browser</html>"
                yield b"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body)
            case Mood.CUT_OFF:
                yield HEAD + b'content-length: 1000\r\n\r\n{"orders": ['
            case Mood.GARBAGE:
                yield b"\x00\xff\x16\x03 no such protocol \r\n\r\n" * 20


@cache
def _bomb() -> bytes:
    # Packed once: whoever packs it keeps every other shop of this thread waiting.
    return gzip.compress(b" " * 64 * 1024 * 1024, compresslevel=1)


@asynccontextmanager
async def _closing(writer: asyncio.StreamWriter) -> AsyncIterator[None]:
    try:
        yield
    finally:
        writer.close()


@contextmanager
def open_shops() -> Iterator[Shops]:
    """Shops that listen until the block ends, in a thread of their own."""
    shops, loop, listening = Shops(), asyncio.new_event_loop(), threading.Event()

    async def serve(ended: asyncio.Event) -> None:
        talks: set[asyncio.Task[None]] = set()

        async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task is not None
            talks.add(task)
            task.add_done_callback(talks.discard)
            await shops.talk(reader, writer)

        server = await asyncio.start_server(talk, "127.0.0.1", 0)
        shops.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        listening.set()
        await ended.wait()
        server.close()
        for task in list(talks):
            task.cancel()
        await asyncio.gather(*talks, return_exceptions=True)

    ended = asyncio.Event()
    thread = threading.Thread(target=loop.run_until_complete, args=(serve(ended),), name="shops", daemon=True)
    thread.start()
    assert listening.wait(10)
    try:
        yield shops
    finally:
        loop.call_soon_threadsafe(ended.set)
        thread.join(10)
        loop.close()
