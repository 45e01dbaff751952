"""What an invoice commits."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.contract import Order, OrderLine
from connectors.errors import Unreadable
from connectors.marketplacer.invoices import SOLD, committed_units, invoice_of, order_of, reduced
from connectors.marketplacer.resources import included
from tests.unit.connectors.marketplacer.vendor import CUSTOMER, channel_settings, invoice, line_item

NOW = datetime(2026, 1, 1, 11, tzinfo=UTC)


def order(resource: Any, *beside: Any, **settings: Any) -> Order:
    read = invoice_of(resource, included({"included": list(beside)}))
    return order_of(read, channel_settings(**settings), fetched_at=NOW)


@pytest.mark.parametrize("within", [True, False])
def test_an_invoice_is_an_order_in_either_form(within: bool) -> None:
    items = [line_item(31, 2), line_item(32, 5, variant_external_id=None)]
    found = order(invoice(21, items)) if within else order(invoice(21, [31, 32]), *items, CUSTOMER)
    assert found == Order(
        "21",
        1767261600250,
        datetime(2026, 1, 1, 10, 0, 0, 250_000, tzinfo=UTC),
        (OrderLine("31", "MUG", "MUG", 2), OrderLine("32", None, "M-1", 5)),
        None,
        NOW,
    )


def test_what_stands_beside_goes_before_what_is_within() -> None:
    assert order(invoice(21, [line_item(31, 9)]), line_item(31, 2)).lines[0].committed == 2


@pytest.mark.parametrize(("identity", "sku"), [("external_id", "E"), ("sku", "S"), ("barcode", "B")])
def test_what_was_sold_is_known_by_what_is_set(identity: str, sku: str) -> None:
    item = line_item(variant_external_id="E", variant_sku="S", variant_barcode="B")
    assert order(invoice(21, [item]), identity=identity).lines[0] == OrderLine("31", sku, sku, 2)


def test_a_line_without_any_name_is_kept_as_itself() -> None:
    item = line_item(variant_external_id="", variant_sku=None, variant_barcode=None)
    assert order(invoice(21, [item])).lines[0] == OrderLine("31", None, "line 31", 2)


@pytest.mark.parametrize("status", sorted(SOLD))
@pytest.mark.parametrize("item", ["new", "allocated", "shipped", None])
def test_what_is_sold_is_committed_however_far_it_has_come(status: str, item: str | None) -> None:
    assert order(invoice(21, [line_item(status=item)], status=status)).lines[0].committed == 2


@pytest.mark.parametrize(
    ("status", "item"), [("refunded", "allocated"), ("refunded", "refunded"), ("paid", "refunded")]
)
def test_a_refund_is_what_the_operator_says(status: str, item: str) -> None:
    resource = invoice(21, [line_item(status=item)], status=status)
    assert order(resource, refunded="kept").lines[0].committed == 2
    assert order(resource, refunded="returned").lines[0].committed == 0
    with pytest.raises(Unreadable, match="set `refunded`") as caught:
        order(resource, refunded="ask")
    assert caught.value.order_id == "21"


@pytest.mark.parametrize("status", ["paid", "refunded", "never heard of"])
def test_cancelled_units_never_left(status: str) -> None:
    assert order(invoice(21, [line_item(status="cancelled")], status=status)).lines[0].committed == 0


def test_states_nobody_knows_are_parked() -> None:
    for resource in (invoice(21, [line_item()], status="lost"), invoice(21, [line_item(status="lost")])):
        with pytest.raises(Unreadable, match="none this connector knows"):
            order(resource)


@given(
    quantity=st.integers(0, 2**63 - 1),
    invoice_status=st.sampled_from([*sorted(SOLD), "refunded", "odd"]),
    item=st.sampled_from(["new", "allocated", "shipped", "refunded", "cancelled", "odd"]),
    refunded=st.sampled_from(["ask", "kept", "returned"]),
)
def test_all_or_nothing_is_committed(quantity: int, invoice_status: str, item: str, refunded: Any) -> None:
    try:
        units = committed_units(quantity, invoice=invoice_status, item=item, refunded=refunded)
    except ValueError:
        assert "odd" in {invoice_status, item} or refunded == "ask"
    else:
        assert units in {0, quantity}


def test_another_sellers_invoice_does_not_count_and_asks_nobody() -> None:
    resource = invoice(21, [line_item(status="refunded")], seller_id=3)
    assert order(resource, seller_id=2).excluded == "seller 3"
    assert order(invoice(21, [line_item()], seller_id="2"), seller_id=2).excluded is None
    assert order(invoice(21, [line_item()], seller_id=None), seller_id=2).excluded == "seller None"


@pytest.mark.parametrize(
    ("resource", "reason"),
    [
        (invoice(21, [line_item(31), line_item(31)]), "twice"),
        (invoice(21, [31]), "all its line items"),
        (invoice(21, None), "all its line items"),
        (invoice(21, [{"id": None}]), "documented shape"),
        (invoice(21, [line_item(quantity="2")]), "documented shape"),
        (invoice(21, [line_item(quantity=2.0)]), "documented shape"),
        (invoice(21, [line_item(quantity=None)]), "documented shape"),
        (invoice(21, [line_item("x" * 300)]), "stored"),
        (invoice(21, [line_item(variant_sku="a\x00b")]), "stored"),
        (invoice(21, [line_item()], paid_at=None), "documented shape"),
        (invoice(21, [line_item()], paid_at="2026-01-01T20:00:00"), "documented shape"),
        (invoice(21, [line_item()], status=7), "documented shape"),
    ],
)
def test_what_is_no_invoice(resource: Any, reason: str) -> None:
    with pytest.raises(Unreadable, match=reason) as caught:
        order(resource)
    assert caught.value.order_id == "21"


@pytest.mark.parametrize("resource", [None, [], "x", {}, {"id": True}, {"id": ""}, {"id": "x" * 300}, {"id": 1.5}])
def test_an_invoice_without_an_id_is_nobodys(resource: Any) -> None:
    with pytest.raises(Unreadable) as caught:
        invoice_of(resource, {})
    assert caught.value.order_id is None
    assert json.loads(reduced(resource, {})) is None or isinstance(resource, dict)


def test_what_a_person_is_shown_is_what_stock_needs() -> None:
    beside = included({"included": [line_item(31, "many"), CUSTOMER]})
    shown = reduced(invoice(21, [31, line_item(32)]), beside)
    assert json.loads(shown)["line_items"][0]["quantity"] == "many"
    assert json.loads(shown)["line_items"][1]["variant_sku"] == "M-1"
    for secret in (b"Lovelace", b"Please ring", b"Red mug"):
        assert secret not in shown
