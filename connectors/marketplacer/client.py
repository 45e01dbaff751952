"""Calls to one marketplace with one seller's key: authentication, limits, pages, and what each answer means."""

from __future__ import annotations

import base64
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote, urlsplit

import httpx

from connectors.budget import Priority, Scope
from connectors.errors import NotFound, OutcomeUnknown, RateLimited, Unavailable, Unreadable
from connectors.http import Http, Toolbox, parse_json
from connectors.marketplacer.errors import read_error, write_error
from connectors.marketplacer.resources import Page, ShapeError, page
from connectors.marketplacer.settings import MarketplacerAccount

ROOT = "api/v2/client"
PER_SECOND = 50.0
OUR_SHARE = 0.8
PAGE = 100
"""What every edition of the vendor's documentation grants; some grant more."""
MAX_REPEATED_PAGES = 3
"""So many pages in a row may show only what was shown before: what joins a list at its front moves the rest back."""
MAX_PASSES = 5
"""How often a list of several pages is read, for two readings to agree."""
UNSTATED_WAIT_SECONDS = 60.0
"""How long to stay away where a refusal for too many requests does not say."""


class KeyAuth(httpx.Auth):
    """The key in the one header that is right: two headers with it are refused."""

    def __init__(self, settings: MarketplacerAccount) -> None:
        key = settings.api_key.get_secret_value()
        if settings.basic_user is None or settings.basic_password is None:
            self._headers = {"authorization": f"Bearer {key}"}
        else:
            pair = f"{settings.basic_user}:{settings.basic_password.get_secret_value()}"
            basic = base64.b64encode(pair.encode()).decode()
            self._headers = {"authorization": f"Basic {basic}", "marketplacer-api-key": key}

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """See `httpx.Auth`."""
        request.headers.update(self._headers)
        yield request


class Client:
    """One key's connection. Safe for use from several threads."""

    def __init__(self, settings: MarketplacerAccount, toolbox: Toolbox, *, account: str) -> None:
        self.account = account
        self._budgets = toolbox.budgets
        # Whether the vendor counts by key, by seller or by site is not documented: all keys of a site share.
        per_second = PER_SECOND * OUR_SHARE
        self._scope = Scope(f"marketplacer:{urlsplit(settings.base_url).netloc}", per_second, burst=int(per_second / 4))
        self.http = Http(
            toolbox,
            account=account,
            base_url=f"{settings.base_url}/{ROOT}",
            auth=KeyAuth(settings),
            headers={"accept": "application/vnd.api+json, application/json"},
        )

    def get(
        self,
        path: str,
        params: Mapping[str, Any] | None = None,
        *,
        what: str,
        priority: Priority = Priority.READ,
    ) -> Any:
        """The JSON of an answer. `what` completes "Marketplacer refused ..." in errors."""
        with self._waiting():
            response = self.http.read("GET", path, params=params, scopes=(self._scope,), priority=priority)
        if not response.is_success:
            raise read_error(response, account=self.account, what=what)
        return self._json(response, what)

    def one(self, path: str, resource_id: str, params: Mapping[str, Any] | None = None, *, what: str) -> Any:
        """The JSON of a single resource, by its id."""
        return self.get(f"{path}/{quote(resource_id, safe='')}", params, what=what)

    def page(
        self,
        path: str,
        params: Mapping[str, Any] | None = None,
        *,
        number: int = 1,
        what: str,
        priority: Priority = Priority.READ,
    ) -> Page:
        """One page of a list. Raises `Unavailable` where there is no such list: then this is not the API."""
        asked = {**(params or {}), "page[number]": number, "page[size]": PAGE}
        try:
            answer = self.get(path, asked, what=what, priority=priority)
        except NotFound as error:
            message = f"{what} was answered 404: there is no seller API at this address; check the base_url"
            raise Unavailable(message, account=self.account, code="404") from error
        try:
            return page(answer, number)
        except ShapeError as error:
            raise Unreadable(f"{what}: {error}", account=self.account) from error

    def pages(
        self, path: str, params: Mapping[str, Any] | None = None, *, what: str, priority: Priority
    ) -> Iterator[Page]:
        """A list from its first page to its last. Raises `Unreadable` for one that only repeats itself."""
        number: int | None = 1
        shown: set[str] = set()
        repeated = 0
        while number is not None:
            found = self.page(path, params, number=number, what=what, priority=priority)
            repeated = repeated + 1 if found.ids <= shown else 0
            if repeated >= MAX_REPEATED_PAGES:
                raise Unreadable(f"{what}: pages show nothing that those before did not", account=self.account)
            shown |= found.ids
            yield found
            number = found.following

    def whole(self, path: str, params: Mapping[str, Any], *, what: str, priority: Priority) -> Iterator[Page]:
        """A list that nothing joins while it is read, completely.

        Its order is not documented, so that what changes may move past the reader: a list of more than one page is
        read again until it shows nothing new. Raises `Unavailable` if that does not come about.
        """
        shown: set[str] = set()
        for reading in range(MAX_PASSES):
            number, fresh = 0, False
            for number, found in enumerate(self.pages(path, params, what=what, priority=priority), start=1):  # noqa: B007
                if reading == 0 or not found.ids <= shown:
                    fresh = True
                    shown |= found.ids
                    yield found
            if number <= 1 or not fresh:
                return
        message = f"{what} showed something new in each of {MAX_PASSES} readings; try again"
        raise Unavailable(message, account=self.account)

    def put(self, path: str, body: Any, *, what: str) -> Any:
        """Send a change, once; the JSON of its answer.

        Raises what `Marketplace.adjust` may raise; anything but JSON under a success is no answer: `OutcomeUnknown`.
        """
        headers = {"content-type": "application/vnd.api+json"}
        with self._waiting():
            response = self.http.write("PUT", path, json=body, headers=headers, scopes=(self._scope,))
        if not response.is_success:
            raise write_error(response, account=self.account, what=what)
        try:
            return self._json(response, what)
        except Unreadable as error:
            raise OutcomeUnknown(error.message, account=self.account) from error

    def _json(self, response: httpx.Response, what: str) -> Any:
        try:
            return parse_json(response, account=self.account)
        except Unreadable as error:
            # Without an excerpt: half an invoice would show whose it is.
            message = f"{what} was answered {response.status_code} without JSON"
            raise Unreadable(message, account=self.account) from error.__cause__

    @contextmanager
    def _waiting(self) -> Iterator[None]:
        """A refusal for too many requests that names no time means a minute."""
        try:
            yield
        except RateLimited as error:
            if error.code == "429" and error.retry_after_seconds is None:
                self._budgets.penalise(self._scope, UNSTATED_WAIT_SECONDS)
                error.retry_after_seconds = UNSTATED_WAIT_SECONDS
            raise
