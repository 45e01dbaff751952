"""Calls to the Integration API, and what their answers mean."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from connectors.budget import Priority
from connectors.errors import OutcomeUnknown, Unreadable
from connectors.http import Http, Toolbox, parse_json
from connectors.sharetribe.auth import TokenAuth
from connectors.sharetribe.errors import read_error, refusal, write_error
from connectors.sharetribe.limits import limits
from connectors.sharetribe.resources import Resource, ShapeError, primary
from connectors.sharetribe.settings import SharetribeMarketplaceSettings

ACCOUNT = "sharetribe"


class Client:
    """Queries and commands, within the vendor's limits, with every refusal turned into an error of ours."""

    def __init__(self, settings: SharetribeMarketplaceSettings, toolbox: Toolbox) -> None:
        self._clock = toolbox.clock
        self._asked_for_time = False
        self._limits = limits(settings.base_url, settings.environment)
        self.http = Http(
            toolbox,
            account=ACCOUNT,
            base_url=f"{settings.base_url}/v1/integration_api",
            auth=TokenAuth(
                account=ACCOUNT,
                base_url=settings.base_url,
                client_id=settings.client_id,
                client_secret=settings.client_secret,
                clock=toolbox.clock,
            ),
        )

    def now(self) -> datetime:
        """The vendor's present moment. Asks once, by the cheapest call, when no answer has told it yet."""
        if self.http.clock_skew_seconds is None and not self._asked_for_time:
            self.query("marketplace/show", {}, what="reading the marketplace")
            self._asked_for_time = True
        return self.http.vendor_now

    def query(self, path: str, params: Mapping[str, Any], *, what: str, priority: Priority = Priority.READ) -> Any:
        """The JSON of an answer. `what` completes "Sharetribe refused ..." in errors."""
        response = self.http.read("GET", path, params=params, scopes=self._limits.queries, priority=priority)
        if not response.is_success:
            raise read_error(response, account=ACCOUNT, what=what, clock=self._clock)
        return parse_json(response, account=ACCOUNT)

    def command(
        self,
        path: str,
        body: Mapping[str, Any],
        *,
        what: str,
        confirms: Callable[[Resource], bool],
        params: Mapping[str, Any] | None = None,
    ) -> None:
        """Send a command, once. Returns when its answer says that it was done, by a resource that `confirms` it.

        Raises what `Marketplace.adjust` may raise; anything else under a 200 is no answer: `OutcomeUnknown`.
        """
        response = self.http.write("POST", path, json=body, params=params, scopes=self._limits.commands)
        if not response.is_success or refusal(response) is not None:
            raise write_error(response, account=ACCOUNT, what=what, clock=self._clock)
        try:
            if confirms(primary(parse_json(response, account=ACCOUNT))):
                return
            reason = "it speaks of something else"
        except (Unreadable, ShapeError) as error:
            reason = str(error)
        raise OutcomeUnknown(f"{what} was answered {response.status_code}, but {reason}", account=ACCOUNT)
