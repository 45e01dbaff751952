"""What keeps writes back, and a person's word about it; the plan of a channel that waits for one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeVar
from urllib.parse import urlencode

from starlette.exceptions import HTTPException
from starlette.responses import RedirectResponse, Response

from worker.console.door import Page, Visit
from worker.console.rendering import Rendering
from worker.holds.explained import EXPLANATIONS
from worker.reconcile.decide import DecisionRefusedError
from worker.reconcile.size import PlanSize
from worker.services import Services
from worker.status import HeldWork, Preview
from worker.status.held import WaitingPlan
from worker.status.listings import Listings
from worker.store.tables import HoldReason, HoldScope
from worker.store.types import LONGEST_IDENTIFIER

PAGE = 100
PLAN_PAGE = 50
LINES_SHOWN = 5
"""Of one listing in a plan; its own page has all."""

Word = TypeVar("Word", HoldReason, HoldScope)


class HoldPages:
    """`/holds` and what is below it."""

    def __init__(self, services: Services, rendering: Rendering, rang: Callable[[], None]) -> None:
        """`rang` is called when something has become due."""
        self._services = services
        self._held = HeldWork(services.store, services.holds, services.breakers)
        self._preview = Preview(services.store, services.holds, services.marketplace, services.executor)
        self._listings = Listings(services.store)
        self._rendering = rendering
        self._rang = rang

    @property
    def actions(self) -> Mapping[str, Page]:
        """What a form may ask for, by the last part of its address."""
        return {"confirm": self.confirm, "lift": self.lift, "pause": self.pause}

    # --- looking ----------------------------------------------------------------------------------------------

    def show(self, visit: Visit) -> Response:
        """`GET /holds`."""
        return self._page(visit)

    def _page(self, visit: Visit, problem: str | None = None) -> Response:
        asked = visit.asked("reason")
        reasons = [HoldReason(asked)] if asked in list(HoldReason) else list(HoldReason)
        found = self._held.holds(reasons=reasons, after=visit.asked_number("after"), limit=PAGE + 1)
        return self._rendering.page(
            "holds.html",
            visit,
            {
                "plans": self._held.plans(),
                "resting": self._held.resting(),
                "found": found[:PAGE],
                "more": found[PAGE - 1].hold.id if len(found) > PAGE else None,
                "asked": asked if len(reasons) == 1 else "",
                "reasons": [(reason.value, EXPLANATIONS[reason].title) for reason in HoldReason],
                "marketplace": self._services.marketplace_name,
            },
            problem=problem,
        )

    def plan(self, visit: Visit) -> Response:
        """`GET /holds/plan?channel=…`: what would be written for a channel."""
        return self._plan(visit, visit.asked("channel"))

    def _plan(self, visit: Visit, channel: str, problem: str | None = None) -> Response:
        if channel not in self._services.channels:
            raise HTTPException(404)
        found = self._preview.plan(channel=channel, after=visit.asked("after") or None, limit=PLAN_PAGE + 1)
        waiting = self._waiting(channel)
        return self._rendering.page(
            "plan.html",
            visit,
            {
                "channel": channel,
                "waiting": waiting,
                "size": self._held.size(channel) if waiting is None else waiting.size,
                "found": found[:PLAN_PAGE],
                "more": found[PLAN_PAGE - 1].listing_id if len(found) > PLAN_PAGE else None,
                "lines_shown": LINES_SHOWN,
            },
            problem=problem,
        )

    def _waiting(self, channel: str) -> WaitingPlan | None:
        return next((plan for plan in self._held.plans() if plan.channel == channel), None)

    # --- doing ------------------------------------------------------------------------------------------------

    def confirm(self, visit: Visit) -> Response:
        """`POST /holds/confirm`: write what was shown."""
        channel = visit.said("channel")
        numbers = [visit.said(name) for name in ("listings", "to_take", "to_give_back")]
        if not all(number.isascii() and number.isdecimal() and len(number) < 19 for number in numbers):
            raise HTTPException(400, "The form does not say what was shown.")
        shown = PlanSize(*map(int, numbers))
        try:
            confirmed = self._services.desk.confirm_plan(channel, shown, by=visit.session.actor)
        except DecisionRefusedError as refused:
            return self._plan(visit, channel, str(refused))
        if not confirmed:
            return self._plan(visit, channel, "It waits for nobody's word any more.")
        self._rang()
        return _to(done="confirmed")

    def lift(self, visit: Visit) -> Response:
        """`POST /holds/lift`: one hold, with a reason."""
        reason, scope = _known(HoldReason, visit.said("held")), _known(HoldScope, visit.said("scope"))
        if not EXPLANATIONS[reason].by_a_word:
            raise HTTPException(404)
        if not (why := visit.said("reason")):
            return self._page(visit, "Say why it is lifted.")
        subject, by = visit.said("subject"), visit.session.actor
        if not self._services.desk.lift(scope, subject, by=by, only=reason, reason=why):
            return self._page(visit, f"{subject} is not held by that any more.")
        self._rang()
        return _to(done="lifted")

    def pause(self, visit: Visit) -> Response:
        """`POST /holds/pause`: write nothing for something until somebody lifts the hold."""
        scope, subject = _known(HoldScope, visit.said("scope")), visit.said("subject")
        if not (why := visit.said("reason")):
            return self._page(visit, "Say why it is paused.")
        if not self._is_there(scope, subject):
            return self._page(visit, f"There is no {scope.value} {subject}.")
        self._services.desk.pause(scope, subject, by=visit.session.actor, reason=why)
        return _to(done="paused")

    def _is_there(self, scope: HoldScope, subject: str) -> bool:
        if scope is HoldScope.MARKETPLACE:
            return subject == self._services.marketplace_name
        if scope is HoldScope.CHANNEL:
            return subject in self._services.channels
        return len(subject) <= LONGEST_IDENTIFIER and self._listings.name(subject) is not None


def _known(words: type[Word], word: str) -> Word:
    if word not in list(words):
        raise HTTPException(404)
    return words(word)


def _to(**asked: str) -> Response:
    return RedirectResponse(f"/holds?{urlencode(asked)}", status_code=303)
