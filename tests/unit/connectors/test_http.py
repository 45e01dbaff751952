from __future__ import annotations

import gzip
import random
import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import httpx
import pytest

from connectors import transport as bounds
from connectors.answers import excerpt, parse_json, retry_after_seconds
from connectors.budget import LocalBudgets, Priority, Scope
from connectors.errors import ConnectorError, OutcomeUnknown, RateLimited, Unauthorized, Unavailable, Unreadable
from connectors.http import MAX_ATTEMPTS, CallRecord, Http, Timeouts, Toolbox
from connectors.sandbox.clock import VirtualClock

Answer = httpx.Response | Exception | Callable[[httpx.Request], httpx.Response]

SCOPE = Scope("vendor:calls", per_second=None)
NEVER_SENT = [httpx.ConnectError("refused"), httpx.ConnectTimeout("slow"), httpx.PoolTimeout("full")]
LOST = [
    httpx.ReadTimeout("slow"),
    httpx.ReadError("reset"),
    httpx.WriteError("reset"),
    httpx.WriteTimeout("slow"),
    httpx.RemoteProtocolError("Server disconnected without sending a response."),
    httpx.DecodingError("bad gzip"),
]


class Script(httpx.BaseTransport):
    """Answers in turn; the last one for good."""

    def __init__(self, *answers: Answer) -> None:
        self.answers = list(answers)
        self.requests: list[httpx.Request] = []

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        request.read()
        self.requests.append(request)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        if isinstance(answer, httpx.Response):
            return answer
        return answer(request)


class Spy(LocalBudgets):
    def __init__(self, clock: VirtualClock) -> None:
        super().__init__(clock, max_wait_seconds=15)
        self.spent: list[tuple[str, Priority]] = []
        self.penalties: list[tuple[str, float]] = []

    def spend(self, scope: Scope, *, priority: Priority, cost: float = 1.0) -> AbstractContextManager[None]:
        self.spent.append((scope.key, priority))
        return super().spend(scope, priority=priority, cost=cost)

    def penalise(self, scope: Scope, seconds: float) -> None:
        self.penalties.append((scope.key, seconds))
        super().penalise(scope, seconds)


class Bench:
    """An `Http` over a script, on a virtual clock."""

    def __init__(self, *answers: Answer, auth: httpx.Auth | None = None, timeouts: Timeouts | None = None) -> None:
        self.clock = VirtualClock()
        self.began = self.clock.now()
        self.budgets = Spy(self.clock)
        self.script = Script(*answers)
        self.records: list[CallRecord] = []
        toolbox = Toolbox(
            self.clock,
            self.budgets,
            random.Random(1),
            transport=self.script,
            timeouts=timeouts or Timeouts(),
            on_call=self.records.append,
        )
        self.http = Http(toolbox, account="shop", base_url="https://vendor.test/api/", auth=auth, headers={"X-A": "b"})

    @property
    def waited_seconds(self) -> float:
        return (self.clock.now() - self.began).total_seconds()


def ok(**headers: str) -> httpx.Response:
    return httpx.Response(200, json={"ok": True}, headers=headers)


def too_many(retry_after: str | None = None) -> httpx.Response:
    return httpx.Response(429, headers={"retry-after": retry_after} if retry_after is not None else {})


def test_a_request_goes_out_as_it_was_asked_for() -> None:
    bench = Bench(ok())
    response = bench.http.read("GET", "/things/show", params={"id": "1", "include": "a,b"}, headers={"X-C": "d"})
    (request,) = bench.script.requests
    assert request.url == "https://vendor.test/api/things/show?id=1&include=a%2Cb"
    assert request.headers["accept"] == "application/json"
    assert (request.headers["x-a"], request.headers["x-c"]) == ("b", "d")
    assert request.extensions["timeout"] == {"connect": 3.0, "read": 10.0, "write": 5.0, "pool": 5.0}
    assert response.json() == {"ok": True}


