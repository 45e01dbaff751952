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

MOST_CONNECTIONS = 500
"""Beyond it requests get a 503 at once."""
MOST_OPEN = 800
"""Beyond it connections end as they begin. A process may have 1,024 files open where nobody has allowed it more, and
needs some for the database."""
HEAD_BYTES = 64 * 1024
"""The request line and headers of one request, or what surrounds the pieces of its body, give or take what one read
from the socket brings."""
REQUEST_SECONDS = 20.0
"""How long a request may take to come in, from the connection on or from its first byte, and how long its sender may
take to read what is answered."""
KEEP_ALIVE_SECONDS = 60
SHUTDOWN_SECONDS = 15
"""For requests under way; a commit takes less."""


class BoundedProtocol(HttpToolsProtocol):
    """HTTP/1.1, with the bounds that uvicorn leaves out: on connections, on what is not body, and on time."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._most_open = (self.config.limit_concurrency or MOST_CONNECTIONS) * MOST_OPEN // MOST_CONNECTIONS
        self._in_head = False
        self._in_request = True  # The first one is due.
        self._stalled = False
        self._advanced = False
        self._idle_bytes = 0
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as its base
        super().connection_made(transport)
        if len(self.connections) > self._most_open:
            transport.abort()
            return
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        self._in_request = self._stalled = False
        self._watch()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        # Whatever comes ends the wait for a next request, an empty line too: it must not be the last that is timed.
        self._in_request = True
        self._advanced = False
        super().data_received(data)
        if self.transport.is_closing():
            return
        if self._in_request:
            # What completes no head and brings no body: a head without end, or what may follow a body in pieces.
            self._idle_bytes = 0 if self._advanced else self._idle_bytes + len(data)
            if self._idle_bytes > HEAD_BYTES:
                self.send_400_response("Request header too large.")
                return
        self._watch()

    def on_message_begin(self) -> None:
        self._in_head = self._in_request = True
        self._idle_bytes = 0
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        # After a body in pieces there may be more of them, which nobody has verified the body by.
        if self._in_head:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._in_head = False
        self._advanced = True
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._advanced = True
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._in_request = False
        super().on_message_complete()

    def pause_writing(self) -> None:
        self._stalled = True
        self._watch()
        super().pause_writing()

    def resume_writing(self) -> None:
        self._stalled = False
        self._watch()
        super().resume_writing()

    def _watch(self) -> None:
        """Run the timer while a request comes in or an answer waits; one that is there in one piece costs none."""
        timed = self._in_request or self._stalled
        if timed and self._timer is None:
            # Not closed but cut: closing waits until everything written is read.
            self._timer = self.loop.call_later(REQUEST_SECONDS, self.transport.abort)
        elif not timed and self._timer is not None:
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


class CannotListenError(OSError):
    """The address is taken, or none of this machine's."""

    def __init__(self, where: str, error: OSError) -> None:
        super().__init__(error.errno, error.strerror or str(error))
        self.where = where


class WebServer:
    """Serves one application on one address. Use it once."""

    def __init__(self, app: ASGIApp, host: str, port: int, *, most_connections: int = MOST_CONNECTIONS) -> None:
        """Port 0 takes a free one. Of connections open at once a few more than `most_connections` may begin."""
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
                limit_concurrency=most_connections,
                timeout_keep_alive=KEEP_ALIVE_SECONDS,
                timeout_graceful_shutdown=SHUTDOWN_SECONDS,
                # Each request starts without anything bound by another one of its connection.
                reset_contextvars=True,
            )
        )

    def run(self) -> None:
        """Serve in this thread, the main one, until SIGINT or SIGTERM. Raises `CannotListenError`."""
        with self._bound() as listener:
            self._server.run(sockets=[listener])

    def start(self) -> str:
        """Serve in a thread; returns the base URL, without a trailing slash, once it is listening.

        Leaves signals alone. Raises `CannotListenError`.
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
        except OSError as error:
            listener.close()
            raise CannotListenError(f"{self._host}:{self._port}", error) from None
        self._listener = listener
        return listener
