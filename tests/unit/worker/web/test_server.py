"""The protocol's own bounds, without a socket. What a client sees of them is in the integration tests."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import uvicorn
from starlette.types import Receive, Scope, Send
from uvicorn.server import ServerState

from worker.web.server import BoundedProtocol

REQUEST = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"


class Wire(asyncio.Transport):
    """Takes what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.closed = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += bytes(data)

    def close(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed

    def pause_reading(self) -> None:
        """Nothing is read here."""

    def resume_reading(self) -> None:
        """As above."""


async def fine(_scope: Scope, _receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
    await send({"type": "http.response.body", "body": b""})


def connected(test: Callable[[BoundedProtocol, Wire], None]) -> None:
    async def within() -> None:
        config = uvicorn.Config(fine, lifespan="off", log_config=None, log_level="error")
        config.load()
        protocol, wire = BoundedProtocol(config, ServerState(), {}, asyncio.get_running_loop()), Wire()
        protocol.connection_made(wire)
        test(protocol, wire)
        protocol.connection_lost(None)
        assert protocol._timer is None
        await asyncio.gather(*protocol.tasks)

    asyncio.run(within())


def test_a_connection_is_timed_until_its_first_request_is_there() -> None:
    def test(protocol: BoundedProtocol, wire: Wire) -> None:
        assert protocol._timer is not None
        protocol.data_received(REQUEST)
        assert protocol._timer is None

    connected(test)


def test_a_later_request_is_timed_while_it_comes_in() -> None:
    def test(protocol: BoundedProtocol, wire: Wire) -> None:
        protocol.data_received(REQUEST + REQUEST[:10])
        assert protocol._timer is not None
        protocol.data_received(REQUEST[10:])
        assert protocol._timer is None

    connected(test)


def test_many_requests_in_one_read_are_no_large_head() -> None:
    def test(protocol: BoundedProtocol, wire: Wire) -> None:
        whole = REQUEST * 10_000
        protocol.data_received(whole + REQUEST[:10])
        assert b"400" not in wire.written
        protocol.data_received(REQUEST[10:])
        assert not wire.closed

    connected(test)


def test_a_head_that_does_not_end_is_refused() -> None:
    def test(protocol: BoundedProtocol, wire: Wire) -> None:
        protocol.data_received(b"GET / HTTP/1.1\r\nX: ")
        for _ in range(70):
            protocol.data_received(b"x" * 1000)
        assert b"HTTP/1.1 400 " in wire.written
        assert wire.closed

    connected(test)
