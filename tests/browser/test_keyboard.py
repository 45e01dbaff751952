"""Every page and its deeds by keys alone: what can be used gets the focus, in order and in sight, and gives it up."""

from __future__ import annotations

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import PHONE, WIDE, Visit
from tests.browser.test_pages import PAGES, address
from tests.operating import PASSWORD, Console
from worker.store.tables import Anomaly, Delivery, DeliveryState, HoldReason, HoldScope, Link, OperatorSession, OrderRow

MOST_EXTRA = 40
"""Stops within a field: a time is asked for piece by piece."""
MOST_TABS = 80
KEYS = {"Enter", "Space", "Tab", "ArrowDown", "ArrowRight"}
WATCH = """() => {
    const usable = "a[href], button, input:not([type=hidden]), select, textarea, summary, [tabindex='0']";
    document.querySelectorAll("main details").forEach(entry => { entry.open = true; });
    // Radio buttons of one name are one stop; the arrow keys lead from one to the next.
    const stop = held => held.type === "radio" ? document.getElementsByName(held.name)[0] : held;
    const named = held => [held.tagName.toLowerCase(), held.name || held.getAttribute("href")
        || held.getAttribute("aria-labelledby") || held.innerText.trim()].join(" ");
    const wanted = [...document.querySelectorAll(usable)].filter(held => held.checkVisibility() && stop(held) === held);
    const watch = window.watch = { wanted: wanted.map(named), held: [], wrong: [], last: null };

    const inSight = held => {
        const box = held.getClientRects()[0];
        const x = (Math.max(box.left, 0) + Math.min(box.right, innerWidth)) / 2;
        const y = (Math.max(box.top, 0) + Math.min(box.bottom, innerHeight)) / 2;
        return held.contains(document.elementFromPoint(x, y));
    };
    window.onkeydown = event => {
        const held = document.activeElement;
        if (event.key !== "Tab" || held === document.body || stop(held) === watch.last) return;
        watch.last = stop(held);
        watch.held.push(named(watch.last));
        const style = getComputedStyle(held);
        if (style.outlineStyle === "none" || parseFloat(style.outlineWidth) < 1)
            watch.wrong.push(`nothing shows that ${named(held)} has the focus`);
        if (!inSight(held)) watch.wrong.push(`${named(held)} has the focus out of sight`);
    };

    for (const scroller of document.querySelectorAll("body *")) {
        const style = getComputedStyle(scroller);
        const scrolls = (scroller.scrollWidth > scroller.clientWidth && /auto|scroll/.test(style.overflowX))
            || (scroller.scrollHeight > scroller.clientHeight && /auto|scroll/.test(style.overflowY));
        if (scrolls && !wanted.some(held => scroller.contains(held)))
            watch.wrong.push(`no key scrolls ${named(scroller)}`);
    }
}"""


def go_round(page: Page, key: str, stops: int) -> list[str]:
    """Press the key until nothing on the page has the focus any more: what had it on the way."""
    page.evaluate("() => { watch.held = []; watch.last = null; }")
    for pressed in range(1, stops + MOST_EXTRA):
        page.keyboard.press(key)
        if pressed > stops and page.evaluate("() => document.activeElement === document.body"):
            break
    held: list[str] = page.evaluate("() => watch.held")
    return held


def walk(page: Page) -> list[str]:
    """Through the page with Tab and back again, wide and on a phone: what is wrong with it, one line each."""
    page.emulate_media(reduced_motion="reduce")
    wrong = []
    for width, height in (WIDE, PHONE):
        page.set_viewport_size({"width": width, "height": height})
        page.evaluate(WATCH)
        if page.evaluate("() => document.activeElement !== document.body"):
            go_round(page, "Shift+Tab", 0)  # to the top, from where the page has put the focus
        wanted: list[str] = page.evaluate("() => watch.wanted")
        for key, order in (("Tab", wanted), ("Shift+Tab", wanted[::-1])):
            held = go_round(page, key, len(wanted))
            if held != order:
                wrong.append(f"{width}: {key} leads to {held}, not to {order}")
        wrong += [f"{width}: {what}" for what in page.evaluate("() => watch.wrong")]
    page.evaluate("() => document.querySelectorAll('main details').forEach(entry => { entry.open = false; })")
    return wrong