@pytest.mark.parametrize(
    ("body", "content_type", "sent"),
    [
        ({"json": {"a": 1}}, "application/json", b'{"a":1}'),
        ({"content": b"raw", "headers": {"Content-Type": "text/x"}}, "text/x", b"raw"),
        ({"data": {"a": "1"}}, "application/x-www-form-urlencoded", b"a=1"),
    ],
)
def test_bodies(body: dict[str, object], content_type: str, sent: bytes) -> None:
    bench = Bench(ok())
    bench.http.write("POST", "x", **body)  # type: ignore[arg-type]
    (request,) = bench.script.requests
    assert (request.headers["content-type"], request.content) == (content_type, sent)


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("location", ["https://elsewhere.test/", "/x", "//elsewhere.test", "https: //", ""])
def test_a_redirect_is_returned_and_not_followed(method: str, status: int, location: str) -> None:
    bench = Bench(httpx.Response(status, headers={"location": location}))
    call = bench.http.read if method == "GET" else bench.http.write
    response = call(method, "x")
    assert response.status_code == status
    assert "location" not in response.headers
    assert [request.url.host for request in bench.script.requests] == ["vendor.test"]


def test_no_cookie_is_sent_back() -> None:
    bench = Bench(ok(**{"set-cookie": "session=1; Path=/"}))
    bench.http.read("GET", "x")
    bench.http.read("GET", "x")
    assert "cookie" not in bench.script.requests[1].headers


@pytest.mark.parametrize("trouble", [*NEVER_SENT, *LOST], ids=lambda trouble: type(trouble).__name__)
def test_a_read_is_tried_again_after_connection_trouble(trouble: Exception) -> None:
    bench = Bench(trouble, trouble, ok())
    assert bench.http.read("GET", "x").status_code == 200
    assert len(bench.script.requests) == 3
    assert bench.waited_seconds > 0


@pytest.mark.parametrize("status", [408, 500, 502, 503, 504, 522])
def test_a_read_is_tried_again_after_a_server_error(status: int) -> None:
    bench = Bench(httpx.Response(status, text="<html>"), ok())
    assert bench.http.read("GET", "x").status_code == 200


@pytest.mark.parametrize("status", [304, 400, 401, 403, 404, 409, 410, 422])
def test_every_other_status_is_returned_at_once(status: int) -> None:
    bench = Bench(httpx.Response(status))
    assert bench.http.read("GET", "x").status_code == status
    assert bench.http.write("POST", "x").status_code == status
    assert len(bench.script.requests) == 2


def test_a_read_gives_up_as_unavailable_with_a_reason() -> None:
    bench = Bench(httpx.Response(502, text="<html>bad   gateway</html>"))
    with pytest.raises(Unavailable, match="shop: GET /api/x was answered 502: <html>bad gateway</html>") as caught:
        bench.http.read("GET", "x")
    assert len(bench.script.requests) == MAX_ATTEMPTS
    assert caught.value.account == "shop"
    assert caught.value.code == "502"


def test_a_read_that_gets_no_answer_says_so() -> None:
    bench = Bench(httpx.ConnectError("refused"))
    with pytest.raises(Unavailable, match=r"got no answer \(ConnectError: refused\)"):
        bench.http.read("GET", "x")


def test_waits_between_attempts_grow_and_differ() -> None:
    bench = Bench(httpx.Response(500))
    with pytest.raises(Unavailable):
        bench.http.read("GET", "x")
    first = bench.waited_seconds
    assert 0.25 + 0.5 + 1 <= first <= 0.75 + 1.5 + 3
    with pytest.raises(Unavailable):
        bench.http.read("GET", "x")
    assert bench.waited_seconds - first != first


@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_is_honoured_by_a_read(status: int) -> None:
    bench = Bench(httpx.Response(status, headers={"retry-after": "7"}), ok())
    assert bench.http.read("GET", "x").status_code == 200
    assert bench.waited_seconds >= 7


def test_a_read_does_not_wait_out_a_long_retry_after() -> None:
    bench = Bench(too_many("600"))
    with pytest.raises(RateLimited) as caught:
        bench.http.read("GET", "x")
    assert caught.value.retry_after_seconds == 600
    assert len(bench.script.requests) == 1
    assert bench.waited_seconds == 0


def test_a_read_gives_up_as_rate_limited() -> None:
    bench = Bench(too_many())
    with pytest.raises(RateLimited) as caught:
        bench.http.read("GET", "x")
    assert len(bench.script.requests) == MAX_ATTEMPTS
    assert caught.value.retry_after_seconds is None


