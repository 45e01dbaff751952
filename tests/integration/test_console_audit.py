"""The audit's pages: what is proved, and the account of one listing."""

from __future__ import annotations

import csv
from collections.abc import Iterator

import pytest

from connectors.sandbox.log import Origin, Shown
from tests.operating import Browser, Console
from tests.world import World
from worker.store import Store
from worker.store.migrate import upgrade

PATHS = ("/audit", "/audit/listing?id=L", "/audit/listing.csv?id=L")


@pytest.fixture(scope="module")
def audited(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Console]:
    """Listing L: sold, bought, edited, and a unit of nobody. Listing <b>M</b>: never asked about."""
    store = Store(f"sqlite:///{tmp_path_factory.mktemp('audit') / 'trueup.db'}")
    upgrade(store)
    world = World(store)
    for name in ("L", "<b>M</b>"):
        world.listing(name, 10)
    world.link()
    world.sell("o-1", {"A": 3})
    world.reconcile()
    world.marketplace.buy("L", 1)
    world.marketplace.edit("L", 2)
    world.marketplace.stock_model.adjust("L", -1, Origin("api", shown=Shown.ANONYMOUS))
    world.pass_time(900)
    world.services.auditor.run()
    with Console(world) as console:
        yield console
    store.dispose()


def visitor(console: Console, name: str = "grace") -> Browser:
    """A viewer, unless said otherwise."""
    browser = Browser(console)
    browser.sign_in(name)
    return browser


def test_the_overview_of_the_audit_names_units_without_a_cause(audited: Console) -> None:
    text = visitor(audited).get("/audit").text
    assert "Units without a cause" in text
    assert "nobody says who made it" in text
    assert '<a href="/audit" aria-current="page">' in text
    assert "/audit/listing?id=L" in text


def test_an_account_leads_from_the_opening_to_the_number(audited: Console) -> None:
    text = visitor(audited).get("/audit/listing?id=L").text
    for said in ("Our channels", "Sales on the marketplace", "Edited by the provider", "o-1", "tx-0"):
        assert said in text
    assert text.index("Opened") < text.index("The number when it was proved")
    other = visitor(audited).get("/audit/listing?id=%3Cb%3EM%3C/b%3E")
    assert other.status_code == 200
    assert "<b>M" not in other.text


def test_an_account_is_taken_along_as_csv(audited: Console) -> None:
    answer = visitor(audited).get("/audit/listing.csv?id=L")
    assert answer.headers["content-type"].startswith("text/csv")
    assert answer.headers["content-disposition"].startswith("attachment;")
    rows = list(csv.DictReader(answer.text.splitlines()))
    assert [(row["change"], row["cause"], row["order"]) for row in rows][-1] == ("-3", "ours", "o-1")
    assert sum(int(row["change"]) for row in rows if row["change"]) == -3


def test_the_pages_of_an_account_follow_each_other(audited: Console, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("worker.audit.statement.Statements.statement.__kwdefaults__", {"before": None, "limit": 2})
    browser = visitor(audited)
    first = browser.get("/audit/listing?id=L").text
    assert "o-1" not in first
    address = first.split('class="button" href="/audit/listing?')[1].split("#")[0].replace("&amp;", "&")
    assert "o-1" in browser.get(f"/audit/listing?{address}").text


def test_what_is_not_there_is_not_found_and_strangers_see_nothing(audited: Console) -> None:
    for path in ("/audit/listing", "/audit/listing?id=nobody", "/audit/listing.csv?id=nobody"):
        assert visitor(audited).get(path).status_code == 404
    for path in PATHS:
        assert Browser(audited).get(path).status_code == 303


def test_paper_holds_the_account_and_no_controls(audited: Console) -> None:
    browser = visitor(audited)
    sheet = browser.get(browser.get("/audit").text.split('rel="stylesheet" href="')[1].split('"')[0]).text
    on_paper = sheet.split("@media print")[1]
    assert ".bar," in on_paper
    assert "display: none" in on_paper
