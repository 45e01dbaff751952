"""What is wrong: the list, and for each one what happened, the evidence, and what can be done about it here."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, cast

from starlette.exceptions import HTTPException
from starlette.responses import RedirectResponse, Response

from worker.alerts import Kind
from worker.alerts.anomalies import SEVERITIES, AnomalyView
from worker.alerts.explained import EXPLANATIONS
from worker.console.door import Page, Visit
from worker.console.rendering import Rendering
from worker.intake.findings import NO_SKU
from worker.operators import ActionView
from worker.reconcile.decide import Decision, DecisionRefusedError, OperationView
from worker.services import Services
from worker.status.listings import Listings, WaitingLine
from worker.store.tables import AnomalyState, HoldReason, HoldScope, OperationState, Severity

PAGE = 100
SNOOZED = {"": False, "snoozed": True, "all": None}
"""What the list's filter by state says of snoozed ones."""
SNOOZES = {"1": "1 hour", "4": "4 hours", "24": "1 day", "72": "3 days", "168": "1 week", "720": "30 days"}
"""How long one may be snoozed here, by hours."""
WAITING_LINES = 20
URGENCY = {Severity.CRITICAL: 0, Severity.ERROR: 1, Severity.WARNING: 2}
NUMBER_CAN_BE_ACCEPTED = frozenset({Kind.OVERSOLD, Kind.RETURN_WAITING, Kind.SALE_AT_RISK, Kind.LISTING_GONE})


