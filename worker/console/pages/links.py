"""Which SKU is which listing: what waits for a link and what it may be, what is linked; linking, looked at first."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping
from urllib.parse import parse_qsl

from starlette.exceptions import HTTPException
from starlette.responses import RedirectResponse, Response

from worker.console.door import Visit
from worker.console.rendering import Rendering
from worker.links import LinkTableError, Unlinked
from worker.links.table import written
from worker.operators.desk import LinksChangedError
from worker.services import Services
from worker.status.linking import LinkPlans
from worker.store.types import LONGEST_IDENTIFIER

PAGE = 100
MOST_ROWS = 50
"""Shown of each table of a plan; the sums are those of all."""


class LinkPages:
    """`/links` and what is below it."""

    def __init__(self, services: Services, rendering: Rendering, rang: Callable[[], None]) -> None:
        """`rang` is called when something has become due."""
        self._services = services
        self._unlinked = Unlinked(services.store)
        self._plans = LinkPlans(services.store, services.links, services.holds)
        self._rendering = rendering
        self._rang = rang

    # --- looking ----------------------------------------------------------------------------------------------

    def show(self, visit: Visit) -> Response:
        """`GET /links`: what waits for a link."""
        channel, sku = self._channel(visit), visit.asked("sku")[:LONGEST_IDENTIFIER]
        after = (visit.asked("after"), visit.asked("after_sku")) if visit.asked("after") else None
        page = self._unlinked.page(channel=channel or None, sku=sku or None, after=after)
        last = page.skus[-1] if page.more else None
        return self._rendering.page(
            "links.html",
            visit,
            {
                "skus": page.skus,
                "older": None if last is None else {"after": last.channel, "after_sku": last.sku},
                "asked": {"channel": channel, "sku": sku},
                "channels": sorted(self._services.channels),
            },
        )

    def listed(self, visit: Visit) -> Response:
        """`GET /links/list`: what is linked."""
        channel, words = self._channel(visit), visit.asked("q").strip()[:LONGEST_IDENTIFIER]
        after = (visit.asked("after"), visit.asked("after_sku"), visit.asked("after_listing"))
        found = self._services.links.find(
            [channel] if channel else list(self._services.channels),
            words,
            after=after if all(after) else None,
            limit=PAGE + 1,
        )
        more, found = len(found) > PAGE, found[:PAGE]
        last = found[-1] if more else None
        return self._rendering.page(
            "links_list.html",
            visit,
            {
                "found": found,
                "older": None
                if last is None
                else {"after": last.channel, "after_sku": last.sku, "after_listing": last.listing_id},
                "asked": {"channel": channel, "q": words},
                "channels": sorted(self._services.channels),
            },
        )

    def export(self, visit: Visit) -> Response:
        """`GET /links/export`: the links in force, as `trueup links export` prints them."""
        channel = self._channel(visit)
        table = self._services.links.export_csv(channel or None)
        name = f"links-{channel}.csv" if channel else "links.csv"
        return Response(table, media_type="text/csv", headers={"Content-Disposition": f'attachment; filename="{name}"'})

    def _channel(self, visit: Visit) -> str:
        """The channel that the address names, if there is such a one."""
        asked = visit.asked("channel")
        return asked if asked in self._services.channels else ""

    # --- doing ------------------------------------------------------------------------------------------------

    def plan(self, visit: Visit) -> Response:
        """`POST /links/plan`: what linking would do."""
        source = visit.said("source")
        if source == "file":
            table = visit.form.get("file", "")
        elif source == "one":
            table = _one(visit.form)
        else:
            table = _chosen(visit.form)
        return self._planned(visit, table)

    def make(self, visit: Visit) -> Response:
        """`POST /links/make`: what was looked at."""
        try:
            table = base64.urlsafe_b64decode(visit.said("table")).decode()
        except (binascii.Error, ValueError):
            raise HTTPException(400, "The form cannot be read.") from None
        try:
            self._services.desk.import_links(
                table, by=visit.session.actor, replace=_replaces(visit), shown=visit.said("shown")
            )
        except LinksChangedError as changed:
            return self._planned(visit, table, str(changed))
        except LinkTableError:
            return self._planned(visit, table)
        self._rang()
        return RedirectResponse("/links?done=linked", status_code=303)

    def _planned(self, visit: Visit, table: str, problem: str | None = None) -> Response:
        replace, source = _replaces(visit), visit.said("source")
        back = "/links/list" if source == "file" else "/links"
        values = {"source": source, "replace": replace, "back": back, "rows": MOST_ROWS}
        try:
            plan = self._plans.plan(table, replace=replace)
        except LinkTableError as refused:
            values |= {"plan": None, "problems": refused.problems}
            return self._rendering.page("links_plan.html", visit, values, problem="This cannot be linked.")
        kept = base64.urlsafe_b64encode(table.encode()).decode()
        values |= {"plan": plan, "problems": (), "table": kept}
        return self._rendering.page("links_plan.html", visit, values, problem=problem)


def _replaces(visit: Visit) -> bool:
    return visit.said("source") == "file" and visit.said("replace") == "yes"


def _one(form: Mapping[str, str]) -> str:
    """The table of one link, as it was typed. Blanks are part of how a channel spells a SKU."""
    typed = {name: form.get(name, "").strip() for name in ("channel", "listing", "units", "from")}
    return written([(typed["channel"], form.get("sku", ""), typed["listing"], typed["units"], typed["from"])])


def _chosen(form: Mapping[str, str]) -> str:
    """The table of the suggestions that were ticked: each is a field of its own, and has the units of its SKU."""
    rows = []
    for name, value in form.items():
        kind, _, place = name.partition(".")
        if kind == "link":
            link = dict(parse_qsl(value, keep_blank_values=True))
            units = form.get(f"units.{place.partition('.')[0]}", "").strip()
            rows.append((link.get("channel", ""), link.get("sku", ""), link.get("listing", ""), units, ""))
    return written(rows)
