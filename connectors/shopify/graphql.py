"""The one place that sends GraphQL documents and judges their answers.

Shopify answers nearly everything with HTTP 200 and says what went wrong in the body ("Admin API status and error
codes"), so that is where this module looks. It also keeps to the shop's bucket of query points, which all of an
app's processes share for one shop.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import httpx
import structlog
import tenacity

from connectors.answers import masked
from connectors.budget import Priority, Scope
from connectors.errors import (
    ConnectorError,
    NotFound,
    OutcomeUnknown,
    RateLimited,
    Rejected,
    Unauthorized,
    Unavailable,
    Unreadable,
)
from connectors.http import Http, Toolbox, excerpt, parse_json
from connectors.shopify.documents import Document

log = structlog.get_logger()

MAX_ATTEMPTS = 4

# Of the smallest shop, until the first answer tells the true size and rate.
_FIRST_BURST = 1000
_FIRST_PER_SECOND = 50.0

_WORDS_SHOWN = 200


@dataclass(frozen=True, slots=True)
class Bucket:
    """What an answer says of the shop's points."""

    requested: float
    actual: float | None
    available: float
    size: float
    per_second: float

    def seconds_until(self, points: float) -> float:
        """How long it takes until that many points are there."""
        return max(0.0, (min(points, self.size) - self.available) / self.per_second)


@dataclass(frozen=True, slots=True)
class Answer:
    """What the shop said to a question."""

    data: dict[str, Any]
    asked_at: datetime
    """By our clock, after the wait for a turn: what the answer shows is not older than this."""
    bucket: Bucket | None


