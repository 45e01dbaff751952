"""A person understands and settles what is wrong: with a mouse, with a keyboard alone, and without JavaScript."""

from __future__ import annotations

from playwright.sync_api import Page, expect

from tests.browser.conftest import PHONE, Visit
from tests.operating import PASSWORD, Console

MOST_TABS = 60


def tab_to(page: Page, words: str) -> None:
    """Press Tab until what has the focus says so. What has it is always seen."""
    for _ in range(MOST_TABS):
        page.keyboard.press("Tab")
        focused = page.evaluate(
            """() => {
                const held = document.activeElement, style = getComputedStyle(held);
                const seen = style.outlineStyle !== "none" && style.outlineWidth !== "0px";
                // A select holds the words of all its options.
                return [held.name || held.innerText || "", seen];
            }"""
        )
        assert focused[1], f"nothing shows that {focused[0]!r} has the focus"
        if words in focused[0]:
            return
    message = f"Tab never comes to {words!r}"
    raise AssertionError(message)


def test_an_oversold_listing_is_found_understood_and_settled(own_console: Console, visit: Visit) -> None:
    page = visit(own_console)
    page.get_by_role("link", name="Oversold").click()
    page.get_by_role("link", name="Oversold").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Oversold")
    page.locator("summary", has_text="Accept the marketplace's number").click()
    page.get_by_label("Why is it right?").fill("Told both buyers")
    page.get_by_role("button", name="Accept").click()
    expect(page.get_by_role("status")).to_contain_text("The marketplace's number stands")
    expect(page.locator(".badges")).to_contain_text("resolved")
    page.get_by_role("link", name="Log").click()
    expect(page.get_by_role("row").nth(1)).to_contain_text("Told both buyers")


def test_a_lost_write_is_settled_with_the_keyboard_alone(own_console: Console, visit: Visit) -> None:
    page = visit(own_console, "/sign-in", name=None)
    expect(page.get_by_label("Name")).to_be_focused()
    page.keyboard.type("ada")
    page.keyboard.press("Tab")
    page.keyboard.type(PASSWORD)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_contain_text("Stock is not known to be true")

    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to content")).to_be_focused()
    page.keyboard.press("Enter")
    tab_to(page, "Outcome of a write unknown")
    page.keyboard.press("Enter")
    page.wait_for_url("**/anomalies?kind=outcome-unknown")
    tab_to(page, "Outcome of a write unknown")
    page.keyboard.press("Enter")
    page.wait_for_url("**/anomalies/*")
    tab_to(page, "Settle the write")
    page.keyboard.press("Enter")
    tab_to(page, "outcome")
    page.keyboard.press("Space")
    tab_to(page, "reason")
    page.keyboard.type("The marketplace's history shows it")
    tab_to(page, "Settle")
    page.keyboard.press("Enter")
    expect(page.get_by_role("status")).to_contain_text("Settled")
    assert own_console.world.operations()[-1][0] == "applied"


def test_deeds_need_no_javascript(own_console: Console, visit: Visit) -> None:
    page = visit(own_console, "/listing?id=lamp", size=PHONE, script=False)
    page.locator("summary", has_text="Pause").click()
    page.get_by_label("Why? Nothing is written").fill("Stock-taking")
    page.get_by_role("button", name="Pause").click()
    expect(page.locator(".badges")).to_contain_text("held: paused")
    page.get_by_role("button", name="Resume").click()
    expect(page.locator(".badges")).not_to_contain_text("held")
    page.locator("summary", has_text="ada").click()
    page.get_by_role("button", name="Sign out", exact=True).click()
    expect(page.get_by_role("button", name="Sign in")).to_be_visible()


def test_a_viewer_sees_everything_and_is_offered_nothing(console: Console, visit: Visit) -> None:
    page = visit(console, "/listing?id=lamp", name="grace")
    expect(page.get_by_role("heading", level=1)).to_have_text("Listing lamp")
    expect(page.locator("main form")).to_have_count(0)


def test_parked_work_is_understood_and_tried_again_without_javascript(own_console: Console, visit: Visit) -> None:
    page = visit(own_console, "/work", size=PHONE, script=False)
    page.get_by_role("link", name="0999").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Order 0999")
    expect(page.get_by_role("listitem").filter(has_text="Order parked")).to_be_visible()
    page.get_by_role("link", name="Work").click()
    page.get_by_label("Order 0999 of shop").check()
    page.get_by_role("button", name="Let the ticked ones count").click()
    expect(page.get_by_role("status")).to_contain_text("The orders count from now on")
    expect(page.get_by_role("heading", name="Parked orders")).to_have_count(0)
    page.get_by_role("link", name="All deliveries").click()
    page.get_by_label("State").select_option("parked")
    page.get_by_role("button", name="Find").click()
    page.get_by_label("Delivery").check()
    page.get_by_role("button", name="Handle the ticked ones anew").click()
    expect(page.get_by_role("status")).to_contain_text("They are handled anew")
