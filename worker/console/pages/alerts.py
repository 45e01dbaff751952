"""Who is told of anomalies, whether it arrives, and trying it."""

from __future__ import annotations

from starlette.exceptions import HTTPException
from starlette.responses import RedirectResponse, Response

from worker.console.door import Visit
from worker.console.rendering import Rendering
from worker.services import Services


class AlertsPage:
    """`/alerts`."""

    def __init__(self, services: Services, rendering: Rendering) -> None:
        self._services = services
        self._rendering = rendering

    def show(self, visit: Visit) -> Response:
        """`GET /alerts`."""
        return self._page(visit)

    def test(self, visit: Visit) -> Response:
        """`POST /alerts/test`: send a test to one destination, and wait for what becomes of it."""
        name = visit.said("destination")
        if name not in {view.name for view in self._services.alerts.destinations()}:
            raise HTTPException(404)
        reason = self._services.desk.test_alerts(name, by=visit.session.actor)
        if reason is not None:
            return self._page(visit, f"{name} did not take the test: {reason}")
        return RedirectResponse("/alerts?done=test-taken", status_code=303)

    def _page(self, visit: Visit, problem: str | None = None) -> Response:
        return self._rendering.page(
            "alerts.html", visit, {"found": self._services.alerts.destinations()}, problem=problem
        )
