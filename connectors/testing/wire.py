"""The wire between a connector and its sandbox: what goes wrong there on purpose.

A fault is a function of the request and of the way to send it on; it does with both what it likes.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import httpx

Send = Callable[[], httpx.Response]
Fault = Callable[[httpx.Request, Send], httpx.Response]
Wanted = Callable[[httpx.Request], bool]

_PAGE = b"<!DOCTYPE html><html><head><title>Down</title></head><body><h1>We are moving</h1></body></html>"
_OF_THE_BODY = ("content-encoding", "content-length", "transfer-encoding")


@dataclass(frozen=True, slots=True)
class Call:
    """One kind of request, by which it is recognised."""

    method: str
    path: str

    @classmethod
    def of(cls, request: httpx.Request) -> Call:
        """Of which kind a request is."""
        return cls(request.method, request.url.path)

    def __call__(self, request: httpx.Request) -> bool:
        """Whether a request is of this kind."""
        return Call.of(request) == self

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


def anything(request: httpx.Request) -> bool:
    """Strikes every request."""
    return True


class _Armed:
    def __init__(self, fault: Fault, wanted: Wanted, times: int | None, skip: int) -> None:
        self.fault = fault
        self.wanted = wanted
        self.left = times
        self.to_skip = skip


class Wire(httpx.BaseTransport):
    """Carries requests to the sandbox, keeps account of them, and lets go wrong what was asked for. Thread-safe."""

    def __init__(self, inner: httpx.BaseTransport) -> None:
        self._inner = inner
        self._lock = threading.Lock()
        self._armed: list[_Armed] = []
        self._held: list[Send] = []
        self.sent: list[httpx.Request] = []
        """Every request of the connector, oldest first."""
        self.struck = 0
        """How many of them a fault has hit."""
        self.watch: Callable[[httpx.Request], None] | None = None
        """Called after each request that has been carried out."""

    def fail(self, fault: Fault, *, wanted: Wanted = anything, times: int | None = None, skip: int = 0) -> None:
        """Arm a fault, for so many requests or until `mend`; the first `skip` of them pass."""
        with self._lock:
            self._armed.append(_Armed(fault, wanted, times, skip))

    def mend(self) -> None:
        """Nothing goes wrong any more."""
        with self._lock:
            self._armed.clear()

    def hold(self, send: Send) -> None:
        """Keep a request back until `release`."""
        self._held.append(send)

    def release(self) -> int:
        """Send what was kept back; how many requests that were."""
        held, self._held = self._held, []
        for send in held:
            send()
        return len(held)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """See `httpx.BaseTransport`."""
        request.read()
        fault = self._strike(request)
        if fault is None:
            return self._send(request)
        return fault(request, lambda: self._send(request))

    def close(self) -> None:
        """Idempotent."""
        self._inner.close()

    def _strike(self, request: httpx.Request) -> Fault | None:
        with self._lock:
            self.sent.append(request)
            for armed in self._armed:
                if armed.left == 0 or not armed.wanted(request):
                    continue
                if armed.to_skip:
                    armed.to_skip -= 1
                    continue
                if armed.left is not None:
                    armed.left -= 1
                self.struck += 1
                return armed.fault
        return None

    def _send(self, request: httpx.Request) -> httpx.Response:
        response = self._inner.handle_request(request)
        try:
            body = response.read()
        finally:
            response.close()
        if self.watch is not None:
            self.watch(request)
        return _anew(response, body)


def unreachable(request: httpx.Request, send: Send) -> httpx.Response:
    """Nobody listens: the request certainly never left."""
    raise httpx.ConnectError("connection refused", request=request)


def lost_before(request: httpx.Request, send: Send) -> httpx.Response:
    """The connection breaks before the vendor has read the request."""
    raise httpx.ReadError("connection reset", request=request)


def lost_after(request: httpx.Request, send: Send) -> httpx.Response:
    """The vendor does what it was asked; its answer is lost."""
    send()
    raise httpx.RemoteProtocolError("server disconnected without sending a response", request=request)


def too_late(request: httpx.Request, send: Send) -> httpx.Response:
    """The vendor does what it was asked and takes too long to say so."""
    send()
    raise httpx.ReadTimeout("timed out", request=request)


def answered(
    status: int,
    body: bytes = _PAGE,
    *,
    content_type: str = "text/html",
    headers: Mapping[str, str] | None = None,
    executed: bool = False,
) -> Fault:
    """This answer instead of the vendor's own, after the act or instead of it."""

    def fault(request: httpx.Request, send: Send) -> httpx.Response:
        if executed:
            send()
        return httpx.Response(status, headers={"content-type": content_type, **(headers or {})}, content=body)

    return fault


def throttled(retry_after_seconds: int | None) -> Fault:
    """429, with `Retry-After` or without."""
    headers = {} if retry_after_seconds is None else {"retry-after": str(retry_after_seconds)}
    return answered(429, b"{}", content_type="application/json", headers=headers)


def rewritten(rewrite: Callable[[bytes], bytes]) -> Fault:
    """The vendor's own answer with another body; refusals and answers without a body go as they are."""

    def fault(request: httpx.Request, send: Send) -> httpx.Response:
        response = send()
        if not response.is_success or not response.content:
            return response
        return _anew(response, rewrite(response.content))

    return fault


def _anew(response: httpx.Response, body: bytes) -> httpx.Response:
    """The same answer with this body, unpacked and in memory."""
    headers = [(name, text) for name, text in response.headers.multi_items() if name not in _OF_THE_BODY]
    return httpx.Response(response.status_code, headers=headers, content=body)