def use(page: Page, wanted: Locator, *keys: str) -> None:
    """Go there with Tab, and press the keys: one of a name, or what is typed."""
    for _ in range(MOST_TABS):
        page.keyboard.press("Tab")
        if wanted.evaluate("held => held === document.activeElement"):
            break
    else:
        message = f"Tab never comes to {wanted}"
        raise AssertionError(message)
    for key in keys:
        page.keyboard.press(key) if key in KEYS else page.keyboard.type(key)


def use_button(page: Page, name: str, *keys: str) -> None:
    use(page, page.get_by_role("button", name=name, exact=True), *keys or ["Enter"])


def follow(page: Page, name: str) -> None:
    use(page, page.get_by_role("link", name=name, exact=True).first, "Enter")


def open_with_reason(page: Page, summary: str, reason: str, button: str) -> None:
    """Open a fold of the page, say why, and send it."""
    use(page, page.locator("summary", has_text=summary).first, "Enter")
    use(page, page.locator("details[open] textarea"), reason)
    use_button(page, button)


def says(page: Page, words: str) -> None:
    expect(page.get_by_role("status")).to_contain_text(words)


@pytest.mark.parametrize("name", PAGES)
def test_every_stop_of_a_page_is_reached_in_order_and_in_sight(console: Console, visit: Visit, name: str) -> None:
    page = visit(console, address(console, name))
    assert walk(page) == []


def test_in_past_the_bar_and_out_again(console: Console, visit: Visit) -> None:
    page = visit(console, "/sign-in?next=/work", name=None)
    assert walk(page) == []
    page.goto("/sign-in?next=/work")
    before = len(console.world.rows(OperatorSession.digest))
    page.keyboard.type("ada")
    use(page, page.get_by_label("Password"), PASSWORD, "Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("Parked work")
    assert len(console.world.rows(OperatorSession.digest)) == before + 1

    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to content")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_be_focused()
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="All deliveries")).to_be_focused()

    page.reload()
    menu, leave = page.locator(".account"), page.get_by_role("button", name="Sign out", exact=True)
    use(page, menu.locator("summary"), "Enter")
    use_button(page, "Sign out everywhere", "Tab")
    expect(page.get_by_role("link", name="All deliveries")).to_be_focused()
    expect(leave).to_be_hidden()  # else it would stand before that
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Space")
    use(page, leave, "Enter")
    expect(page.get_by_role("button", name="Sign in")).to_be_visible()
    assert len(console.world.rows(OperatorSession.digest)) == before