@pytest.mark.parametrize(("retry_after", "seconds"), [("9", 9.0), (None, 1.0)])
def test_a_429_penalises_the_first_scope(retry_after: str | None, seconds: float) -> None:
    bench = Bench(too_many(retry_after), ok())
    other = Scope("vendor:places", per_second=None, in_flight=3)
    bench.http.read("GET", "x", scopes=(SCOPE, other))
    assert bench.budgets.penalties == [("vendor:calls", seconds)]


def test_each_attempt_draws_on_the_budget_with_its_priority() -> None:
    bench = Bench(httpx.Response(500), ok())
    bench.http.read("GET", "x", scopes=(SCOPE,), priority=Priority.SWEEP)
    bench.http.write("POST", "x", scopes=(SCOPE,))
    assert [priority for _, priority in bench.budgets.spent] == [Priority.SWEEP, Priority.SWEEP, Priority.WRITE]


def test_a_refusal_of_the_budget_is_not_tried_again() -> None:
    bench = Bench(ok())
    bench.budgets.penalise(SCOPE, 16)
    with pytest.raises(RateLimited, match=r"^shop: no turn within 15 s"):
        bench.http.read("GET", "x", scopes=(SCOPE,))
    assert bench.script.requests == []
    assert len(bench.budgets.spent) == 1


@pytest.mark.parametrize("trouble", NEVER_SENT, ids=lambda trouble: type(trouble).__name__)
def test_p4_a_write_that_never_left_is_unavailable(trouble: Exception) -> None:
    bench = Bench(trouble)
    with pytest.raises(Unavailable):
        bench.http.write("POST", "x")
    assert len(bench.script.requests) == 1


@pytest.mark.parametrize("trouble", LOST, ids=lambda trouble: type(trouble).__name__)
def test_p4_a_write_without_an_answer_is_unknown_and_never_sent_again(trouble: Exception) -> None:
    bench = Bench(trouble, ok())
    with pytest.raises(OutcomeUnknown, match="may have been executed"):
        bench.http.write("POST", "x")
    assert len(bench.script.requests) == 1


@pytest.mark.parametrize("status", [408, 500, 501, 502, 503, 504, 520])
def test_p4_a_write_answered_with_a_server_error_is_unknown(status: int) -> None:
    bench = Bench(httpx.Response(status, html="<h1>oops</h1>", headers={"retry-after": "1"}), ok())
    with pytest.raises(OutcomeUnknown, match=f"answered {status}"):
        bench.http.write("POST", "x")
    assert len(bench.script.requests) == 1


def test_a_rate_limited_write_is_not_sent_again() -> None:
    bench = Bench(too_many("11"), ok())
    with pytest.raises(RateLimited) as caught:
        bench.http.write("POST", "x", scopes=(SCOPE,))
    assert caught.value.retry_after_seconds == 11
    assert bench.budgets.penalties == [("vendor:calls", 11)]
    assert len(bench.script.requests) == 1


class TokenFirst(httpx.Auth):
    """Fetches a token before every request, and once more after a 401."""

    def __init__(self, refusal: ConnectorError | None = None) -> None:
        self._refusal = refusal

    def sync_auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        token = httpx.Request("POST", "https://vendor.test/token")
        yield token
        if self._refusal:
            raise self._refusal
        response = yield request
        if response.status_code == 401:
            yield token
            yield request


def test_p4_a_write_whose_token_could_not_be_had_was_never_sent() -> None:
    bench = Bench(httpx.ReadTimeout("slow"), auth=TokenFirst())
    with pytest.raises(Unavailable, match="POST /api/x got no answer"):
        bench.http.write("POST", "x")


def test_p4_a_write_that_is_lost_after_its_token_is_unknown() -> None:
    bench = Bench(ok(), httpx.ReadTimeout("slow"), auth=TokenFirst())
    with pytest.raises(OutcomeUnknown):
        bench.http.write("POST", "x")


def test_p4_a_write_refused_for_its_token_whose_next_token_is_lost_was_not_executed() -> None:
    bench = Bench(ok(), httpx.Response(401), httpx.ReadTimeout("slow"), auth=TokenFirst())
    with pytest.raises(Unavailable):
        bench.http.write("POST", "x")


