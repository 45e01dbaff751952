"""Every family of cases goes red for a connector that breaks its promise, and says which one and what to mend."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

import pytest

from connectors.contract import Check, Gone, Order, OrderPage, OrderRef, Receipt
from connectors.errors import NotFound, RateLimited, Rejected, Unavailable
from connectors.http import parse_json
from connectors.testing import ChannelKit, ContractBroken
from connectors.testing.channels import ChannelBench
from tests.unit.connectors.testing.toy_channel import PAGE, ToyChannel, ToySandbox


class TestToy(ChannelKit):
    """What keeps the contract passes, every case of it."""

    not_shown = ("CanExpire",)

    @contextmanager
    def sandbox(self) -> Iterator[ToySandbox]:
        yield ToySandbox()


def broken(kind: type[ToyChannel], case: str, *given: Any) -> ContractBroken:
    """What the kit says of a broken connector."""
    bench = ChannelBench(ToySandbox(kind))
    try:
        with pytest.raises(ContractBroken) as caught:
            getattr(ChannelKit(), case)(bench, *given)
    finally:
        bench.close()
    assert caught.value.mend
    return caught.value


# Polling


class NumbersPages(ToyChannel):
    """Goes on by how many it has read: what changes meanwhile moves the rest up."""

    def orders(self, cursor: str) -> OrderPage:
        changed, skip = json.loads(cursor)
        found: list[Any] = []
        place, more = (changed, ""), True
        while more:
            rows, more = self.page(*place, self._http.vendor_now.timestamp() - 3)
            found += rows
            place = (rows[-1]["changed"], rows[-1]["id"]) if rows else place
        rows = found[int(skip or 0) :][:4]
        orders = [self.order_of(row, self._clock.now()) for row in rows]
        return OrderPage(orders, json.dumps([changed, int(skip or 0) + len(rows)]), bool(found[int(skip or 0) + 4 :]))


class ForgetsTheId(ToyChannel):
    """Its cursor is a moment alone."""

    def onward(self, cursor: str, rows: Sequence[Any]) -> str:
        return json.dumps([rows[-1]["changed"], "~"]) if rows else cursor


class GoesInCircles(ToyChannel):
    def onward(self, cursor: str, rows: Sequence[Any]) -> str:
        return cursor


class KeepsItsPlace(ToyChannel):
    """Its position is in the object."""

    last = ""

    def orders(self, cursor: str) -> OrderPage:
        page = super().orders(self.last or cursor)
        self.last = page.cursor
        return page


class ReadsTheSecondEarly(ToyChannel):
    def until(self) -> float:
        return self._http.vendor_now.timestamp() + 1

    def onward(self, cursor: str, rows: Sequence[Any]) -> str:
        return super().onward(cursor, rows) if len(rows) == PAGE else json.dumps([self.until() - 0.999, ""])


class RunsAhead(ToyChannel):
    """An empty page moves it past what is to come."""

    def onward(self, cursor: str, rows: Sequence[Any]) -> str:
        return super().onward(cursor, rows) if rows else json.dumps([self._clock.now().timestamp() + 60, ""])


class TakesAnyCursor(ToyChannel):
    def place(self, cursor: str) -> tuple[float, str]:
        try:
            return super().place(cursor)
        except Rejected:
            return 0.0, ""


class CutsTheMoment(ToyChannel):
    def cursor_at(self, moment: datetime) -> str:
        return super().cursor_at(moment + timedelta(seconds=1))


class CountsOrdered(ToyChannel):
    def committed(self, status: str, ordered: int, returned: int) -> int:
        return ordered


class LeavesOneLineOut(ToyChannel):
    def order_of(self, row: Any, asked_at: datetime | None) -> Order:
        found = super().order_of(row, asked_at)
        return Order(found.order_id, found.revision, found.placed_at, found.lines[:9], fetched_at=asked_at)


class LeavesRecentOut(ToyChannel):
    def recent(self, since: datetime) -> Iterator[Sequence[Any]]:
        yield next(iter(super().recent(since)))


class OtherRevisions(ToyChannel):
    def recent(self, since: datetime) -> Iterator[Sequence[Any]]:
        for page in super().recent(since):
            yield [OrderRef(each.order_id, each.revision + 1) for each in page if isinstance(each, OrderRef)]


class NeverNewer(ToyChannel):
    def revision(self, row: Any) -> int:
        return 1


class MissingIsAnError(ToyChannel):
    def order(self, order_id: str) -> Order | Gone:
        found = super().order(order_id)
        if isinstance(found, Gone):
            raise NotFound("no such order", account="toy")
        return found


class HasFloats(ToyChannel):
    def committed(self, status: str, ordered: int, returned: int) -> int:
        return float(super().committed(status, ordered, returned))  # type: ignore[return-value]


# Payloads


class TakesMissingForNone(ToyChannel):
    def order_of(self, row: Any, asked_at: datetime | None) -> Order:
        return super().order_of({"lines": [], **row}, asked_at)


class ForbidsNewFields(ToyChannel):
    def line(self, row: Any, line: Any) -> Any:
        if len(line) > 4:
            raise ValueError("too many fields")
        return super().line(row, line)


class TakesAnyStatus(ToyChannel):
    def status(self, row: Any) -> str:
        return "open" if row["status"] == "open" else "void"


class CutsLargeNumbers(ToyChannel):
    def units(self, said: Any) -> int:
        return min(int(said), 2**63 - 1)


class ReadsNoLargeNumbers(ToyChannel):
    def units(self, said: Any) -> int:
        if super().units(said) > 10_000_000:
            raise ValueError("that many?")
        return int(said)


class Stumbles(ToyChannel):
    """A KeyError gets out."""

    def order(self, order_id: str) -> Order | Gone:
        row = self.ask(f"orders/{order_id}")
        return Order(row["id"], row["version"], datetime.fromisoformat(row["placed"]), ())


class TakesGarbageForNothing(ToyChannel):
    def page(self, changed: float, order_id: str, until: float) -> tuple[list[Any], bool]:
        found = self.ask("orders", changed=changed, id=order_id, to=until)
        return (found.get("orders", []), found.get("more", False)) if isinstance(found, dict) else ([], False)


# Trouble


class SendsReadsOnce(ToyChannel):
    def ask(self, path: str, **params: Any) -> Any:
        response = self._http.write("GET", path, params=params)
        return parse_json(response, account="toy")


class CallsOutByItself(ToyChannel):
    def orders(self, cursor: str) -> OrderPage:
        return OrderPage((), cursor, more=False)


class IsNotWritten(ToyChannel):
    def orders(self, cursor: str) -> OrderPage:
        raise NotImplementedError("orders")


class HidesTrouble(ToyChannel):
    def orders(self, cursor: str) -> OrderPage:
        try:
            return super().orders(cursor)
        except Unavailable:
            return OrderPage((), cursor, more=False)


class ForgetsWhose(ToyChannel):
    def orders(self, cursor: str) -> OrderPage:
        try:
            return super().orders(cursor)
        except Unavailable as error:
            raise Unavailable(error.message) from error


class ForgetsWhen(ToyChannel):
    def orders(self, cursor: str) -> OrderPage:
        try:
            return super().orders(cursor)
        except RateLimited as error:
            raise RateLimited(error.message, account="toy") from error


class GivesUpItsToken(ToyChannel):
    def ask(self, path: str, **params: Any) -> Any:
        response = self._http.read("GET", path, params=params)
        if response.status_code == 401:
            raise Unavailable("does not work right now", account="toy")
        return super().ask(path, **params)


class ChecksNothing(ToyChannel):
    def check(self) -> Sequence[Check]:
        return [Check("access", True, "surely")]


class RaisesForChecks(ToyChannel):
    def check(self) -> Sequence[Check]:
        self.page(0, "", 0)
        return []


class GoesByItsOwnClock(ToyChannel):
    def until(self) -> float:
        return self._clock.now().timestamp() - 3


class QuotesAnswers(ToyChannel):
    def ask(self, path: str, **params: Any) -> Any:
        response = self._http.read("GET", path, params=params)
        if response.status_code >= 400 and response.status_code not in (401, 404):
            raise Unavailable(f"it says {response.text}", account="toy")
        return super().ask(path, **params)


# Webhooks


class TakesAnything(ToyChannel):
    def verified(self, headers: Mapping[str, str], body: bytes) -> bool:
        return True


class SignsNoBody(ToyChannel):
    def verified(self, headers: Mapping[str, str], body: bytes) -> bool:
        return "x-toy-signature" in headers


class ReadsHalfAWebhook(ToyChannel):
    def reduced(self, content: Any) -> Any:
        return super().reduced({"order": {"lines": [], **content["order"]}})


class ReadsBeforeItChecks(ToyChannel):
    def receive(self, headers: Mapping[str, str], body: bytes) -> Receipt:
        json.loads(body)
        return super().receive(headers, body)


class ReceivesWithTheTime(ToyChannel):
    count = 0

    def receive(self, headers: Mapping[str, str], body: bytes) -> Receipt:
        found = super().receive(headers, body)
        self.count += 1
        return Receipt(f"{found.delivery_id}-{self.count}", found.topic, found.kept, found.raw)


class KeepsEverything(ToyChannel):
    def reduced(self, content: Any) -> Any:
        return content["order"] | {"more": content}


class TellsOfAnother(ToyChannel):
    def read(self, topic: str, kept: bytes) -> Sequence[Any]:
        return [Order("o-77", one.revision, one.placed_at, one.lines) for one in super().read(topic, kept)]  # type: ignore[union-attr]


class TellsAnotherNumber(ToyChannel):
    def read(self, topic: str, kept: bytes) -> Sequence[Any]:
        return [Order(one.order_id, one.revision, one.placed_at, ()) for one in super().read(topic, kept)]  # type: ignore[union-attr]


class KeepsHalfOfJunk(ToyChannel):
    def receive(self, headers: Mapping[str, str], body: bytes) -> Receipt:
        found = super().receive(headers, body)
        return Receipt(found.delivery_id, found.topic, found.kept[:1], found.raw) if found.raw else found


class NoStatus(ToyChannel):
    refusal_status = 200


@pytest.mark.parametrize(
    ("kind", "case", "given", "promise", "seen"),
    [
        (CountsOrdered, "test_units_that_came_back_are_not_committed", (), "less cancelled less restocked", "5"),
        (CountsOrdered, "test_a_cancelled_order_commits_nothing", (), "less cancelled less restocked", "counts none"),
        (LeavesOneLineOut, "test_an_order_of_several_lines_is_whole", (), "OrderLine.committed", "sandbox counts"),
        (HasFloats, "test_an_order_is_told_with_its_units", (), "quantities integers", "2.0"),
        (NumbersPages, "test_orders_that_change_between_two_pages_hide_no_other", (), "go on changing", "missing"),
        (ForgetsTheId, "test_orders_of_one_moment_on_several_pages_are_all_told", (), "one moment", "missing"),
        (GoesInCircles, "test_pages_follow_each_other_without_loss", (), "leads on", "circles"),
        (KeepsItsPlace, "test_a_page_read_again_is_the_same", (), "idempotent", "4 orders came, then 4"),
        (ReadsTheSecondEarly, "test_no_second_is_read_before_it_is_over", (), "less 3 s", "missing"),
        (RunsAhead, "test_an_empty_page_leads_on", (), "empty page", "missing"),
        (TakesAnyCursor, "test_a_cursor_of_something_else_is_rejected", (), "never gave is refused", "OrderPage"),
        (CutsTheMoment, "test_a_cursor_at_a_moment_reads_all_that_changed_since", (), "at or after", "missing"),
        (LeavesRecentOut, "test_recent_names_every_order_with_its_revision", (), "names every order", "missing"),
        (OtherRevisions, "test_recent_names_every_order_with_its_revision", (), "same revision", "recent says 2"),
        (NeverNewer, "test_a_revision_grows_with_every_change", (), "revision grows", "before was 1"),
        (MissingIsAnError, "test_an_order_that_is_not_there_is_gone", (), "a call gives a value", "NotFound"),
        (MissingIsAnError, "test_a_deleted_order_is_gone", (), "a call gives a value", "NotFound"),
        (TakesMissingForNone, "test_a_field_that_is_missing_is_never_another_number", (), "shape is told", "lines"),
        (ForbidsNewFields, "test_fields_nobody_knows_change_nothing", (), "not known is passed over", "one field"),
        (TakesAnyStatus, "test_a_word_nobody_knows_is_told", (), "shape is told", "commits 0 units"),
        (
            CutsLargeNumbers,
            "test_quantities_of_every_size_are_right_or_unreadable",
            (),
            "never rounded",
            "922337203685",
        ),
        (ReadsNoLargeNumbers, "test_quantities_of_every_size_are_right_or_unreadable", (), "integers", "2147483647"),
        (Stumbles, "test_a_field_of_another_type_is_never_another_number", (), "errors of connectors.errors", "Type"),
        (
            TakesGarbageForNothing,
            "test_an_answer_that_is_garbage_is_an_error",
            ("an empty object",),
            "error",
            "left out",
        ),
        (SendsReadsOnce, "test_trouble_that_passes_is_not_noticed", ("500",), "retried", "OutcomeUnknown"),
        (CallsOutByItself, "test_trouble_that_passes_is_not_noticed", ("500",), "through the transport", "no request"),
        (IsNotWritten, "test_an_empty_page_leads_on", (), "protocols say", "not written yet"),
        (HidesTrouble, "test_trouble_that_stays_is_told_and_passes", ("unreachable",), "Unavailable", "OrderPage"),
        (ForgetsWhose, "test_trouble_that_stays_is_told_and_passes", ("unreachable",), "the account", "of nobody"),
        (ForgetsWhen, "test_a_long_retry_after_is_handed_on", (), "when to come back", "None"),
        (SendsReadsOnce, "test_retry_after_is_heeded", (), "a call gives a value", "RateLimited"),
        (GivesUpItsToken, "test_refused_credentials_are_unauthorized", (), "Unauthorized", "Unavailable"),
        (GivesUpItsToken, "test_withdrawn_credentials_are_unauthorized", (), "Unauthorized", "Unavailable"),
        (ChecksNothing, "test_doctor_tells_trouble_as_checks", (), "failures as checks", "no failing check"),
        (RaisesForChecks, "test_doctor_tells_trouble_as_checks", (), "a call gives a value", "check()"),
        (GoesByItsOwnClock, "test_a_clock_that_is_off_changes_nothing", (-48,), "our clock", "left out"),
        (QuotesAnswers, "test_an_error_holds_no_secret", (403,), "secret", "repeated our credentials"),
        (TakesAnything, "test_a_delivery_without_its_headers_is_refused", (), "InvalidSignature", "Receipt"),
        (TakesAnything, "test_junk_is_refused_like_any_forgery", (), "InvalidSignature", "sign nothing"),
        (SignsNoBody, "test_a_forged_signature_is_refused", (), "did not sign", "every time"),
        (SignsNoBody, "test_a_body_that_was_tampered_with_is_refused", (), "did not sign", "one space more"),
        (ReadsBeforeItChecks, "test_junk_is_refused_like_any_forgery", (), "errors of connectors.errors", "JSONDecode"),
        (ReceivesWithTheTime, "test_a_delivery_again_is_the_same", (), "comes twice", "d-1-"),
        (KeepsEverything, "test_fields_nobody_knows_are_neither_read_nor_kept", (), "what stock needs", "somebody@"),
        (TellsOfAnother, "test_a_delivery_tells_which_order_it_is_about", (), "which one to look at", "o-77"),
        (
            TellsAnotherNumber,
            "test_a_delivery_tells_which_order_it_is_about",
            (),
            "committed",
            "a webhook tells no units",
        ),
        (TellsAnotherNumber, "test_what_is_told_and_what_is_read_agree", (), "same numbers", "last webhook"),
        (
            ReadsHalfAWebhook,
            "test_a_field_of_a_webhook_that_is_missing_is_never_another_number",
            (),
            "lacks",
            "order",
        ),
        (KeepsHalfOfJunk, "test_a_signed_body_that_cannot_be_read_is_kept", (), "kept raw", "was kept"),
        (NoStatus, "test_the_status_of_a_refusal_is_one", (), "refusal_status", "200"),
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else None,
)
def test_what_is_broken_is_named(
    kind: type[ToyChannel], case: str, given: tuple[Any, ...], promise: str, seen: str
) -> None:
    found = broken(kind, case, *given)

    assert promise in found.promise, str(found)
    assert seen in found.seen, str(found)
