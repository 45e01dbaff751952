"""The webhooks that came in: the list, each with its body while it is kept, and handling them anew."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode

from starlette.exceptions import HTTPException
from starlette.responses import RedirectResponse, Response

from worker.alerts import Kind
from worker.alerts.anomalies import fingerprint
from worker.console.door import Visit
from worker.console.picked import picked_rows
from worker.console.rendering import Rendering
from worker.services import Services
from worker.status.deliveries import MOST_BODY_BYTES, Deliveries, DeliveryView
from worker.store.tables import DeliveryState
from worker.store.types import LONGEST_IDENTIFIER

PAGE = 40
"""No more than a form takes."""
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
LATEST_MICROSECONDS = 10**16
"""Somewhere in the year 2286: what asks for more has not come from a page of ours."""


class DeliveryPages:
    """`/deliveries` and what is below it."""

    def __init__(self, services: Services, rendering: Rendering, rang: Callable[[], None]) -> None:
        """`rang` is called when something has become due."""
        self._services = services
        self._deliveries = Deliveries(services.store, services.settings.secrets())
        self._rendering = rendering
        self._rang = rang

    # --- looking ----------------------------------------------------------------------------------------------

    def list(self, visit: Visit) -> Response:
        """`GET /deliveries`."""
        return self._list(visit)

    def _list(self, visit: Visit, problem: str | None = None) -> Response:
        asked = _filters(visit)
        found = self._deliveries.list(
            channel=asked["channel"] or None,
            state=DeliveryState(asked["state"]) if asked["state"] else None,
            order_id=asked["order"] or None,
            until=_moment(asked["until"]),
            behind=_behind(visit),
            limit=PAGE + 1,
        )
        return self._rendering.page(
            "deliveries.html",
            visit,
            {
                "found": found[:PAGE],
                "older": _place(found[PAGE - 1]) if len(found) > PAGE else None,
                "asked": asked,
                "here": urlencode({**asked, **{name: visit.asked(name) for name in ("at", "before")}}),
                "channels": sorted(self._services.channels),
                "states": [state.value for state in DeliveryState],
            },
            problem=problem,
        )

    def show(self, visit: Visit) -> Response:
        """`GET /deliveries/ID`."""
        return self._page(visit)

    def _page(self, visit: Visit, problem: str | None = None) -> Response:
        story = self._deliveries.story(visit.row("delivery"))
        if story is None:
            raise HTTPException(404)
        delivery = story.delivery
        parked = fingerprint(Kind.PARKED_DELIVERY, channel=delivery.channel, key=str(delivery.id))
        return self._rendering.page(
            "delivery.html",
            visit,
            {
                "story": story,
                "delivery": delivery,
                "most_bytes": MOST_BODY_BYTES,
                "anomalies": self._services.anomalies.concerning(fingerprints=[parked]),
                "actions": self._services.actions.list(subject=("delivery", str(delivery.id))),
            },
            problem=problem,
        )

    # --- doing ------------------------------------------------------------------------------------------------

    def replay(self, visit: Visit) -> Response:
        """`POST /deliveries/ID/replay`: handle it anew."""
        delivery = visit.row("delivery")
        if not self._services.desk.replay([delivery], by=visit.session.actor):
            return self._page(visit, "Its body is not kept any more.")
        self._rang()
        return RedirectResponse(f"/deliveries/{delivery}?done=replayed", status_code=303)

    def replay_some(self, visit: Visit) -> Response:
        """`POST /deliveries/replay`: handle those that are ticked anew."""
        if (problem := replayed(self._services, visit, self._rang)) is not None:
            return self._list(visit, problem)
        asked = {name: value for name, value in _filters(visit).items() if value}
        return RedirectResponse(f"/deliveries?{urlencode({**asked, 'done': 'replayed-some'})}", status_code=303)


def replayed(services: Services, visit: Visit, rang: Callable[[], None]) -> str | None:
    """Have the deliveries that are ticked handled anew; returns what to say where that was not done for each."""
    if not (chosen := picked_rows(visit)):
        return "Tick what is to be handled anew."
    done = services.desk.replay(chosen, by=visit.session.actor)
    if done:
        rang()
    if missing := sorted(set(chosen) - set(done)):
        others = " The others are handled anew." if done else ""
        return f"Not kept any more: {', '.join(map(str, missing))}.{others}"
    return None


def _filters(visit: Visit) -> Mapping[str, str]:
    """What the address asks for, as far as it makes sense."""
    state, until = visit.asked("state"), visit.asked("until")
    return {
        "channel": visit.asked("channel"),
        "state": state if state in list(DeliveryState) else "",
        "order": visit.asked("order").strip()[:LONGEST_IDENTIFIER],
        "until": until if _moment(until) is not None else "",
    }


def _moment(text: str) -> datetime | None:
    """The end of a minute as a browser's field says it, in UTC; None for anything else."""
    try:
        minute = datetime.strptime(text[:16], "%Y-%m-%dT%H:%M").replace(tzinfo=UTC)
    except ValueError:
        return None
    return minute + timedelta(seconds=59, microseconds=999_999)


def _place(delivery: DeliveryView) -> Mapping[str, int]:
    """Where the page ended, as the address of the next one says it."""
    return {"at": (delivery.received_at - EPOCH) // MICROSECOND, "before": delivery.id}


def _behind(visit: Visit) -> tuple[datetime, int] | None:
    at, before = visit.asked_number("at"), visit.asked_number("before")
    if at is None or before is None or at > LATEST_MICROSECONDS:
        return None
    return EPOCH + at * MICROSECOND, before
