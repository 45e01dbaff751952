from __future__ import annotations

from worker.demo.replay import (
    GiveBack,
    LineKey,
    PlaceOrder,
    Replay,
    Sold,
    one_order_for_each_line,
    plan,
    whole_orders_only,
)
from worker.demo.sales import SalesLine


def planned(*rows: tuple[str, str, int], limit: int = 0) -> Replay:
    return plan([SalesLine(*row) for row in rows], limit=limit)


def committed(replay: Replay) -> list[int]:
    return [replay.committed[key] for key in sorted(replay.committed, key=lambda key: (key.order, key.position))]


def test_an_invoice_is_an_order_with_positioned_lines() -> None:
    replay = planned(("1", "A", 2), ("1", "B", 3), ("2", "A", 1))

    assert replay.steps == [
        PlaceOrder(0, "1", [Sold("A", 2), Sold("B", 3)]),
        PlaceOrder(1, "2", [Sold("A", 1)]),
    ]
    assert replay.orders == 2
    assert replay.units_committed == 6


def test_identical_lines_of_an_order_are_told_apart_by_position() -> None:
    replay = planned(("1", "A", 2), ("1", "A", 2), ("C1", "A", -3))

    assert replay.committed == {LineKey(0, 0): 1, LineKey(0, 1): 0}


def test_codes_that_differ_only_by_case_are_different_skus() -> None:
    replay = planned(("1", "85123A", 5), ("1", "85123a", 7), ("C1", "85123a", -2))

    assert replay.committed_by_sku() == {"85123A": 5, "85123a": 5}


def test_a_cancellation_walks_back_over_earlier_orders_the_latest_first() -> None:
    replay = planned(("1", "A", 5), ("2", "A", 4), ("3", "B", 9), ("C4", "A", -6))

    assert committed(replay) == [3, 0, 9]
    assert replay.steps[3:] == [GiveBack(1, ((0, 4),)), GiveBack(0, ((0, 2),))]


def test_a_cancellation_takes_nothing_from_later_orders() -> None:
    replay = planned(("1", "A", 5), ("C2", "A", -7), ("3", "A", 4))

    assert committed(replay) == [0, 4]
    assert (replay.unmatched_units, replay.unmatched_lines) == (2, 1)


def test_what_was_given_back_once_is_not_given_back_again() -> None:
    replay = planned(("1", "A", 5), ("C2", "A", -3), ("C3", "A", -3))

    assert committed(replay) == [0]
    assert replay.unmatched_units == 1


def test_units_without_an_earlier_order_are_counted_as_unmatched() -> None:
    replay = planned(("C1", "A", -2), ("C1", "B", -3), ("2", "A", 1))

    assert (replay.unmatched_units, replay.unmatched_lines) == (5, 2)
    assert [type(step) for step in replay.steps] == [PlaceOrder]


def test_lines_of_one_cancellation_become_one_refund_for_each_order() -> None:
    replay = planned(("1", "A", 5), ("1", "B", 5), ("2", "A", 5), ("C3", "A", -1), ("C3", "B", -2), ("C3", "A", -2))

    assert replay.steps[2:] == [GiveBack(1, ((0, 3),)), GiveBack(0, ((1, 2),))]


def test_codes_that_are_no_products_are_left_out_and_counted() -> None:
    replay = planned(("1", "POST", 1), ("1", "A", 2), ("C2", "D", -1), ("3", "BANK CHARGES", 1))

    assert (replay.not_products, replay.orders, committed(replay)) == (3, 1, [2])


def test_write_offs_are_left_out_and_counted() -> None:
    replay = planned(("1", "A", 5), ("2", "A", -3), ("C3", "A", -1))

    assert (replay.write_offs, committed(replay)) == (1, [4])


def test_the_limit_counts_lines_that_are_sold() -> None:
    replay = planned(("1", "A", 5), ("1", "POST", 1), ("C2", "A", -1), ("3", "A", 2), ("4", "A", 3), limit=2)

    assert committed(replay) == [4, 2]


def test_what_comes_after_the_limit_gives_nothing_back() -> None:
    replay = planned(("1", "A", 5), ("C2", "A", -1), limit=1)

    assert committed(replay) == [5]


def test_an_invoice_that_comes_in_pieces_is_one_order() -> None:
    replay = planned(("1", "A", 1), ("2", "B", 2), ("1", "C", 3))

    assert replay.steps == [PlaceOrder(0, "1", [Sold("A", 1), Sold("C", 3)]), PlaceOrder(1, "2", [Sold("B", 2)])]


def test_a_shop_that_takes_back_whole_orders_only_keeps_the_rest_sold() -> None:
    planned = plan(
        [
            SalesLine("1", "A", 2),
            SalesLine("1", "B", 1),
            SalesLine("2", "C", 5),
            SalesLine("C3", "A", -2),
            SalesLine("C4", "C", -1),
            SalesLine("C5", "B", -1),
        ]
    )

    whole = whole_orders_only(planned)

    assert [step for step in whole.steps if isinstance(step, GiveBack)] == [GiveBack(0, ((0, 2), (1, 1)))]
    assert whole.committed == {LineKey(0, 0): 0, LineKey(0, 1): 0, LineKey(1, 0): 5}
    assert (whole.inexpressible_units, planned.inexpressible_units) == (1, 0)


def test_a_shop_whose_orders_have_one_line_gets_an_order_for_each() -> None:
    planned = plan([SalesLine("1", "A", 2), SalesLine("1", "B", 1), SalesLine("2", "C", 5), SalesLine("C3", "A", -1)])

    single = one_order_for_each_line(planned)

    assert [step.lines for step in single.steps if isinstance(step, PlaceOrder)] == [
        (Sold("A", 2),),
        (Sold("B", 1),),
        (Sold("C", 5),),
    ]
    assert [step for step in single.steps if isinstance(step, GiveBack)] == [GiveBack(0, ((0, 1),))]
    assert single.committed == {LineKey(0, 0): 1, LineKey(1, 0): 1, LineKey(2, 0): 5}
    assert single.orders == 3
