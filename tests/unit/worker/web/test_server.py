"""The protocol's own bounds, without a socket. What a client sees of them is in the integration tests."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
import uvicorn
from starlette.types import Receive, Scope, Send
from uvicorn.server import ServerState

from worker.web import server
from worker.web.server import HEAD_BYTES, BoundedProtocol

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

    def abort(self) -> None:
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


def test_an_empty_line_after_a_request_does_not_end_all_timing() -> None:
    def test(protocol: BoundedProtocol, wire: Wire) -> None:
        protocol.data_received(REQUEST)
        protocol.data_received(b"\r\n")
        assert protocol._timer is not None

    connected(test)


def test_who_does_not_read_the_answers_is_timed() -> None:
    def test(protocol: BoundedProtocol, wire: Wire) -> None:
        protocol.data_received(REQUEST)
        protocol.pause_writing()
        assert protocol._timer is not None
        protocol.resume_writing()
        assert protocol._timer is None

    connected(test)


CHUNKED = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize("start", [b"5\r\nhello\r\n0\r\nX: ", b"5;x="], ids=["trailer", "chunk extension"])
def test_what_surrounds_a_body_is_bounded(start: bytes) -> None:
    def test(protocol: BoundedProtocol, wire: Wire) -> None:
        protocol.data_received(CHUNKED + start)
        for _ in range(HEAD_BYTES // 1000 + 2):
            protocol.data_received(b"x" * 1000)
        assert b"HTTP/1.1 400 " in wire.written
        assert wire.closed

    connected(test)


def test_a_large_body_is_no_large_head() -> None:
    def test(protocol: BoundedProtocol, wire: Wire) -> None:
        protocol.data_received(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n")
        for _ in range(1000):
            protocol.data_received(b"x" * 1000)
        assert not wire.closed

    connected(test)


def test_what_follows_a_body_is_no_header() -> None:
    def test(protocol: BoundedProtocol, wire: Wire) -> None:
        protocol.data_received(CHUNKED + b"0\r\nX-Late: 1\r\n\r\n")
        assert [name for name, _ in protocol.headers] == [b"host", b"transfer-encoding"]

    connected(test)


def test_one_connection_too_many_ends_as_it_begins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "MOST_OPEN", 0)

    def test(protocol: BoundedProtocol, wire: Wire) -> None:
        assert wire.closed
        assert protocol._timer is None

    connected(test)
