"""Cases of lost answers: never guessed about, never sent twice, and what the vendor's log can tell of them."""

from __future__ import annotations

from datetime import timedelta

import httpx
import pytest

from connectors.contract import Author, Evidence, Ledger, StockChange
from connectors.errors import (
    ConnectorError,
    OutcomeUnknown,
    RateLimited,
    Unauthorized,
    Unavailable,
)
from connectors.testing.marketplaces import MarketplaceBench
from connectors.testing.sandboxes import CanBuy
from connectors.testing.verdict import error_of, outcome, require, told
from connectors.testing.wire import Fault, Send, answered, lost_after, lost_before, throttled, too_late, unreachable

NEVER_GUESS = "a write whose answer says nothing certain is OutcomeUnknown: it may have happened"
NEVER_TWICE = "a write is sent at most once per call"
BY_WRITE = (
    "send it by Http.write, let its OutcomeUnknown through, and raise OutcomeUnknown for an answer of success whose "
)
LOST: dict[str, tuple[Fault, bool]] = {
    "lost before": (lost_before, False),
    "lost after": (lost_after, True),
    "too late": (too_late, True),
    "500": (answered(500), False),
    "500 executed": (answered(500, executed=True), True),
    "502 executed": (answered(502, executed=True), True),
    "503": (answered(503), False),
    "html": (answered(200, executed=True), True),
    "nothing": (answered(200, b"", executed=True), True),
    "half": (answered(200, b'{"data": {"id', content_type="application/json", executed=True), True),
    "empty object": (answered(200, b"{}", content_type="application/json", executed=True), True),
    "null": (answered(200, b'{"data":null}', content_type="application/json"), False),
}