@dataclass(frozen=True, slots=True)
class Moment:
    """One line of an anomaly's history."""

    at: datetime
    what: str
    said: str
    who: str | None = None


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is known about the subject now."""

    operation: OperationView | None
    waiting: Sequence[WaitingLine]
    title: str | None
    """Of the listing, where it concerns one that is known."""
    total: int | None


class AnomalyPages:
    """`/anomalies` and what is below it."""

    def __init__(self, services: Services, rendering: Rendering, rang: Callable[[], None]) -> None:
        """`rang` is called when something has become due."""
        self._services = services
        self._listings = Listings(services.store)
        self._rendering = rendering
        self._rang = rang

    # --- looking ----------------------------------------------------------------------------------------------

    def list(self, visit: Visit) -> Response:
        """`GET /anomalies`."""
        state = visit.asked("state") if visit.asked("state") in SNOOZED else ""
        resolved_too = state == "all"
        kind, severity = _one_of(Kind, visit.asked("kind")), _one_of(Severity, visit.asked("severity"))
        found = list(
            self._services.anomalies.list(
                unresolved_only=not resolved_too,
                kind=kind,
                severity=None if severity is None else Severity(severity),
                snoozed=SNOOZED[state],
                before_id=visit.asked_number("before"),
                limit=PAGE + 1,
            )
        )
        more, found = len(found) > PAGE, found[:PAGE]
        older = found[-1].id if more and resolved_too else None
        if not resolved_too:
            found.sort(key=lambda entry: URGENCY[entry.severity])
        return self._rendering.page(
            "anomalies.html",
            visit,
            {
                "found": found,
                "older": older,
                "cut": more and not resolved_too,
                "snoozed": 0 if state else self._services.anomalies.count_snoozed(),
                "asked": {"state": state, "kind": kind or "", "severity": severity or ""},
                "kinds": sorted((kind.value, EXPLANATIONS[kind].title) for kind in SEVERITIES),
                "severities": [severity.value for severity in URGENCY],
            },
        )

    def show(self, visit: Visit) -> Response:
        """`GET /anomalies/ID`."""
        return self._page(visit)

    def _page(self, visit: Visit, problem: str | None = None) -> Response:
        anomaly = self._asked_for(visit)
        actions = self._services.actions.list(subject=("anomaly", str(anomaly.id)))
        evidence = self._evidence(anomaly)
        return self._rendering.page(
            "anomaly.html",
            visit,
            {
                "anomaly": anomaly,
                "facts": _facts(anomaly.detail),
                "delivery": anomaly.detail.get("delivery"),
                "suspects": anomaly.detail.get("suspects", []),
                "evidence": evidence,
                "history": self._history(anomaly, actions),
                "can": self._possible(anomaly, evidence),
                "snoozes": SNOOZES,
            },
            problem=problem,
        )

    def _asked_for(self, visit: Visit) -> AnomalyView:
        anomaly = self._services.anomalies.get(visit.row("anomaly"))
        if anomaly is None:
            raise HTTPException(404)
        return anomaly

    def _evidence(self, anomaly: AnomalyView) -> Evidence:
        operation = anomaly.detail.get("operation")
        found = None if anomaly.listing_id is None else self._listings.name(anomaly.listing_id)
        return Evidence(
            operation=self._services.decisions.get(operation) if isinstance(operation, int) else None,
            waiting=() if found is None else self._listings.waiting(found.listing_id, limit=WAITING_LINES),
            title=None if found is None else found.title,
            total=None if found is None else found.total,
        )

    def _history(self, anomaly: AnomalyView, actions: Sequence[ActionView]) -> Sequence[Moment]:
        """Newest first. What was opened and resolved is kept as long as the messages about it."""
        moments = [
            # What the page says of it already is not said again: of most, why they were resolved is left.
            Moment(
                change.at,
                _became(change.became, change.transition),
                change.message.removeprefix(anomaly.message).strip(),
            )
            for change in self._services.anomalies.changes(anomaly.id)
        ]
        moments += [Moment(action.at, action.verb, action.reason or "", action.actor) for action in actions]
        return sorted(moments, key=lambda moment: moment.at, reverse=True)

    @staticmethod
    def _possible(anomaly: AnomalyView, evidence: Evidence) -> Mapping[str, bool]:
        """Which actions make sense here, and now."""
        is_open = anomaly.state is not AnomalyState.RESOLVED
        kind = anomaly.kind
        operation = evidence.operation
        return {
            "acknowledge": anomaly.state is AnomalyState.OPEN,
            "resolve": is_open,
            "snooze": is_open,
            "unsnooze": anomaly.snoozed_until is not None,
            "retry": is_open and evidence.title is not None,
            "accept": is_open and kind in NUMBER_CAN_BE_ACCEPTED and evidence.title is not None,
            "settle": operation is not None and operation.state is OperationState.UNKNOWN,
            "lift": is_open and kind == Kind.ORPHAN and anomaly.listing_id is not None,
            "replay": is_open and kind == Kind.PARKED_DELIVERY and isinstance(anomaly.detail.get("delivery"), int),
            "count": is_open and kind == Kind.PARKED_ORDER and None not in {anomaly.channel, anomaly.order_id},
            "link": is_open and kind == Kind.UNLINKED_SKU and anomaly.detail.get("sku") not in {None, NO_SKU},
        }

    @property
    def actions(self) -> Mapping[str, Page]:
        """What a form may ask for, by the last part of its address."""
        return {
            "acknowledge": self.acknowledge,
            "resolve": self.resolve,
            "snooze": self.snooze,
            "unsnooze": self.unsnooze,
            "retry": self.retry,
            "accept": self.accept,
            "settle": self.settle,
            "lift": self.lift,
            "replay": self.replay,
            "count": self.count,
        }

    # --- doing ------------------------------------------------------------------------------------------------

    def acknowledge(self, visit: Visit) -> Response:
        """`POST /anomalies/ID/acknowledge`."""
        done = self._services.desk.acknowledge(self._asked_for(visit).id, by=visit.session.actor)
        return self._after(visit, "acknowledged") if done else self._page(visit, "It has been resolved meanwhile.")

    def resolve(self, visit: Visit) -> Response:
        """`POST /anomalies/ID/resolve`."""
        if not (reason := visit.said("reason")):
            return self._page(visit, "Say why it is resolved.")
        done = self._services.desk.resolve(self._asked_for(visit).id, by=visit.session.actor, reason=reason)
        return self._after(visit, "resolved") if done else self._page(visit, "It has been resolved meanwhile.")

    def snooze(self, visit: Visit) -> Response:
        """`POST /anomalies/ID/snooze`: tell nobody of it for a while."""
        hours = visit.said("hours")
        if hours not in SNOOZES:
            return self._page(visit, "Say for how long.")
        if not (reason := visit.said("reason")):
            return self._page(visit, "Say why it can wait.")
        until = visit.now + timedelta(hours=int(hours))
        done = self._services.desk.snooze(self._asked_for(visit).id, until, by=visit.session.actor, reason=reason)
        return self._after(visit, "snoozed") if done else self._page(visit, "It has been resolved meanwhile.")

    def unsnooze(self, visit: Visit) -> Response:
        """`POST /anomalies/ID/unsnooze`: tell of it again."""
        done = self._services.desk.unsnooze(self._asked_for(visit).id, by=visit.session.actor)
        return self._after(visit, "unsnoozed") if done else self._page(visit, "It is not snoozed any more.")

    def retry(self, visit: Visit) -> Response:
        """`POST /anomalies/ID/retry`: look at its listing now."""
        try:
            self._services.desk.retry(self._listing(visit), by=visit.session.actor)
        except DecisionRefusedError as refused:
            return self._page(visit, str(refused))
        return self._after(visit, "retried")

    def accept(self, visit: Visit) -> Response:
        """`POST /anomalies/ID/accept`: the marketplace's number stands."""
        if not (reason := visit.said("reason")):
            return self._page(visit, "Say why the marketplace's number is right.")
        try:
            self._services.desk.accept_number(self._listing(visit), by=visit.session.actor, reason=reason)
        except DecisionRefusedError as refused:
            return self._page(visit, str(refused))
        return self._after(visit, "accepted")

    def settle(self, visit: Visit) -> Response:
        """`POST /anomalies/ID/settle`: say what became of its write."""
        outcome, reason = visit.said("outcome"), visit.said("reason")
        if outcome not in {"applied", "absent"}:
            return self._page(visit, "Say whether the write was executed.")
        if not reason:
            return self._page(visit, "Say how you know.")
        operation = self._asked_for(visit).detail.get("operation")
        if not isinstance(operation, int):
            raise HTTPException(404)
        try:
            self._services.desk.settle(operation, cast("Decision", outcome), by=visit.session.actor, reason=reason)
        except DecisionRefusedError as refused:
            return self._page(visit, str(refused))
        return self._after(visit, "settled")

    def lift(self, visit: Visit) -> Response:
        """`POST /anomalies/ID/lift`: what was found stands, and the listing is written again."""
        if not (reason := visit.said("reason")):
            return self._page(visit, "Say what the adjustment was.")
        listing, by = self._listing(visit), visit.session.actor
        lifted = sum(
            self._services.desk.lift(HoldScope.LISTING, listing, by=by, only=only, reason=reason)
            for only in (HoldReason.ORPHAN, HoldReason.RESTORED)
        )
        return self._after(visit, "lifted") if lifted else self._page(visit, "The listing is not held any more.")

    def replay(self, visit: Visit) -> Response:
        """`POST /anomalies/ID/replay`: handle its webhook anew."""
        delivery: Any = self._asked_for(visit).detail.get("delivery")
        done = isinstance(delivery, int) and self._services.desk.replay([delivery], by=visit.session.actor)
        return self._after(visit, "replayed") if done else self._page(visit, "Its body is not kept any more.")

    def count(self, visit: Visit) -> Response:
        """`POST /anomalies/ID/count`: let its parked order count."""
        anomaly = self._asked_for(visit)
        done = self._services.desk.accept_order(anomaly.channel or "", anomaly.order_id or "", by=visit.session.actor)
        return self._after(visit, "counted") if done else self._page(visit, "The order is not parked any more.")

    def _listing(self, visit: Visit) -> str:
        listing = self._asked_for(visit).listing_id
        if listing is None:
            raise HTTPException(404)
        return listing

    def _after(self, visit: Visit, done: str) -> Response:
        self._rang()
        return RedirectResponse(f"/anomalies/{visit.request.path_params['anomaly']}?done={done}", status_code=303)


def _one_of(values: type[Kind | Severity], asked: str) -> str | None:
    return asked if asked in {value.value for value in values} else None


def _facts(detail: Mapping[str, Any]) -> Mapping[str, str]:
    """What the finding holds, where it is a plain value."""
    return {
        name: f"{value:,}" if isinstance(value, int) else str(value)
        for name, value in detail.items()
        if isinstance(value, str | int) and name not in {"operation", "delivery"}
    }


def _became(state: AnomalyState, transition: int) -> str:
    if state is AnomalyState.RESOLVED:
        return "resolved"
    return "opened" if transition == 1 else "opened again"
