"""What waits for a person or keeps failing, with its reason; and trying it again, one or many."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from starlette.responses import RedirectResponse, Response

from worker.console.door import Page, Visit
from worker.console.pages.deliveries import replayed
from worker.console.picked import picked
from worker.console.rendering import Rendering
from worker.reconcile.decide import DecisionRefusedError
from worker.services import Services
from worker.status.deliveries import Deliveries
from worker.status.work import ParkedWork


class WorkPage:
    """`/work`."""

    def __init__(self, services: Services, rendering: Rendering, rang: Callable[[], None]) -> None:
        """`rang` is called when something has become due."""
        self._services = services
        self._work = ParkedWork(services.store, services.anomalies, Deliveries(services.store))
        self._rendering = rendering
        self._rang = rang

    @property
    def actions(self) -> Mapping[str, Page]:
        """What a form may ask for, by the last part of its address."""
        return {"replay": self.replay, "fetch": self.fetch, "count": self.count, "retry": self.retry}

    def show(self, visit: Visit) -> Response:
        """`GET /work`."""
        return self._page(visit)

    def _page(self, visit: Visit, problem: str | None = None) -> Response:
        return self._rendering.page("work.html", visit, {"work": self._work.now()}, problem=problem)

    def replay(self, visit: Visit) -> Response:
        """`POST /work/replay`: handle the deliveries that are ticked anew."""
        problem = replayed(self._services, visit, self._rang)
        return self._page(visit, problem) if problem is not None else _after("replayed-some")

    def fetch(self, visit: Visit) -> Response:
        """`POST /work/fetch`: ask their channels for the orders that are ticked."""
        return self._orders(visit, self._services.desk.fetch_order, "asked-for-some", "Cannot be asked for")

    def count(self, visit: Visit) -> Response:
        """`POST /work/count`: let the orders that are ticked count."""
        return self._orders(visit, self._services.desk.accept_order, "counted-some", "Not parked any more")

    def _orders(self, visit: Visit, do: Callable[..., bool], done: str, failed: str) -> Response:
        chosen = [value.partition("/") for value in picked(visit)]
        if not chosen:
            return self._page(visit, "Tick the orders.")
        left = [
            f"{channel} {order_id}"
            for channel, _, order_id in chosen
            if not do(channel, order_id, by=visit.session.actor)
        ]
        if len(left) < len(chosen):
            self._rang()
        return self._page(visit, f"{failed}: {', '.join(left)}.") if left else _after(done)

    def retry(self, visit: Visit) -> Response:
        """`POST /work/retry`: look at the listings that are ticked now."""
        chosen = picked(visit)
        if not chosen:
            return self._page(visit, "Tick the listings.")
        for listing_id in chosen:
            try:
                self._services.desk.retry(listing_id, by=visit.session.actor)
            except DecisionRefusedError as refused:
                return self._page(visit, str(refused))
        self._rang()
        return _after("retried-some")


def _after(done: str) -> Response:
    return RedirectResponse(f"/work?done={done}", status_code=303)
