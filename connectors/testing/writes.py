"""Cases of the stock write: it does what it says, guarded as the marketplace names it."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import httpx

from connectors.contract import UNDEFINED, UNLIMITED, Guard, Ledger, MarketplaceSale
from connectors.errors import (
    ConnectorError,
    InsufficientStock,
    NotFound,
    Rejected,
    StockMismatch,
)
from connectors.testing.marketplaces import MarketplaceBench
from connectors.testing.sandboxes import CanBuy, CanOfferUndefined, CanOfferUnlimited, CanRemove
from connectors.testing.verdict import error_of, outcome, require, told
from connectors.testing.wire import Send


class WriteCases:
    """`Marketplace.adjust`, whatever the guard."""

    def test_a_write_moves_the_total(self, bench: MarketplaceBench) -> None:
        listing_id = bench.sandbox.offer(7)
        for seen, delta in ((7, -3), (4, +1), (5, -5), (0, +2)):
            adjusted = bench.adjust(listing_id, seen=seen, delta=delta)
            require(
                adjusted.total == seen + delta,
                "Adjusted.total is the total right after the write",
                seen=f"adjust(seen={seen}, delta={delta:+d}) gave {adjusted}",
                mend="take it from the answer, where that tells it, else seen + delta",
            )
            bench.expect_total(listing_id, seen + delta, after=f"adjust(seen={seen}, delta={delta:+d})")

    def test_a_large_number_is_moved_exactly(self, bench: MarketplaceBench) -> None:
        listing_id = bench.sandbox.offer(900_001)
        bench.adjust(listing_id, seen=900_001, delta=-1)
        bench.expect_total(listing_id, 900_000, after="one unit of 900,001")

    def test_another_total_than_the_one_seen_is_a_mismatch(self, bench: MarketplaceBench) -> None:
        listing_id = bench.sandbox.offer(7)
        error_of(
            lambda: bench.account.adjust(listing_id, seen=9, delta=-1),
            "adjust(seen=9) of a listing of 7 units",
            expected=StockMismatch,
            promise="a write planned from another total than there is changes nothing (StockMismatch)",
            mend="with compare-and-set the vendor says so; where it does not, read right before the write and compare",
        )
        bench.expect_total(listing_id, 7, after="a mismatch")

    def test_no_write_ends_below_zero(self, bench: MarketplaceBench) -> None:
        listing_id = bench.sandbox.offer(2)
        result = outcome(lambda: bench.account.adjust(listing_id, seen=2, delta=-3), "adjust(seen=2, delta=-3)")
        total = bench.sandbox.total(listing_id)
        require(
            total == 2 and isinstance(result, StockMismatch | InsufficientStock | Rejected),
            "no write of ours results in a total below zero: it is refused, and nothing changes",
            seen=f"adjust(seen=2, delta=-3) came to {told(result)}, the total is {total}",
            mend="raise InsufficientStock for the vendor's refusal; where the vendor refuses nothing, raise it "
            "yourself before sending",
        )

    def test_a_missing_listing_is_not_found(self, bench: MarketplaceBench) -> None:
        missing = bench.sandbox.missing_listing
        _not_found("listing", lambda: bench.account.listing(missing))
        ledger = bench.account
        if isinstance(ledger, Ledger):
            _not_found("adjustments", lambda: ledger.adjustments(missing, since=bench.began))
        result = outcome(lambda: bench.account.adjust(missing, seen=1, delta=-1), "adjust(an id that no listing has)")
        require(
            isinstance(result, NotFound | StockMismatch),
            "a write to a listing that is not there is certainly not executed: NotFound, or StockMismatch where the "
            "vendor does not tell it from one without stock",
            seen=f"adjust(an id that no listing has) came to {told(result)}",
            mend="map the vendor's own `no such listing` to NotFound, whatever its status",
        )

    def test_a_removed_listing_is_not_found(self, bench: MarketplaceBench) -> None:
        removes = bench.can(CanRemove, "remove(listing_id)")
        listing_id = bench.sandbox.offer(3)
        bench.listing(listing_id)
        removes.remove(listing_id)
        _not_found("listing", lambda: bench.account.listing(listing_id))

    def test_unlimited_stock_is_told_and_never_written(self, bench: MarketplaceBench) -> None:
        listing_id = bench.can(CanOfferUnlimited, "offer_unlimited()").offer_unlimited()
        stock = bench.listing(listing_id).stock
        limit = bench.account.unlimited_from
        require(
            stock == UNLIMITED or (limit is not None and stock.total >= limit),
            "stock that never runs out is UNLIMITED",
            seen=f"listing(listing_id) says {stock}",
            mend="map the vendor's word for it, or name the total from which it counts as such in unlimited_from",
        )
        self._never_written(bench, listing_id, stock.total)

    def test_undefined_stock_is_told_and_never_written(self, bench: MarketplaceBench) -> None:
        listing_id = bench.can(CanOfferUndefined, "offer_undefined()").offer_undefined()
        stock = bench.listing(listing_id).stock
        require(
            stock == UNDEFINED,
            "a listing without a number is UNDEFINED, not zero",
            seen=f"listing(listing_id) says {stock}",
            mend="tell no record from a record at zero",
        )
        self._never_written(bench, listing_id, 0)

    @staticmethod
    def _never_written(bench: MarketplaceBench, listing_id: str, seen: int) -> None:
        result = outcome(lambda: bench.account.adjust(listing_id, seen=seen, delta=1), "adjust()")
        require(
            isinstance(result, StockMismatch | Rejected),
            "unlimited and undefined stock is never touched: the write is refused",
            seen=f"adjust(seen={seen}, delta=+1) came to {told(result)}",
            mend="read before the write where the vendor would take it, and raise StockMismatch",
        )


class GuardCases:
    """What the guard says happens when a buyer is quicker, between the read and the write."""

    def test_a_sale_before_a_compare_and_set_is_a_mismatch(self, bench: MarketplaceBench) -> None:
        bench.only(Guard.COMPARE_AND_SET)
        listing_id, result = self._race(bench, stock=7, bought=2, delta=-3)
        require(
            isinstance(result, StockMismatch) and bench.sandbox.total(listing_id) == 5,
            "COMPARE_AND_SET: applied only if the total is exactly the one seen",
            seen=f"a buyer took 2 of 7 before the write of -3; it came to {told(result)}, the total is "
            f"{bench.sandbox.total(listing_id)}",
            mend="send the total seen along with the new one, and raise StockMismatch for the vendor's refusal; if the "
            "vendor compares nothing, the guard is another",
        )

    def test_a_sale_before_a_relative_write_adds_up(self, bench: MarketplaceBench) -> None:
        bench.only(Guard.RELATIVE)
        listing_id, result = self._race(bench, stock=7, bought=2, delta=-3)
        require(
            not isinstance(result, ConnectorError) and bench.sandbox.total(listing_id) == 2,
            "RELATIVE: a delta, to which a sale at the same moment adds up",
            seen=f"a buyer took 2 of 7 before the write of -3; it came to {told(result)}, the total is "
            f"{bench.sandbox.total(listing_id)}",
            mend="send the delta, not a total; if the vendor takes totals only, the guard is ABSOLUTE",
        )

    def test_a_relative_write_is_refused_below_zero(self, bench: MarketplaceBench) -> None:
        bench.only(Guard.RELATIVE)
        listing_id, result = self._race(bench, stock=7, bought=5, delta=-3)
        require(
            isinstance(result, InsufficientStock) and bench.sandbox.total(listing_id) == 2,
            "RELATIVE: refused by the vendor if it would go below zero (InsufficientStock), and nothing changes",
            seen=f"a buyer took 5 of 7 before the write of -3; it came to {told(result)}, the total is "
            f"{bench.sandbox.total(listing_id)}",
            mend="map the vendor's refusal to InsufficientStock; if the vendor does not refuse, the guard is ABSOLUTE",
        )

    def test_a_sale_before_an_absolute_write_can_be_told(self, bench: MarketplaceBench) -> None:
        bench.only(Guard.ABSOLUTE)
        sales = bench.sales
        since = bench.clock.now()
        listing_id, _ = self._race(bench, stock=7, bought=2, delta=-3)
        bench.clock.advance(5)
        found = [each for page in sales.sales(since=since) for each in page if isinstance(each, MarketplaceSale)]
        units = sum(each.quantity for each in found if each.listing_id == listing_id)
        require(
            units == 2,
            "Sales tells those that an absolute write may have overwritten: each, with its listing and its units",
            seen=f"a buyer took 2 units before the write; sales(since) tells {units} of that listing, in {found}",
            mend="tell every paid order's lines by the listing's id, paid at or after the moment",
        )

    def test_writes_of_several_threads_lose_no_unit(self, bench: MarketplaceBench) -> None:
        listing_id = bench.sandbox.offer(40)

        def sell(_: int) -> None:
            for _attempt in range(2000):
                seen = bench.account.listing(listing_id).stock.total
                result = outcome(lambda: bench.account.adjust(listing_id, seen=seen, delta=-1), "adjust()")  # noqa: B023
                if not isinstance(result, StockMismatch):
                    require(not isinstance(result, ConnectorError), "(see adjust)", seen=told(result), mend="")
                    return

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(sell, range(20)))
        total = bench.sandbox.total(listing_id)
        require(
            total == 20,
            "methods may be called from several threads at once; each answered write has happened exactly once",
            seen=f"20 of 40 units were taken by 4 threads; the total is {total}",
            mend="where the vendor guards nothing, hold a lock for each listing from the read to the write",
        )

    @staticmethod
    def _race(bench: MarketplaceBench, *, stock: int, bought: int, delta: int) -> tuple[str, object]:
        buys = bench.can(CanBuy, "buy(listing_id, quantity)")
        listing_id, write = bench.stocked(stock)

        def first_the_buyer(_: httpx.Request, send: Send) -> httpx.Response:
            buys.buy(listing_id, bought)
            return send()

        bench.wire.fail(first_the_buyer, wanted=write, times=1)
        result = outcome(lambda: bench.account.adjust(listing_id, seen=stock, delta=delta), "adjust()")
        bench.wire.mend()
        return listing_id, result


def _not_found(name: str, call: Callable[[], object]) -> None:
    error_of(
        call,
        f"{name}(an id that no listing has)",
        expected=NotFound,
        promise="a listing that is not there is NotFound",
        mend="map the vendor's own `no such listing` to NotFound, whatever its status",
    )
