"""Every family of cases goes red for a marketplace that breaks its promise, and says which one and what to mend."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest

from connectors.contract import Adjusted, Author, ChangePage, Listing, MarketplaceSale, Stock
from connectors.errors import NotFound, OutcomeUnknown, Rejected, Unavailable
from connectors.testing import ContractBroken, MarketplaceKit
from connectors.testing.marketplaces import MarketplaceBench
from tests.unit.connectors.testing.toy_marketplace import ToyAbsolute, ToyMarketplace, ToyRelative, ToyStore


class TestToyStock(MarketplaceKit):
    """What keeps the contract passes, every case of it."""

    not_shown = ("CanExpire",)

    @contextmanager
    def sandbox(self) -> Iterator[ToyStore]:
        yield ToyStore()


GUARDED = [
    "test_a_write_moves_the_total",
    "test_another_total_than_the_one_seen_is_a_mismatch",
    "test_no_write_ends_below_zero",
    "test_unlimited_stock_is_told_and_never_written",
    "test_writes_of_several_threads_lose_no_unit",
    "test_a_write_executed_late_was_unknown",
    "test_a_write_whose_read_before_fails_is_not_sent",
    "test_our_own_writes_are_attributed_as_the_evidence_says",
]


@pytest.mark.parametrize(
    ("kind", "case"),
    [
        *((kind, case) for kind in (ToyRelative, ToyAbsolute) for case in GUARDED),
        (ToyRelative, "test_a_sale_before_a_relative_write_adds_up"),
        (ToyRelative, "test_a_relative_write_is_refused_below_zero"),
        (ToyAbsolute, "test_a_sale_before_an_absolute_write_can_be_told"),
    ],
)
def test_every_guard_has_a_sound_connector(kind: type[ToyMarketplace], case: str) -> None:
    bench = MarketplaceBench(ToyStore(kind))
    getattr(MarketplaceKit(), case)(bench)
    bench.close()


# Writes


class SendsTwice(ToyMarketplace):
    def send(self, path: str, body: dict[str, int]) -> httpx.Response:
        try:
            return super().send(path, body)
        except OutcomeUnknown:
            return super().send(path, body)


class SendsAsARead(ToyMarketplace):
    def send(self, path: str, body: dict[str, int]) -> httpx.Response:
        return self._http.read("POST", path, json=body)


class Guesses(ToyMarketplace):
    def adjust(self, listing_id: str, *, seen: int, delta: int) -> Adjusted:
        try:
            return super().adjust(listing_id, seen=seen, delta=delta)
        except OutcomeUnknown:
            return Adjusted(seen + delta)


class TakesSuccessForExecution(ToyMarketplace):
    def wrote(self, listing_id: str, body: dict[str, int], seen: int, delta: int) -> Adjusted:
        response = self.send(f"listings/{listing_id}/stock", body)
        if response.status_code == 200:
            return Adjusted(seen + delta)
        return super().wrote(listing_id, body, seen, delta)


class CallsEverythingUnknown(ToyMarketplace):
    def adjust(self, listing_id: str, *, seen: int, delta: int) -> Adjusted:
        try:
            return super().adjust(listing_id, seen=seen, delta=delta)
        except Unavailable as error:
            raise OutcomeUnknown(error.message, account="toy") from error


class ComparesNothing(ToyMarketplace):
    def body(self, seen: int, delta: int) -> dict[str, int]:
        return {"delta": delta}


class SaysRelativeAndSets(ToyRelative):
    def body(self, seen: int, delta: int) -> dict[str, int]:
        return {"total": seen + delta}


class ForgetsItsSales(ToyAbsolute):
    def sales(self, *, since: datetime) -> Iterator[Sequence[Any]]:
        yield []


class GoesBelowZero(ToyMarketplace):
    def adjust(self, listing_id: str, *, seen: int, delta: int) -> Adjusted:
        return super().adjust(listing_id, seen=seen, delta=max(delta, -seen))


class TellsTheWrongTotal(ToyMarketplace):
    def adjust(self, listing_id: str, *, seen: int, delta: int) -> Adjusted:
        super().adjust(listing_id, seen=seen, delta=delta)
        return Adjusted(seen)


class LocksNothing(ToyAbsolute):
    def adjust(self, listing_id: str, *, seen: int, delta: int) -> Adjusted:
        self.listing(listing_id)
        return self.wrote(listing_id, self.body(seen, delta), seen, delta)


class MissingIsRejected(ToyMarketplace):
    def listing(self, listing_id: str) -> Listing:
        try:
            return super().listing(listing_id)
        except NotFound as error:
            raise Rejected(error.message, account="toy") from error


class UnlimitedIsMany(ToyMarketplace):
    def stock(self, row: Any) -> Stock:
        return Stock.counted(10**6) if row["available"] == "unlimited" else super().stock(row)


class UndefinedIsZero(ToyMarketplace):
    def stock(self, row: Any) -> Stock:
        return Stock.counted(0) if row["available"] is None else super().stock(row)


# Evidence


class LeavesTheLogOut(ToyMarketplace):
    def adjustments(self, listing_id: str, *, since: datetime) -> Sequence[Any]:
        return super().adjustments(listing_id, since=since)[:20]


class LogFromTheBeginning(ToyMarketplace):
    def adjustments(self, listing_id: str, *, since: datetime) -> Sequence[Any]:
        return super().adjustments(listing_id, since=since - timedelta(days=1))


class ClaimsWhatBuyersTook(ToyMarketplace):
    def author(self, row: Any) -> Author | None:
        return Author.OURS


class NamesNobody(ToyMarketplace):
    def author(self, row: Any) -> Author | None:
        return None


# Listings and feed


class SweepsOnePage(ToyMarketplace):
    def listings(self) -> Iterator[Sequence[Any]]:
        yield next(super().listings())


class RemembersTotals(ToyMarketplace):
    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self._known: dict[str, Listing] = {}

    def listing(self, listing_id: str) -> Listing:
        return self._known.setdefault(listing_id, super().listing(listing_id))


class SkipsOne(ToyMarketplace):
    def onward(self, after: int, rows: Sequence[Any]) -> str:
        return str(after + len(rows) + (len(rows) == 5))


class TellsTwice(ToyMarketplace):
    def onward(self, after: int, rows: Sequence[Any]) -> str:
        return str(after + max(len(rows) - 1, 0))


class DropsUnknownTypes(ToyMarketplace):
    def changes(self, cursor: str | None) -> ChangePage:
        page = super().changes(cursor)
        return ChangePage(page.changes, page.cursor, page.more)


class ForgetsWhatIsTooOld(ToyMarketplace):
    def changes(self, cursor: str | None) -> ChangePage:
        try:
            return super().changes(cursor)
        except Exception as error:
            if type(error).__name__ != "CursorTooOld":
                raise
            return ChangePage((), cursor or "0", more=False)


class ClosesNothing(ToyMarketplace):
    def close(self, listing_id: str) -> None:
        self.listing(listing_id)


class ClosesWithReads(ToyMarketplace):
    def turn(self, listing_id: str, how: str) -> None:
        self.listing(listing_id)
        self._http.read("POST", f"listings/{listing_id}/{how}", json={})


class SalesWithoutQuantity(ToyMarketplace):
    def sale(self, row: Any) -> Any:
        found = super().sale(row)
        if not isinstance(found, MarketplaceSale):
            return found
        return MarketplaceSale(found.sale_id, found.listing_id, 1, found.placed_at, found.paid_at)


class TakesMissingForNothing(ToyMarketplace):
    def shaped(self, row: Any, name: str, kind: type) -> Any:
        return 0 if kind is int and name not in row else super().shaped(row, name, kind)

    def stock(self, row: Any) -> Stock:
        return super().stock({"available": 0, **row})


class CutsLargeNumbers(ToyMarketplace):
    def shaped(self, row: Any, name: str, kind: type) -> Any:
        said = row.get(name)
        return min(said, 2**63 - 1) if type(said) is int and kind is int else super().shaped(row, name, kind)


@pytest.mark.parametrize(
    ("kind", "case", "given", "promise", "seen"),
    [
        (TellsTheWrongTotal, "test_a_write_moves_the_total", (), "total right after", "Adjusted(total=7"),
        (ComparesNothing, "test_another_total_than_the_one_seen_is_a_mismatch", (), "StockMismatch", "Adjusted"),
        (GoesBelowZero, "test_no_write_ends_below_zero", (), "below zero", "the total is 0"),
        (MissingIsRejected, "test_a_missing_listing_is_not_found", (), "NotFound", "Rejected"),
        (MissingIsRejected, "test_a_removed_listing_is_not_found", (), "NotFound", "Rejected"),
        (UnlimitedIsMany, "test_unlimited_stock_is_told_and_never_written", (), "UNLIMITED", "1000000"),
        (UndefinedIsZero, "test_undefined_stock_is_told_and_never_written", (), "not zero", "total=0"),
        (
            ComparesNothing,
            "test_a_sale_before_a_compare_and_set_is_a_mismatch",
            (),
            "COMPARE_AND_SET",
            "the total is 2",
        ),
        (SaysRelativeAndSets, "test_a_sale_before_a_relative_write_adds_up", (), "RELATIVE", "the total is 4"),
        (SaysRelativeAndSets, "test_a_relative_write_is_refused_below_zero", (), "below zero", "the total is 4"),
        (ForgetsItsSales, "test_a_sale_before_an_absolute_write_can_be_told", (), "overwritten", "tells 0"),
        (SendsTwice, "test_a_lost_answer_is_unknown_and_sent_once", ("lost before",), "at most once", "2 times"),
        (SendsAsARead, "test_a_lost_answer_is_unknown_and_sent_once", ("500",), "OutcomeUnknown", "Unavailable"),
        (Guesses, "test_a_lost_answer_is_unknown_and_sent_once", ("lost after",), "OutcomeUnknown", "Adjusted"),
        (TakesSuccessForExecution, "test_a_lost_answer_is_unknown_and_sent_once", ("html",), "nothing certain", "html"),
        (Guesses, "test_a_write_executed_late_was_unknown", (), "or happen yet", "Adjusted"),
        (CallsEverythingUnknown, "test_a_write_that_never_left_is_unavailable", (), "Unavailable", "OutcomeUnknown"),
        (SendsAsARead, "test_a_throttled_write_did_nothing", (17,), "at most once", "sent again"),
        (Guesses, "test_a_lost_write_that_happened_is_in_the_log", (), "OutcomeUnknown", "Adjusted"),
        (LeavesTheLogOut, "test_every_adjustment_is_in_the_log", (), "complete", "of 20"),
        (LogFromTheBeginning, "test_the_log_from_a_moment_on_leaves_the_rest_out", (), "at or after", "[9, -1, -2]"),
        (ClaimsWhatBuyersTook, "test_a_buyers_units_are_not_ours", (), "never ours", "OURS"),
        (NamesNobody, "test_our_own_writes_are_attributed_as_the_evidence_says", (), "ATTRIBUTED", "None"),
        (SweepsOnePage, "test_a_sweep_sees_every_listing_once", (), "every listing", "5 of 11"),
        (RemembersTotals, "test_a_change_between_read_and_read_is_seen", (), "authoritative", "total=7"),
        (SkipsOne, "test_a_long_feed_is_read_without_loss_or_repeat", (), "loses and repeats nothing", "of 130"),
        (TellsTwice, "test_a_long_feed_is_read_without_loss_or_repeat", (), "", ""),
        (DropsUnknownTypes, "test_types_nobody_knows_are_counted", (), "unknown_types", "[]"),
        (ForgetsWhatIsTooOld, "test_a_cursor_of_long_ago_is_too_old_or_reads_on", (), "CursorTooOld", "ChangePage"),
        (ClosesNothing, "test_closing_and_opening_may_be_repeated", (), "takes effect", "published"),
        (ClosesWithReads, "test_a_closing_whose_answer_is_lost_is_unknown", (), "OutcomeUnknown", "Unavailable"),
        (SalesWithoutQuantity, "test_own_sales_are_told_with_listing_units_and_times", (), "its units", "quantity=1"),
        (
            TakesMissingForNothing,
            "test_a_field_that_is_missing_is_never_another_number",
            (),
            "shape is told",
            "0 units",
        ),
        (CutsLargeNumbers, "test_quantities_of_every_size_are_right_or_unreadable", (), "never rounded", "92233720368"),
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else None,
)
def test_what_is_broken_is_named(
    kind: type[ToyMarketplace], case: str, given: tuple[Any, ...], promise: str, seen: str
) -> None:
    bench = MarketplaceBench(ToyStore(kind))
    with pytest.raises(ContractBroken) as caught:
        getattr(MarketplaceKit(), case)(bench, *given)
    bench.close()

    assert promise in caught.value.promise, str(caught.value)
    assert seen in caught.value.seen, str(caught.value)
    assert caught.value.mend


def test_a_connector_without_a_lock_loses_units_of_several_threads() -> None:
    """Of an absolute write that nothing guards: two of them read the same number before either has written."""
    both = [0]

    class Waits(LocksNothing):
        def wrote(self, listing_id: str, body: dict[str, int], seen: int, delta: int) -> Adjusted:
            both[0] += 1
            return super().wrote(listing_id, {"total": 39}, seen, delta)

    bench = MarketplaceBench(ToyStore(Waits))
    with pytest.raises(ContractBroken, match="exactly once"):
        MarketplaceKit().test_writes_of_several_threads_lose_no_unit(bench)
    bench.close()