class LostAnswerCases:
    """P4: never guess."""

    @pytest.mark.parametrize("how", LOST)
    def test_a_lost_answer_is_unknown_and_sent_once(self, bench: MarketplaceBench, how: str) -> None:
        fault, executed = LOST[how]
        listing_id, write = bench.stocked(7)
        before = bench.sent(write)
        bench.wire.fail(fault, wanted=write)
        error_of(
            lambda: bench.account.adjust(listing_id, seen=7, delta=-1),
            f"adjust(), its write troubled ({how}),",
            expected=OutcomeUnknown,
            promise=NEVER_GUESS,
            mend=BY_WRITE + "body does not say what happened",
        )
        bench.wire.mend()
        sent = bench.sent(write) - before
        require(
            sent == 1,
            NEVER_TWICE,
            seen=f"{write} was sent {sent} times ({how})",
            mend="send it by Http.write and catch nothing there: a second try can book a sale twice",
        )
        bench.expect_total(listing_id, 7 - executed, after=f"one write that was troubled ({how})")

    def test_a_write_executed_late_was_unknown(self, bench: MarketplaceBench) -> None:
        listing_id, write = bench.stocked(7)

        def late(request: httpx.Request, send: Send) -> httpx.Response:
            bench.wire.hold(send)
            raise httpx.ReadTimeout("timed out", request=request)

        bench.wire.fail(late, wanted=write)
        error_of(
            lambda: bench.account.adjust(listing_id, seen=7, delta=-1),
            "adjust(), its write executed later,",
            expected=OutcomeUnknown,
            promise=NEVER_GUESS + ", or happen yet",
            mend=BY_WRITE + "body does not say what happened",
        )
        bench.wire.mend()
        bench.expect_total(listing_id, 7, after="a write that is still on its way")
        bench.clock.advance(30)
        released = bench.wire.release()
        require(released == 1, NEVER_TWICE, seen=f"{released} writes were on their way", mend="send it by Http.write")
        bench.expect_total(listing_id, 6, after="a write that was executed half a minute late")

    def test_a_write_that_never_left_is_unavailable(self, bench: MarketplaceBench) -> None:
        listing_id, write = bench.stocked(7)
        bench.wire.fail(unreachable, wanted=write)
        error_of(
            lambda: bench.account.adjust(listing_id, seen=7, delta=-1),
            "adjust(), with nobody listening,",
            expected=Unavailable,
            promise="a write that certainly was not executed is Unavailable: it may be tried again later",
            mend="send it by Http.write, which tells a connection that was refused from an answer that was lost",
        )
        bench.wire.mend()
        bench.expect_total(listing_id, 7, after="a write that never left")

    @pytest.mark.parametrize("retry_after", [None, 17])
    def test_a_throttled_write_did_nothing(self, bench: MarketplaceBench, retry_after: int | None) -> None:
        listing_id, write = bench.stocked(7)
        before = bench.sent(write)
        bench.wire.fail(throttled(retry_after), wanted=write)
        error = error_of(
            lambda: bench.account.adjust(listing_id, seen=7, delta=-1),
            "adjust(), its write answered 429,",
            expected=RateLimited,
            promise="a write over the limit was certainly not executed: RateLimited",
            mend="let the RateLimited of Http.write through",
        )
        bench.wire.mend()
        require(bench.sent(write) - before == 1, NEVER_TWICE, seen="it was sent again", mend="leave that to the worker")
        require(
            retry_after is None or error.retry_after_seconds == retry_after,
            "RateLimited says when to come back",
            seen=f"the vendor asked for {retry_after} s, the error says {error.retry_after_seconds}",
            mend="let the RateLimited of Http.write through as it is",
        )
        bench.clock.advance(120)
        bench.expect_total(listing_id, 7, after="a write that was throttled")
        bench.adjust(listing_id, seen=7, delta=-1)
        bench.expect_total(listing_id, 6, after="the next try")

    def test_a_write_with_refused_credentials_did_nothing(self, bench: MarketplaceBench) -> None:
        listing_id, write = bench.stocked(7)
        bench.wire.fail(answered(401, b"{}", content_type="application/json"), wanted=write)
        error_of(
            lambda: bench.account.adjust(listing_id, seen=7, delta=-1),
            "adjust(), its write answered 401,",
            expected=Unauthorized,
            promise="credentials that are refused are told as Unauthorized; nothing was executed",
            mend="map 401 to Unauthorized",
        )
        bench.wire.mend()
        bench.expect_total(listing_id, 7, after="a write with refused credentials")

    def test_a_write_whose_read_before_fails_is_not_sent(self, bench: MarketplaceBench) -> None:
        listing_id, write = bench.stocked(7)
        before = bench.sent(write)
        bench.wire.fail(answered(500), wanted=lambda request: not write(request))
        result = outcome(lambda: bench.account.adjust(listing_id, seen=7, delta=-1), "adjust()")
        bench.wire.mend()
        bench.clock.advance(60)
        sent, total = bench.sent(write) - before, bench.sandbox.total(listing_id)
        fine = (sent, total) == (0, 7) and isinstance(result, Unavailable)
        written = (sent, total) == (1, 6) and (
            not isinstance(result, ConnectorError) or isinstance(result, OutcomeUnknown)
        )
        require(
            fine or written,
            "a write is sent at most once, and Unavailable is said only of one that certainly was not",
            seen=f"with every other request answered 500 it was sent {sent} times, the total is {total}, adjust() came "
            f"to {told(result)}",
            mend="reads before the write may fail as reads do; after it was sent, an error is OutcomeUnknown",
        )