class GraphQL:
    """One shop's Admin API. Safe for use from several threads."""

    def __init__(self, http: Http, toolbox: Toolbox, *, account: str, limit_key: str, api_version: str) -> None:
        """`limit_key` names the bucket: the same for everybody that calls with this app's credentials for this shop."""
        self._http = http
        self._budgets = toolbox.budgets
        self._clock = toolbox.clock
        self._random = toolbox.random
        self._account = account
        self._path = f"/admin/api/{api_version}/graphql.json"
        self._scope = Scope(limit_key, per_second=_FIRST_PER_SECOND, burst=_FIRST_BURST)
        self._actual_costs: dict[str, float] = {}
        self.api_version = api_version
        self.served_version: str | None = None
        """The version that answered last; another than asked for means that ours was retired."""
        self._asking = tenacity.Retrying(
            retry=tenacity.retry_if_exception(_passes),
            stop=tenacity.stop_after_attempt(MAX_ATTEMPTS),
            wait=self._wait_seconds,
            sleep=toolbox.clock.sleep,
            reraise=True,
        )

    def ask(
        self, document: Document, variables: Mapping[str, Any] | None = None, *, priority: Priority = Priority.READ
    ) -> Answer:
        """Run a query and return all of its `data`, or raise. Retried, within bounds, when throttled or failing.

        Raises any error of `connectors.errors` a read can raise, `Rejected` with code `search` if the vendor did not
        understand the search and would have answered with everything.
        """
        try:
            answer: Answer = self._asking(self._ask_once, document, variables, priority)
        except RateLimited as error:
            self._pace(error)
            raise
        return answer

    def tell(self, document: Document, variables: Mapping[str, Any]) -> dict[str, Any]:
        """Run a mutation, sent at most once, and return its `data`; its `userErrors` are the caller's to read."""
        try:
            with self._turn(document, Priority.WRITE):
                response = self._http.write("POST", self._path, json=self._body(document, variables))
        except RateLimited as error:
            self._pace(error)
            raise
        data, _ = self._data(document, response, safe=False)
        return data

    # ------------------------------------------------------------------------------------------------------------

    def _ask_once(self, document: Document, variables: Mapping[str, Any] | None, priority: Priority) -> Answer:
        with self._turn(document, priority):
            asked_at = self._clock.now()
            # A query is a POST that changes nothing, so it may be sent again.
            response = self._http.read("POST", self._path, json=self._body(document, variables))
        data, bucket = self._data(document, response, safe=True)
        return Answer(data, asked_at, bucket)

    def _pace(self, error: RateLimited) -> None:
        """Keep everybody else back too after a plain 429, and name the account where the budget could not."""
        if error.code == "429":
            self._budgets.penalise(self._scope, error.retry_after_seconds or 1.0)
        error.account = error.account or self._account

    def _turn(self, document: Document, priority: Priority) -> AbstractContextManager[None]:
        # The vendor takes the requested points at first and gives back what was not needed; what a document really cost
        # the last time is therefore what it takes from the bucket in the long run.
        cost = self._actual_costs.get(document.name, document.requested_cost)
        return self._budgets.spend(self._scope, priority=priority, cost=cost)

    def _body(self, document: Document, variables: Mapping[str, Any] | None) -> dict[str, Any]:
        return {"query": document.text, "variables": dict(variables or {}), "operationName": document.name}

    def _data(
        self, document: Document, response: httpx.Response, *, safe: bool
    ) -> tuple[dict[str, Any], Bucket | None]:
        self._check_status(response)
        self._note_version(response)
        try:
            answer = parse_json(response, account=self._account)
            if not isinstance(answer, dict):
                raise self._shapeless(document, response)
            extensions = answer.get("extensions")
            bucket = _bucket(extensions)
            if bucket is not None:
                self._learn(document, bucket)
            errors = answer.get("errors")
            if errors:
                raise self._failure(document, errors, bucket, response.request, safe=safe)
            self._check_search(document, extensions, response.request)
            data = answer.get("data")
            if not isinstance(data, dict):
                raise self._shapeless(document, response)
        except Unreadable as error:
            if safe:
                raise
            message = f"{document.name} was answered with something unreadable; it may have been executed"
            raise OutcomeUnknown(message, account=self._account) from error
        return data, bucket

    def _shapeless(self, document: Document, response: httpx.Response) -> Unreadable:
        message = f"the answer to {document.name} is not one of GraphQL: {excerpt(response)}"
        return Unreadable(message, account=self._account)

    def _check_status(self, response: httpx.Response) -> None:
        """Raise for every status but 200. Those that may pass were already retried below."""
        status = response.status_code
        if status == 200:
            return
        code = str(status)
        if status == 401:
            message = "the shop refuses the access token; was the app uninstalled, or the token revoked?"
            raise Unauthorized(message, account=self._account, code=code)
        if status == 402:
            message = "the shop is frozen until its owner settles the vendor's bill"
            raise Unauthorized(message, account=self._account, code=code)
        if status == 403:
            message = f"the shop forbids this access; check the app's scopes: {excerpt(response)}"
            raise Unauthorized(message, account=self._account, code=code)
        if status == 423:
            message = "the shop is locked by the vendor; its owner has to contact the vendor"
            raise Unauthorized(message, account=self._account, code=code)
        if status == 404:
            message = "there is no such shop, or it does not have this API version; check `shop` and `api_version`"
            raise NotFound(message, account=self._account, code=code)
        if 300 <= status < 400:
            message = "the shop redirects elsewhere, which is not followed; check that `shop` is its permanent domain"
            raise Rejected(message, account=self._account, code=code)
        message = f"the shop refused the request ({status}): {excerpt(response)}"
        raise Rejected(message, account=self._account, code=code)

    def _note_version(self, response: httpx.Response) -> None:
        # A retired version is not refused: the oldest supported one answers in its place ("API versioning"), with
        # fields that may mean something else.
        served = response.headers.get("x-shopify-api-version")
        if served is None or served == self.served_version:
            return
        self.served_version = served[:40]
        if served != self.api_version:
            log.warning(
                "shopify_api_version_replaced",
                account=self._account,
                requested=self.api_version,
                served=self.served_version,
                remedy="set api_version to a supported one after reading the vendor's release notes",
            )

    def _learn(self, document: Document, bucket: Bucket) -> None:
        if bucket.actual is not None:
            self._actual_costs[document.name] = bucket.actual
        self._scope = Scope(self._scope.key, per_second=bucket.per_second, burst=int(bucket.size))
        # The next one like this must find its requested points in the bucket, or it is refused; others drink from the
        # bucket too, so the vendor's own count is worth more than ours.
        short_seconds = bucket.seconds_until(bucket.requested)
        if short_seconds > 0:
            self._budgets.penalise(self._scope, short_seconds)

    def _failure(
        self, document: Document, errors: object, bucket: Bucket | None, request: httpx.Request, *, safe: bool
    ) -> ConnectorError:
        """The error to raise for the `errors` of an answer, which are a list, or one text."""
        codes, words = _codes(errors), _words(errors, request)
        if "THROTTLED" in codes:
            wait_seconds = max(1.0, bucket.seconds_until(bucket.requested)) if bucket else 1.0
            wait_seconds += self._random.uniform(0.0, 0.5)
            self._budgets.penalise(self._scope, wait_seconds)
            message = f"{document.name} was throttled: the shop's query points are used up"
            return RateLimited(message, account=self._account, code="THROTTLED", retry_after_seconds=wait_seconds)
        if "ACCESS_DENIED" in codes:
            message = f"{document.name} needs a scope that the app does not have: {words}"
            return Unauthorized(message, account=self._account, code="ACCESS_DENIED")
        if "INTERNAL_SERVER_ERROR" in codes:
            message = f"the shop failed to answer {document.name}: {words}"
            kind = Unavailable if safe else OutcomeUnknown
            return kind(message, account=self._account, code="INTERNAL_SERVER_ERROR")
        message = f"the shop refused {document.name}: {words}"
        return Rejected(message, account=self._account, code=codes[0] if codes else "")

    def _check_search(self, document: Document, extensions: object, request: httpx.Request) -> None:
        # An unknown search key is ignored with a warning ("API search syntax"): the answer would be the whole shop.
        searches = extensions.get("search") if isinstance(extensions, dict) else None
        for search in searches if isinstance(searches, list) else ():
            if not isinstance(search, dict) or search.get("warnings"):
                warnings = _words(search.get("warnings"), request) if isinstance(search, dict) else ""
                message = f"the shop did not understand the search of {document.name}: {warnings}"
                raise Rejected(message, account=self._account, code="search")

    def _wait_seconds(self, state: tenacity.RetryCallState) -> float:
        failure = state.outcome.exception() if state.outcome else None
        if isinstance(failure, RateLimited):
            # The budget holds everybody back for as long as needed, this thread included.
            return 0.0
        return 0.5 * 2.0 ** (state.attempt_number - 1) * self._random.uniform(0.5, 1.5)


