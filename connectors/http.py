"""One way to call out: a client with named time-outs, budgets, retries for reads, and no second try for writes.

`Http.read` and `Http.write` return every answer that means something to a connector, and turn everything else into an
error of `connectors.errors`. What differs between them is what is certain afterwards: a read can always be asked again;
a write whose answer was lost is `OutcomeUnknown`, and only a write that certainly never left is `Unavailable`.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, NoReturn

import httpx
import structlog
import tenacity

from connectors.answers import excerpt, http_date, masked, name_of, parse_json, retry_after_seconds
from connectors.budget import Budgets, Priority, Scope
from connectors.clock import Clock
from connectors.deadline import seconds_left
from connectors.errors import ConnectorError, OutcomeUnknown, RateLimited, Unavailable, Unreadable
from connectors.transport import MAX_ANSWER_BYTES, AnswerTooLargeError, BoundedTransport, read_whole
from connectors.turns import Lock

__all__ = ["CallRecord", "Http", "Timeouts", "Toolbox", "excerpt", "parse_json", "retry_after_seconds"]

log = structlog.get_logger()

MAX_ATTEMPTS = 4
MAX_RETRY_WAIT_SECONDS = 20.0
"""A read does not wait longer than this between two attempts; a vendor that asks for more gets the caller told."""
USER_AGENT = "trueup"


@dataclass(frozen=True, slots=True)
class Timeouts:
    """How long each step of a call may take."""

    connect_seconds: float = 3.0
    read_seconds: float = 10.0
    """Between two pieces of an answer."""
    write_seconds: float = 5.0
    pool_seconds: float = 5.0
    answer_seconds: float = 60.0
    """For a whole answer, however steadily it drips; a read that has taken so long already is not tried again."""


@dataclass(frozen=True, slots=True)
class CallRecord:
    """One call as it ended, for metrics. `status` and `error` exclude each other."""

    account: str
    method: str
    path: str
    status: int | None
    error: str | None
    """The class name of what went wrong; None when there was an answer."""
    seconds: float


@dataclass(frozen=True)
class Toolbox:
    """What a connector is opened with."""

    clock: Clock
    budgets: Budgets
    random: random.Random
    transport: httpx.BaseTransport | None = None
    """Used instead of the network; stays open when the connector is closed."""
    timeouts: Timeouts = field(default_factory=Timeouts)
    on_call: Callable[[CallRecord], None] | None = None
    lock: Lock = threading.Lock
    """What makes one wait that holds a turn across calls; see `connectors.turns`."""


class Http:
    """One account's connection to one vendor. Safe for use from several threads; close it when done.

    HTTP/1.1 with keep-alive, JSON asked for, redirects never followed, no proxy or certificate settings taken from the
    environment, no cookies sent, answers of more than 32 MiB refused.
    """

    def __init__(
        self,
        toolbox: Toolbox,
        *,
        account: str,
        base_url: str,
        auth: httpx.Auth | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """`account` names the marketplace or channel in errors; `base_url` may hold a path that every call is under."""
        self._clock = toolbox.clock
        self._budgets = toolbox.budgets
        self._random = toolbox.random
        self._on_call = toolbox.on_call
        self._account = account
        self._base_url = base_url.rstrip("/") + "/"
        self._auth = auth
        self._headers = {
            "accept": "application/json",
            "accept-encoding": "gzip, deflate",
            "user-agent": USER_AGENT,
            **{name.lower(): value for name, value in (headers or {}).items()},
        }
        timeouts = toolbox.timeouts
        self._extensions = {
            "timeout": httpx.Timeout(
                connect=timeouts.connect_seconds,
                read=timeouts.read_seconds,
                write=timeouts.write_seconds,
                pool=timeouts.pool_seconds,
            ).as_dict()
        }
        self._answer_seconds = timeouts.answer_seconds
        self._client = httpx.Client(
            transport=BoundedTransport(toolbox.transport, toolbox.clock, timeouts.answer_seconds),
            event_hooks={"request": [self._count]},
            follow_redirects=False,
            trust_env=False,
        )
        self._retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(_RetryableError),
            stop=self._enough,
            wait=self._wait_seconds,
            sleep=toolbox.clock.sleep,
            before_sleep=self._log_retry,
            retry_error_callback=_give_up,
        )
        self._lock = threading.Lock()
        self._calls = 0
        self._dated: tuple[str, datetime] | None = None

    def read(
        self,
        method: str,
        path: str,
        *,
        scopes: Sequence[Scope] = (),
        priority: Priority = Priority.READ,
        params: Mapping[str, Any] | None = None,
        json: Any = None,
        content: bytes | None = None,
        data: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> httpx.Response:
        """A call that changes nothing at the vendor, whatever its method.

        Retried (bounded, jittered, `Retry-After` honoured) on connection trouble, time-outs, 408, 429 and 5xx. Raises
        `RateLimited` or `Unavailable` when that did not help, `Unreadable` when the answer is too large. Every other
        status is returned. A 429 penalises the first of `scopes`.
        """
        request = self._request(method, path, params, json, content, data, headers)
        response: httpx.Response = self._retrying(self._read_once, request, path, scopes, priority)
        return response

    def write(
        self,
        method: str,
        path: str,
        *,
        scopes: Sequence[Scope] = (),
        priority: Priority = Priority.WRITE,
        params: Mapping[str, Any] | None = None,
        json: Any = None,
        content: bytes | None = None,
        data: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> httpx.Response:
        """A call that may change something at the vendor: sent at most once (again only by `auth`, after a 401).

        Certainly not executed: `Unavailable` (no connection, or no credentials could be had), `RateLimited`. May have
        been executed, or may be yet: `OutcomeUnknown` (408, 5xx, a lost, broken or oversized answer). Every other
        status is returned.
        """
        request = self._request(method, path, params, json, content, data, headers)
        try:
            response = self._call(request, path, scopes, priority)
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
            raise self._unavailable(request, error) from error
        except httpx.RequestError as error:
            if error.request is not request:
                raise self._unavailable(request, error) from error
            # A kept-alive connection that the vendor closed before reading looks the same as one closed after.
            message = f"{name_of(request)} was sent and may have been executed: no answer ({_reason(request, error)})"
            raise OutcomeUnknown(message, account=self._account) from error
        status = response.status_code
        if status == 429:
            raise self._rate_limited(request, response, scopes)
        if status >= 500 or status == 408:
            message = f"{name_of(request)} was answered {status}, which does not say whether it was executed"
            raise OutcomeUnknown(f"{message}: {excerpt(response)}", account=self._account, code=str(status))
        return response

    @property
    def calls(self) -> int:
        """HTTP requests sent so far, those for tokens and repeated reads included."""
        return self._calls

    @property
    def clock_skew_seconds(self) -> float | None:
        """The vendor's clock less ours, by its last answer, to about a second and rather too low; None before one."""
        if self._dated is None:
            return None
        date, received_at = self._dated
        moment = http_date(date)
        return None if moment is None else (moment - received_at).total_seconds()

    @property
    def vendor_now(self) -> datetime:
        """The vendor's present moment: our clock corrected by its last answer; our own clock before one.

        At most about a second behind, never ahead by more than the clocks drift between two answers.
        """
        return self._clock.now() + timedelta(seconds=self.clock_skew_seconds or 0.0)

    def close(self) -> None:
        """Close every connection. Idempotent."""
        self._client.close()

    # ------------------------------------------------------------------------------------------------------------

    def _request(
        self,
        method: str,
        path: str,
        params: Mapping[str, Any] | None,
        body: Any,
        content: bytes | None,
        form: Mapping[str, Any] | None,
        headers: Mapping[str, str] | None,
    ) -> httpx.Request:
        # Built here rather than by the client, which would merge headers, cookies and URLs anew for every call.
        return httpx.Request(
            method,
            self._base_url + path.lstrip("/"),
            params=dict(params) if params else None,
            headers={**self._headers, **headers} if headers else self._headers,
            json=body,
            content=content,
            data=dict(form) if form is not None else None,
            extensions=dict(self._extensions),
        )

    def _count(self, _: httpx.Request) -> None:
        with self._lock:
            self._calls += 1

    def _call(self, request: httpx.Request, path: str, scopes: Sequence[Scope], priority: Priority) -> httpx.Response:
        with ExitStack() as turns:
            try:
                for scope in scopes:
                    turns.enter_context(self._budgets.spend(scope, priority=priority))
            except RateLimited as error:
                error.account = error.account or self._account
                raise
            if seconds_left() <= 0:
                message = f"{name_of(request)} was not sent: the call it belongs to had taken too long already"
                raise Unavailable(message, account=self._account, code="time")
            started = self._clock.monotonic()
            try:
                response = self._client.send(request, auth=self._auth, stream=True)
                response = read_whole(response)
            except (httpx.RequestError, ConnectorError) as error:
                self._record(request, path, None, type(error).__name__, started)
                raise
            date = response.headers.get("date")
            if date is not None:
                self._dated = (date, self._clock.now())
            self._record(request, path, response.status_code, None, started)
            return response

    def _record(self, request: httpx.Request, path: str, status: int | None, error: str | None, started: float) -> None:
        if self._on_call is not None:
            seconds = self._clock.monotonic() - started
            self._on_call(CallRecord(self._account, request.method, path, status, error, seconds))

    def _read_once(
        self, request: httpx.Request, path: str, scopes: Sequence[Scope], priority: Priority
    ) -> httpx.Response:
        try:
            response = self._call(request, path, scopes, priority)
        except AnswerTooLargeError as error:
            message = f"{name_of(request)} was answered with more than {MAX_ANSWER_BYTES // 1024**2} MiB"
            raise Unreadable(message, account=self._account) from error
        except httpx.RequestError as error:
            raise _RetryableError(self._unavailable(request, error)) from error
        except RateLimited as error:
            # The budget has already waited its bound; only a vendor's own word, relayed by `auth`, is tried again.
            if error.code == "budget":
                raise
            raise _RetryableError(error) from error
        except Unavailable as error:
            raise _RetryableError(error) from error
        status = response.status_code
        if status == 429:
            raise _RetryableError(self._rate_limited(request, response, scopes))
        if status >= 500 or status == 408:
            message = f"{name_of(request)} was answered {status}: {excerpt(response)}"
            unavailable = Unavailable(message, account=self._account, code=str(status))
            raise _RetryableError(unavailable, retry_after_seconds(response, self._clock))
        return response

    def _unavailable(self, request: httpx.Request, error: httpx.RequestError) -> Unavailable:
        return Unavailable(f"{name_of(request)} got no answer ({_reason(request, error)})", account=self._account)

    def _rate_limited(self, request: httpx.Request, response: httpx.Response, scopes: Sequence[Scope]) -> RateLimited:
        seconds = retry_after_seconds(response, self._clock)
        if scopes:
            self._budgets.penalise(scopes[0], 1.0 if seconds is None else seconds)
        return RateLimited(
            f"{name_of(request)} was answered 429, too many requests",
            account=self._account,
            code="429",
            retry_after_seconds=seconds,
        )

    def _enough(self, state: tenacity.RetryCallState) -> bool:
        wait_seconds = _failure(state).wait_seconds or 0.0
        return (
            state.attempt_number >= MAX_ATTEMPTS
            or wait_seconds > MAX_RETRY_WAIT_SECONDS
            or wait_seconds >= seconds_left()
            or (state.seconds_since_start or 0.0) >= self._answer_seconds
        )

    def _wait_seconds(self, state: tenacity.RetryCallState) -> float:
        backoff_seconds = 0.5 * 2.0 ** (state.attempt_number - 1) * self._random.uniform(0.5, 1.5)
        return max(backoff_seconds, _failure(state).wait_seconds or 0.0)

    def _log_retry(self, state: tenacity.RetryCallState) -> None:
        log.info(
            "read_retried",
            account=self._account,
            path=state.args[1],
            attempt=state.attempt_number,
            wait_seconds=round(state.upcoming_sleep, 3),
            reason=_failure(state).error.message,
        )


class _RetryableError(Exception):
    """A read failed in a way that may pass."""

    def __init__(self, error: ConnectorError, wait_seconds: float | None = None) -> None:
        super().__init__(error.message)
        self.error = error
        self.wait_seconds = error.retry_after_seconds if isinstance(error, RateLimited) else wait_seconds


def _failure(state: tenacity.RetryCallState) -> _RetryableError:
    outcome = state.outcome.exception() if state.outcome else None
    assert isinstance(outcome, _RetryableError)  # noqa: S101  # only `_RetryableError` is retried
    return outcome


def _give_up(state: tenacity.RetryCallState) -> NoReturn:
    failure = _failure(state)
    raise failure.error from failure.__cause__


def _reason(request: httpx.Request, error: httpx.RequestError) -> str:
    text = masked(str(error), request)
    return f"{type(error).__name__}: {text[:120]}" if text else type(error).__name__
