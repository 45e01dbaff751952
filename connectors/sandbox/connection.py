"""The connection below the answers: breaking it on purpose, and the `Date` header.

ASGI offers no way to hang up, so the protocol class here hands the application a function that does, as the scope
extension `trueup.hang_up`.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable
from datetime import datetime
from email.utils import format_datetime

from starlette.background import BackgroundTask
from starlette.datastructures import MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from connectors.clock import Clock

HANG_UP = "trueup.hang_up"

# Lingering for zero seconds makes the kernel send a reset instead of an orderly end.
_NO_LINGER = struct.pack("ii", 1, 0)


class BreakableProtocol(HttpToolsProtocol):
    """HTTP as uvicorn speaks it, with a connection that the application may break."""

    def on_message_begin(self) -> None:
        """Start a request whose scope carries the way to hang up."""
        super().on_message_begin()
        self.scope["extensions"] = {HANG_UP: {"hang_up": self._hang_up}}

    def _hang_up(self, *, reset: bool) -> None:
        if reset:
            handle = socket.socket(fileno=self.transport.get_extra_info("socket").fileno())
            try:
                handle.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
            finally:
                handle.detach()
        self.transport.abort()


class Dropped(Response):
    """No answer at all: the connection breaks. Needs a server that uses `BreakableProtocol`."""

    def __init__(self, *, reset: bool = True, background: BackgroundTask | None = None) -> None:
        super().__init__(background=background)
        self._reset = reset

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Break the connection, then do what was to happen behind the caller's back."""
        scope["extensions"][HANG_UP]["hang_up"](reset=self._reset)
        # Until the server has noticed, returning without an answer would count as a fault of the application.
        while (await receive())["type"] != "http.disconnect":
            pass
        if self.background:
            await self.background()


class DateHeader:
    """Stamps answers with the time of the sandbox's clock, which may not be this machine's, while they are `dated`."""

    def __init__(self, app: ASGIApp, clock: Clock, *, dated: Callable[[], bool] = lambda: True) -> None:
        self._app = app
        self._clock = clock
        self._dated = dated
        self._second: datetime | None = None
        self._text = ""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, and stamp its answer."""

        async def send_dated(message: Message) -> None:
            if message["type"] == "http.response.start" and self._dated():
                MutableHeaders(scope=message)["Date"] = self._now()
            await send(message)

        await self._app(scope, receive, send_dated)

    def _now(self) -> str:
        second = self._clock.now().replace(microsecond=0)
        if second != self._second:
            self._second, self._text = second, format_datetime(second, usegmt=True)
        return self._text
