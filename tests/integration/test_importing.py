"""Importing files of orders: the same upsert as deliveries and polls, each order whole, each listing written once."""

from __future__ import annotations

import io
import random
from collections.abc import Iterator
from typing import Any, BinaryIO

import pytest

from connectors.budget import LocalBudgets
from connectors.contract import FileEntry, Order, OrderLine
from connectors.http import Toolbox
from connectors.standard import StandardChannel, StandardSettings
from tests.world import CHANNEL, World
from worker.intake import importing
from worker.store import StorageUnavailable
from worker.store.tables import ListingRow, OrderRow, OrderState

HEADER = "order_id,version,placed_at,sku,quantity,restocked"


def csv(world: World, *rows: str) -> bytes:
    """Rows of `order,version,sku,quantity,restocked`, placed now."""
    now = world.clock.now().isoformat()
    lines = [HEADER]
    for row in rows:
        order, version, rest = row.split(",", 2)
        lines.append(f"{order},{version},{now},{rest}")
    return "\n".join(lines).encode()


def bring(world: World, content: bytes, *, dry_run: bool = False) -> importing.Imported:
    tools = Toolbox(clock=world.clock, budgets=LocalBudgets(world.clock), random=random.Random(1))
    till = StandardChannel(CHANNEL, StandardSettings(), tools)
    return world.services.importer.import_orders(CHANNEL, till, io.BytesIO(content), dry_run=dry_run)


def states(world: World) -> dict[str, OrderState]:
    return {row.order_id: row.state for row in world.rows(OrderRow.order_id, OrderRow.state)}


@pytest.fixture
def stocked(world: World) -> World:
    world.listing(total=100)
    world.link()
    return world


def test_a_file_is_taken_from_the_listing_once_however_often_it_is_imported(stocked: World) -> None:
    content = csv(stocked, "1,1,A,3,0", "2,1,A,4,1")
    assert bring(stocked, content).taken == 2
    stocked.reconcile()
    assert (stocked.total(), stocked.marketplace.count("adjust")) == (94, 1)
    again = bring(stocked, content)
    assert (again.taken, again.unchanged, again.problems) == (0, 2, [])
    stocked.reconcile()
    assert (stocked.total(), stocked.marketplace.count("adjust")) == (94, 1)
    newer = bring(stocked, csv(stocked, "1,2,A,3,3", "2,0,A,9,0"))
    assert (newer.taken, newer.unchanged) == (1, 1)
    stocked.reconcile()
    assert stocked.total() == 97
    stocked.assert_p1()


def test_file_and_message_meet_in_the_same_upsert(stocked: World) -> None:
    placed_at = stocked.clock.now()
    stocked.deliver(Order("1", 1, placed_at, (OrderLine("A", "A", "A", 3),), revision_is_exact=True))
    result = bring(stocked, csv(stocked, "1,1,A,3,0"))
    assert (result.taken, result.unchanged, result.not_taken) == (0, 0, 1)
    assert states(stocked) == {"1": OrderState.PARKED}, "a message of the double names another item"
    assert bring(stocked, csv(stocked, "1,2,A,4,0")).taken == 1
    stocked.reconcile()
    assert stocked.total() == 96


def test_a_dry_run_counts_and_changes_nothing(stocked: World) -> None:
    content = csv(stocked, "1,1,A,3,0", "2,1,A,4,0", "2,1,A,x,0")
    result = bring(stocked, content, dry_run=True)
    assert (result.orders, result.taken, result.not_taken) == (1, 1, 1)
    assert states(stocked) == {}
    bring(stocked, content)
    assert bring(stocked, content, dry_run=True).unchanged == 1
    assert bring(stocked, csv(stocked, "1,1,A,5,0"), dry_run=True).not_taken == 1
    assert states(stocked) == {"1": OrderState.OPEN}
    assert stocked.anomalies() == []


