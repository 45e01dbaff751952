"""The page of holds: what is held and what lifts it, a plan that is shown before it is confirmed, pauses."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from config.settings import PolicySettings
from tests.operating import Browser, Console
from tests.world import CHANNEL, World
from worker.store import Store
from worker.store.migrate import upgrade
from worker.store.tables import HoldReason, HoldScope

DAY = 86_400.0


@pytest.fixture
def held(tmp_path: Path) -> Iterator[Console]:
    """Two SKUs that were sold for days have just been linked, which is too much at once; a third listing is an
    orphan's.
    """
    store = Store(f"sqlite:///{tmp_path / 'trueup.db'}")
    upgrade(store)
    world = World(store, policy=PolicySettings(confirm_new_channels=False, large_plan_listings=2))
    for listing_id in ("L", "M", "N"):
        world.listing(listing_id, 10)
    for sku, listing_id in (("A", "L"), ("B", "M")):
        world.sell(f"o-{sku}", {sku: 3})
        world.pass_time(2 * DAY)
        world.link_by_import(sku, listing_id, from_at=world.clock.now() - timedelta(days=9))
    world.reconcile()
    world.services.holds.place(HoldReason.ORPHAN, HoldScope.LISTING, "N", "adjustment 7 is nobody's")
    with Console(world) as console:
        yield console
    store.dispose()


def signed_in(console: Console, name: str = "ada") -> Browser:
    browser = Browser(console)
    assert browser.sign_in(name).status_code == 303
    return browser


def shown(page: str) -> dict[str, str]:
    """What the form for confirming carries."""
    return dict(re.findall(r'name="(listings|to_take|to_give_back)" value="(\d+)"', page))


def test_each_hold_says_why_it_is_there_and_what_lifts_it(held: Console) -> None:
    browser = signed_in(held)
    text = browser.get("/holds").text
    for said in ("adjustment 7 is nobody", "what was found on the marketplace stands", "Plan too large: channel shop"):
        assert said in text
    assert "Plans that wait for a word" in text
    only = browser.get("/holds?reason=orphan").text
    assert "adjustment 7" in only
    assert "Plan too large: channel shop" not in only
    assert "There is none like that" in browser.get("/holds?reason=paused").text
    assert browser.get("/holds?reason=nonsense&after=x").status_code == 200


def test_a_plan_is_shown_and_then_confirmed(held: Console) -> None:
    browser, page = signed_in(held), f"/holds/plan?channel={CHANNEL}"
    text = browser.get(page).text
    assert shown(text) == {"listings": "2", "to_take": "6", "to_give_back": "0"}
    for said in ("o-A", "o-B", "plan-too-large: shop"):
        assert said in text
    assert held.world.operations() == []
    answer = browser.send("/holds/confirm", page=page, channel=CHANNEL, **shown(text))
    assert answer.headers["location"] == "/holds?done=confirmed"
    held.world.reconcile()
    assert (held.world.total("L"), held.world.total("M")) == (7, 7)
    log = browser.get("/log").text
    assert "plan confirmed" in log
    assert "to take: 6" in log
    assert "Your word" not in browser.get(page).text
    again = browser.send("/holds/confirm", page="/", channel=CHANNEL, **shown(text))
    assert again.status_code == 409


def test_a_plan_that_has_grown_since_is_shown_again(held: Console) -> None:
    browser, page = signed_in(held), f"/holds/plan?channel={CHANNEL}"
    before = shown(browser.get(page).text)
    held.world.sell("o-late", {"A": 7})
    answer = browser.send("/holds/confirm", page=page, channel=CHANNEL, **before)
    assert answer.status_code == 409
    assert "has grown since it was shown" in answer.text
    assert shown(answer.text)["to_take"] == "13"
    assert "plan-too-large" in held.world.holds()


@pytest.mark.parametrize(
    "numbers", [{}, {"listings": "2", "to_take": "x", "to_give_back": "0"}, {"listings": "9" * 40}]
)
def test_a_word_that_does_not_say_for_what_is_none(held: Console, numbers: dict[str, str]) -> None:
    answer = signed_in(held).send("/holds/confirm", page="/", channel=CHANNEL, **numbers)
    assert answer.status_code == 400


def test_a_hold_is_lifted_with_a_reason(held: Console) -> None:
    browser = signed_in(held)
    orphan = {"scope": "listing", "subject": "N", "held": "orphan"}
    assert browser.send("/holds/lift", page="/holds", **orphan).status_code == 409
    assert browser.send("/holds/lift", page="/holds", reason="the old importer", **orphan).status_code == 303
    assert held.world.holds() == ["plan-too-large"]
    assert "the old importer" in browser.get("/log").text
    assert browser.send("/holds/lift", page="/holds", reason="again", **orphan).status_code == 409


@pytest.mark.parametrize("reason", ["breaker", "re-authorisation", "nonsense"])
def test_what_only_its_cause_can_lift_is_not_lifted_here(held: Console, reason: str) -> None:
    fields = {"scope": "channel", "subject": CHANNEL, "held": reason}
    assert signed_in(held).send("/holds/lift", page="/holds", reason="because", **fields).status_code == 404


def test_the_marketplace_a_channel_and_a_listing_are_paused_and_resumed(held: Console) -> None:
    browser = signed_in(held)
    for scope, subject in (
        ("marketplace", held.world.services.marketplace_name),
        ("channel", CHANNEL),
        ("listing", "L"),
    ):
        thing = {"scope": scope, "subject": subject}
        assert browser.send("/holds/pause", page="/holds", **thing).status_code == 409
        assert browser.send("/holds/pause", page="/holds", reason="stock-taking", **thing).status_code == 303
        assert "stock-taking (paused by ada)" in browser.get("/holds?reason=paused").text
        answer = browser.send("/holds/lift", page="/holds", reason="done", held="paused", **thing)
        assert answer.headers["location"] == "/holds?done=lifted"
    nobody = browser.send("/holds/pause", page="/holds", reason="x", scope="channel", subject="other")
    assert nobody.status_code == 409
    assert "There is no channel other" in nobody.text


def test_a_viewer_looks_and_decides_nothing(held: Console) -> None:
    browser = signed_in(held, "grace")
    for page in ("/holds", f"/holds/plan?channel={CHANNEL}"):
        assert '<form method="post"' not in browser.get(page).text.partition("<main")[2]
    for deed in ("confirm", "lift", "pause"):
        assert browser.send(f"/holds/{deed}", page="/", channel=CHANNEL).status_code == 403
    assert browser.get("/holds/plan?channel=other").status_code == 404


def test_many_holds_are_shown_in_pages(held: Console) -> None:
    with held.world.store.write() as transaction:
        for number in range(120):
            held.world.services.holds.place_in(
                transaction, HoldReason.RESTORED, HoldScope.LISTING, f"X{number:03}", "restored"
            )
    browser = signed_in(held)
    first = browser.get("/holds?reason=restored").text
    (address,) = re.findall(r'href="(/holds\?[^"]*after=\d+)"', first)
    second = browser.get(address.replace("&amp;", "&")).text
    names = [re.findall(r">(X\d{3})</a>", text) for text in (first, second)]
    assert [len(each) for each in names] == [100, 20]
    assert len({*names[0], *names[1]}) == 120
