"""The console over real HTTP: who gets in, whose forms count, what pages say and do."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.operating import PASSWORD, Browser, Console, tell_a_story
from tests.world import CHANNEL, World
from worker.alerts import Kind
from worker.console.headers import CONTENT_SECURITY_POLICY
from worker.store import Store
from worker.store.migrate import upgrade
from worker.web import create_app

PAGES = ("/", "/anomalies", "/anomalies?state=all&severity=critical", "/listings", "/listing?id=mug", "/log")
DEEDS = (
    "/accounts/pause",
    "/accounts/resume",
    "/anomalies/1/acknowledge",
    "/anomalies/1/resolve",
    "/anomalies/1/settle",
    "/listing/accept",
    "/listing/retry",
)


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Console]:
    """Something of everything has happened. Tests that share it change nothing but who is signed in."""
    store = Store(f"sqlite:///{tmp_path_factory.mktemp('console') / 'trueup.db'}")
    upgrade(store)
    world = World(store)
    tell_a_story(world)
    with Console(world) as console:
        yield console
    store.dispose()


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[Console]:
    """A listing of 1 of which 3 were sold, and one whose write got no answer."""
    store = Store(f"sqlite:///{tmp_path / 'trueup.db'}")
    upgrade(store)
    world = World(store)
    for listing_id, total in (("L", 1), ("M", 5)):
        world.listing(listing_id, total)
    world.link("A", "L")
    world.link("B", "M")
    world.pass_time(1)
    world.sell("o1", {"A": 3})
    world.reconcile()
    world.marketplace.feed_hidden = True
    world.marketplace.fail("adjust", "lost_after")
    world.sell("o2", {"B": 2})
    for _ in range(8):
        world.reconcile()
        world.pass_time(60)
    with Console(world) as console:
        yield console
    store.dispose()


def signed_in(console: Console, name: str = "ada", **headers: str) -> Browser:
    browser = Browser(console, **headers)
    assert browser.sign_in(name).status_code == 303
    return browser


def anomaly(console: Console, kind: Kind) -> str:
    (found,) = console.world.services.anomalies.list(kind=kind)
    return f"/anomalies/{found.id}"


# --- getting in -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", PAGES)
def test_a_stranger_is_sent_to_sign_in_and_then_back(told: Console, path: str) -> None:
    browser = Browser(told)
    sent = browser.get(path)
    assert sent.status_code == 303
    wanted = httpx.URL(sent.headers["location"])
    assert wanted.path == "/sign-in"
    assert wanted.params.get("next", "/") == path
    assert browser.sign_in(next=path).headers["location"] == path


@pytest.mark.parametrize("path", DEEDS)
def test_a_stranger_does_nothing(told: Console, path: str) -> None:
    browser = Browser(told)
    answer = browser.client.post(path, data={"token": browser.token("/sign-in")})
    assert (answer.status_code, answer.headers["location"]) == (303, "/sign-in")


@pytest.mark.parametrize(
    "elsewhere", ["https://evil.example/", "//evil.example", "/\\evil.example", "javascript:alert(1)"]
)
def test_signing_in_leads_nowhere_else(told: Console, elsewhere: str) -> None:
    assert Browser(told).sign_in(next=elsewhere).headers["location"] == "/"


def test_wrong_words_let_nobody_in_and_do_not_say_which(told: Console) -> None:
    said = []
    for name, password in (("ada", "wrong wrong wrong"), ("nobody", PASSWORD)):
        answer = Browser(told).sign_in(name, password)
        assert answer.status_code == 401
        assert "trueup=" not in answer.headers.get("set-cookie", "")
        said.append(re.findall(r'role="alert"[^>]*>([^<]+)', answer.text))
    assert said[0] == said[1] == ["Name or password is wrong."]


def test_the_cookie_is_for_this_host_alone_and_marked_secure_behind_tls(told: Console) -> None:
    plain = Browser(told).sign_in().headers.get_list("set-cookie")
    (cookie,) = [value for value in plain if value.startswith("trueup=")]
    assert {"HttpOnly", "Path=/", "SameSite=lax"} <= set(cookie.split("; "))
    assert "Secure" not in cookie
    behind = Browser(told, **{"X-Forwarded-Proto": "https", "X-Forwarded-For": "192.0.2.7"})
    form = behind.get("/sign-in")
    (kept,) = form.headers.get_list("set-cookie")
    token = re.findall(r'name="token" value="([0-9a-f]+)"', form.text)[0]
    answer = behind.client.post(
        "/sign-in",
        data={"token": token, "name": "ada", "password": PASSWORD},
        headers={"Cookie": kept.split(";")[0]},
    )
    (cookie,) = [value for value in answer.headers.get_list("set-cookie") if value.startswith("__Host-trueup=")]
    assert {"HttpOnly", "Path=/", "SameSite=lax", "Secure"} <= set(cookie.split("; "))
    assert "Domain" not in cookie
    assert answer.headers["strict-transport-security"].startswith("max-age=")


def test_signing_in_ends_what_was_signed_in_before(told: Console) -> None:
    browser = signed_in(told)
    first = browser.client.cookies["trueup"]
    browser.sign_in()
    assert browser.client.cookies["trueup"] != first
    assert told.world.services.sessions.of(first) is None


def test_signing_out_ends_the_session(told: Console) -> None:
    browser = signed_in(told)
    secret = browser.client.cookies["trueup"]
    answer = browser.send("/sign-out", page="/")
    assert (answer.status_code, answer.headers["location"]) == (303, "/sign-in")
    assert told.world.services.sessions.of(secret) is None
    assert browser.get("/").status_code == 303


# --- whose form it is -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
def test_a_form_of_another_site_is_refused(told: Console, headers: dict[str, str]) -> None:
    browser = signed_in(told)
    token = browser.token("/")
    answer = browser.client.post("/sign-out", data={"token": token}, headers=headers)
    assert answer.status_code == 403
    assert browser.get("/").status_code == 200


@pytest.mark.parametrize("token", ["", "0" * 64])
def test_a_form_without_this_browsers_token_is_refused(told: Console, token: str) -> None:
    browser, other = signed_in(told), signed_in(told)
    for wrong in (token, other.token("/")):
        assert browser.client.post("/sign-out", data={"token": wrong}).status_code == 403
    assert browser.get("/").status_code == 200


def test_the_sign_in_form_is_tied_to_its_browser_too(told: Console) -> None:
    token = Browser(told).token("/sign-in")
    answer = Browser(told).client.post("/sign-in", data={"token": token, "name": "ada", "password": PASSWORD})
    assert answer.status_code == 403


@pytest.mark.parametrize(
    ("content", "kind", "status"),
    [
        (b"x" * 40_000, "application/x-www-form-urlencoded", 413),
        (b"a=1&" * 60, "application/x-www-form-urlencoded", 400),
        (b"\xff=\xff", "application/x-www-form-urlencoded", 400),
        (b"{}", "application/json", 415),
        (b"", "multipart/form-data; boundary=x", 415),
    ],
)
def test_what_is_no_form_of_ours_is_refused(told: Console, content: bytes, kind: str, status: int) -> None:
    answer = signed_in(told).client.post("/listing/retry", content=content, headers={"Content-Type": kind})
    assert answer.status_code == status


@pytest.mark.parametrize("path", DEEDS)
def test_a_viewer_decides_nothing(told: Console, path: str) -> None:
    answer = signed_in(told, "grace").send(path, page="/", reason="because", id="mug", scope="channel", name=CHANNEL)
    assert answer.status_code == 403


@pytest.mark.parametrize("path", DEEDS)
def test_nothing_is_done_by_a_get(told: Console, path: str) -> None:
    assert signed_in(told).get(path).status_code == 405


# --- every answer -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", [*PAGES, "/sign-in", "/nowhere", "/static/console.css", "/anomalies/999999", "/%2e"])
def test_every_answer_says_what_the_browser_may_do(told: Console, path: str) -> None:
    answer = signed_in(told).get(path)
    assert answer.headers["content-security-policy"] == CONTENT_SECURITY_POLICY
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "same-origin"
    if "/static/" not in path:
        assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("path", [*PAGES, "/sign-in"])
def test_no_page_holds_script_style_or_an_address_of_another_host(told: Console, path: str) -> None:
    text = signed_in(told).get(path).text
    assert not re.search(r"<style|<script(?![^>]* src=)|\sstyle=|\son[a-z]+=|javascript:", text)
    assert not re.search(r"""(?:src|href|action)=["'](?:https?:)?//""", text)