def test_what_is_wider_than_the_window_is_scrolled_and_an_account_is_taken_along(
    console: Console, visit: Visit
) -> None:
    page = visit(console, "/log", size=PHONE)
    table = page.get_by_role("group", name="Log")
    use(page, table, "ArrowRight")
    page.wait_for_function("() => document.querySelector('main .scroll').scrollLeft > 0")
    follow(page, "Audit")
    use(page, page.get_by_label("Account of listing"), "mug", "Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("Account of Listing mug")
    with page.expect_download() as taken:
        follow(page, "CSV")
    assert "mug" in taken.value.suggested_filename


def test_a_suggestion_and_a_file_become_links(own_console: Console, visit: Visit) -> None:
    page = visit(own_console, "/links")
    use(page, page.get_by_label("Teapot, brown"), "Space")
    use_button(page, "Show what linking would do")
    expect(page.get_by_text("number now 4, then 3")).to_be_visible()
    assert walk(page) == []
    use_button(page, "Link")
    says(page, "Linked.")

    follow(page, "Linked")
    file = page.get_by_label("Import (CSV")
    with page.expect_file_chooser() as chooser:
        use(page, file, "Enter")
    table = b"channel,sku,listing_id,units\nshop,VASE-1,vase,1\n"
    chooser.value.set_files({"name": "links.csv", "mimeType": "text/csv", "buffer": table})
    use_button(page, "Show what it would do")
    use_button(page, "Link")
    says(page, "Linked.")
    linked = {(row.sku, row.listing_id) for row in own_console.world.rows(Link.sku, Link.listing_id)}
    assert linked >= {("TEAPOT-1", "teapot"), ("VASE-1", "vase")}


def test_an_account_is_paused_and_resumed_a_hold_lifted_and_a_plan_confirmed(
    own_console: Console, visit: Visit
) -> None:
    world = own_console.world
    page = visit(own_console)
    open_with_reason(page, "Pause shop", "Stock-taking", "Pause")
    says(page, "Paused.")
    assert world.holds() == ["paused"]
    use_button(page, "Resume shop")
    says(page, "The hold is lifted.")
    assert world.holds() == []

    world.services.holds.place(HoldReason.ORPHAN, HoldScope.LISTING, "mug", "adjustment 7 is nobody's")
    world.services.holds.place(HoldReason.PLAN_TOO_LARGE, HoldScope.CHANNEL, "shop", "3 units of 1 listing")
    page.goto("/holds")
    assert walk(page) == []
    open_with_reason(page, "Lift mug", "Counted by hand", "Lift")
    says(page, "The hold is lifted.")
    assert world.holds() == ["plan-too-large"]
    follow(page, "See the plan of shop")
    expect(page.get_by_role("heading", level=1)).to_have_text("The plan of shop")
    assert walk(page) == []
    use_button(page, "Confirm this plan")
    says(page, "The plan is confirmed.")
    assert world.holds() == []


def test_deliveries_orders_and_listings_are_found_and_tried_again(own_console: Console, visit: Visit) -> None:
    world = own_console.world

    def new() -> set[int]:
        return {row.id for row in world.rows(Delivery.id, Delivery.state) if row.state is DeliveryState.NEW}

    page = visit(own_console, "/deliveries")
    use(page, page.get_by_label("State"), "parked")
    use_button(page, "Find")
    page.wait_for_url("**state=parked**")
    follow(page, "8")
    use_button(page, "Handle it anew")
    says(page, "It is handled anew.")
    assert new() == {8}
    page.goto("/deliveries")
    for number in (7, 6):
        use(page, page.get_by_label(f"Delivery {number}", exact=True), "Space")
    use_button(page, "Handle the ticked ones anew")
    says(page, "They are handled anew.")
    assert new() == {6, 7, 8}

    follow(page, "Orders")
    use(page, page.get_by_label("Order id or SKU"), "MUG-1", "Enter")
    follow(page, "1001")
    expect(page.get_by_role("heading", level=1)).to_have_text("Order 1001")
    follow(page, "Orders")
    page.wait_for_url("**/orders")
    use(page, page.get_by_label("State"), "parked")
    use_button(page, "Find")
    page.wait_for_url("**state=parked**")
    follow(page, "0999")
    use_button(page, "Let the order count")
    says(page, "The order counts from now on.")
    assert "ada" in {row.accepted_by for row in world.rows(OrderRow.accepted_by)}

    follow(page, "Work")
    use(page, page.get_by_label("Listing chair"), "Space")
    use_button(page, "Look for the ticked ones' outcome now")
    says(page, "The listings are looked at now.")
    follow(page, "Listings")
    use(page, page.get_by_label("Listing id or SKU"), "MUG-1", "Enter")
    page.wait_for_url("**/listing?id=mug")
    use_button(page, "Look again now")
    says(page, "The listing is looked at now.")
    retried = [action.subject for action in world.services.actions.list() if action.verb == "listing-retried"]
    assert retried == ["mug", "chair"]


def test_an_anomaly_is_acknowledged_snoozed_and_resolved_and_an_alert_tried(own_console: Console, visit: Visit) -> None:
    world = own_console.world
    page = visit(own_console, "/anomalies")
    use(page, page.get_by_label("Kind"), "Oversold")
    use_button(page, "Filter")
    page.wait_for_url("**kind=oversold**")
    follow(page, "Oversold")
    use_button(page, "Acknowledge")
    says(page, "Acknowledged")
    use(page, page.locator("summary", has_text="Snooze"), "Enter")
    use(page, page.get_by_label("For how long?"), "ArrowDown")
    use(page, page.get_by_label("Why can it wait?"), "The supplier is asked")
    use_button(page, "Snooze")
    says(page, "Snoozed.")
    snoozed = {row.kind: row.snoozed_until for row in world.rows(Anomaly.kind, Anomaly.snoozed_until)}
    assert snoozed["oversold"] is not None
    open_with_reason(page, "Resolve", "Both buyers were told", "Resolve")
    says(page, "Resolved.")
    assert world.anomalies(resolved=True) == ["oversold"]

    follow(page, "Alerts")
    use_button(page, "Send a test to machine")
    expect(page.get_by_role("alert")).to_contain_text("machine did not take the test")
    (tried,) = world.services.actions.list(subject=("destination", "machine"))
    assert tried.actor == "ada"
