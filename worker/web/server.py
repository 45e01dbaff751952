"""The HTTP server: uvicorn, in the main thread (`trueup web`) or in one of its own (embedded).

It speaks plain HTTP: what faces the internet is a proxy with a certificate, which is told to pass `/hooks/` only.
"""

from __future__ import annotations

import asyncio
import socket
import threading
from typing import Any

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MOST_CONNECTIONS = 1000
"""Beyond it requests get a 503 at once."""
HEAD_BYTES = 64 * 1024
"""The request line and headers of one request, give or take what one read from the socket brings."""
REQUEST_SECONDS = 20.0
"""How long a request may take to come in, from the connection on or from its first byte."""
KEEP_ALIVE_SECONDS = 60
SHUTDOWN_SECONDS = 15
"""For requests under way; a commit takes less."""


class BoundedProtocol(HttpToolsProtocol):
    """HTTP/1.1, with the bounds that uvicorn leaves out: on the size of a request's head, and on the time it takes."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._in_head = False
        self._in_request = True  # The first one is due.
        self._heads = 0
        self._head_bytes = 0
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as its base
        super().connection_made(transport)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        self._in_request = False
        self._watch()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        heads = self._heads
        super().data_received(data)
        if self.transport.is_closing():
            return
        if self._in_head:
            # Only what belongs to the head that is coming in: its first piece may share a read with other requests.
            self._head_bytes = self._head_bytes + len(data) if heads == self._heads else 0
            if self._head_bytes > HEAD_BYTES:
                self.send_400_response("Request header too large.")
                return
        self._watch()

    def on_message_begin(self) -> None:
        self._in_head = self._in_request = True
        self._head_bytes = 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._in_head = False
        self._heads += 1
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._in_request = False
        super().on_message_complete()

    def _watch(self) -> None:
        """Run the timer while a request is coming in; a request that is there in one piece costs none."""
        if self._in_request and self._timer is None:
            self._timer = self.loop.call_later(REQUEST_SECONDS, self.transport.close)
        elif not self._in_request and self._timer is not None:
            self._timer.cancel()
            self._timer = None


class _Server(uvicorn.Server):
    """Tells when it is listening."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listening = threading.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """See uvicorn."""
        await super().startup(sockets)
        self.listening.set()


class WebServer:
    """Serves one application on one address. Use it once."""

    def __init__(self, app: ASGIApp, host: str, port: int) -> None:
        """Port 0 takes a free one."""
        self._host = host
        self._port = port
        self._listener: socket.socket | None = None
        self._thread: threading.Thread | None = None
        self._server = _Server(
            uvicorn.Config(
                app,
                http=BoundedProtocol,
                ws="none",
                lifespan="on",
                log_config=None,
                # Below this uvicorn writes a line for each request that it refuses: a flood would fill the disk.
                log_level="error",
                access_log=False,
                proxy_headers=False,
                server_header=False,
                limit_concurrency=MOST_CONNECTIONS,
                timeout_keep_alive=KEEP_ALIVE_SECONDS,
                timeout_graceful_shutdown=SHUTDOWN_SECONDS,
                # Each request starts without anything bound by another one of its connection.
                reset_contextvars=True,
            )
        )

    def run(self) -> None:
        """Serve in this thread, the main one, until SIGINT or SIGTERM. Raises OSError when the address is taken."""
        with self._bound() as listener:
            self._server.run(sockets=[listener])

    def start(self) -> str:
        """Serve in a thread; returns the base URL, without a trailing slash, once it is listening.

        Leaves signals alone. Raises OSError when the address is taken.
        """
        listener = self._bound()
        self._thread = threading.Thread(
            target=self._server.run, kwargs={"sockets": [listener]}, name="web", daemon=True
        )
        self._thread.start()
        while not self._server.listening.wait(0.05):
            if not self._thread.is_alive():
                listener.close()
                raise RuntimeError("the web server ended before it was listening; the log says why")
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"http://{host}:{self.port}"

    @property
    def port(self) -> int:
        """The port it listens on."""
        assert self._listener is not None  # noqa: S101  asked before `start`
        port: int = self._listener.getsockname()[1]
        return port

    def stop(self) -> None:
        """Answer what is under way, store what was received, then end. Idempotent."""
        self._server.should_exit = True
        if self._thread is not None:
            self._thread.join()
        if self._listener is not None:
            self._listener.close()

    def _bound(self) -> socket.socket:
        family = socket.AF_INET6 if ":" in self._host else socket.AF_INET
        listener = socket.socket(family, socket.SOCK_STREAM)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((self._host, self._port))
        except OSError:
            listener.close()
            raise
        self._listener = listener
        return listener
