"""`trueup audit` on a database without vendors: what is kept, how it is printed, how it exits."""

from __future__ import annotations

import csv
from datetime import UTC, datetime

import pytest

from connectors.contract import Author, ListingState, StockKind
from tests.unit.worker.cli.conftest import Command
from worker.audit.causes import Cause
from worker.audit.rules import Movement, Sum, account
from worker.store import Store
from worker.store.bulk import insert_rows
from worker.store.tables import ListingRow, ProofRow, ProofState, RemoteAdjustmentRow

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
LATER = datetime(2026, 1, 1, 13, tzinfo=UTC)


@pytest.fixture
def one_without_a_cause(store: Store) -> None:
    """Opened with 10; a provider put 3 there, and nobody says who took 1."""
    sums = {Cause.PROVIDER: Sum(1, 3), Cause.UNEXPLAINED: Sum(1, -1)}
    without = [Movement(LATER, -1, Cause.UNEXPLAINED, "a2", why="nobody says who made it")]
    listing = {
        "listing_id": "L",
        "seller_id": "s1",
        "title": "=cmd()",
        "state": ListingState.PUBLISHED,
        "stock_kind": StockKind.COUNTED,
        "first_seen_at": NOON,
        "total": 12,
    }
    proof = {
        "listing_id": "L",
        "state": ProofState.UNEXPLAINED,
        "looked_at": LATER,
        "opening_total": 10,
        "opening_at": NOON,
        "total": 12,
        "note": None,
        "account": account(None, sums, without),
        "known_kind": StockKind.COUNTED,
        "known_total": 12,
        "known_anchor": None,
        "known_heard": None,
        "known_operation": None,
    }
    adjustments = [
        {"adjustment_id": "a1", "listing_id": "L", "at": LATER, "quantity": 3, "author": Author.OTHER},
        {"adjustment_id": "a2", "listing_id": "L", "at": LATER, "quantity": -1, "author": None},
    ]
    with store.write() as transaction:
        insert_rows(transaction, ListingRow, [listing])
        insert_rows(transaction, RemoteAdjustmentRow, adjustments)
        insert_rows(transaction, ProofRow, [proof])


@pytest.mark.usefixtures("one_without_a_cause")
def test_a_unit_without_a_cause_is_named_and_fails_the_command(trueup: Command) -> None:
    ended = trueup("audit", "--kept")
    assert ended.code == 1
    assert "nobody says who made it" in ended.out
    found = trueup("audit", "--kept", "--json")
    assert found.code == 1
    (listing,) = found.json["unexplained"]
    assert (listing["listing_id"], listing["sums"]["unexplained"]["units"]) == ("L", -1)


@pytest.mark.usefixtures("one_without_a_cause")
def test_an_account_is_printed_line_by_line(trueup: Command) -> None:
    ended = trueup("audit", "--kept", "--listing", "L")
    assert ended.code == 1
    assert "opened with 10" in ended.out
    found = trueup("audit", "--kept", "--listing", "L", "--json").json
    assert [(line["change"], line["cause"]) for line in found["lines"]] == [(-1, "unexplained"), (3, "provider")]
    assert found["proof"]["total"] == 12


@pytest.mark.usefixtures("one_without_a_cause")
def test_csv_holds_every_line_and_no_formula(trueup: Command) -> None:
    lines = list(csv.DictReader(trueup("audit", "--kept", "--listing", "L", "--csv").out.splitlines()))
    assert [(line["at"], line["change"], line["cause"], line["adjustment"]) for line in lines] == [
        ("2026-01-01T13:00:00Z", "-1", "unexplained", "a2"),
        ("2026-01-01T13:00:00Z", "3", "provider", "a1"),
    ]
    (row,) = csv.DictReader(trueup("audit", "--kept", "--csv").out.splitlines())
    assert (row["opening"], row["provider"], row["unexplained"], row["now"]) == ("10", "3", "-1", "12")
    assert row["title"] == "'=cmd()"


def test_what_contradicts_itself_or_is_not_there_is_refused(trueup: Command) -> None:
    assert trueup("audit", "--kept", "--fresh").code == 2
    assert trueup("audit", "--json", "--csv").code == 2
    assert trueup("audit", "--kept", "--listing", "nobody").code == 1


def test_without_the_marketplace_nothing_is_proved(trueup: Command) -> None:
    assert trueup("audit").code == 3
