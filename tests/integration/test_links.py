"""Links, by import, export and correction: every rule on both databases."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from sqlalchemy import event, func, select, update

from connectors.contract import ListingState
from tests.world import CHANNEL, World
from worker.links import Correction, CorrectionRefusedError, Corrections, ImportResult, Links, LinkTableError
from worker.store.bulk import insert_rows
from worker.store.tables import (
    ChannelRow,
    JournalEntry,
    Link,
    ListingRow,
    OrderLineRow,
    OrderRow,
    OrderState,
    Pair,
    WaiveReason,
)


def links(world: World) -> Links:
    return Links(world.store, world.clock, world.services.anomalies)


def load(world: World, *rows: str, replace: bool = False, dry_run: bool = False) -> ImportResult:
    text = "\n".join(["channel,sku,listing_id,units,from", *rows])
    return links(world).import_csv(text, replace=replace, dry_run=dry_run)


def versions(world: World) -> list[tuple[str, str, int, datetime, datetime | None]]:
    rows = world.rows(Link.sku, Link.listing_id, Link.units, Link.from_at, Link.until_at)
    return sorted((tuple(row) for row in rows), key=lambda row: (row[0], row[1], row[3]))


def pairs_on(world: World, listing_id: str) -> list[tuple[str, int, int, int]]:
    with world.store.read() as transaction:
        rows = transaction.execute(
            select(OrderLineRow.line_id, Pair.committed, Pair.applied, Pair.waived)
            .join(OrderLineRow, OrderLineRow.id == Pair.line_row)
            .where(Pair.listing_id == listing_id)
            .order_by(Pair.id)
        )
        return [(row.line_id, row.committed, row.applied, row.waived) for row in rows]


def counted_from(world: World) -> datetime:
    found: datetime = world.rows(ChannelRow.counted_from)[0][0]
    return found


# --- a late link ------------------------------------------------------------------------------------------------


def test_a_link_added_late_makes_its_waiting_lines_due(world: World) -> None:
    world.listing("L", 10)
    world.sell("o1", {"A": 2})
    assert world.anomalies() == ["unlinked-sku"]

    result = load(world, f"{CHANNEL},A,L,1,")

    assert (result.lines_linked, result.due_units, result.listings_due) == (1, 2, 1)
    assert world.anomalies() == []
    world.reconcile()
    assert world.total("L") == 8
    world.assert_p1()


def test_a_late_link_counts_units_per_sale(world: World) -> None:
    world.listing("L", 20)
    world.sell("o1", {"SIX": 2})
    load(world, f"{CHANNEL},SIX,L,6,")
    world.reconcile()
    assert world.total("L") == 8


def test_a_kit_takes_from_every_listing(world: World) -> None:
    world.listing("L", 10)
    world.listing("M", 10)
    world.sell("o1", {"KIT": 3})
    load(world, f"{CHANNEL},KIT,L,1,", f"{CHANNEL},KIT,M,2,")
    world.reconcile()
    assert (world.total("L"), world.total("M")) == (7, 4)


def test_a_line_placed_before_the_start_is_waived_as_first_known(world: World) -> None:
    world.listing("L", 10)
    world.sell("o1", {"A": 2})
    world.pass_time(10)
    start = world.clock.now().isoformat()

    result = load(world, f"{CHANNEL},A,L,3,{start}")

    assert (result.due_units, result.waived_units) == (0, 6)
    assert world.pairs() == [("A", 6, 0, 6)]
    assert [(row.reason, row.units) for row in world.rows(JournalEntry.reason, JournalEntry.units) if row.reason] == [
        (WaiveReason.BEFORE_START, 6)
    ]


def test_what_an_order_gained_since_it_was_first_known_counts_despite_a_late_start(world: World) -> None:
    world.listing("L", 10)
    world.sell("o1", {"A": 2})
    world.pass_time(10)
    world.sell("o1", {"A": 5})
    world.pass_time(10)
    load(world, f"{CHANNEL},A,L,1,{world.clock.now().isoformat()}")
    assert world.pairs() == [("A", 5, 0, 2)]


def test_what_an_order_lost_before_the_link_is_not_waived_twice(world: World) -> None:
    world.listing("L", 10)
    world.sell("o1", {"A": 5})
    world.pass_time(10)
    world.sell("o1", {"A": 2})
    world.pass_time(10)
    load(world, f"{CHANNEL},A,L,1,{world.clock.now().isoformat()}")
    assert world.pairs() == [("A", 2, 0, 2)]


def test_by_default_a_link_begins_when_the_channel_began_to_count(world: World) -> None:
    world.listing("L", 10)
    load(world, f"{CHANNEL},A,L,1,")
    assert versions(world) == [("A", "L", 1, counted_from(world), None)]


# --- importing again --------------------------------------------------------------------------------------------


def test_importing_the_same_file_twice_changes_nothing(world: World) -> None:
    world.listing("L", 10)
    rows = [f"{CHANNEL},A,L,2,2026-01-01T00:00:00Z", f"{CHANNEL},B,L,,"]
    load(world, *rows)
    before = versions(world)
    world.pass_time(60)

    result = load(world, *rows, replace=True)

    assert (result.begun, result.ended, result.unchanged, result.kept_starts) == ([], [], 2, [])
    assert versions(world) == before


def test_what_is_exported_can_be_imported_without_any_change(world: World) -> None:
    world.listing("L", 10)
    load(world, f'{CHANNEL},"A ""b"", c",L,2,', f"{CHANNEL}, spaced ,L,1,2026-01-01T00:00:00+02:00")
    text = links(world).export_csv()
    result = links(world).import_csv(text, replace=True)
    assert (result.begun, result.ended, result.unchanged) == ([], [], 2)
    assert {row[0] for row in versions(world)} == {'A "b", c', " spaced "}


def test_changed_units_end_the_old_version_now_and_past_lines_keep_their_pair(world: World) -> None:
    world.listing("L", 20)
    load(world, f"{CHANNEL},A,L,1,")
    world.sell("o1", {"A": 2})
    world.pass_time(60)
    now = world.clock.now()

    load(world, f"{CHANNEL},A,L,6,")
    world.pass_time(60)
    world.sell("o2", {"A": 1})

    assert versions(world) == [("A", "L", 1, counted_from(world), now), ("A", "L", 6, now, None)]
    assert world.pairs() == [("A", 2, 0, 0), ("A", 6, 0, 0)]
    world.sell("o1", {"A": 3})
    assert world.pairs()[0] == ("A", 3, 0, 0)


def test_replace_ends_the_links_that_the_file_does_not_name(world: World) -> None:
    world.listing("L", 20)
    world.listing("M", 20)
    load(world, f"{CHANNEL},A,L,1,", f"{CHANNEL},B,L,1,")
    world.pass_time(60)
    load(world, f"{CHANNEL},B,L,1,", replace=True)
    world.pass_time(60)
    world.sell("o1", {"A": 1, "B": 1})
    assert [row[0] for row in world.pairs()] == ["B"]
    assert world.anomalies() == ["unlinked-sku"]


def test_without_replace_links_that_the_file_does_not_name_stay(world: World) -> None:
    world.listing("L", 20)
    load(world, f"{CHANNEL},A,L,1,", f"{CHANNEL},B,L,1,")
    assert load(world, f"{CHANNEL},B,L,1,").ended == []


def test_a_sku_that_changes_hands_counts_for_the_new_listing_from_now_on_only(world: World) -> None:
    world.listing("L", 20)
    world.listing("M", 20)
    load(world, f"{CHANNEL},A,L,1,")
    world.sell("o1", {"A": 2})
    world.reconcile()
    world.pass_time(60)

    load(world, f"{CHANNEL},A,M,1,", replace=True)
    world.pass_time(60)
    world.sell("o2", {"A": 3})
    world.reconcile()

    assert (world.total("L"), world.total("M")) == (18, 17)
    world.assert_p1()


def test_a_line_that_was_sold_while_nothing_was_linked_is_taken_when_the_link_comes_back(world: World) -> None:
    world.listing("L", 20)
    load(world, f"{CHANNEL},A,L,1,", f"{CHANNEL},B,L,1,")
    world.pass_time(60)
    load(world, f"{CHANNEL},B,L,1,", replace=True)
    world.pass_time(60)
    world.sell("o1", {"A": 4})
    world.pass_time(60)
    assert load(world, f"{CHANNEL},A,L,1,").lines_linked == 1
    world.reconcile()
    assert world.total("L") == 16


def test_another_start_for_a_link_in_force_is_told_and_not_obeyed(world: World) -> None:
    world.listing("L", 10)
    load(world, f"{CHANNEL},A,L,1,")
    result = load(world, f"{CHANNEL},A,L,1,2020-01-01T00:00:00Z")
    assert [(kept.sku, kept.kept) for kept in result.kept_starts] == [("A", counted_from(world))]
    assert len(versions(world)) == 1


def test_a_dry_run_says_what_would_be_done_and_changes_nothing(world: World) -> None:
    world.listing("L", 10)
    world.sell("o1", {"A": 2})
    result = load(world, f"{CHANNEL},A,L,1,", dry_run=True)
    assert (result.dry_run, result.lines_linked, result.due_units) == (True, 1, 2)
    assert (versions(world), world.pairs(), world.anomalies()) == ([], [], ["unlinked-sku"])


def test_a_link_that_never_came_into_force_goes_without_a_trace(world: World) -> None:
    world.listing("L", 10)
    later = (world.clock.now() + timedelta(days=1)).isoformat()
    load(world, f"{CHANNEL},A,L,1,{later}", f"{CHANNEL},B,L,1,")
    load(world, f"{CHANNEL},B,L,1,", replace=True)
    assert [row[0] for row in versions(world)] == ["B"]


def test_orders_and_links_may_come_in_either_order(world: World) -> None:
    world.listing("L", 50)
    load(world, f"{CHANNEL},FIRST,L,2,")
    world.sell("o1", {"FIRST": 1, "LAST": 1})
    load(world, f"{CHANNEL},LAST,L,2,")
    assert sorted(row[1:] for row in world.pairs()) == [(2, 0, 0), (2, 0, 0)]


# --- what is refused --------------------------------------------------------------------------------------------


def test_all_problems_of_a_file_are_listed_and_nothing_of_it_is_imported(world: World) -> None:
    world.listing("L", 10)
    world.listing("OTHERS", 10, seller="s2")
    world.listing("GONE", 10)
    with world.store.write() as transaction:
        transaction.execute(update(ChannelRow).values(seller_id="s1"))
        transaction.execute(
            update(ListingRow).where(ListingRow.listing_id == "GONE").values(state=ListingState.DELETED)
        )
    with pytest.raises(LinkTableError) as refused:
        load(
            world,
            f"{CHANNEL},OK,L,1,",
            "nowhere,A,L,1,",
            f"{CHANNEL},A,MISSING,1,",
            f"{CHANNEL},A,OTHERS,1,",
            f"{CHANNEL},A,GONE,1,",
            f"{CHANNEL},B,L,0,",
            f"{CHANNEL},C,L,1,yesterday",
            f"{CHANNEL},OK,L,1,",
        )
    assert [problem.line for problem in refused.value.problems] == [3, 4, 5, 6, 7, 8, 9]
    text = str(refused.value)
    for remedy in (f"Known are: {CHANNEL}", "trueup sweep", "any_seller", "deleted", "whole number", "2026-11-01"):
        assert remedy in text
    assert versions(world) == []


def test_units_beyond_64_bits_are_refused_with_their_line(world: World) -> None:
    world.listing("L", 10)
    world.sell("o1", {"A": 3})
    with pytest.raises(LinkTableError, match=r"line 2: SKU 'A': 3 x 9223372036854775807"):
        load(world, f"{CHANNEL},A,L,9223372036854775807,")
    assert (versions(world), world.pairs()) == ([], [])


# --- many -------------------------------------------------------------------------------------------------------


def test_thousands_of_waiting_lines_are_linked_in_few_statements(world: World) -> None:
    """Counted, not timed: statements must not grow with the lines."""
    skus, lines_each = 600, 5
    world.listing("L", 10)
    now = world.clock.now()
    with world.store.write() as transaction:
        order = {
            "channel": CHANNEL,
            "order_id": "bulk",
            "state": OrderState.OPEN,
            "revision": 1,
            "digest": "",
            "first_seen_at": now,
            "correlation_id": "c",
        }
        insert_rows(transaction, OrderRow, [order])
        row = transaction.scalar(select(OrderRow.id).where(OrderRow.order_id == "bulk"))
        insert_rows(
            transaction,
            OrderLineRow,
            [
                {
                    "order_row": row,
                    "channel": CHANNEL,
                    "line_id": f"{sku}-{line}",
                    "item_key": f"S{sku}",
                    "sku": f"S{sku}",
                    "committed": 1,
                    "first_committed": 1,
                    "placed_at": now,
                    "linked": False,
                }
                for sku in range(skus)
                for line in range(lines_each)
            ],
        )
    statements: list[str] = []

    @event.listens_for(world.store.engine, "before_cursor_execute")
    def _count(_c: object, _cursor: object, statement: str, *_rest: object) -> None:
        statements.append(statement)

    result = load(world, *(f"{CHANNEL},S{sku},L,1," for sku in range(skus)))

    assert (result.lines_linked, result.due_units) == (skus * lines_each, skus * lines_each)
    assert len(statements) < 60
    assert world.rows(func.count(Pair.id))[0][0] == skus * lines_each


def test_more_of_a_line_without_a_link_is_told_again_when_it_had_been_cancelled(world: World) -> None:
    world.sell("1", {"A": 0})
    assert world.anomalies() == []
    for committed, told in ((2, ["unlinked-sku"]), (0, []), (1, ["unlinked-sku"])):
        world.pass_time(60)
        world.sell("1", {"A": committed})
        assert world.anomalies() == told


# --- corrections ------------------------------------------------------------------------------------------------


def corrections(world: World) -> Corrections:
    return Corrections(world.store, world.clock)


def test_a_correction_gives_back_on_the_one_and_takes_on_the_other(world: World) -> None:
    world.listing("L", 10)
    world.listing("M", 10)
    load(world, f"{CHANNEL},A,L,1,")
    world.sell("o1", {"A": 3})
    world.reconcile()
    wanted = Correction(CHANNEL, "A", "L", "M")

    shown = corrections(world).plan(wanted)
    assert (shown.units_given_back, shown.units_taken) == (3, 3)
    assert (world.total("L"), versions(world)[0][1]) == (7, "L")

    made = corrections(world).make(wanted, by="ada")
    world.reconcile()

    assert made.lines == shown.lines
    assert (world.total("L"), world.total("M")) == (10, 7)
    assert versions(world) == [("A", "M", 1, counted_from(world), None)]
    assert (pairs_on(world, "L"), pairs_on(world, "M")) == ([("A", 0, 0, 0)], [("A", 3, 3, 0)])
    assert any("corrected by ada" in (row.note or "") for row in world.rows(JournalEntry.note))
    world.assert_p1()


def test_a_later_change_of_a_corrected_order_counts_on_the_new_listing_alone(world: World) -> None:
    world.listing("L", 10)
    world.listing("M", 10)
    load(world, f"{CHANNEL},A,L,1,")
    world.sell("o1", {"A": 3})
    world.reconcile()
    corrections(world).make(Correction(CHANNEL, "A", "L", "M"), by="ada")
    world.pass_time(60)
    world.sell("o1", {"A": 5})
    world.reconcile()
    assert (world.total("L"), world.total("M")) == (10, 5)
    world.assert_p1()


def test_an_order_that_is_first_seen_after_a_correction_counts_as_the_corrected_ones(world: World) -> None:
    world.listing("L", 10)
    world.listing("M", 10)
    load(world, f"{CHANNEL},A,L,1,")
    placed = world.clock.now() + timedelta(seconds=1)
    world.pass_time(60)
    corrections(world).make(Correction(CHANNEL, "A", "L", "M"), by="ada")
    world.sell("late", {"A": 2}, placed_at=placed)
    world.reconcile()
    assert (world.total("L"), world.total("M")) == (10, 8)


def test_lines_corrected_away_count_again_once_their_sku_is_linked_to_that_listing_too(world: World) -> None:
    world.listing("L", 10)
    world.listing("M", 10)
    load(world, f"{CHANNEL},A,L,1,")
    world.sell("o1", {"A": 1})
    world.reconcile()
    corrections(world).make(Correction(CHANNEL, "A", "L", "M"), by="ada")
    result = load(world, f"{CHANNEL},A,M,1,", f"{CHANNEL},A,L,6,")
    assert result.due_units == 5
    world.reconcile()
    assert (world.total("L"), world.total("M")) == (4, 9)
    assert (pairs_on(world, "L"), pairs_on(world, "M")) == ([("A", 6, 6, 0)], [("A", 1, 1, 0)])
    world.pass_time(60)
    world.sell("o1", {"A": 0})
    world.reconcile()
    assert (world.total("L"), world.total("M")) == (10, 10)
    world.assert_p1()


def test_a_correction_made_twice_finds_nothing_to_do(world: World) -> None:
    world.listing("L", 10)
    world.listing("M", 10)
    load(world, f"{CHANNEL},A,L,1,")
    world.sell("o1", {"A": 3})
    corrections(world).make(Correction(CHANNEL, "A", "L", "M"), by="ada")
    with pytest.raises(CorrectionRefusedError, match="neither a link"):
        corrections(world).make(Correction(CHANNEL, "A", "L", "M"), by="ada")
    world.reconcile()
    assert (world.total("L"), world.total("M")) == (10, 7)


def test_a_correction_can_be_corrected_back(world: World) -> None:
    world.listing("L", 10)
    world.listing("M", 10)
    load(world, f"{CHANNEL},A,L,1,")
    world.sell("o1", {"A": 3})
    world.reconcile()
    corrections(world).make(Correction(CHANNEL, "A", "L", "M"), by="ada")
    world.reconcile()
    corrections(world).make(Correction(CHANNEL, "A", "M", "L"), by="ada")
    world.reconcile()
    assert (world.total("L"), world.total("M")) == (7, 10)
    world.assert_p1()


def test_a_correction_of_units_alone(world: World) -> None:
    world.listing("L", 20)
    load(world, f"{CHANNEL},SIX,L,1,")
    world.sell("o1", {"SIX": 2})
    world.reconcile()
    plan = corrections(world).make(Correction(CHANNEL, "SIX", "L", "L", units=6), by="ada")
    world.reconcile()
    assert (plan.units_taken, world.total("L")) == (10, 8)
    assert versions(world) == [("SIX", "L", 6, counted_from(world), None)]
    world.assert_p1()


def test_a_correction_reaches_only_lines_placed_since(world: World) -> None:
    world.listing("L", 10)
    world.listing("M", 10)
    load(world, f"{CHANNEL},A,L,1,")
    world.sell("o1", {"A": 3})
    world.pass_time(60)
    since = world.clock.now()
    world.sell("o2", {"A": 2})
    world.reconcile()
    corrections(world).make(Correction(CHANNEL, "A", "L", "M", placed_since=since), by="ada")
    world.reconcile()
    assert (world.total("L"), world.total("M")) == (7, 8)
    assert versions(world) == [("A", "L", 1, counted_from(world), since), ("A", "M", 1, since, None)]


def test_units_from_before_the_start_stay_waived_through_a_correction(world: World) -> None:
    world.listing("L", 10)
    world.listing("M", 10)
    world.sell("o1", {"A": 4})
    world.pass_time(60)
    load(world, f"{CHANNEL},A,L,1,{world.clock.now().isoformat()}")
    corrections(world).make(Correction(CHANNEL, "A", "L", "M", units=2), by="ada")
    assert (pairs_on(world, "L"), pairs_on(world, "M")) == ([("A", 0, 0, 0)], [("A", 8, 0, 8)])


def test_a_correction_after_the_link_was_replaced_moves_the_past(world: World) -> None:
    world.listing("L", 10)
    world.listing("M", 10)
    load(world, f"{CHANNEL},A,L,1,")
    world.sell("o1", {"A": 3})
    world.reconcile()
    world.pass_time(60)
    load(world, f"{CHANNEL},A,M,1,", replace=True)
    corrections(world).make(Correction(CHANNEL, "A", "L", "M"), by="ada")
    world.reconcile()
    assert (world.total("L"), world.total("M")) == (10, 7)
    world.assert_p1()


def test_an_order_line_that_counts_there_already_needs_its_units_said(world: World) -> None:
    world.listing("L", 10)
    world.listing("M", 10)
    load(world, f"{CHANNEL},A,L,1,", f"{CHANNEL},A,M,1,")
    world.sell("o1", {"A": 3})
    with pytest.raises(CorrectionRefusedError, match="--units"):
        corrections(world).plan(Correction(CHANNEL, "A", "L", "M"))
    corrections(world).make(Correction(CHANNEL, "A", "L", "M", units=2), by="ada")
    world.reconcile()
    assert (world.total("L"), world.total("M")) == (10, 4)


@pytest.mark.parametrize(
    ("correction", "said"),
    [
        (Correction("nowhere", "A", "L", "M"), f"Known are: {CHANNEL}"),
        (Correction(CHANNEL, "A", "L", "MISSING"), "trueup sweep"),
        (Correction(CHANNEL, "A", "L", "OTHERS"), "any_seller"),
        (Correction(CHANNEL, "A", "L", "L"), "--units"),
        (Correction(CHANNEL, "NEVER-SOLD", "L", "M"), "neither a link"),
    ],
)
def test_an_impossible_correction_says_what_to_do(world: World, correction: Correction, said: str) -> None:
    world.listing("L", 10)
    world.listing("M", 10)
    world.listing("OTHERS", 10, seller="s2")
    with world.store.write() as transaction:
        transaction.execute(update(ChannelRow).values(seller_id="s1"))
    load(world, f"{CHANNEL},A,L,1,")
    with pytest.raises(CorrectionRefusedError, match=said):
        corrections(world).make(correction, by="ada")
