"""Every page in a real Chromium: wide and on a phone, light and dark, by axe-core, without JavaScript."""

from __future__ import annotations

import base64
import os
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import AXE, PHONE, WIDE, Visit
from tests.operating import Console
from worker.alerts import Kind

PAGES = {
    "overview": "/",
    "anomalies": "/anomalies",
    "outcome-unknown": "/anomalies/{outcome-unknown}",
    "oversold": "/anomalies/{oversold}",
    "negative-stock": "/anomalies/{negative-stock}",
    "listings": "/listings",
    "listing": "/listing?id=mug",
    "orders": "/orders",
    "order": "/order?channel=shop&id=1003",
    "work": "/work",
    "deliveries": "/deliveries",
    "delivery": "/deliveries/1",
    "holds": "/holds",
    "plan": "/holds/plan?channel=shop",
    "audit": "/audit",
    "account": "/audit/listing?id=mug",
    "alerts": "/alerts",
    "links": "/links",
    "links-of-sku": "/links?channel=shop&sku=TEAPOT-1",
    "links-list": "/links/list",
    "log": "/log",
    "settings": "/settings",
    "help": "/help/README",
    "help-anomalies": "/help/anomalies",
}
KEPT = {
    "overview-wide",
    "overview-phone",
    "overview-dark",
    "anomalies-wide",
    "outcome-unknown-wide",
    "listing-wide",
    "order-wide",
    "work-wide",
    "links-wide",
}
"""The pictures in docs/console.md."""
QUALITY = 80
# What every page must say without any script: a piece of its content.
SAYS = {
    "overview": "Stock is not known to be true",
    "anomalies": "is oversold by 3 units",
    "outcome-unknown": "Was the write executed?",
    "oversold": "Order lines that wait",
    "negative-stock": "Stock below zero",
    "listings": "Something is wrong with these",
    "listing": "the total of listing mug is 12, not 13",
    "orders": "without a link",
    "order": "the total of listing mug is 12, not 13",
    "work": "long after it was placed",
    "deliveries": "Handle the ticked ones anew",
    "delivery": "reduced to what stock needs",
    "holds": "Nothing is held",
    "plan": "What would be written",
    "audit": "No audit has come to its end yet",
    "account": "It has not been proved yet",
    "alerts": "it answered 503",
    "links": "Its title has",
    "links-of-sku": "Sales of “TEAPOT-1”",
    "links-list": "Export all links",
    "log": "operator added",
    "settings": "close_after_seconds",
    "help": "Operating trueup",
    "help-anomalies": "counts how often it is seen",
}


def address(console: Console, name: str) -> str:
    numbers = {entry.kind: entry.id for entry in console.world.services.anomalies.list(unresolved_only=False)}
    path = PAGES[name]
    for kind in Kind:
        path = path.replace(f"{{{kind.value}}}", str(numbers.get(kind.value)))
    return path


def violations(page: Page) -> list[str]:
    """What axe-core finds, one line each. Handed in by the debugger: the page's own policy lets no script in."""
    page.evaluate(AXE.read_text(encoding="utf-8"))
    found = page.evaluate("async () => (await axe.run(document)).violations")
    return [
        f"{violation['id']}: {violation['help']}: {node['html'][:200]}"
        for violation in found
        for node in violation["nodes"]
    ]


def picture(page: Page, name: str) -> None:
    """Keep what is seen, when somebody asked for it: `make screenshots`."""
    folder = os.environ.get("TRUEUP_TEST_SCREENSHOTS")
    if folder is None or name not in KEPT:
        return
    session = page.context.new_cdp_session(page)
    taken = session.send("Page.captureScreenshot", {"format": "webp", "quality": QUALITY})
    Path(folder, f"{name}.webp").write_bytes(base64.b64decode(taken["data"]))


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("size", [WIDE, PHONE], ids=["wide", "phone"])
def test_nothing_keeps_anybody_out_and_nothing_is_cut_off(
    console: Console, visit: Visit, size: tuple[int, int], dark: bool
) -> None:
    """Every page in one browser: signing in is what takes long."""
    page = visit(console, size=size, dark=dark)
    trouble: list[str] = []
    page.on("pageerror", lambda error: trouble.append(f"script: {error}"))
    page.on("console", lambda said: trouble.append(said.text) if said.type in {"error", "warning"} else None)
    page.on("requestfailed", lambda request: trouble.append(f"failed: {request.url}"))
    for name in PAGES:
        page.goto(address(console, name))
        wide = page.evaluate("() => [document.documentElement.scrollWidth, document.documentElement.clientWidth]")
        if wide[0] > wide[1]:
            trouble.append(f"{name} is {wide[0]} wide where there are {wide[1]}")
        picture(page, f"{name}-{'phone' if size == PHONE else 'dark' if dark else 'wide'}")
        page.evaluate("() => document.querySelectorAll('details').forEach(entry => { entry.open = true; })")
        trouble += [f"{name}: {violation}" for violation in violations(page)]
    assert trouble == []


@pytest.mark.parametrize("size", [WIDE, PHONE], ids=["wide", "phone"])
def test_the_way_in_keeps_nobody_out(console: Console, visit: Visit, size: tuple[int, int]) -> None:
    page = visit(console, "/sign-in", size=size, name=None)
    assert violations(page) == []
    page.goto("/sign-in?next=/log")
    page.get_by_label("Name").fill("nobody")
    page.get_by_label("Password").fill("wrong wrong wrong")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_have_text("Name or password is wrong.")
    assert violations(page) == []


def test_every_page_can_be_read_without_javascript(console: Console, visit: Visit) -> None:
    page = visit(console, script=False)
    for name, said in SAYS.items():
        page.goto(address(console, name))
        text = page.content()
        assert said in text, name
        assert page.locator("h1").count() == 1, name


def test_the_page_fetches_itself_and_the_policy_lets_no_other_script_run(console: Console, visit: Visit) -> None:
    page = visit(console, "/")
    with page.expect_response(lambda answer: answer.url == f"{console.url}/", timeout=60_000) as fetched:
        pass
    assert fetched.value.request.headers["x-trueup-refresh"] == "1"
    blocked = page.evaluate(
        """() => new Promise(found => {
            document.addEventListener("securitypolicyviolation", event => found(event.effectiveDirective));
            const script = document.createElement("script");
            script.textContent = "document.title = 'taken over'";
            document.body.append(script);
        })"""
    )
    assert blocked.startswith("script-src")
    assert "taken over" not in page.title()
