"""Whether this process lives, and whether the whole of trueup does its work.

`/healthz` answers for this process: route webhooks by it. `/readyz` answers for everything that keeps stock true, and
is for an alarm: the receiver goes on storing deliveries when the broker is down or the feed lags, and must not be taken
out of service for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import structlog
from kombu import Connection
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

from connectors.contract import Feed
from worker.services import Services
from worker.store import StorageUnavailable
from worker.store.migrate import standing
from worker.web.cached import Cached
from worker.web.lag import Lag, Lags
from worker.web.repository import backlog

log = structlog.get_logger(__name__)

KEPT_SECONDS = 3.0
WITHIN_SECONDS = 5.0
BROKER_SECONDS = 2


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found. `facts` are numbers and names for programs."""

    ok: bool
    detail: str
    facts: Mapping[str, Any] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        return {"ok": self.ok, "detail": self.detail, **self.facts}


Findings = Mapping[str, Finding]


class Health:
    """The checks behind `/healthz` and `/readyz`. Each answer is a few seconds old at most, and bounded in time."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._lags = Lags(
            services.settings,
            has_feed=isinstance(services.marketplace, Feed),
            poll_seconds=services.poll_seconds,
            since=services.started_at,
        )
        self._work = Cached(self._look, services.clock, for_seconds=KEPT_SECONDS, within_seconds=WITHIN_SECONDS)
        self._broker = Cached(self._knock, services.clock, for_seconds=KEPT_SECONDS, within_seconds=WITHIN_SECONDS)
        self._failing: frozenset[str] = frozenset()

    async def live(self, _request: Request) -> Response:
        """`GET /healthz`: the process takes requests."""
        return PlainTextResponse("ok\n")

    async def ready(self, _request: Request) -> Response:
        """`GET /readyz`: 200, or 503 with the names of what fails."""
        findings: dict[str, Finding] = {}
        try:
            findings |= await self._work.get()
        except TimeoutError:
            findings["database"] = Finding(ok=False, detail=f"gave no answer within {WITHIN_SECONDS:.0f} s")
        try:
            findings["broker"] = await self._broker.get()
        except TimeoutError:
            findings["broker"] = Finding(ok=False, detail=f"gave no answer within {WITHIN_SECONDS:.0f} s")
        failing = frozenset(name for name, finding in findings.items() if not finding.ok)
        self._tell(failing, findings)
        return JSONResponse(
            {
                "ready": not failing,
                "failing": sorted(failing),
                "checks": {name: finding.as_json() for name, finding in findings.items()},
            },
            status_code=503 if failing else 200,
        )

    def _tell(self, failing: frozenset[str], findings: Findings) -> None:
        """One line when something begins to fail, one when it works again."""
        for name in sorted(failing - self._failing):
            log.warning("not_ready", check=name, detail=findings[name].detail)
        for name in sorted(self._failing - failing):
            log.info("ready_again", check=name)
        self._failing = failing

    def _look(self) -> Findings:
        """Everything that the database tells."""
        try:
            schema = standing(self._services.store)
            said = "; ".join(part for part in (schema.said, schema.remedy) if part)
            found = Finding(schema.usable, said, {"revision": schema.present})
            if not schema.usable:
                return {"database": Finding(ok=True, detail="reachable"), "schema": found}
            now = self._services.clock.now()
            with self._services.store.read() as transaction:
                seen = backlog(transaction, now)
                silent = self._services.holds.active_in(transaction).unauthorised_channels()
        except StorageUnavailable as error:
            # What the driver says names hosts and users; it goes to the log, not to whoever asks.
            log.warning("database_check_failed", error=str(error))
            return {"database": Finding(ok=False, detail="cannot be used; the log says why")}
        findings = {
            "database": Finding(ok=True, detail="reachable"),
            "schema": found,
            "deliveries": _behind("the oldest unhandled delivery", self._lags.deliveries(seen, now)),
        }
        if (feed := self._lags.feed(seen, now)) is not None:
            findings["feed"] = _behind("the change feed", feed)
        for name, lag in self._lags.polls(seen, now).items():
            findings[f"poll:{name}"] = (
                # An anomaly asks for new credentials already; one channel must not hide the others' state.
                Finding(ok=True, detail="not polled: its credentials are refused")
                if name in silent
                else _behind(f"the poll of {name}", lag)
            )
        return findings

    def _knock(self) -> Finding:
        """Whether the broker answers."""
        url = self._services.settings.broker.url.get_secret_value()
        if url.startswith("memory://"):
            return Finding(ok=True, detail="in memory")
        options = {"socket_timeout": BROKER_SECONDS, "socket_connect_timeout": BROKER_SECONDS}
        if not url.startswith(("redis://", "rediss://")):
            options = {}
        try:
            with Connection(url, connect_timeout=BROKER_SECONDS, transport_options=options) as connection:
                connection.connect()
        except Exception as error:  # noqa: BLE001  each transport has its own errors
            return Finding(ok=False, detail=f"does not answer ({type(error).__name__})")
        return Finding(ok=True, detail="reachable")


def _behind(what: str, lag: Lag) -> Finding:
    age, limit = lag.age.total_seconds(), lag.limit.total_seconds()
    said = f"{what} is {age:.0f} s behind" if age else f"{what}: nothing waits"
    return Finding(
        lag.ok,
        said if lag.ok else f"{said}; at most {limit:.0f} s are usual",
        {"age_seconds": round(age, 3), "limit_seconds": limit},
    )
