"""The console's page about alerts: what it shows, and that a test is really sent and kept in the log."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from config.alerts import AlertSettings
from tests.inbox import TOKEN, Inbox
from tests.operating import Browser, Console
from tests.world import World
from worker.store import Store


@pytest.fixture
def inbox() -> Iterator[Inbox]:
    with Inbox() as made:
        yield made


@pytest.fixture
def console(store: Store, inbox: Inbox) -> Iterator[Console]:
    hook = {"webhook": inbox.hook, "webhook_secrets": ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"]}
    settings = {"machine": {**hook, "kinds": ["oversold"], "quiet_hours": "22:00-07:00"}}
    with Console(World(store, alerts=AlertSettings.model_validate({"destinations": settings}))) as made:
        yield made


def signed_in(console: Console, name: str = "ada") -> Browser:
    browser = Browser(console)
    assert browser.sign_in(name).status_code == 303
    return browser


def test_a_test_is_sent_shown_and_logged(console: Console, inbox: Inbox) -> None:
    browser = signed_in(console)
    page = browser.get("/alerts").text
    for said in ("not tried", "critical, error, warning: oversold", "quiet 22:00-07:00 but for critical (UTC)"):
        assert said in page

    sent = browser.send("/alerts/test", page="/alerts", destination="machine")
    assert (sent.status_code, sent.headers["location"]) == (303, "/alerts?done=test-taken")
    assert [message["type"] for message in inbox.messages] == ["alerts.test"]
    page = browser.get(sent.headers["location"]).text
    assert "The test was taken." in page
    assert "works" in page
    assert TOKEN not in page
    (action,) = console.world.services.actions.list(subject=("destination", "machine"))
    assert (action.actor, action.verb, action.after) == ("ada", "alerts-tested", {"outcome": "taken"})


def test_a_test_that_is_not_taken_says_why(console: Console, inbox: Inbox) -> None:
    inbox.status = 503
    answer = signed_in(console).send("/alerts/test", page="/alerts", destination="machine")

    assert answer.status_code == 409
    assert "machine did not take the test: it answered 503" in answer.text
    assert "1 in a row: it answered 503" in answer.text
    (action,) = console.world.services.actions.list(subject=("destination", "machine"))
    assert action.after == {"outcome": "it answered 503"}


def test_a_viewer_looks_and_tries_nothing(console: Console, inbox: Inbox) -> None:
    browser = signed_in(console, "grace")
    assert "Send a test" not in browser.get("/alerts").text
    assert browser.send("/alerts/test", page="/alerts", destination="machine").status_code == 403
    assert inbox.tried == 0


def test_a_destination_that_there_is_not_is_not_found(console: Console) -> None:
    assert signed_in(console).send("/alerts/test", page="/alerts", destination="another").status_code == 404


def test_the_page_leads_to_the_one_that_explains(console: Console) -> None:
    browser = signed_in(console)
    assert 'href="/help/alerts"' in browser.get("/alerts").text
    assert "quiet_hours" in browser.get("/help/alerts").text