class EvidenceCases:
    """What the marketplace's own log can tell about a write."""

    def test_the_log_is_as_the_evidence_says(self, bench: MarketplaceBench) -> None:
        account = bench.account
        require(
            isinstance(account, Ledger) == (account.evidence is not Evidence.NONE),
            "evidence ATTRIBUTED or ANONYMOUS is a Ledger, NONE is none",
            seen=f"evidence is {account.evidence}, and adjustments(listing_id, since) is "
            f"{'there' if isinstance(account, Ledger) else 'not there'}",
            mend="implement Ledger where the vendor keeps a log of stock changes, and name the evidence accordingly",
        )

    def test_every_adjustment_is_in_the_log(self, bench: MarketplaceBench) -> None:
        ledger, since = bench.ledger, bench.began - timedelta(minutes=1)
        listing_id = bench.sandbox.offer(200)
        for number in range(60):
            bench.adjust(listing_id, seen=200 - number, delta=-1)
        found = ledger.adjustments(listing_id, since=since)
        require(
            sum(each.quantity for each in found) == 140 and [each.quantity for each in found[-60:]] == [-1] * 60,
            "Ledger.adjustments is complete as of the call, oldest first",
            seen=f"the last 60 of {len(found)} should be -1 each; they add up to "
            f"{sum(each.quantity for each in found)} units, the total is 140",
            mend="follow the vendor's pages to the last, and sort by time",
        )
        require(
            len({each.adjustment_id for each in found}) == len(found)
            and all(each.listing_id == listing_id and each.quantity for each in found)
            and [each.at for each in found] == sorted(each.at for each in found),
            "adjustments have ids of their own, name their listing, are never 0 and come oldest first",
            seen=f"{found[:3]} ...",
            mend="map each from the vendor's record, and leave out those that move nothing",
        )

    def test_the_log_from_a_moment_on_leaves_the_rest_out(self, bench: MarketplaceBench) -> None:
        ledger, listing_id = bench.ledger, bench.sandbox.offer(9)
        bench.adjust(listing_id, seen=9, delta=-1)
        bench.clock.advance(3600)
        moment = bench.clock.now()
        bench.adjust(listing_id, seen=8, delta=-2)
        found = [each.quantity for each in ledger.adjustments(listing_id, since=moment)]
        require(
            found == [-2],
            "adjustments(since) gives those at or after the moment",
            seen=f"{found} instead of [-2]",
            mend="compare with the vendor's own time, the moment itself included",
        )

    def test_a_buyers_units_are_not_ours(self, bench: MarketplaceBench) -> None:
        ledger, buys = bench.ledger, bench.can(CanBuy, "buy(listing_id, quantity)")
        listing_id = bench.sandbox.offer(9)
        bench.adjust(listing_id, seen=9, delta=-1)
        buys.buy(listing_id, 3)
        bench.clock.advance(1)
        found = ledger.adjustments(listing_id, since=bench.began - timedelta(minutes=1))
        bought = [each for each in found if each.quantity == -3]
        require(
            bought and all(each.author is Author.OTHER or each.reservation for each in bought),
            "what a buyer of the marketplace takes is never ours: author OTHER, or with its reservation",
            seen=f"a buyer took 3 units; the log says {bought or found}",
            mend="map the vendor's word for an order or reservation",
        )

    def test_a_lost_write_that_happened_is_in_the_log(self, bench: MarketplaceBench) -> None:
        ledger = bench.ledger
        listing_id, write = bench.stocked(7)
        since = bench.clock.now()
        for fault, expected in ((lost_before, 0), (lost_after, 1)):
            bench.wire.fail(fault, wanted=write, times=1)
            error_of(
                lambda: bench.account.adjust(listing_id, seen=7, delta=-1),
                "adjust(), its answer lost,",
                expected=OutcomeUnknown,
                promise=NEVER_GUESS,
                mend=BY_WRITE + "body does not say what happened",
            )
            bench.wire.mend()
            bench.clock.advance(1)
            found = [each.quantity for each in ledger.adjustments(listing_id, since=since)]
            require(
                found == [-1] * expected,
                "the log tells whether a lost write happened: it settles by it",
                seen=f"the write was executed {expected} times, the log says {found}",
                mend="read the log from the vendor itself, now; where it lags, the evidence is none",
            )

    def test_our_own_writes_are_attributed_as_the_evidence_says(self, bench: MarketplaceBench) -> None:
        ledger, account = bench.ledger, bench.account
        listing_id = bench.sandbox.offer(9)
        cursor = bench.follow(None)[1] if hasattr(account, "changes") else None
        bench.adjust(listing_id, seen=9, delta=-2)
        authors = {
            each.author
            for each in ledger.adjustments(listing_id, since=bench.began - timedelta(minutes=1))
            if each.quantity == -2
        }
        if cursor is not None:
            authors |= {
                each.adjustment.author
                for each in bench.follow(cursor)[0]
                if isinstance(each, StockChange) and each.adjustment.quantity == -2
            }
        expected = Author.OURS in authors if account.evidence is Evidence.ATTRIBUTED else authors == {None}
        require(
            expected,
            "ATTRIBUTED: log or feed say OURS of our own writes; ANONYMOUS: neither says whose",
            seen=f"evidence is {account.evidence}, our write's authors are {authors}",
            mend="compare the record's author with our own client, or name the evidence ANONYMOUS",
        )
