"""Finding an order, and the page that shows how far its units have come."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from urllib.parse import urlencode

from starlette.exceptions import HTTPException
from starlette.responses import RedirectResponse, Response

from worker.alerts.anomalies import AnomalyView
from worker.console.door import Page, Visit
from worker.console.rendering import Rendering
from worker.intake.findings import NO_SKU, unlinked_fingerprint
from worker.services import Services
from worker.status.deliveries import Deliveries
from worker.status.orders import Orders, Source, Trail
from worker.store.tables import OrderState
from worker.store.types import LONGEST_IDENTIFIER

PAGE = 50
SOURCES = {
    Source.WEBHOOK: "a webhook",
    Source.POLL: "a poll",
    Source.LATE_PASS: "the look behind the poll's cursor",
    Source.IMPORT: "a file that was imported",
    Source.FORGOTTEN: "not kept any more",
}


class OrderPages:
    """`/orders` and `/order`."""

    def __init__(self, services: Services, rendering: Rendering, rang: Callable[[], None]) -> None:
        """`rang` is called when something has become due."""
        self._services = services
        self._orders = Orders(services.store, services.holds, services.marketplace.guard, Deliveries(services.store))
        self._rendering = rendering
        self._rang = rang

    @property
    def actions(self) -> Mapping[str, Page]:
        """What a form may ask for, by the last part of its address."""
        return {"fetch": self.fetch, "count": self.count}

    # --- looking ----------------------------------------------------------------------------------------------

    def search(self, visit: Visit) -> Response:
        """`GET /orders`."""
        words = visit.asked("q").strip()[:LONGEST_IDENTIFIER]
        channel = visit.asked("channel")
        parked = visit.asked("state") == OrderState.PARKED
        before = visit.asked_number("before")
        found = self._orders.find(words, channel=channel or None, parked=parked, before_id=before, limit=PAGE + 1)
        if len(found) == 1 and words and before is None and found[0].order_id == words:
            return self._to(found[0].channel, found[0].order_id)
        asked = {"q": words, "channel": channel, "state": OrderState.PARKED.value if parked else ""}
        return self._rendering.page(
            "orders.html",
            visit,
            {
                "found": found[:PAGE],
                "older": found[PAGE - 1].id if len(found) > PAGE else None,
                "asked": asked,
                "channels": sorted(self._services.channels),
            },
        )

    def show(self, visit: Visit) -> Response:
        """`GET /order?channel=…&id=…`. Ids are the vendors' own, so they are no part of the path."""
        return self._page(visit, visit.asked("channel"), visit.asked("id"))

    def _page(self, visit: Visit, channel: str, order_id: str, problem: str | None = None) -> Response:
        trail = self._orders.trail(channel, order_id, after=visit.asked_number("after") or 0)
        if trail is None:
            raise HTTPException(404)
        return self._rendering.page(
            "order.html",
            visit,
            {
                "trail": trail,
                "sources": SOURCES,
                "anomalies": self._wrong(trail),
                "actions": self._services.actions.list(subject=("order", f"{channel}/{order_id}")),
                "can_fetch": self._services.fetcher.can_ask(channel),
            },
            problem=problem,
        )

    def _wrong(self, trail: Trail) -> Sequence[AnomalyView]:
        channel = trail.order.channel
        unlinked = [line for line in trail.lines if line.why_unlinked is not None and line.units]
        return self._services.anomalies.concerning(
            order=(channel, trail.order.order_id),
            listing_ids=trail.listing_ids,
            fingerprints=[unlinked_fingerprint(channel, line.sku or NO_SKU) for line in unlinked],
        )

    # --- doing ------------------------------------------------------------------------------------------------

    def fetch(self, visit: Visit) -> Response:
        """`POST /order/fetch`: ask its channel what it is now."""
        channel, order_id = visit.said("channel"), visit.form.get("id", "")
        if not self._services.desk.fetch_order(channel, order_id, by=visit.session.actor):
            return self._page(
                visit, channel, order_id, "Its channel cannot be asked for it: have it sent again, or import it."
            )
        return self._to(channel, order_id, "asked-for")

    def count(self, visit: Visit) -> Response:
        """`POST /order/count`: let a parked order count."""
        channel, order_id = visit.said("channel"), visit.form.get("id", "")
        if not self._services.desk.accept_order(channel, order_id, by=visit.session.actor):
            return self._page(visit, channel, order_id, "The order is not parked any more.")
        return self._to(channel, order_id, "counted")

    def _to(self, channel: str, order_id: str, done: str | None = None) -> Response:
        if done is not None:
            self._rang()
        asked = {"channel": channel, "id": order_id, **({} if done is None else {"done": done})}
        return RedirectResponse(f"/order?{urlencode(asked)}", status_code=303)