def _passes(error: BaseException) -> bool:
    """Whether another try makes sense. What came over HTTP was tried again there already."""
    return isinstance(error, RateLimited | Unavailable) and error.code in ("THROTTLED", "INTERNAL_SERVER_ERROR")


def _bucket(extensions: object) -> Bucket | None:
    """The cost figures of an answer; None where there are none, or none that make sense."""
    try:
        cost = extensions["cost"]  # type: ignore[index]
        status = cost["throttleStatus"]
        actual = cost.get("actualQueryCost")
        bucket = Bucket(
            requested=float(cost["requestedQueryCost"]),
            actual=None if actual is None else float(actual),
            available=float(status["currentlyAvailable"]),
            size=float(status["maximumAvailable"]),
            per_second=float(status["restoreRate"]),
        )
    except (TypeError, KeyError, ValueError, AttributeError, OverflowError):
        return None
    figures = (bucket.requested, bucket.actual or 0.0, bucket.available, bucket.size, bucket.per_second)
    if not all(math.isfinite(figure) for figure in figures) or bucket.size < 1 or bucket.per_second <= 0:
        return None
    return bucket


def _codes(errors: object) -> list[str]:
    codes = []
    for error in errors if isinstance(errors, list) else ():
        extensions = error.get("extensions") if isinstance(error, dict) else None
        code = extensions.get("code") if isinstance(extensions, dict) else None
        if isinstance(code, str):
            codes.append(code[:60])
    return codes


def _words(errors: object, request: httpx.Request) -> str:
    """What the vendor says, shortened, without what looks like a secret."""
    if isinstance(errors, str):
        words = errors
    elif isinstance(errors, list):
        messages = [error.get("message") if isinstance(error, dict) else error for error in errors[:3]]
        words = "; ".join(message for message in messages if isinstance(message, str))
    else:
        words = ""
    words = masked(" ".join(words.split()), request)
    return words[:_WORDS_SHOWN] or "(no reason given)"
