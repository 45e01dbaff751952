from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from connectors.contract import MAX_QUANTITY, Order
from connectors.errors import Unreadable
from connectors.woocommerce.orders import Rules, committed_units, from_row, moment_of, units_of
from connectors.woocommerce.shapes import OrderRow, RefundRow
from tests.unit.connectors.woocommerce.vendor import NOW, line, order, refund, settings

RULES = Rules.of(settings())
WITHOUT_ACCOUNT = Rules.of(settings(use_reduced_stock=False))


def read(row: dict[str, Any], *refunds: dict[str, Any], **changes: Any) -> Order:
    rules = Rules.of(settings(**changes))
    parsed = msgspec.convert(list(refunds), list[RefundRow])
    return from_row(msgspec.convert(row, OrderRow), parsed, rules, fetched_at=NOW)


def units(found: Order) -> list[int]:
    return [one.committed for one in found.lines]


# The rule ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "account", "refunded", "committed"),
    [
        # The shop's own account is the last word, whatever the status says.
        ("processing", 3, 0, 3),
        ("processing", 2, 1, 2),
        ("processing", 3, 1, 3),  # refunded without restock
        ("processing", 0, 3, 0),  # refunded with restock, all of it
        ("failed", 3, 0, 3),  # was on hold
        ("refunded", 3, 0, 3),  # by hand: nothing came back
        ("cancelled", 3, 0, 3),  # read before the shop gave it back
        ("wc-shipped", 3, 0, 3),
        ("processing", 5, 0, 5),  # changed behind its back
        # Without one the status is.
        ("processing", None, 0, 3),
        ("completed", None, 0, 3),
        ("on-hold", None, 0, 3),
        ("processing", None, 1, 2),
        ("completed", None, 3, 0),
        ("completed", None, 4, 0),
        ("pending", None, 0, 0),
        ("checkout-draft", None, 0, 0),
        ("auto-draft", None, 0, 0),
        ("cancelled", None, 0, 0),
        ("failed", None, 0, 0),
        ("refunded", None, 0, 0),
        ("trash", None, 0, 0),
    ],
)
def test_what_a_line_commits(status: str, account: int | None, refunded: int, committed: int) -> None:
    found = committed_units(ordered=3, account=account, refunded=refunded, status=status, rules=RULES)
    assert found == committed


def test_a_status_that_no_rule_knows_is_not_guessed() -> None:
    with pytest.raises(ValueError, match=r"'wc-shipped'.*committing_statuses"):
        committed_units(ordered=3, account=None, refunded=0, status="wc-shipped", rules=RULES)


def test_an_order_refunded_by_hand_commits_where_the_shop_says_so() -> None:
    statuses = {
        "committing_statuses": ["processing", "completed", "on-hold", "refunded"],
        "releasing_statuses": ["pending", "cancelled", "failed"],
    }
    assert units(read(order(1, line(), status="refunded", refunds=[7]), refund(7), **statuses)) == [3]


# Reading ----------------------------------------------------------------------------------------------------------


def test_an_order_is_read() -> None:
    row = order(727, line(11, 2, "2"), line(12, 1, sku="", product_id=5, variation_id=77), line(13, 4, sku=None))
    found = read(row)
    assert (found.order_id, found.revision, found.excluded) == ("727", 1795258800, None)
    assert found.placed_at == datetime(2026, 11, 20, 9, 30, tzinfo=UTC)
    assert found.fetched_at == NOW
    assert [(one.line_id, one.sku, one.item_key, one.committed) for one in found.lines] == [
        ("11", "SKU-11", "93", 2),
        ("12", None, "77", 1),
        ("13", None, "93", 4),
    ]


def test_a_line_whose_product_is_gone_is_named_by_its_sku_or_not_at_all() -> None:
    found = read(order(1, line(11, product_id=0), line(12, product_id=0, sku=None)))
    assert [one.item_key for one in found.lines] == ["SKU-11", ""]


@pytest.mark.parametrize(
    ("value", "expected"),
    [("3", 3), (3, 3), ("3.0", 3), (3.0, 3), ("0", 0), (" 2 ", 2), (str(MAX_QUANTITY), MAX_QUANTITY), (-2, -2)],
    ids=repr,
)
def test_whole_units_come_in_many_forms(value: Any, expected: int) -> None:
    assert units_of(value, "x") == expected


@pytest.mark.parametrize(
    "value",
    [
        "",
        "x",
        "1.5",
        1.5,
        True,
        None,
        [],
        {},
        "1e3",
        "\u0663",
        "3,0",
        float("nan"),
        float("inf"),
        1e30,
        "9" * 19,
        "9" * 400,
    ],
    ids=repr,
)
def test_what_is_no_whole_number_of_units_is_refused(value: Any) -> None:
    with pytest.raises(ValueError, match="x is"):
        units_of(value, "x")


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        "2026-11-21",
        "2026-11-21T11:00:00Z",
        "2026-11-21T11:00:00+02:00",
        "2026-13-21T11:00:00",
        "0000-00-00T00:00:00",
        "0001-01-01T00:00:00",
        "9999-01-01T00:00:00",
    ],
)
def test_a_moment_of_another_form_is_refused(text: str | None) -> None:
    with pytest.raises(ValueError, match=r"."):
        moment_of(text, "date_modified_gmt")


