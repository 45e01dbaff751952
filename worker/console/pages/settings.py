"""What is configured, to be read: it is changed where it stands, and in force with the next start."""

from __future__ import annotations

from starlette.responses import Response

from config.effective import effective
from worker.console.door import Visit
from worker.console.rendering import Rendering
from worker.services import Services


class SettingsPage:
    """`/settings`."""

    def __init__(self, services: Services, rendering: Rendering) -> None:
        self._services = services
        self._rendering = rendering

    def show(self, visit: Visit) -> Response:
        """`GET /settings`."""
        return self._rendering.page("settings.html", visit, {"tables": effective(self._services.settings)})
