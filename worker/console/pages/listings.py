"""Finding a listing, and the page that shows why its number is what it is."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from urllib.parse import urlencode

from starlette.exceptions import HTTPException
from starlette.responses import RedirectResponse, Response

from worker.alerts import Kind
from worker.audit.causes import Cause
from worker.console.chart import Step, draw
from worker.console.door import Page, Visit
from worker.console.rendering import Rendering, number, signed
from worker.reconcile.decide import DecisionRefusedError
from worker.services import Services
from worker.status.listings import AdjustmentView, Listings, Story
from worker.store.tables import HoldReason, HoldScope
from worker.store.types import LONGEST_IDENTIFIER

MOST_TROUBLED = 50
TROUBLED = (Kind.NEGATIVE_STOCK, Kind.OVERSOLD, Kind.OUTCOME_UNKNOWN, Kind.UNEXPLAINED_TOTAL, Kind.ORPHAN)
CAUSES = {
    Cause.OURS: "Our channels",
    Cause.MARKETPLACE: "Sales on the marketplace",
    Cause.PROVIDER: "Edited by the provider",
    Cause.ACCEPTED: "Accepted by an operator",
    Cause.UNEXPLAINED: "Not explained",
}


class ListingPages:
    """`/listings` and `/listing`."""

    def __init__(self, services: Services, rendering: Rendering, rang: Callable[[], None]) -> None:
        """`rang` is called when something has become due."""
        self._services = services
        self._listings = Listings(services.store)
        self._rendering = rendering
        self._rang = rang

    @property
    def actions(self) -> Mapping[str, Page]:
        """What a form may ask for, by the last part of its address."""
        return {"accept": self.accept, "retry": self.retry, "pause": self.pause, "resume": self.resume}

    # --- looking ----------------------------------------------------------------------------------------------

    def search(self, visit: Visit) -> Response:
        """`GET /listings`."""
        words = visit.asked("q").strip()[:LONGEST_IDENTIFIER]
        found = self._listings.find(words, list(self._services.channels)) if words else []
        if len(found) == 1 and words:
            return self._to(found[0].listing_id)
        open_ones = [] if words else self._services.anomalies.list(limit=MOST_TROUBLED * 4)
        troubled = [entry for entry in open_ones if entry.kind in TROUBLED and entry.listing_id is not None]
        return self._rendering.page(
            "listings.html", visit, {"words": words, "found": found, "troubled": troubled[:MOST_TROUBLED]}
        )

    def show(self, visit: Visit) -> Response:
        """`GET /listing?id=…`. Ids are the vendors' own, so they are no part of the path."""
        return self._page(visit, visit.asked("id"))

    def _page(self, visit: Visit, listing_id: str, problem: str | None = None) -> Response:
        story = self._listings.story(listing_id, journal_before=visit.asked_number("before"))
        if story is None:
            raise HTTPException(404)
        services = self._services
        holds = [
            hold
            for hold in services.holds.list()
            if (hold.scope, hold.subject) == (HoldScope.LISTING, listing_id) or hold.scope is HoldScope.MARKETPLACE
        ]
        return self._rendering.page(
            "listing.html",
            visit,
            {
                "story": story,
                "chart": draw(_steps(story), visit.now),
                "causes": CAUSES,
                "holds": holds,
                "paused": any(hold.reason is HoldReason.PAUSED and hold.scope is HoldScope.LISTING for hold in holds),
                "anomalies": services.anomalies.list(listing_id=listing_id),
                "actions": services.actions.list(listing_id=listing_id),
                "pending": sum(line.units for line in story.waiting),
            },
            problem=problem,
        )

    # --- doing ------------------------------------------------------------------------------------------------

    def accept(self, visit: Visit) -> Response:
        """`POST /listing/accept`: the marketplace's number stands."""
        listing_id = visit.said("id")
        if not (reason := visit.said("reason")):
            return self._page(visit, listing_id, "Say why the marketplace's number is right.")
        try:
            self._services.desk.accept_number(listing_id, by=visit.session.actor, reason=reason)
        except DecisionRefusedError as refused:
            return self._page(visit, listing_id, str(refused))
        return self._to(listing_id, "accepted")

    def retry(self, visit: Visit) -> Response:
        """`POST /listing/retry`: look at it now."""
        listing_id = visit.said("id")
        try:
            self._services.desk.retry(listing_id, by=visit.session.actor)
        except DecisionRefusedError as refused:
            return self._page(visit, listing_id, str(refused))
        return self._to(listing_id, "retried")

    def pause(self, visit: Visit) -> Response:
        """`POST /listing/pause`: write nothing to it until somebody lifts the hold."""
        listing_id = visit.said("id")
        if not (reason := visit.said("reason")):
            return self._page(visit, listing_id, "Say why it is paused.")
        if self._listings.name(listing_id) is None:
            raise HTTPException(404)
        self._services.desk.pause(HoldScope.LISTING, listing_id, by=visit.session.actor, reason=reason)
        return self._to(listing_id, "paused")

    def resume(self, visit: Visit) -> Response:
        """`POST /listing/resume`."""
        listing_id = visit.said("id")
        by = visit.session.actor
        if not self._services.desk.lift(HoldScope.LISTING, listing_id, by=by, only=HoldReason.PAUSED):
            return self._page(visit, listing_id, "It is not paused any more.")
        return self._to(listing_id, "lifted")

    def _to(self, listing_id: str, done: str | None = None) -> Response:
        if done is not None:
            self._rang()
        asked = {"id": listing_id, **({} if done is None else {"done": done})}
        return RedirectResponse(f"/listing?{urlencode(asked)}", status_code=303)


def _steps(story: Story) -> Sequence[Step]:
    """The changes whose outcome is known, in their order."""
    return [
        Step(entry.at, entry.quantity, entry.total_after, entry.cause.value, _said(entry))
        for entry in reversed(story.adjustments)
        if entry.total_after is not None
    ]


def _said(entry: AdjustmentView) -> str:
    return (
        f"{entry.at:%Y-%m-%d %H:%M:%S} UTC: {signed(entry.quantity)} to {number(entry.total_after)},"
        f" {CAUSES[entry.cause].lower()}"
    )