@pytest.mark.parametrize(
    "path",
    [
        "/nowhere",
        "/anomalies/999999",
        f"/anomalies/{10**30}",
        "/listing?id=nowhere",
        "/static/../app.py",
        "/hooks/shop",
    ],
)
def test_what_is_not_there_is_not_found(told: Console, path: str) -> None:
    assert signed_in(told).get(path).status_code == 404


def test_the_receivers_port_knows_no_page(told: Console) -> None:
    paths = {getattr(route, "path", "") for route in create_app(told.world.services, None).routes}
    assert paths == {"/hooks/{channel}", "/healthz", "/readyz", "/metrics"}


# --- pages ------------------------------------------------------------------------------------------------------


def test_the_overview_says_whether_stock_is_true_and_since_when(told: Console) -> None:
    text = signed_in(told).get("/").text
    assert "Stock is not known to be true" in text
    assert "1 write has an unknown outcome" in text
    assert "Since <time" in text


def test_a_number_is_explained_down_to_order_lines_and_every_attempt(told: Console) -> None:
    text = signed_in(told).get("/listing?id=mug").text
    for order in ("1001", "1002", "1003"):
        assert order in text
    assert "the total of listing mug is 12, not 13" in text
    assert re.search(r"tx-1</span>.*?given back", text)
    assert re.search(r"tx-0</span>.*?1 held", text)
    assert {"ours", "marketplace", "provider"} <= set(re.findall(r'<g class="mark (\w+)"', text))


