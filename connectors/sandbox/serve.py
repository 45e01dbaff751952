"""Serve an ASGI application over real HTTP on this machine, in a thread."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send

from .connection import BreakableProtocol


class _Server(uvicorn.Server):
    """Starts and stops at once: waits neither for its next look at the clock nor for callers still connected."""

    def __init__(self, app: ASGIApp) -> None:
        config = uvicorn.Config(
            self._run_app,
            interface="asgi3",
            proxy_headers=False,
            http=BreakableProtocol,
            ws="none",
            log_config=None,
            access_log=False,
            server_header=False,
            date_header=False,
            timeout_keep_alive=60,
        )
        super().__init__(config)
        self.listening = threading.Event()
        self._app = app
        self._stop = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None

    async def main_loop(self) -> None:
        """Serve until `stop`."""
        self._loop = asyncio.get_running_loop()
        self.listening.set()
        await self._stop.wait()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Break what is still connected, abandon what is still running, then let the application shut down."""
        for server in self.servers:
            server.close()
        for connection in list(self.server_state.connections):
            connection.transport.abort()
        while self.server_state.connections:  # noqa: ASYNC110  # uvicorn offers nothing to wait on
            await asyncio.sleep(0.001)
        for task in self.server_state.tasks:
            task.cancel()
        await asyncio.gather(*self.server_state.tasks)
        await self.lifespan.shutdown()

    def stop(self) -> None:
        """End `main_loop`; from any thread, at any time."""
        self.should_exit = True
        if self._loop:
            self._loop.call_soon_threadsafe(self._stop.set)

    async def _run_app(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self._app(scope, receive, send)
        except asyncio.CancelledError:
            # Abandoned by `shutdown`, its connection broken already: nothing that uvicorn need complain about.
            if not self.should_exit:
                raise


@contextmanager
def serve(app: ASGIApp, *, host: str = "127.0.0.1", port: int = 0) -> Iterator[str]:
    """Serve `app` until the block ends; gives the base URL, without a trailing slash, once it is listening.

    Port 0 takes a free one. Leaves signals alone and writes no access log. `Date` is the application's to send. Raises
    OSError when the port is taken.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        server = _Server(app)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, name="sandbox", daemon=True)
        thread.start()
        try:
            while not server.listening.wait(0.05):
                if not thread.is_alive():
                    raise RuntimeError("the sandbox's server ended before it was listening; its log says why")
            yield f"http://{host}:{listener.getsockname()[1]}"
        finally:
            server.stop()
            thread.join()