def test_p4_a_write_sent_again_after_a_401_and_then_lost_is_unknown() -> None:
    bench = Bench(ok(), httpx.Response(401), ok(), httpx.ReadTimeout("slow"), auth=TokenFirst())
    with pytest.raises(OutcomeUnknown):
        bench.http.write("POST", "x")


@pytest.mark.parametrize(
    ("refusal", "requests"),
    [(Unauthorized("no"), 1), (Unavailable("no"), MAX_ATTEMPTS), (RateLimited("no"), MAX_ATTEMPTS)],
)
def test_a_read_tries_again_only_what_may_pass_in_its_authorisation(refusal: ConnectorError, requests: int) -> None:
    bench = Bench(ok(), auth=TokenFirst(refusal))
    with pytest.raises(type(refusal)):
        bench.http.read("GET", "x")
    assert len(bench.script.requests) == requests


def test_every_request_is_counted() -> None:
    bench = Bench(ok(), httpx.Response(500), ok(), ok(), auth=TokenFirst())
    bench.http.read("GET", "x")
    assert bench.http.calls == 4


def test_every_call_is_recorded() -> None:
    bench = Bench(httpx.ReadError("reset"), httpx.Response(404))
    bench.http.read("GET", "x", params={"id": "secret"})
    assert bench.records == [
        CallRecord("shop", "GET", "x", None, "ReadError", 0.0),
        CallRecord("shop", "GET", "x", 404, None, 0.0),
    ]


# Bounds


class Stream(httpx.SyncByteStream):
    def __init__(self, parts: Iterator[bytes]) -> None:
        self._parts = parts

    def __iter__(self) -> Iterator[bytes]:
        return self._parts


@pytest.fixture
def small_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "MAX_ANSWER_BYTES", 100)


@pytest.mark.usefixtures("small_answers")
@pytest.mark.parametrize("packed", [False, True])
def test_an_answer_that_is_too_large_is_unreadable_for_a_read_and_unknown_for_a_write(packed: bool) -> None:
    def answer(_: httpx.Request) -> httpx.Response:
        if packed:
            return httpx.Response(
                200, stream=Stream(iter([gzip.compress(b"x" * 10_000)])), headers={"content-encoding": "gzip"}
            )
        return httpx.Response(200, stream=Stream(iter([b"x" * 60, b"x" * 60])))

    bench = Bench(answer)
    with pytest.raises(Unreadable, match="more than"):
        bench.http.read("GET", "x")
    assert len(bench.script.requests) == 1
    with pytest.raises(OutcomeUnknown):
        bench.http.write("POST", "x")


def test_a_packed_answer_is_unpacked() -> None:
    body = gzip.compress(b'{"a":1}')
    bench = Bench(lambda _: httpx.Response(200, stream=Stream(iter([body])), headers={"content-encoding": "gzip"}))
    response = bench.http.read("GET", "x")
    assert parse_json(response, account="shop") == {"a": 1}


def test_an_answer_that_drips_for_ever_is_cut_off() -> None:
    bench = Bench(ok(), timeouts=Timeouts(answer_seconds=5))

    def drip() -> Iterator[bytes]:
        while True:
            bench.clock.advance(1)
            yield b"x"

    bench.script.answers = [lambda _: httpx.Response(200, stream=Stream(drip()))]
    with pytest.raises(OutcomeUnknown, match="the whole answer took too long"):
        bench.http.write("POST", "x")


# Time


def test_the_vendors_now_follows_its_date_header() -> None:
    bench = Bench(ok())
    assert bench.http.clock_skew_seconds is None
    assert bench.http.vendor_now == bench.clock.now()
    bench.script.answers = [ok(date=format_datetime(bench.clock.now() + timedelta(seconds=90), usegmt=True))]
    bench.http.read("GET", "x")
    assert bench.http.clock_skew_seconds == 90
    bench.clock.advance(10)
    assert bench.http.vendor_now == bench.began + timedelta(seconds=100)


