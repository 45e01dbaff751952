"""Cases of reading orders page by page: nothing is lost, whatever happens between two pages."""

from __future__ import annotations

from datetime import timedelta
from functools import partial

from connectors.errors import Rejected
from connectors.testing.channels import ChannelBench
from connectors.testing.sandboxes import CanLag, CanTouch, Sold
from connectors.testing.verdict import error_of, require, value

ALL_OF_THEM = "Polled.orders reads every order that changed since the cursor"


class PollingCases:
    """`Polled`: orders(cursor) and cursor_at(moment)."""

    def test_an_order_is_told_with_its_units(self, bench: ChannelBench) -> None:
        start = bench.start()
        placed = [bench.sandbox.place(Sold("KIT-A", 2)), bench.sandbox.place(Sold("KIT-B", 1))]
        found, _ = bench.poll(start)
        bench.expect_all(found, placed, promise=ALL_OF_THEM, mend="read up to the vendor's now less 3 s, not to less")
        for order_id in placed:
            bench.expect_units(found[order_id], where="orders(cursor)")
            require(
                found[order_id].excluded is None,
                "Order.excluded is None for an order that counts",
                seen=f"order {order_id} is excluded: {found[order_id].excluded}",
                mend="exclude by the channel's own rules alone; by default there are none",
            )

    def test_an_order_of_several_lines_is_whole(self, bench: ChannelBench) -> None:
        start = bench.start()
        order_id = bench.sandbox.place(*(Sold(f"KIT-{number}", 1 + number % 4) for number in range(12)))
        found, _ = bench.poll(start)
        bench.expect_all(found, [order_id], promise=ALL_OF_THEM, mend="read up to the vendor's now less 3 s")
        bench.expect_units(found[order_id], where="orders(cursor)")

    def test_pages_follow_each_other_without_loss(self, bench: ChannelBench) -> None:
        start = bench.start()
        placed = bench.place(2 * bench.sandbox.page_size + 1, apart_seconds=1)
        found, _ = bench.poll(start)
        bench.expect_all(
            found,
            placed,
            promise=ALL_OF_THEM + ", page by page",
            mend="let the cursor of a page begin where the page ended, and say `more` while the vendor has another",
        )

    def test_orders_of_one_moment_on_several_pages_are_all_told(self, bench: ChannelBench) -> None:
        start = bench.start()
        placed = bench.place(2 * bench.sandbox.page_size + 1)
        found, _ = bench.poll(start)
        bench.expect_all(
            found,
            placed,
            promise=ALL_OF_THEM + ", also where more changed in one moment than a page holds",
            mend="a cursor of the last moment alone skips the rest of it: add the last id, or read such a moment to "
            "its end before going on",
        )

    def test_a_page_read_again_is_the_same(self, bench: ChannelBench) -> None:
        start = bench.start()
        bench.place(2 * bench.sandbox.page_size + 1, apart_seconds=1)
        bench.clock.advance(5)
        cursor = start
        for page in bench.pages(start):
            again = bench.page(cursor)
            require(
                [(one.order_id, one.revision, one.lines) for one in again.orders]
                == [(one.order_id, one.revision, one.lines) for one in page.orders]
                and again.more == page.more,
                "Polled.orders is idempotent: a page that was not stored is read again from the same cursor",
                seen=f"from {cursor!r} first {len(page.orders)} orders came, then {len(again.orders)}",
                mend="derive the page from the cursor alone: keep no position in the connector",
            )
            cursor = page.cursor

    def test_a_cursor_outlives_the_connector(self, bench: ChannelBench) -> None:
        start = bench.start()
        placed = bench.place(bench.sandbox.page_size + 1, apart_seconds=1)
        bench.clock.advance(5)
        first = bench.page(start)
        bench.account = bench.open()
        rest, _ = bench.poll(first.cursor)
        bench.expect_all(
            {**{order.order_id: order for order in first.orders}, **rest},
            placed,
            promise="a cursor goes on where its page ended, in another process too",
            mend="put all there is to know into the cursor's text: the worker stores it and restarts",
        )

    def test_orders_that_change_between_two_pages_hide_no_other(self, bench: ChannelBench) -> None:
        start = bench.start()
        touches = bench.can(CanTouch, "touch(order_id)")
        placed = bench.place(3 * bench.sandbox.page_size, apart_seconds=1)
        bench.clock.advance(5)
        found: dict[str, object] = {}
        for number, page in enumerate(bench.pages(start)):
            found.update((order.order_id, order) for order in page.orders)
            if number < 3:
                # What has been read leaves the window, and all that follow move up: where pages are numbered, as
                # many are skipped.
                for order in list(page.orders)[: max(1, bench.sandbox.page_size // 2)]:
                    touches.touch(order.order_id)
                bench.clock.advance(1)
        bench.expect_all(
            found,
            placed,
            promise=ALL_OF_THEM + ", while orders go on changing",
            mend="page by what does not move (modified after a moment, by id within it), not by page number or offset",
        )

    def test_an_empty_page_leads_on(self, bench: ChannelBench) -> None:
        found, cursor = bench.poll(bench.start())
        require(
            not found,
            "of a shop without orders nothing is told",
            seen=f"{len(found)} orders came: {list(found)[:5]}",
            mend="start every case with an empty sandbox; read only what changed since the cursor",
        )
        placed = bench.place(1)
        later, _ = bench.poll(cursor)
        bench.expect_all(
            later,
            placed,
            promise="the cursor of an empty page reads on from there (OrderPage.cursor)",
            mend="an empty page moves the cursor at most to the vendor's now less 3 s, never past what is to come",
        )

    def test_no_second_is_read_before_it_is_over(self, bench: ChannelBench) -> None:
        cursor = bench.start()
        placed: list[str] = []
        found: dict[str, object] = {}
        for number in range(12):
            placed += bench.place(1)
            for page in bench.pages(cursor):
                found.update((order.order_id, order) for order in page.orders)
                cursor = page.cursor
            # As quick as polling may be: several times within one of the vendor's seconds.
            bench.clock.advance(0.3 if number % 3 else 0.0)
        later, _ = bench.poll(cursor)
        bench.expect_all(
            {**found, **later},
            placed,
            promise="orders are read up to the vendor's now less 3 s, so that no second is read before it is over",
            mend="end each page before http.vendor_now - 3 s and let the cursor stay there, or read the last second "
            "again",
        )

    def test_a_cursor_at_a_moment_reads_all_that_changed_since(self, bench: ChannelBench) -> None:
        bench.place(1)
        bench.clock.advance(3600)
        moment = bench.clock.now()
        placed = bench.place(2, apart_seconds=1)
        cursor = value(lambda: bench.polled.cursor_at(moment), "cursor_at(moment)")
        found, _ = bench.poll(cursor)
        bench.expect_all(
            found,
            placed,
            promise="cursor_at(moment) reads every order changed at or after the moment",
            mend="include the moment itself: vendors that take `modified after` mean later than it",
        )

    def test_a_cursor_of_something_else_is_rejected(self, bench: ChannelBench) -> None:
        for cursor in ("", "{}", "[]", "null", "\x00", "not a cursor", '{"since": 7}'):
            error_of(
                partial(bench.polled.orders, cursor),
                f"orders({cursor!r})",
                expected=Rejected,
                promise="a cursor that this connector never gave is refused: the same request fails again (Rejected)",
                mend="parse the cursor strictly and raise Rejected, saying that the channel has to be polled from anew",
            )

    def test_what_is_listed_late_is_named_by_recent(self, bench: ChannelBench) -> None:
        start, _ = bench.start(), bench.askable
        lags = bench.can(CanLag, "lag(seconds)")
        since = bench.began - timedelta(minutes=10)
        lags.lag(60)
        placed = bench.place(1)
        _, cursor = bench.poll(start)
        bench.clock.advance(120)
        found, _ = bench.poll(cursor)
        named = bench.recent(since)
        bench.expect_all(
            {**found, **named},
            placed,
            promise="Askable.recent names what changed in a stretch that polling has passed already, for what an index "
            "shows late",
            mend="read recent from the moment it is given, not from where polling stands",
        )
