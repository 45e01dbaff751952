"""Puts a sandbox together as a server: the vendor's paths, the control surface, and whatever sends its webhooks."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Protocol

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import BaseRoute, Mount

from connectors.clock import Clock

from .connection import DateHeader
from .control import ControlSurface


class Running(Protocol):
    """What runs while the sandbox is served."""

    async def run(self) -> None:
        """Run until told to stop."""

    def stop(self) -> None:
        """Let `run` end."""


def application(
    routes: Sequence[BaseRoute],
    control: ControlSurface,
    clock: Clock,
    *,
    sender: Running | None = None,
    dated: Callable[[], bool] = lambda: True,
) -> Starlette:
    """An application to be served by `connectors.sandbox.serve`.

    Webhooks are sent while its lifespan runs, on the server's event loop. Answers carry the clock's time while `dated`.
    """

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        if sender is None:
            yield
            return
        sending = asyncio.create_task(sender.run())
        try:
            yield
        finally:
            sender.stop()
            await sending

    return Starlette(
        routes=[*routes, Mount("/_control", routes=control.routes())],
        middleware=[Middleware(DateHeader, clock=clock, dated=dated)],
        lifespan=lifespan,
    )