def test_listings_are_due_when_the_whole_file_is_in(stocked: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importing, "BATCH_ORDERS", 2)
    due: list[bool] = []
    now = stocked.clock.now()

    def look(_line: int) -> None:
        (row,) = stocked.rows(ListingRow.next_attempt_at)
        due.append(row.next_attempt_at is not None and row.next_attempt_at <= now)

    tools = Toolbox(clock=stocked.clock, budgets=LocalBudgets(stocked.clock), random=random.Random(1))
    till = StandardChannel(CHANNEL, StandardSettings(), tools)
    content = io.BytesIO(csv(stocked, *(f"{number},1,A,1,0" for number in range(7))))
    stocked.services.importer.import_orders(CHANNEL, till, content, on_line=look)
    assert due == [False] * 7
    stocked.reconcile()
    assert (stocked.total(), stocked.marketplace.count("adjust")) == (93, 1)


def test_an_order_of_too_many_units_is_told_and_its_batch_is_taken(stocked: World) -> None:
    stocked.link("B", units=1000)
    result = bring(stocked, csv(stocked, "1,1,A,1,0", f"2,1,B,{2**62},0", "3,1,A,2,0"))
    assert (result.taken, [(one.line, one.order_id) for one in result.problems]) == (2, [(3, "2")])
    assert "more than a quantity can hold" in result.problems[0].problem
    stocked.reconcile()
    assert stocked.total() == 97


def test_an_import_that_was_cut_short_goes_on_where_it_must(stocked: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importing, "BATCH_ORDERS", 2)
    content = csv(stocked, *(f"{number},1,A,1,0" for number in range(6)))
    take_in, calls = stocked.services.intake.take_in, iter((True, False))

    def failing(*arguments: Any, **named: Any) -> Any:
        if not next(calls):
            raise StorageUnavailable("gone")
        return take_in(*arguments, **named)

    with monkeypatch.context() as broken:
        broken.setattr(stocked.services.intake, "take_in", failing)
        with pytest.raises(StorageUnavailable):
            bring(stocked, content)
    stocked.reconcile()
    assert stocked.total() == 98, "what was taken in is not held back"
    result = bring(stocked, content)
    assert (result.taken, result.unchanged) == (4, 2)
    stocked.reconcile()
    assert stocked.total() == 94
    stocked.assert_p1()


def test_a_batch_that_fails_for_no_known_reason_lets_its_neighbours_through(
    stocked: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    take_in = stocked.services.intake.take_in

    def failing(transaction: Any, channel: str, orders: Any, *arguments: Any, **named: Any) -> Any:
        if any(order.order_id == "2" for order in orders):
            raise RuntimeError("a bug")
        return take_in(transaction, channel, orders, *arguments, **named)

    monkeypatch.setattr(stocked.services.intake, "take_in", failing)
    result = bring(stocked, csv(stocked, "1,1,A,1,0", "2,1,A,1,0", "3,1,A,1,0"))
    assert (result.taken, [(one.order_id, one.problem) for one in result.problems]) == (
        2,
        [("2", "RuntimeError: a bug")],
    )


def test_problems_beyond_a_bound_are_counted(stocked: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importing, "MOST_PROBLEMS", 3)
    result = bring(stocked, csv(stocked, *(f"{number},1,A,x,0" for number in range(9))))
    assert (result.not_taken, len(result.problems)) == (9, 3)


class Repeating:
    """A channel whose file tells one order twice in a batch, the second time with another content."""

    def check(self) -> Any:
        return []

    def read_file(self, file: BinaryIO) -> Iterator[FileEntry]:
        placed_at = file.placed_at  # type: ignore[attr-defined]
        for line, units in ((2, 3), (3, 4)):
            order = Order("1", 1, placed_at, (OrderLine("A", "A", "A", units),), revision_is_exact=True)
            yield FileEntry(line, order, line + 1, 10 * line)


def test_two_contents_of_one_version_in_one_file_are_told(stocked: World) -> None:
    file = io.BytesIO()
    file.placed_at = stocked.clock.now()  # type: ignore[attr-defined]
    result = stocked.services.importer.import_orders(CHANNEL, Repeating(), file)
    assert (result.taken, result.not_taken) == (1, 1)
    stocked.reconcile()
    assert (stocked.total(), stocked.anomalies()) == (97, ["parked-order"])
