"""Cases of asking for one order, and of what happens to orders after they were placed."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from connectors.contract import Gone
from connectors.testing.channels import ChannelBench
from connectors.testing.sandboxes import CanCancel, CanDelete, CanEdit, CanGiveBack, CanHideChanges, CanTouch, Sold
from connectors.testing.verdict import NotShown, require, value


class AskingCases:
    """`Askable`: order(order_id) and recent(since)."""

    def test_an_order_asked_for_is_the_one_of_the_page(self, bench: ChannelBench) -> None:
        start = bench.start()
        placed = bench.place(3, apart_seconds=1)
        found, _ = bench.poll(start)
        for order_id in placed:
            asked, paged = bench.order(order_id), found.get(order_id)
            require(
                paged is not None
                and (asked.lines, asked.revision, asked.placed_at) == (paged.lines, paged.revision, paged.placed_at),
                "a page and a look at one order agree: same lines, same revision",
                seen=f"order({order_id!r}) gave {asked}, the page {paged}",
                mend="read both by one function; where a list shows less than a single order, ask for each order",
            )
            require(
                asked.fetched_at is not None and abs(asked.fetched_at - bench.clock.now()) < timedelta(seconds=60),
                "Order.fetched_at is when the request that read it started, by our clock",
                seen=f"fetched_at is {asked.fetched_at}, the clock says {bench.clock.now()}",
                mend="take clock.now() before the request",
            )

    def test_recent_names_every_order_with_its_revision(self, bench: ChannelBench) -> None:
        placed = bench.place(2 * bench.sandbox.page_size + 1, apart_seconds=0.5)
        bench.clock.advance(5)
        named = bench.recent(bench.began)
        bench.expect_all(
            named,
            placed,
            promise="Askable.recent names every order changed at or after the moment",
            mend="follow the vendor's pages to the last, in an order that changes do not upset",
        )
        for order_id in placed[:3]:
            revision = bench.order(order_id).revision
            require(
                named[order_id] == revision,
                "Askable.recent gives the same revision as the order itself, so that only what is new is fetched",
                seen=f"recent says {named[order_id]} of order {order_id}, the order itself {revision}",
                mend="reckon the revision from the same field in both",
            )

    def test_an_order_that_is_not_there_is_gone(self, bench: ChannelBench) -> None:
        found = value(lambda: bench.askable.order(bench.sandbox.missing_order), "order(an id that no order has)")
        require(
            isinstance(found, Gone) and found.order_id == bench.sandbox.missing_order,
            "Gone is what the channel says of an order that does not exist",
            seen=f"order({bench.sandbox.missing_order!r}) gave {found!r:.200}",
            mend="map the vendor's own `no such order` to Gone",
        )

    def test_a_deleted_order_is_gone(self, bench: ChannelBench) -> None:
        askable, deletes = bench.askable, bench.can(CanDelete, "delete(order_id)")
        (order_id,) = bench.place(1)
        bench.order(order_id)
        deletes.delete(order_id)
        found = value(lambda: askable.order(order_id), "order(a deleted one)")
        require(
            isinstance(found, Gone),
            "Gone is what the channel says of an order that was deleted: its units come back",
            seen=f"order({order_id!r}) gave {found!r:.200} after it was deleted",
            mend="map the vendor's own `no such order` to Gone",
        )


class ChangeCases:
    """Whatever happens to an order, each way to read it says what the sandbox counts."""

    def test_a_revision_grows_with_every_change(self, bench: ChannelBench) -> None:
        touches = bench.can(CanTouch, "touch(order_id)")
        (order_id,) = bench.place(1)
        cursor, revision = bench.start(), -1
        hides = bench.sandbox.hides_changes if isinstance(bench.sandbox, CanHideChanges) else None
        for change in (None, touches.touch, touches.touch):
            if change is not None:
                bench.clock.advance(2)
                change(order_id)
            found, cursor = bench.poll(cursor)
            now = found[order_id].revision if order_id in found else -2
            require(
                now > revision or (hides and now == revision),
                "Order.revision grows whenever the order changes; the changed order is told again",
                seen=f"after a change the page told {found.get(order_id)}; the revision before was {revision}",
                mend="take the vendor's time of the last change, as fine as it is given, or its version",
            )
            revision = now
        if hides:
            raise NotShown(hides, lacks="revisions")

    def test_a_cancelled_order_commits_nothing(self, bench: ChannelBench) -> None:
        cancels = bench.can(CanCancel, "cancel(order_id)")
        self._changed(bench, [Sold("KIT-A", 3)], cancels.cancel)

    def test_a_line_edited_down_commits_what_is_left(self, bench: ChannelBench) -> None:
        edits = bench.can(CanEdit, "edit(order_id, sku, quantity)")
        self._changed(bench, [Sold("KIT-A", 3)], lambda order_id: edits.edit(order_id, "KIT-A", 1))

    def test_a_line_edited_up_commits_more(self, bench: ChannelBench) -> None:
        edits = bench.can(CanEdit, "edit(order_id, sku, quantity)")
        self._changed(bench, [Sold("KIT-A", 3)], lambda order_id: edits.edit(order_id, "KIT-A", 8))

    def test_a_line_edited_to_nothing_commits_nothing(self, bench: ChannelBench) -> None:
        edits = bench.can(CanEdit, "edit(order_id, sku, quantity)")
        self._changed(bench, [Sold("KIT-A", 3), Sold("KIT-B", 2)], lambda order_id: edits.edit(order_id, "KIT-A", 0))

    def test_units_that_came_back_are_not_committed(self, bench: ChannelBench) -> None:
        gives_back = bench.can(CanGiveBack, "give_back(order_id, sku, quantity)")
        self._changed(bench, [Sold("KIT-A", 5)], lambda order_id: gives_back.give_back(order_id, "KIT-A", 2))

    def test_units_that_came_back_in_turn_add_up(self, bench: ChannelBench) -> None:
        gives_back = bench.can(CanGiveBack, "give_back(order_id, sku, quantity)")

        def twice(order_id: str) -> None:
            gives_back.give_back(order_id, "KIT-A", 2)
            bench.clock.advance(1)
            gives_back.give_back(order_id, "KIT-A", 1)

        self._changed(bench, [Sold("KIT-A", 5)], twice)

    @staticmethod
    def _changed(bench: ChannelBench, lines: list[Sold], change: Callable[[str], None]) -> None:
        order_id = bench.sandbox.place(*lines)
        bench.clock.advance(2)
        before = dict(bench.sandbox.committed(order_id))
        change(order_id)
        require(
            dict(bench.sandbox.committed(order_id)) != before,
            "(of the sandbox) committed(order_id) shows what happened",
            seen=f"it still says {before}",
            mend="count in the sandbox as the vendor would: ordered less cancelled less restocked",
        )
        bench.read_everywhere(order_id)
