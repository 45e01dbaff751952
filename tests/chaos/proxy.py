"""A line that can be broken: a TCP proxy of ours in front of a server, with faults that are switched on and off.

All proxies of a run share one event loop in one thread; their methods may be called from any other.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from contextlib import suppress
from random import Random
from types import TracebackType
from typing import Any, Self, TypeVar

from tests.chaos.watching import Ear

PIECE_BYTES = 65536
CUT_SHARE = 0.2
"""Of the answers that pass while answers are cut."""
SLOW_SECONDS = (0.05, 1.0)
WITHIN_SECONDS = 10.0

# Lingering for zero seconds makes the kernel send a reset instead of an orderly end.
_NO_LINGER = struct.pack("ii", 1, 0)

Result = TypeVar("Result")


class Lines:
    """Where the proxies run."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="lines", daemon=True)
        self._proxies: list[Proxy] = []

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for proxy in self._proxies:
            self._do(proxy.close())
        self._do(_everything_ended())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def open(self, name: str, host: str, port: int, random: Random, ear: Callable[[], Ear] | None = None) -> Line:
        """A new line to that server. Each of its connections gets an ear of its own."""
        proxy = Proxy(host, port, random, ear)
        self._do(proxy.listen())
        self._proxies.append(proxy)
        return Line(name, proxy, self._do)

    def _do(self, work: Coroutine[Any, Any, Result]) -> Result:
        done: Future[Result] = asyncio.run_coroutine_threadsafe(work, self._loop)
        return done.result(WITHIN_SECONDS)


class Line:
    """One proxy, for callers in other threads."""

    def __init__(self, name: str, proxy: Proxy, do: Callable[[Coroutine[Any, Any, None]], None]) -> None:
        self.name = name
        self.port = proxy.port
        self._proxy = proxy
        self._do = do

    @property
    def cut_answers(self) -> int:
        """How many were, so far."""
        return self._proxy.cut_answers

    def refuse(self) -> None:
        """Break every connection, and let no new one in."""
        self._do(self._proxy.refuse())

    def silence(self) -> None:
        """Let nothing through; who connects gets no answer. What was sent arrives when the line is mended."""
        self._do(self._proxy.silence())

    def cut(self) -> None:
        """Break some connections in the middle of an answer."""
        self._do(self._proxy.disturb(cut_share=CUT_SHARE))

    def slow(self) -> None:
        """Hold every piece of an answer back for a while."""
        self._do(self._proxy.disturb(slow=True))

    def mend(self) -> None:
        """As it was. Idempotent."""
        self._do(self._proxy.mend())


class Proxy:
    """Lives on the event loop; see `Line`."""

    def __init__(self, host: str, port: int, random: Random, ear: Callable[[], Ear] | None) -> None:
        self._host, self._target_port = host, port
        self._random = random
        self._ear = ear
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._passable = asyncio.Event()
        self._passable.set()
        self._cut_share = 0.0
        self._slow = False
        self.port = 0
        self.cut_answers = 0

    async def listen(self) -> None:
        if self._server is None:
            self._server = await asyncio.start_server(self._carry, "127.0.0.1", self.port)
            self.port = self._server.sockets[0].getsockname()[1]

    async def refuse(self) -> None:
        server, self._server = self._server, None
        if server is not None:
            server.close()
        for writer in list(self._writers):
            _reset(writer)

    async def silence(self) -> None:
        self._passable.clear()

    async def disturb(self, *, cut_share: float = 0.0, slow: bool = False) -> None:
        self._cut_share, self._slow = cut_share, slow

    async def mend(self) -> None:
        self._passable.set()
        await self.disturb()
        await self.listen()

    async def close(self) -> None:
        self._passable.set()
        await self.refuse()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            await self._passable.wait()
            with suppress(OSError):
                far_reader, far_writer = await asyncio.open_connection(self._host, self._target_port)
                await self._join(reader, writer, far_reader, far_writer)
        finally:
            self._writers.discard(writer)
            _reset(writer)

    async def _join(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        far_reader: asyncio.StreamReader,
        far_writer: asyncio.StreamWriter,
    ) -> None:
        self._writers.add(far_writer)
        ear = self._ear() if self._ear is not None else None
        try:
            await asyncio.gather(
                self._pass_on(reader, far_writer, ear.asked if ear else None),
                self._bring_back(far_reader, writer, ear.answered if ear else None),
            )
        finally:
            self._writers.discard(far_writer)
            _reset(far_writer)

    async def _pass_on(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, heard: Callable[[bytes], None] | None
    ) -> None:
        """From who asks to who answers. Also when who asked has gone: it was sent."""
        with suppress(OSError):
            while piece := await reader.read(PIECE_BYTES):
                await self._passable.wait()
                if heard is not None:
                    heard(piece)
                writer.write(piece)
                await writer.drain()
        with suppress(OSError, RuntimeError):
            if not writer.is_closing():
                writer.write_eof()

    async def _bring_back(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, heard: Callable[[bytes], None] | None
    ) -> None:
        with suppress(OSError):
            while piece := await reader.read(PIECE_BYTES):
                if heard is not None:
                    heard(piece)
                await self._passable.wait()
                if self._slow:
                    await asyncio.sleep(self._random.uniform(*SLOW_SECONDS))
                if self._cut_share and self._random.random() < self._cut_share:
                    self.cut_answers += 1
                    writer.write(piece[: self._random.randrange(len(piece))])
                    await writer.drain()
                    break
                writer.write(piece)
                await writer.drain()
        _end(writer)


def _end(writer: asyncio.StreamWriter) -> None:
    """Who answered has ended, or was cut off: so ends the whole connection."""
    with suppress(OSError, RuntimeError):
        writer.close()


def _reset(writer: asyncio.StreamWriter) -> None:
    handle = writer.get_extra_info("socket")
    with suppress(OSError):
        handle.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
    writer.transport.abort()


async def _everything_ended() -> None:
    """Give connections that were broken the rounds they need to notice."""
    others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
