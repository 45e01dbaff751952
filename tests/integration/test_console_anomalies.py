"""Snoozing in the console, and the pages about the kinds."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.operating import Browser, Console
from tests.world import World
from worker.alerts import Finding, Kind
from worker.store import Store
from worker.store.migrate import upgrade


@pytest.fixture
def console(tmp_path: Path) -> Iterator[Console]:
    """A listing of 1 of which 3 were sold."""
    store = Store(f"sqlite:///{tmp_path / 'trueup.db'}")
    upgrade(store)
    world = World(store)
    world.listing("L", 1)
    world.link("A", "L")
    world.pass_time(1)
    world.sell("o1", {"A": 3})
    world.reconcile()
    with Console(world) as made:
        yield made
    store.dispose()


def signed_in(console: Console, name: str = "ada") -> Browser:
    browser = Browser(console)
    assert browser.sign_in(name).status_code == 303
    return browser


def test_one_is_snoozed_with_a_reason_hidden_shown_and_ended(console: Console) -> None:
    browser = signed_in(console)
    page = f"/anomalies/{console.world.services.anomalies.list()[0].id}"
    for incomplete in ({"hours": "4"}, {"reason": "tonight"}, {"hours": "5", "reason": "tonight"}):
        assert browser.send(f"{page}/snooze", page=page, **incomplete).status_code == 409
    answer = browser.send(f"{page}/snooze", page=page, hours="4", reason="counted tonight")
    assert answer.headers["location"] == f"{page}?done=snoozed"
    assert "Snoozed until" in browser.get(page).text
    listed = browser.get("/anomalies").text
    assert "1 snoozed, not shown here" in listed
    assert "Listing L is oversold" not in listed
    for state in ("snoozed", "all"):
        assert "Listing L is oversold" in browser.get(f"/anomalies?state={state}").text
    assert "counted tonight" in browser.get("/log").text
    assert browser.send(f"{page}/unsnooze", page=page).headers["location"] == f"{page}?done=unsnoozed"
    assert browser.send(f"{page}/unsnooze", page=page).status_code == 409
    assert "Listing L is oversold" in browser.get("/anomalies").text


def test_a_viewer_snoozes_nothing(console: Console) -> None:
    page = f"/anomalies/{console.world.services.anomalies.list()[0].id}"
    browser = signed_in(console, "grace")
    assert "Snooze" not in browser.get(page).text
    assert browser.send(f"{page}/snooze", page="/", hours="4", reason="x").status_code == 403


def test_one_that_came_back_says_how_often(console: Console) -> None:
    anomalies = console.world.services.anomalies
    [found] = anomalies.list()
    for _ in range(2):
        anomalies.resolve([found.fingerprint], "it was settled")
        console.world.pass_time(3600)
        anomalies.open(Finding(Kind.OVERSOLD, "Listing L is oversold.", listing_id="L"))
    assert "came back 2\u00d7" in signed_in(console).get(f"/anomalies/{found.id}").text


def test_the_history_says_why_one_was_resolved(console: Console) -> None:
    browser = signed_in(console)
    page = f"/anomalies/{console.world.services.anomalies.list()[0].id}"
    told = browser.get(page).text.count("is oversold")
    browser.send(f"{page}/accept", page=page, reason="counted")
    shown = browser.get(page).text
    assert "Resolved: the marketplace&#39;s number was accepted by ada." in shown
    # What the page says anyway is not repeated in its history.
    assert shown.count("is oversold") == told


def test_each_kind_has_a_page_and_all_have_an_index(console: Console) -> None:
    browser = signed_in(console)
    index = browser.get("/help/anomalies").text
    for kind in Kind:
        assert f'href="/help/{kind.value}"' in index
    page = browser.get(f"/help/{Kind.CURSOR_TOO_OLD.value}").text
    assert 'href="/help/anomalies"' in page
    assert 'href="/help/feed-too-old"' in page
    assert browser.get("/help/no-such-kind").status_code == 404
