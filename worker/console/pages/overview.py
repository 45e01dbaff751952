"""One look at everything: is stock true, since when, what waits, how each account does."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from starlette.exceptions import HTTPException
from starlette.responses import RedirectResponse, Response

from worker.alerts.anomalies import SEVERITIES
from worker.console.door import Page, Visit
from worker.console.rendering import Rendering
from worker.services import Services
from worker.status import Status
from worker.status.accounts import AccountsHealth
from worker.status.today import Today, TodaysSales
from worker.store.tables import HoldReason, HoldScope, Severity

_SEVERITY = {kind.value: severity for kind, severity in SEVERITIES.items()}


@dataclass(frozen=True, slots=True)
class ChannelRow:
    """What one channel has sold today, and what of it waits."""

    name: str
    units_taken: int
    units_given_back: int
    lines: int
    to_take: int
    to_give_back: int


class OverviewPage:
    """`/`, and pausing accounts from there."""

    def __init__(self, services: Services, rendering: Rendering, rang: Callable[[], None]) -> None:
        """`rang` is called when something has become due."""
        self._services = services
        self._rendering = rendering
        self._rang = rang
        settings = services.settings
        self._today = TodaysSales(services.store, services.clock)
        self._accounts = AccountsHealth(
            services.store,
            (services.marketplace_name, settings.marketplace.connector),
            {name: channel.connector for name, channel in settings.channels.items()},
        )

    @property
    def actions(self) -> Mapping[str, Page]:
        """What a form may ask for, by the last part of its address."""
        return {"pause": self.pause, "resume": self.resume}

    def show(self, visit: Visit) -> Response:
        """`GET /`."""
        return self._page(visit)

    def _page(self, visit: Visit, problem: str | None = None) -> Response:
        status, today = self._services.overview.now(count_listings=False), self._today.now()
        return self._rendering.page(
            "overview.html",
            visit,
            {
                "status": status,
                "since": self._since(status),
                "today": today,
                "channels": self._channels(status, today),
                "accounts": self._accounts.now(status),
                "wrong": _by_severity(status.anomalies),
                "budgets": self._services.budgets.left(),
                "unsettled": status.operations_prepared + status.operations_unknown,
            },
            problem=problem,
        )

    def _since(self, status: Status) -> datetime | None:
        """None where the schedule has not noticed a change yet: it is less than a minute old."""
        last = self._services.verdicts.last()
        return last.since if last is not None and last.stock_is_true is status.stock_is_true else None

    def _channels(self, status: Status, today: Today) -> Sequence[ChannelRow]:
        sold = {sales.channel: sales for sales in today.sales}
        waits = {pending.channel: pending for pending in status.pending}
        rows = []
        for name in sorted({*self._services.channels, *sold, *waits}):
            sales, pending = sold.get(name), waits.get(name)
            rows.append(
                ChannelRow(
                    name,
                    units_taken=sales.units_taken if sales else 0,
                    units_given_back=sales.units_given_back if sales else 0,
                    lines=sales.lines if sales else 0,
                    to_take=pending.to_take if pending else 0,
                    to_give_back=pending.to_give_back if pending else 0,
                )
            )
        return rows

    def pause(self, visit: Visit) -> Response:
        """`POST /accounts/pause`."""
        scope, name = self._account(visit)
        if not (reason := visit.said("reason")):
            return self._page(visit, f"Say why {name} is paused.")
        self._services.desk.pause(scope, name, by=visit.session.actor, reason=reason)
        return RedirectResponse("/?done=paused", status_code=303)

    def resume(self, visit: Visit) -> Response:
        """`POST /accounts/resume`."""
        scope, name = self._account(visit)
        if not self._services.desk.lift(scope, name, by=visit.session.actor, only=HoldReason.PAUSED):
            return self._page(visit, f"{name} is not paused any more.")
        self._rang()
        return RedirectResponse("/?done=lifted", status_code=303)

    def _account(self, visit: Visit) -> tuple[HoldScope, str]:
        scope, name = visit.said("scope"), visit.said("name")
        if scope == HoldScope.MARKETPLACE and name == self._services.marketplace_name:
            return HoldScope.MARKETPLACE, name
        if scope == HoldScope.CHANNEL and name in self._services.channels:
            return HoldScope.CHANNEL, name
        raise HTTPException(404)


def _by_severity(unresolved: Mapping[str, int]) -> Mapping[Severity, int]:
    """The most urgent first. A kind that this version does not know is taken for an error."""
    counts: Counter[Severity] = Counter()
    for kind, count in unresolved.items():
        counts[_SEVERITY.get(kind, Severity.ERROR)] += count
    return {severity: counts[severity] for severity in (Severity.CRITICAL, Severity.ERROR, Severity.WARNING)}