@pytest.mark.parametrize(
    "date",
    ["yesterday", "Mon, 01 Jan 99999 00:00:00 GMT", "Fri, 31 Dec 9999 23:59:59 GMT"],
)
def test_a_date_that_cannot_be_read_leaves_our_own_clock(date: str) -> None:
    bench = Bench(ok(date=date))
    bench.http.read("GET", "x")
    assert bench.http.clock_skew_seconds is None
    assert bench.http.vendor_now == bench.clock.now()


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0.0),
        ("2.5", 2.5),
        ("-3", 0.0),
        ("1e99", 3600.0),
        ("inf", 3600.0),
        ("nan", None),
        ("", None),
        ("soon", None),
        ("Thu, 01 Jan 2026 00:00:30 GMT", 30.0),
        ("Wed, 31 Dec 2025 00:00:00 GMT", 0.0),
    ],
)
def test_retry_after(value: str, seconds: float | None) -> None:
    response = httpx.Response(429, headers={"retry-after": value})
    assert retry_after_seconds(response, VirtualClock(datetime(2026, 1, 1, tzinfo=UTC))) == seconds


def test_retry_after_as_a_date_counts_from_the_vendors_own_date() -> None:
    headers = {"retry-after": "Thu, 01 Jan 2026 01:00:30 GMT", "date": "Thu, 01 Jan 2026 01:00:00 GMT"}
    clock = VirtualClock(datetime(2026, 1, 1, tzinfo=UTC))
    assert retry_after_seconds(httpx.Response(429, headers=headers), clock) == 30


# Excerpts


@pytest.mark.parametrize("body", ["", "<html>", "{", "[" * 100_000, b"\xff\xfe", "{}x", "9" * 5000])
def test_what_is_not_json_is_unreadable(body: str | bytes) -> None:
    response = httpx.Response(200, content=body, request=httpx.Request("GET", "https://vendor.test/x?id=1"))
    with pytest.raises(Unreadable, match=r"^shop: GET /x was answered 200 without JSON: "):
        parse_json(response, account="shop")


@pytest.mark.parametrize(
    ("body", "shown"),
    [
        ("", "(empty)"),
        (" a \n\n b ", "a b"),
        ('{"access_token": "abc.def", "x": 1}', '{"access_token": "***", "x": 1}'),
        ("client_secret=abc&x=1", "client_secret=***&x=1"),
        ("sent Authorization: Bearer abc123", "sent Authorization: Bearer ***"),
        ("shpat_0123456789abcdef refused", "*** refused"),
        ("jwt eyJhbGciOi.eyJzdWIi.c2ln end", "jwt *** end"),
        ('{"email":"jane.doe+x@example.org"}', '{"email":"***"}'),
        ('{"code":"auth-invalid-access-token","title":"Bad"}', '{"code":"auth-invalid-access-token","title":"Bad"}'),
    ],
)
def test_p8_an_excerpt_shows_no_secret(body: str, shown: str) -> None:
    assert excerpt(httpx.Response(400, text=body)) == shown


def test_p8_an_excerpt_hides_what_the_request_kept_secret() -> None:
    request = httpx.Request("GET", "https://vendor.test", headers={"X-Api-Key": "plainlookingvalue"})
    assert excerpt(httpx.Response(400, text="bad key plainlookingvalue", request=request)) == "bad key ***"


def test_p8_an_excerpt_hides_what_the_form_kept_secret() -> None:
    form = {"client_id": "the-public-id", "client_secret": "plain+looking/value"}
    request = httpx.Request("POST", "https://vendor.test", data=form)
    echo = httpx.Response(400, text="no plain+looking/value for the-public-id", request=request)
    assert excerpt(echo) == "no *** for the-public-id"


def test_an_excerpt_is_bounded() -> None:
    assert len(excerpt(httpx.Response(400, content=b"x" * 10_000_000))) == 200


def test_p8_a_broken_header_does_not_show_its_secret() -> None:
    bench = Bench(
        lambda request: (_ for _ in ()).throw(httpx.LocalProtocolError(f"Illegal {request.headers['x-key']}"))
    )
    with pytest.raises(Unavailable) as caught:
        bench.http.read("GET", "x", headers={"X-Key": "topsecretvalue"})
    assert "topsecretvalue" not in str(caught.value)


def test_a_shared_transport_outlives_its_connector() -> None:
    bench = Bench(ok())
    bench.script.close = lambda: pytest.fail("closed")  # type: ignore[method-assign]
    bench.http.close()
    bench.http.close()


def test_calls_from_many_threads_are_all_counted() -> None:
    bench = Bench(lambda _: ok())
    threads = [threading.Thread(target=lambda: [bench.http.read("GET", "x") for _ in range(20)]) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert bench.http.calls == 160
