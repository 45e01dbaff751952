"""`orders`: the trail of a sale, and asking for it again."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from tests.unit.worker.cli.conftest import Command
from worker.store import Store
from worker.store.bulk import insert_rows
from worker.store.tables import OrderLineRow, OrderRow, OrderState

NOW = datetime.now(UTC)


@pytest.fixture(autouse=True)
def _sold(store: Store) -> None:
    """Order 7 of the shop: two of a SKU that is linked to nothing."""
    order = {
        "channel": "shop",
        "order_id": "7",
        "state": OrderState.OPEN,
        "revision": 3,
        "digest": "",
        "placed_at": NOW,
        "first_seen_at": NOW,
        "correlation_id": "poll-1",
    }
    line = {
        "order_row": 1,
        "channel": "shop",
        "line_id": "A",
        "item_key": "A",
        "sku": "MUG",
        "committed": 2,
        "first_committed": 2,
        "placed_at": NOW,
        "linked": False,
    }
    with store.write() as transaction:
        insert_rows(transaction, OrderRow, [order])
        insert_rows(transaction, OrderLineRow, [line])


def test_the_trail_of_an_order(trueup: Command) -> None:
    shown = trueup("orders", "show", "shop", "7")
    assert shown.code == 0
    assert "its SKU is linked to no listing" in shown.out
    found = trueup("orders", "show", "shop", "7", "--json").json
    assert (found["order"]["source"], found["order"]["revision"], found["sums"]["unlinked"]) == ("poll", 3, 2)
    unknown = trueup("orders", "show", "shop", "8")
    assert (unknown.code, "No order '8'" in unknown.err) == (1, True)


def test_an_order_is_asked_for_again(trueup: Command) -> None:
    assert trueup("orders", "show", "shop", "7", "--json").json["order"]["fetch_at"] is None
    assert trueup("orders", "fetch", "shop", "7").code == 0
    assert trueup("orders", "show", "shop", "7", "--json").json["order"]["fetch_at"] is not None
    assert "order-asked-for" in trueup("operators", "log").out
    unknown = trueup("orders", "fetch", "shop", "8", "--json")
    assert (unknown.code, unknown.json["asked_for"]) == (1, False)
