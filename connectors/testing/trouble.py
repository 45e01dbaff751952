"""Cases of trouble on the wire: what passes is not noticed, what stays is told as what it is."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import httpx
import pytest

from connectors.answers import MIN_SECRET_CHARACTERS
from connectors.contract import Clocked
from connectors.errors import ConnectorError, RateLimited, Unauthorized, Unavailable
from connectors.sandbox.clock import VirtualClock
from connectors.testing.readings import ReadingBench
from connectors.testing.sandboxes import CanExpire, CanRevoke
from connectors.testing.verdict import error_of, require, said, value
from connectors.testing.wire import Fault, Send, answered, lost_after, lost_before, throttled, too_late, unreachable

PASSING: dict[str, Fault] = {
    "unreachable": unreachable,
    "lost before": lost_before,
    "lost after": lost_after,
    "too late": too_late,
    "500": answered(500),
    "502": answered(502),
    "503": answered(503),
    "429": throttled(None),
    "429 with Retry-After": throttled(3),
}
STAYING: dict[str, tuple[Fault, type[ConnectorError]]] = {
    "unreachable": (unreachable, Unavailable),
    "lost before": (lost_before, Unavailable),
    "lost after": (lost_after, Unavailable),
    "too late": (too_late, Unavailable),
    "500": (answered(500), Unavailable),
    "502": (answered(502), Unavailable),
    "429": (throttled(None), RateLimited),
    "429 with Retry-After": (throttled(2), RateLimited),
}
GARBAGE: dict[str, bytes] = {
    "html": b"<!DOCTYPE html><title>We are moving</title>",
    "nothing": b"",
    "null": b"null",
    "a number": b"7",
    "a text": b'"fine"',
    "an empty object": b"{}",
    "a list of lists": b"[[[]]]",
    "no text": b"\xff\xfe\x00",
    "half": b'{"data": [{"id": 1, "attributes": {"na',
    "very deep": b"[" * 50_000,
}
READS_ARE_RETRIED = "reads are retried inside the connector"
_SECRET_HEADER = re.compile(r"authorization|token|secret|key", re.IGNORECASE)


class TroubleCases:
    """Of every read of the connector, whatever its role."""

    @pytest.mark.parametrize("trouble", PASSING)
    def test_trouble_that_passes_is_not_noticed(self, bench: ReadingBench[Any], trouble: str) -> None:
        for reading in bench.readings():
            before = reading.fact(reading.undisturbed())
            result = bench.spoilt(reading, PASSING[trouble], times=2)
            require(
                not isinstance(result, ConnectorError) and reading.fact(result) == before,
                READS_ARE_RETRIED + ": what passes is not noticed",
                seen=f"{reading.name}, its first two requests troubled ({trouble}), came to {_told(result)}",
                mend="send what changes nothing at the vendor by Http.read, whatever its method",
            )
            bench.clock.advance(60)

    @pytest.mark.parametrize("trouble", STAYING)
    def test_trouble_that_stays_is_told_and_passes(self, bench: ReadingBench[Any], trouble: str) -> None:
        fault, expected = STAYING[trouble]
        for reading in bench.readings():
            before = reading.fact(reading.undisturbed())
            error = bench.refused(
                reading,
                fault,
                expected,
                when=f"all its requests troubled ({trouble})",
                promise=f"what does not pass is told as what it is: {expected.__name__}",
                mend="let the errors of Http.read through; make no value of them, nor another error",
            )
            require(
                error.account,
                "every error carries the account it concerns",
                seen=f"{said(error)}, of nobody",
                mend="give Http and every error you raise yourself the account's name",
            )
            # A penalty that the vendor asked for is over by then.
            bench.clock.advance(120)
            require(
                reading.fact(reading.undisturbed()) == before,
                "a read that failed leaves nothing behind: the same call works once the trouble is over",
                seen=f"{reading.name} gave something else after the trouble ({trouble}) than before",
                mend="change nothing in the connector before the whole answer is there",
            )

    def test_retry_after_is_heeded(self, bench: ReadingBench[Any]) -> None:
        for reading in bench.readings():
            reading.undisturbed()
            began = bench.clock.monotonic()
            bench.wire.fail(throttled(7), times=1)
            reading.undisturbed()
            waited = bench.clock.monotonic() - began
            require(
                waited >= 7,
                "a vendor's Retry-After is heeded before a read is sent again",
                seen=f"{reading.name} was told to wait 7 s and went on after {waited:g} s",
                mend="send it by Http.read with the scopes of the vendor's limits",
            )

    def test_a_long_retry_after_is_handed_on(self, bench: ReadingBench[Any]) -> None:
        for reading in bench.readings():
            reading.undisturbed()
            error = bench.refused(
                reading,
                throttled(1800),
                RateLimited,
                when="told to come back in 1800 s",
                promise="RateLimited says when to come back",
                mend="let the RateLimited of Http.read through as it is",
            )
            require(
                error.retry_after_seconds is not None and error.retry_after_seconds >= 1700,
                "RateLimited says when to come back: retry_after_seconds is what the vendor asked for",
                seen=f"the vendor asked for 1800 s, the error says {error.retry_after_seconds}",
                mend="let the RateLimited of Http.read through as it is",
            )
            bench.clock.advance(3600)

    def test_refused_credentials_are_unauthorized(self, bench: ReadingBench[Any]) -> None:
        readings = bench.readings()
        for reading in readings:
            reading.undisturbed()
        bench.wire.fail(answered(401, b"{}", content_type="application/json"))
        self._all_unauthorized(bench, readings, "answered 401")

    def test_withdrawn_credentials_are_unauthorized(self, bench: ReadingBench[Any]) -> None:
        revokes = bench.can(CanRevoke, "revoke()")
        readings = bench.readings()
        for reading in readings:
            reading.undisturbed()
        revokes.revoke()
        self._all_unauthorized(bench, readings, "after the credentials were withdrawn")

    def _all_unauthorized(self, bench: ReadingBench[Any], readings: Any, when: str) -> None:
        for reading in readings:
            error_of(
                reading.ask,
                f"{reading.name}, {when},",
                expected=Unauthorized,
                promise="credentials that are refused are told as Unauthorized: the account stops, a person is told",
                mend="map 401, and the vendor's other words for it, to Unauthorized; a token that may merely have "
                "ended is replaced once, then the refusal is believed",
            )
        self._failing_check(bench, when)

    def test_doctor_tells_trouble_as_checks(self, bench: ReadingBench[Any]) -> None:
        for name, fault in (("unreachable", unreachable), ("500", answered(500)), ("html", answered(200))):
            bench.wire.fail(fault)
            self._failing_check(bench, f"with every request troubled ({name})")
            bench.wire.mend()
            bench.clock.advance(60)

    def _failing_check(self, bench: ReadingBench[Any], when: str) -> None:
        failing = [check for check in value(bench.account.check, f"check(), {when},") if not check.ok]
        require(
            failing and all(check.remedy for check in failing),
            "check() returns failures as checks that say what to do (Check.remedy); it does not raise for them",
            seen=f"{when} it gave {failing or 'no failing check'}",
            mend="try a cheap read in check(), catch ConnectorError, and give each failing check a remedy",
        )

    def test_tokens_that_end_early_are_replaced_without_a_word(self, bench: ReadingBench[Any]) -> None:
        expires = bench.can(CanExpire, "expire()")
        for reading in bench.readings():
            before = reading.fact(reading.undisturbed())
            expires.expire()
            require(
                reading.fact(reading.undisturbed()) == before,
                "a token that ended is replaced within the call",
                seen=f"{reading.name} gave something else with a new token",
                mend="renew the token in an httpx.Auth and send the request once more after a 401",
            )

    @pytest.mark.parametrize("garbage", GARBAGE)
    def test_an_answer_that_is_garbage_is_an_error(self, bench: ReadingBench[Any], garbage: str) -> None:
        fault = answered(200, GARBAGE[garbage], content_type="application/json")
        for reading in bench.readings():
            before = reading.undisturbed()
            for position in range(min(bench.requests_of(reading), 4)):
                result = bench.spoilt(reading, fault, skip=position)
                bench.clock.advance(60)
                complaint = None if isinstance(result, ConnectorError) else reading.complaint(before, result)
                require(
                    complaint is None,
                    "an answer without its documented shape is an error (Unreadable or Unavailable), never a value",
                    seen=f"{reading.name} was answered with {garbage} from request {position + 1} on: {complaint}",
                    mend="check an answer's outermost shape before taking what it lacks for nothing there",
                )

    @pytest.mark.parametrize("hours", [-48, -0.1, 0.1, 48])
    def test_a_clock_that_is_off_changes_nothing(self, bench: ReadingBench[Any], hours: float) -> None:
        off = bench.open(clock=VirtualClock(bench.clock.now() + timedelta(hours=hours)))
        for plain, reading in zip(bench.readings(), bench.readings(off), strict=True):
            complaint = reading.complaint(plain.undisturbed(), reading.undisturbed())
            require(
                complaint is None,
                "what is read does not depend on our clock",
                seen=f"with a clock that is {hours:+g} h off, {reading.name}: {complaint}",
                mend="reckon with http.vendor_now instead of the machine's clock",
            )
        if isinstance(off, Clocked):
            skew = off.clock_skew_seconds
            require(
                skew is not None and abs(skew + hours * 3600) < 60,
                "clock_skew_seconds is the vendor's clock less ours, as its last answer showed",
                seen=f"our clock is {hours:+g} h off; the connector says the vendor's is {skew} s ahead of ours",
                mend="give what Http.clock_skew_seconds says; the sandbox has to send a Date header by its own clock",
            )

    @pytest.mark.parametrize("status", [400, 403, 500])
    def test_an_error_holds_no_secret(self, bench: ReadingBench[Any], status: int) -> None:
        secrets: set[str] = set()

        def echo(request: httpx.Request, _: Send) -> httpx.Response:
            found = [text for name, text in request.headers.items() if _SECRET_HEADER.search(name)]
            secrets.update(word for text in found for word in text.split() if len(word) >= MIN_SECRET_CHARACTERS)
            return httpx.Response(status, text=" ".join([*found, request.content.decode("utf-8", "replace")]))

        for reading in bench.readings():
            reading.undisturbed()
            result = bench.spoilt(reading, echo)
            bench.clock.advance(60)
            told = f"{result} {result!r}" if isinstance(result, ConnectorError) else ""
            require(
                not any(secret in told for secret in secrets),
                "messages never hold a secret nor a whole answer: at most a redacted excerpt",
                seen=f"{reading.name}: the vendor's answer repeated our credentials, and so does the error",
                mend="quote an answer by connectors.http.excerpt alone",
            )


def _told(result: object) -> str:
    return said(result) if isinstance(result, ConnectorError) else "another answer"