@pytest.mark.parametrize("words", ["mug", "MUG-1", " MUG-SIX "])
def test_a_listing_is_found_by_its_id_and_by_what_channels_call_it(told: Console, words: str) -> None:
    found = signed_in(told).client.get("/listings", params={"q": words})
    assert (found.status_code, found.headers["location"]) == (303, "/listing?id=mug")


def test_what_others_wrote_is_text(told: Console) -> None:
    text = signed_in(told).client.get("/listings", params={"q": "<script>alert(1)</script>"}).text
    assert "<script>alert" not in text
    assert "&lt;script&gt;alert" in text


def test_anomalies_are_filtered_and_the_worst_come_first(told: Console) -> None:
    browser = signed_in(told)
    listed = re.findall(r'class="severity (\w+)"', browser.get("/anomalies").text)
    assert listed == sorted(listed, key=("critical", "error", "warning").index)
    oversold = browser.get("/anomalies?kind=oversold").text
    assert "is oversold by 3 units" in oversold
    assert "TEAPOT-1" not in oversold
    assert browser.get("/anomalies?kind=nonsense&severity=x&before=x").status_code == 200


def test_each_anomaly_says_what_it_means_and_what_can_be_done(told: Console) -> None:
    browser = signed_in(told)
    lost = browser.get(anomaly(told, Kind.OUTCOME_UNKNOWN)).text
    assert "Was the write executed?" in lost
    assert "Accept the marketplace" not in lost
    oversold = browser.get(anomaly(told, Kind.OVERSOLD)).text
    assert "Accept the marketplace" in oversold
    assert "Was the write executed?" not in oversold
    assert "<form" not in browser_main(signed_in(told, "grace").get(anomaly(told, Kind.OVERSOLD)).text)


def browser_main(text: str) -> str:
    return text.partition("<main")[2]


# --- deeds ------------------------------------------------------------------------------------------------------


def test_an_unknown_write_is_settled_with_a_reason(fresh: Console) -> None:
    browser, page = signed_in(fresh), anomaly(fresh, Kind.OUTCOME_UNKNOWN)
    for incomplete in ({"outcome": "applied"}, {"reason": "seen"}, {"outcome": "maybe", "reason": "seen"}):
        answer = browser.send(f"{page}/settle", page=page, **incomplete)
        assert answer.status_code == 409
    answer = browser.send(f"{page}/settle", page=page, outcome="applied", reason="seen in the history")
    assert answer.headers["location"] == f"{page}?done=settled"
    assert fresh.world.operations()[-1] == ("applied", 5, 3)
    log = browser.get("/log").text
    assert "operation settled" in log
    assert "seen in the history" in log
    again = browser.send(f"{page}/settle", page="/", outcome="absent", reason="no")
    assert again.status_code == 409
    assert "settled already" in again.text


def test_the_marketplaces_number_is_accepted_and_the_anomaly_heals(fresh: Console) -> None:
    browser, page = signed_in(fresh), anomaly(fresh, Kind.OVERSOLD)
    answer = browser.send(f"{page}/accept", page=page, reason="told the buyers")
    assert answer.headers["location"] == f"{page}?done=accepted"
    assert ("A", 3, 1, 2) in fresh.world.pairs()
    assert "Nothing is to be done" in browser.get(page).text
    assert "told the buyers" in browser.get("/listing?id=L").text


def test_a_channel_is_paused_and_resumed(fresh: Console) -> None:
    browser = signed_in(fresh)
    where = {"scope": "channel", "name": CHANNEL}
    assert browser.send("/accounts/pause", page="/", **where).status_code == 409
    assert browser.send("/accounts/pause", page="/", reason="stock-taking", **where).status_code == 303
    assert fresh.world.holds() == ["paused"]
    assert "stock-taking (paused by ada)" in browser.get("/").text
    assert browser.send("/accounts/resume", page="/", **where).status_code == 303
    assert fresh.world.holds() == []
    assert browser.send("/accounts/pause", page="/", scope="channel", name="other", reason="x").status_code == 404


def test_acknowledged_resolved_and_said_so(fresh: Console) -> None:
    browser, page = signed_in(fresh), anomaly(fresh, Kind.OVERSOLD)
    assert browser.send(f"{page}/acknowledge", page=page).status_code == 303
    assert "Acknowledged by ada" in browser.get(page).text
    assert browser.send(f"{page}/resolve", page=page).status_code == 409
    assert browser.send(f"{page}/resolve", page=page, reason="settled").status_code == 303
    assert browser.send(f"{page}/resolve", page="/", reason="settled").status_code == 409
    assert "Resolved." in browser.get(f"{page}?done=resolved").text
