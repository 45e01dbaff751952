"""Which numbers are proved, and the account of one listing: to be read, printed, or taken along as CSV."""

from __future__ import annotations

from itertools import islice
from urllib.parse import quote

from starlette.exceptions import HTTPException
from starlette.responses import Response

from worker.audit.causes import Cause
from worker.audit.statement import Statement, Statements, lines_csv
from worker.console.door import Visit
from worker.console.rendering import Rendering
from worker.services import Services
from worker.store.tables import ProofState
from worker.store.types import LONGEST_IDENTIFIER

MOST_OPEN = 100
MOST_LINES = 10_000
"""Of a CSV; the command has no such bound."""
CAUSES = {
    Cause.OURS: "Our channels",
    Cause.MARKETPLACE: "Sales on the marketplace",
    Cause.PROVIDER: "Edited by the provider",
    Cause.ACCEPTED: "Accepted by an operator",
    Cause.UNTOLD: "Not told by the marketplace",
    Cause.UNEXPLAINED: "Without a cause",
}
STATES = {
    ProofState.PROVED: "Proved",
    ProofState.IN_PART: "Proved in part",
    ProofState.WAITING: "A cause is on its way",
    ProofState.UNEXPLAINED: "Units without a cause",
    ProofState.UNCOUNTED: "No number to prove",
}


class AuditPages:
    """`/audit` and what is below it."""

    def __init__(self, services: Services, rendering: Rendering) -> None:
        self._statements = Statements(services.store, services.marketplace)
        self._rendering = rendering

    def show(self, visit: Visit) -> Response:
        """`GET /audit`."""
        after = visit.asked("after")[:LONGEST_IDENTIFIER]
        unexplained = self._statements.open_ones(ProofState.UNEXPLAINED, after=after, limit=MOST_OPEN + 1)
        return self._rendering.page(
            "audit.html",
            visit,
            {
                "last": self._statements.last_run(),
                "states": STATES,
                "limits": self._statements.limits,
                "unexplained": unexplained[:MOST_OPEN],
                "more": unexplained[MOST_OPEN - 1].listing_id if len(unexplained) > MOST_OPEN else None,
                "waiting": self._statements.open_ones(ProofState.WAITING, limit=MOST_OPEN),
            },
        )

    def statement(self, visit: Visit) -> Response:
        """`GET /audit/listing?id=…`: made to be printed."""
        found = self._asked_for(visit)
        return self._rendering.page(
            "statement.html",
            visit,
            {"statement": found, "causes": CAUSES, "states": STATES, "limits": self._statements.limits},
        )

    def csv(self, visit: Visit) -> Response:
        """`GET /audit/listing.csv?id=…`."""
        listing_id = self._asked_for(visit).listing_id
        lines = islice(self._statements.lines(listing_id), MOST_LINES)
        name = quote(f"audit-{listing_id}.csv", safe="")
        return Response(
            "".join(lines_csv(lines)),
            media_type="text/csv; charset=utf-8",
            headers={"Content-Disposition": f"attachment; filename*=UTF-8''{name}"},
        )

    def _asked_for(self, visit: Visit) -> Statement:
        found = self._statements.statement(visit.asked("id"), before=visit.asked("before") or None)
        if found is None:
            raise HTTPException(404)
        return found