@pytest.mark.parametrize(
    ("row", "why"),
    [
        (order(1, line(11, 1.5)), "the quantity of line 11 is not a whole number"),
        (order(1, line(11, -1)), "the quantity of line 11 is below zero"),
        (order(1, line(11, 3, "many")), "_reduced_stock is not a whole number"),
        (order(1, line(11, 3, "-1")), "below zero"),
        (order(1, line(11), line(11)), "lists a line twice"),
        (order(1, line(11, sku="x" * 256)), "SKU is longer than 255"),
        (order(1, line(11, sku="a\x00b")), "no database can store"),
        (order(1, modified=None), "date_modified_gmt is not a moment"),
        (order(1, date_created_gmt=None), "date_created_gmt is not a moment"),
        (order(1, status="shipped"), "'shipped'"),
    ],
)
def test_an_order_that_makes_no_sense_is_unreadable_and_named(row: dict[str, Any], why: str) -> None:
    with pytest.raises(Unreadable, match=why) as caught:
        read(row)
    assert caught.value.order_id == "1"


def test_two_accounts_of_one_line_must_agree() -> None:
    twice: list[dict[str, Any]] = [{"key": "_reduced_stock", "value": "3"}, {"key": "_reduced_stock", "value": 3}]
    assert units(read(order(1, line(meta_data=twice)))) == [3]
    twice[1]["value"] = 2
    with pytest.raises(Unreadable, match="two accounts"):
        read(order(1, line(meta_data=twice)))


def test_meta_entries_of_any_form_are_passed_over() -> None:
    odd = [{"key": None, "value": {"a": 1}}, {"value": 3}, {}, {"key": ["_reduced_stock"], "value": "9"}]
    assert units(read(order(1, line(meta_data=odd)))) == [3]


def test_a_moment_is_utc_wherever_this_machine_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Kolkata")
    time.tzset()
    try:
        assert moment_of("2026-11-21T11:00:00", "x") == datetime(2026, 11, 21, 11, tzinfo=UTC)
    finally:
        monkeypatch.undo()
        time.tzset()


# Refunds ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("row", "needed"),
    [
        (order(1), False),
        (order(1, refunds=[7]), True),
        (order(1, line(11, 3, "2"), refunds=[7]), False),
        (order(1, line(11, 3, "2"), line(12), refunds=[7]), True),
        (order(1, refunds=[7], status="cancelled"), False),
        (order(1, refunds=[7], status="refunded"), False),
    ],
)
def test_refunds_are_asked_for_only_where_they_decide(row: dict[str, Any], *, needed: bool) -> None:
    assert RULES.needs_refunds(msgspec.convert(row, OrderRow)) is needed


def test_without_the_account_every_refund_is_asked_for() -> None:
    assert WITHOUT_ACCOUNT.needs_refunds(msgspec.convert(order(1, line(11, 3, "2"), refunds=[7]), OrderRow))
    kept = Rules.of(settings(refunded_units_return=False))
    assert not kept.needs_refunds(msgspec.convert(order(1, refunds=[7]), OrderRow))


def test_refunded_units_come_off_line_by_line() -> None:
    row = order(1, line(11, 5), line(12, 4), line(13, 2, "2"), refunds=[7, 8, 9])
    refunds = refund(7, ("11", -1), ("12", -4), ("13", -1)), refund(8, (11, -2)), refund(9)
    assert units(read(row, *refunds)) == [2, 0, 2]


def test_a_refund_of_a_line_that_was_taken_off_does_no_harm() -> None:
    assert units(read(order(1, line(11, 5), refunds=[7]), refund(7, ("99", -1)))) == [5]


def test_a_refund_of_an_amount_on_a_line_takes_no_units_off() -> None:
    nameless = refund(7, ("11", 0))
    nameless["line_items"][0]["meta_data"] = []
    assert units(read(order(1, line(11, 5), refunds=[7]), nameless)) == [5]


@pytest.mark.parametrize("line_id", ["", "x", None, [], True])
def test_a_refund_that_does_not_say_of_which_line_is_unreadable(line_id: Any) -> None:
    with pytest.raises(Unreadable, match="refund 7 does not say which line"):
        read(order(1, refunds=[7]), refund(7, (line_id, -1)))


def test_a_refund_of_two_lines_at_once_is_unreadable() -> None:
    odd = refund(7, ("11", -1))
    odd["line_items"][0]["meta_data"].append({"key": "_refunded_item_id", "value": "12"})
    with pytest.raises(Unreadable, match="refund 7 does not say which line"):
        read(order(1, refunds=[7]), odd)


# Exclusion --------------------------------------------------------------------------------------------------------


def test_orders_are_kept_out_by_how_they_were_made_and_by_what_they_carry() -> None:
    rules = {"exclude_created_via": ["Rest-API"], "exclude_meta_keys": ["_gift"]}
    assert read(order(1, meta_data=[]), **rules).excluded is None
    assert read(order(1, meta_data=[], created_via="REST-api"), **rules).excluded == "created via rest-api"
    assert read(order(1), **rules).excluded == "meta key _gift"
    assert read(order(1, created_via=None)).excluded is None


def test_an_order_that_is_kept_out_takes_nothing_whatever_it_says() -> None:
    odd = order(1, line(11, 1.5), status="mirrored", refunds=[7])
    found = read(odd, exclude_meta_keys=["_gift"])
    assert (found.excluded, found.lines) == ("meta key _gift", ())
    rules = Rules.of(settings(exclude_meta_keys=["_gift"]))
    assert not rules.needs_refunds(msgspec.convert(order(1, refunds=[7]), OrderRow))
