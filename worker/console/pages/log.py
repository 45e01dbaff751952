"""What people did, in the console and on the command line."""

from __future__ import annotations

from starlette.responses import Response

from worker.console.door import Visit
from worker.console.rendering import Rendering
from worker.services import Services

PAGE = 100


class LogPage:
    """`/log`."""

    def __init__(self, services: Services, rendering: Rendering) -> None:
        self._actions = services.actions
        self._rendering = rendering

    def show(self, visit: Visit) -> Response:
        """`GET /log`."""
        found = self._actions.list(before_id=visit.asked_number("before"), limit=PAGE + 1)
        older = found[PAGE - 1].id if len(found) > PAGE else None
        return self._rendering.page("log.html", visit, {"found": found[:PAGE], "older": older})
