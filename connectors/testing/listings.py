"""Cases of listings: the sweep, the change feed, closing and opening, and the marketplace's own sales."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from functools import partial

from connectors.contract import (
    Listing,
    ListingState,
    MarketplaceSale,
    Stock,
    StockChange,
)
from connectors.errors import CursorTooOld, NotFound, OutcomeUnknown
from connectors.testing.marketplaces import MarketplaceBench
from connectors.testing.sandboxes import CanBuy, CanDistract, CanEditTotal, CanTellSale
from connectors.testing.verdict import error_of, outcome, require, told, value
from connectors.testing.wire import lost_after


class SweepCases:
    """`Marketplace.listing` and `listings`."""

    def test_a_listing_is_told_as_it_is(self, bench: MarketplaceBench) -> None:
        for total in (7, 0, 1):
            listing_id = bench.sandbox.offer(total)
            found = bench.listing(listing_id)
            require(
                found.listing_id == listing_id
                and found.stock == Stock.counted(total)
                and found.state is ListingState.PUBLISHED,
                "listing(listing_id) is one listing with its stock: authoritative, now",
                seen=f"a listing on sale of {total} units is {found}",
                mend="map the vendor's state and its available quantity: what is reserved is subtracted already",
            )

    def test_a_sweep_sees_every_listing_once(self, bench: MarketplaceBench) -> None:
        offered = {bench.sandbox.offer(number % 5): number % 5 for number in range(2 * bench.sandbox.page_size + 1)}
        found = [each for each in bench.sweep() if isinstance(each, Listing)]
        times = Counter(each.listing_id for each in found)
        require(
            {each.listing_id: each.stock.total for each in found if each.listing_id in offered} == offered
            and max(times.values()) == 1,
            "listings() gives every listing of the marketplace, a page at a time, once",
            seen=f"{len(offered.keys() & times.keys())} of {len(offered)} listings came, the most frequent "
            f"{max(times.values(), default=0)} times",
            mend="follow the vendor's pages to the last, sorted by what does not move",
        )

    def test_a_change_between_read_and_read_is_seen(self, bench: MarketplaceBench) -> None:
        edits = bench.can(CanEditTotal, "edit_total(listing_id, total)")
        listing_id = bench.sandbox.offer(7)
        bench.listing(listing_id)
        for total in (3, 0, 12):
            edits.edit_total(listing_id, total)
            bench.expect_total(listing_id, total, after=f"a person typed {total}")


class FeedCases:
    """`Feed`: changes(cursor)."""

    def test_the_feed_tells_every_stock_change(self, bench: MarketplaceBench) -> None:
        _, cursor = bench.follow(None)
        listing_id = bench.sandbox.offer(9)
        bench.adjust(listing_id, seen=9, delta=-2)
        if isinstance(bench.sandbox, CanBuy):
            bench.sandbox.buy(listing_id, 1)
        bench.clock.advance(5)
        changes, _ = bench.follow(cursor)
        units = sum(each.adjustment.quantity for each in changes if isinstance(each, StockChange))
        total = bench.sandbox.total(listing_id)
        require(
            units == total,
            "the feed tells every change of stock, in the marketplace's order",
            seen=f"its changes add up to {units} units, the total is {total}",
            mend="ask for every type of event that moves stock, and map each",
        )
        sequences = [each.sequence for each in changes]
        require(
            sequences == sorted(set(sequences)),
            "sequences grow along the feed",
            seen=f"{sequences}",
            mend="take the vendor's own sequence; follow its pages in its order",
        )

    def test_a_page_of_the_feed_read_again_is_the_same(self, bench: MarketplaceBench) -> None:
        _, cursor = bench.follow(None)
        for _ in range(3):
            bench.sandbox.offer(5)
            bench.clock.advance(1)
        bench.clock.advance(5)
        first, again = (value(lambda: bench.feed.changes(cursor), "changes(cursor)") for _ in range(2))
        require(
            first == again,
            "a page that was not stored is read again from the same cursor",
            seen=f"first {len(first.changes)} changes came, then {len(again.changes)}",
            mend="derive the page from the cursor alone: keep no position in the connector",
        )

    def test_a_long_feed_is_read_without_loss_or_repeat(self, bench: MarketplaceBench) -> None:
        _, cursor = bench.follow(None)
        offered = [bench.sandbox.offer(number % 3 + 1) for number in range(130)]
        bench.clock.advance(5)
        changes, cursor = bench.follow(cursor)
        stocked = Counter(each.adjustment.listing_id for each in changes if isinstance(each, StockChange))
        require(
            stocked == Counter(offered),
            "following the feed page by page loses and repeats nothing",
            seen=f"of {len(offered)} listings {len(stocked.keys() & set(offered))} were told, the most frequent "
            f"{max(stocked.values(), default=0)} times",
            mend="let the cursor of a page begin right after its last change",
        )
        require(
            not bench.follow(cursor)[0],
            "at the head of the feed nothing comes twice",
            seen="changes that were told already were told again from the last cursor",
            mend="let the cursor of a page begin right after its last change",
        )

    def test_types_nobody_knows_are_counted(self, bench: MarketplaceBench) -> None:
        _, cursor = bench.follow(None)
        distracts = bench.can(CanDistract, "distract()")
        distracts.distract()
        listing_id = bench.sandbox.offer(1)
        bench.clock.advance(5)
        page = value(lambda: bench.feed.changes(cursor), "changes(cursor)")
        require(
            page.unknown_types
            and any(
                isinstance(each, StockChange) and each.adjustment.listing_id == listing_id for each in page.changes
            ),
            "types of changes that are not known are skipped and named (ChangePage.unknown_types); others go on",
            seen=f"unknown_types is {list(page.unknown_types)}, {len(page.changes)} changes came",
            mend="name each type you do not map, and go on with the next change",
        )

    def test_a_cursor_of_long_ago_is_too_old_or_reads_on(self, bench: MarketplaceBench) -> None:
        _, cursor = bench.follow(None)
        listing_id = bench.sandbox.offer(1)
        bench.clock.advance(timedelta(days=400).total_seconds())
        result = outcome(lambda: bench.feed.changes(cursor), "changes(a cursor of 400 days ago)")
        require(
            isinstance(result, CursorTooOld)
            or (
                not isinstance(result, Exception)
                and any(
                    isinstance(each, StockChange) and each.adjustment.listing_id == listing_id
                    for each in result.changes
                )
            ),
            "what follows a cursor is told, or CursorTooOld says that the vendor no longer has it",
            seen=f"400 days later it came to {told(result)}",
            mend="raise CursorTooOld where the cursor's moment is past the vendor's retention",
        )


class ClosingCases:
    """`Closable`: close(listing_id) and open(listing_id)."""

    def test_closing_and_opening_may_be_repeated(self, bench: MarketplaceBench) -> None:
        closable = bench.closable
        listing_id = bench.sandbox.offer(0)
        for name, act, on_sale, state in (
            ("close", closable.close, False, ListingState.CLOSED),
            ("open", closable.open, True, ListingState.PUBLISHED),
        ):
            for _ in range(2):
                value(partial(act, listing_id), f"{name}(listing_id)")
            found = bench.listing(listing_id).state
            seen = bench.sandbox.on_sale(listing_id) if isinstance(bench.sandbox, CanTellSale) else on_sale
            require(
                found is state and seen is on_sale,
                f"{name}() takes effect, may be repeated without harm, and shows in the listing's state",
                seen=f"after {name}() twice the listing is {found}; on sale in the sandbox: {seen}",
                mend="take the vendor's refusal of a repetition for success, once you have read the state",
            )

    def test_a_missing_listing_cannot_be_closed(self, bench: MarketplaceBench) -> None:
        closable = bench.closable
        for name, act in (("close", closable.close), ("open", closable.open)):
            error_of(
                partial(act, bench.sandbox.missing_listing),
                f"{name}(an id that no listing has)",
                expected=NotFound,
                promise="a listing that is not there is NotFound",
                mend="map the vendor's own `no such listing` to NotFound",
            )

    def test_a_closing_whose_answer_is_lost_is_unknown(self, bench: MarketplaceBench) -> None:
        closable, tells = bench.closable, bench.can(CanTellSale, "on_sale(listing_id)")
        listing_id = bench.sandbox.offer(0)
        write = bench.write_of(lambda: closable.close(listing_id), lambda: tells.on_sale(listing_id))
        value(lambda: closable.open(listing_id), "open(listing_id)")
        before = bench.sent(write)
        bench.wire.fail(lost_after, wanted=write)
        error_of(
            lambda: closable.close(listing_id),
            "close(), its answer lost,",
            expected=OutcomeUnknown,
            promise="closing is a write: a lost answer is OutcomeUnknown",
            mend="send it by Http.write and let its OutcomeUnknown through",
        )
        bench.wire.mend()
        require(
            bench.sent(write) - before == 1 and not tells.on_sale(listing_id),
            "a write is sent at most once per call",
            seen=f"it was sent {bench.sent(write) - before} times",
            mend="send it by Http.write and catch nothing there",
        )


class SalesCases:
    """`Sales`: sales(since)."""

    def test_own_sales_are_told_with_listing_units_and_times(self, bench: MarketplaceBench) -> None:
        sales, buys = bench.sales, bench.can(CanBuy, "buy(listing_id, quantity)")
        listing_id, since = bench.sandbox.offer(9), bench.clock.now()
        bench.clock.advance(1)
        buys.buy(listing_id, 2)
        buys.buy(listing_id, 3)
        bench.clock.advance(5)
        found = {
            each.sale_id: each
            for page in sales.sales(since=since)
            for each in page
            if isinstance(each, MarketplaceSale) and each.listing_id == listing_id
        }
        require(
            sorted(each.quantity for each in found.values()) == [2, 3],
            "sales(since) tells every sale paid at or after the moment, with its listing and its units",
            seen=f"buyers took 2 and 3 units; told are {list(found.values())}",
            mend="name the listing as listing(listing_id) takes it; give each part of an order an id of its own",
        )
        require(
            all(since <= each.placed_at <= each.paid_at <= bench.clock.now() for each in found.values()),
            "placed_at and paid_at are the marketplace's times of the order and of its payment",
            seen=f"{[(each.placed_at, each.paid_at) for each in found.values()]}, bought after {since}",
            mend="take both from the vendor's own record, in UTC",
        )
