"""The network below `connectors.http`, with answers bounded in size and in time."""

from __future__ import annotations

import math
import ssl
import time
from collections.abc import Iterable, Iterator
from contextvars import ContextVar
from functools import cache
from typing import Any

import httpcore
import httpx

from connectors.clock import Clock
from connectors.deadline import seconds_left

MAX_ANSWER_BYTES = 32 * 1024 * 1024
MAX_CONNECTIONS, MAX_KEPT_ALIVE, KEPT_ALIVE_SECONDS = 64, 32, 30.0
PIECE_BYTES = 16_384
LEAST_SECONDS = 0.001
"""A socket takes no time at all for no limit at all."""

_answer_by: ContextVar[float] = ContextVar("answer_by", default=math.inf)
"""When the answer that this thread waits for must be complete."""


class AnswerTooLargeError(httpx.DecodingError):
    """The answer passed the size we are willing to hold."""


class BoundedTransport(httpx.BaseTransport):
    """The network, or a stand-in for it. A stand-in stays open when this closes.

    HTTP/1.1 with keep-alive; no proxy or certificate settings from the environment. A body raises `AnswerTooLargeError`
    past `MAX_ANSWER_BYTES`. An answer that is not complete after `answer_seconds`, or when `connectors.deadline` says
    so, raises `httpx.ReadTimeout`, however steadily its head or its body drips. A redirect says nothing of where to:
    nobody follows one, and nobody has to make sense of its address.
    """

    def __init__(self, transport: httpx.BaseTransport | None, clock: Clock, answer_seconds: float) -> None:
        self._own = transport is None
        self._transport = transport or _Network()
        self._clock = clock
        self._answer_seconds = answer_seconds

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """See `httpx.BaseTransport`."""
        seconds = min(self._answer_seconds, seconds_left())
        deadline = self._clock.monotonic() + seconds
        # Not taken back: it holds until the body has been read, and the thread's next request sets its own.
        _answer_by.set(time.monotonic() + seconds)
        response = self._transport.handle_request(request)
        response.headers.pop("location", None)
        stream = response.stream
        if isinstance(stream, httpx.SyncByteStream):
            response.stream = _BoundedStream(stream, self._clock, deadline)
        return response

    def close(self) -> None:
        """See `httpx.BaseTransport`."""
        if self._own:
            self._transport.close()


class _Network(httpx.HTTPTransport):
    """httpx's, on connections that know until when an answer must be complete."""

    def __init__(self) -> None:
        super().__init__(verify=_certificates(), trust_env=False)
        # httpx has no way to hand in what its pool connects with.
        self._pool = httpcore.ConnectionPool(
            ssl_context=_certificates(),
            max_connections=MAX_CONNECTIONS,
            max_keepalive_connections=MAX_KEPT_ALIVE,
            keepalive_expiry=KEPT_ALIVE_SECONDS,
            network_backend=_Backend(),
        )


class _Backend(httpcore.SyncBackend):
    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        timeout = _left_of(timeout, httpcore.ConnectTimeout)
        return _Connection(super().connect_tcp(host, port, timeout, local_address, socket_options))


class _Connection(httpcore.NetworkStream):
    """The time-outs that come with each step bound the wait for a byte; this bounds the wait for them all."""

    def __init__(self, stream: httpcore.NetworkStream) -> None:
        self._stream = stream

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, _left_of(timeout, httpcore.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        # Piece by piece: the stream's own loop would wait anew for each byte that the other side takes.
        for start in range(0, len(buffer), PIECE_BYTES):
            self._stream.write(buffer[start : start + PIECE_BYTES], _left_of(timeout, httpcore.WriteTimeout))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        timeout = _left_of(timeout, httpcore.ConnectTimeout)
        return _Connection(self._stream.start_tls(ssl_context, server_hostname, timeout))

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


def _left_of(timeout: float | None, error: type[Exception]) -> float:
    left = _answer_by.get() - time.monotonic()
    if left <= 0:
        message = "the whole answer took too long"
        raise error(message)
    return max(LEAST_SECONDS, min(math.inf if timeout is None else timeout, left))


@cache
def _certificates() -> ssl.SSLContext:
    # Reading the authorities' certificates takes tens of milliseconds; every account can use the same ones.
    return httpx.create_ssl_context(trust_env=False)


class _BoundedStream(httpx.SyncByteStream):
    def __init__(self, stream: httpx.SyncByteStream, clock: Clock, deadline: float) -> None:
        self._stream = stream
        self._clock = clock
        self._deadline = deadline

    def __iter__(self) -> Iterator[bytes]:
        size = 0
        for piece in self._stream:
            size += len(piece)
            if size > MAX_ANSWER_BYTES:
                raise AnswerTooLargeError("more than the bound")
            if self._clock.monotonic() > self._deadline:
                raise httpx.ReadTimeout("the whole answer took too long")
            yield piece

    def close(self) -> None:
        self._stream.close()


def read_whole(response: httpx.Response) -> httpx.Response:
    """The answer with its body in memory.

    Bounded after decompression too: a few bytes can unpack to gigabytes.
    """
    try:
        if "content-encoding" not in response.headers:
            response.read()
            return response
        pieces, size = [], 0
        for piece in response.iter_bytes():
            size += len(piece)
            if size > MAX_ANSWER_BYTES:
                raise AnswerTooLargeError("more than the bound once unpacked", request=response.request)
            pieces.append(piece)
    finally:
        response.close()
    headers = [pair for pair in response.headers.raw if pair[0].lower() not in {b"content-encoding", b"content-length"}]
    return httpx.Response(response.status_code, headers=headers, content=b"".join(pieces), request=response.request)
