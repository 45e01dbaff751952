"""The network below `connectors.http`, with answers bounded in size and in time."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from functools import cache

import httpx

from connectors.clock import Clock

MAX_ANSWER_BYTES = 32 * 1024 * 1024
CONNECTIONS = httpx.Limits(max_connections=64, max_keepalive_connections=32, keepalive_expiry=30.0)


class AnswerTooLargeError(httpx.DecodingError):
    """The answer passed the size we are willing to hold."""


class BoundedTransport(httpx.BaseTransport):
    """The network, or a stand-in for it. A stand-in stays open when this closes.

    HTTP/1.1 with keep-alive; no proxy or certificate settings from the environment. A body raises `AnswerTooLargeError`
    past `MAX_ANSWER_BYTES`, and `httpx.ReadTimeout` when it is not complete after `answer_seconds`, however steadily
    it drips. A redirect says nothing of where to: nobody follows one, and nobody has to make sense of its address.
    """

    def __init__(self, transport: httpx.BaseTransport | None, clock: Clock, answer_seconds: float) -> None:
        self._own = transport is None
        self._transport = transport or _network()
        self._clock = clock
        self._answer_seconds = answer_seconds

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """See `httpx.BaseTransport`."""
        response = self._transport.handle_request(request)
        response.headers.pop("location", None)
        stream = response.stream
        if isinstance(stream, httpx.SyncByteStream):
            deadline = self._clock.monotonic() + self._answer_seconds
            response.stream = _BoundedStream(stream, self._clock, deadline)
        return response

    def close(self) -> None:
        """See `httpx.BaseTransport`."""
        if self._own:
            self._transport.close()


def _network() -> httpx.HTTPTransport:
    return httpx.HTTPTransport(verify=_certificates(), http1=True, http2=False, trust_env=False, limits=CONNECTIONS)


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
