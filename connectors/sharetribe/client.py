"""Calls to the Integration API, and what their answers mean."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from connectors.budget import Priority
from connectors.errors import OutcomeUnknown, Unreadable
from connectors.http import Http, Toolbox, parse_json
from connectors.sharetribe.auth import TokenAuth
from connectors.sharetribe.errors import read_error, refusal, write_error
from connectors.sharetribe.limits import limits
from connectors.sharetribe.resources import Resource, ShapeError, primary, resource_id
from connectors.sharetribe.settings import SharetribeAccount


class Client:
    """Queries and commands, within the vendor's limits, with every refusal turned into an error of ours."""

    def __init__(self, settings: SharetribeAccount, toolbox: Toolbox, *, account: str) -> None:
        self._account = account
        self._clock = toolbox.clock
        self._asked_for_time = False
        self._limits = limits(settings.base_url, settings.environment)
        self.http = Http(
            toolbox,
            account=account,
            base_url=f"{settings.base_url}/v1/integration_api",
            auth=TokenAuth(
                account=account,
                base_url=settings.base_url,
                client_id=settings.client_id,
                client_secret=settings.client_secret,
                clock=toolbox.clock,
            ),
        )

    def now(self) -> datetime:
        """The vendor's present moment. Asks once, by the cheapest call, when no answer has told it yet."""
        if self.http.clock_skew_seconds is None and not self._asked_for_time:
            self.marketplace()
            self._asked_for_time = True
        return self.http.vendor_now

    def marketplace(self) -> Any:
        """The marketplace these credentials open."""
        return self.query("marketplace/show", {}, what="reading the marketplace")

    def marketplace_id(self) -> str:
        """Its id: what tells one marketplace from another, since all share one host."""
        with self.reading("reading the marketplace"):
            return resource_id(primary(self.marketplace()))

    @contextmanager
    def reading(self, what: str) -> Iterator[None]:
        """Turns a wrong shape into `Unreadable`, saying what was being read."""
        try:
            yield
        except ShapeError as error:
            raise Unreadable(f"{what}: {error}", account=self._account) from error

    def query(self, path: str, params: Mapping[str, Any], *, what: str, priority: Priority = Priority.READ) -> Any:
        """The JSON of an answer. `what` completes "Sharetribe refused ..." in errors."""
        response = self.http.read("GET", path, params=params, scopes=self._limits.queries, priority=priority)
        if not response.is_success:
            raise read_error(response, account=self._account, what=what, clock=self._clock)
        return parse_json(response, account=self._account)

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
            raise write_error(response, account=self._account, what=what, clock=self._clock)
        try:
            if confirms(primary(parse_json(response, account=self._account))):
                return
            reason = "it speaks of something else"
        except (Unreadable, ShapeError) as error:
            reason = str(error)
        raise OutcomeUnknown(f"{what} was answered {response.status_code}, but {reason}", account=self._account)
