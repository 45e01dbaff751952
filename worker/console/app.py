"""The console put together: routes, the door in front of them, and what every answer carries."""

from __future__ import annotations

from typing import Any, cast

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Scope
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from worker import schedule
from worker.console.door import Door
from worker.console.headers import SecurityHeaders
from worker.console.pages.alerts import AlertsPage
from worker.console.pages.anomalies import AnomalyPages
from worker.console.pages.audit import AuditPages
from worker.console.pages.deliveries import DeliveryPages
from worker.console.pages.errors import Errors
from worker.console.pages.help import HelpPages
from worker.console.pages.holds import HoldPages
from worker.console.pages.links import LinkPages
from worker.console.pages.listings import ListingPages
from worker.console.pages.log import LogPage
from worker.console.pages.orders import OrderPages
from worker.console.pages.overview import OverviewPage
from worker.console.pages.settings import SettingsPage
from worker.console.pages.sign_in import SignIn
from worker.console.pages.work import WorkPage
from worker.console.rendering import STATIC, Rendering
from worker.doorbell import Doorbell
from worker.services import Services
from worker.store.tables import Role
from worker.web.app import OneSpelling

MOST_CONNECTIONS = 60
"""Operators are few, and the receiver in the same process needs the rest of what it may have open."""
KEEP_FILES_SECONDS = 31_536_000


class _Files(StaticFiles):
    """Ours, each under an address that changes with its content."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(path, scope)
        if response.status_code == 200:
            response.headers["Cache-Control"] = f"public, max-age={KEEP_FILES_SECONDS}, immutable"
        return response


def create_console(services: Services, bell: Doorbell | None) -> ASGIApp:
    """Every page. Without a `bell`, what people ask for waits for the schedule."""
    rendering = Rendering()
    door = Door(services.sessions, services.clock)
    sign_in = SignIn(services.sessions, rendering)

    def rang() -> None:
        if bell is not None:
            for task in (schedule.INTAKE, schedule.RECONCILE, schedule.UPKEEP):
                bell.ring(task)

    anomalies = AnomalyPages(services, rendering, rang)
    overview = OverviewPage(services, rendering, rang)
    listings = ListingPages(services, rendering, rang)
    orders = OrderPages(services, rendering, rang)
    work = WorkPage(services, rendering, rang)
    deliveries = DeliveryPages(services, rendering, rang)
    holds = HoldPages(services, rendering, rang)
    audit = AuditPages(services, rendering)
    alerts = AlertsPage(services, rendering)
    links = LinkPages(services, rendering, rang)
    log = LogPage(services, rendering)
    settings = SettingsPage(services, rendering)
    helps = HelpPages(rendering)

    app = Starlette(
        routes=[
            Route("/sign-in", sign_in.show, methods=["GET"]),
            Route("/sign-in", sign_in.sign_in, methods=["POST"]),
            Route("/sign-out", door.does(sign_in.sign_out, role=Role.VIEWER), methods=["POST"]),
            Route("/sign-out-everywhere", door.does(sign_in.sign_out_everywhere, role=Role.VIEWER), methods=["POST"]),
            Route("/", door.shows(overview.show), methods=["GET"]),
            *(Route(f"/accounts/{name}", door.does(page), methods=["POST"]) for name, page in overview.actions.items()),
            Route("/anomalies", door.shows(anomalies.list), methods=["GET"]),
            Route("/anomalies/{anomaly:int}", door.shows(anomalies.show), methods=["GET"]),
            *(
                Route(f"/anomalies/{{anomaly:int}}/{name}", door.does(page), methods=["POST"])
                for name, page in anomalies.actions.items()
            ),
            Route("/listings", door.shows(listings.search), methods=["GET"]),
            Route("/listing", door.shows(listings.show), methods=["GET"]),
            *(Route(f"/listing/{name}", door.does(page), methods=["POST"]) for name, page in listings.actions.items()),
            Route("/orders", door.shows(orders.search), methods=["GET"]),
            Route("/order", door.shows(orders.show), methods=["GET"]),
            *(Route(f"/order/{name}", door.does(page), methods=["POST"]) for name, page in orders.actions.items()),
            Route("/work", door.shows(work.show), methods=["GET"]),
            *(Route(f"/work/{name}", door.does(page), methods=["POST"]) for name, page in work.actions.items()),
            Route("/deliveries", door.shows(deliveries.list), methods=["GET"]),
            Route("/deliveries/replay", door.does(deliveries.replay_some), methods=["POST"]),
            Route("/deliveries/{delivery:int}", door.shows(deliveries.show), methods=["GET"]),
            Route("/deliveries/{delivery:int}/replay", door.does(deliveries.replay), methods=["POST"]),
            Route("/holds", door.shows(holds.show), methods=["GET"]),
            Route("/holds/plan", door.shows(holds.plan), methods=["GET"]),
            *(Route(f"/holds/{name}", door.does(page), methods=["POST"]) for name, page in holds.actions.items()),
            Route("/audit", door.shows(audit.show), methods=["GET"]),
            Route("/audit/listing", door.shows(audit.statement), methods=["GET"]),
            Route("/audit/listing.csv", door.shows(audit.csv), methods=["GET"]),
            Route("/alerts", door.shows(alerts.show), methods=["GET"]),
            Route("/alerts/test", door.does(alerts.test), methods=["POST"]),
            Route("/links", door.shows(links.show), methods=["GET"]),
            Route("/links/list", door.shows(links.listed), methods=["GET"]),
            Route("/links/export", door.shows(links.export), methods=["GET"]),
            Route("/links/plan", door.takes(links.plan), methods=["POST"]),
            Route("/links/make", door.takes(links.make), methods=["POST"]),
            Route("/log", door.shows(log.show), methods=["GET"]),
            Route("/settings", door.shows(settings.show), methods=["GET"]),
            Route("/help/{page}", door.shows(helps.show), methods=["GET"]),
            Mount("/static", _Files(directory=STATIC)),
        ],
        middleware=[Middleware(OneSpelling)],
        exception_handlers=Errors(rendering).handlers(),
    )
    # Else a slash too many is answered with a redirect to whatever host the request names.
    app.router.redirect_slashes = False
    # Outside of the application, so that what it answers to its own failures carries the headers too. The two packages
    # describe one protocol in different types.
    secured = cast("Any", SecurityHeaders(app))
    return cast("ASGIApp", ProxyHeadersMiddleware(secured, trusted_hosts=list(services.settings.console.proxies)))
