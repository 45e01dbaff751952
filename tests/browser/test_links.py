"""A SKU is linked: from its anomaly, seen before it is done, on a phone and without JavaScript; and from a file."""

from __future__ import annotations

from playwright.sync_api import expect

from tests.browser.conftest import PHONE, Visit
from tests.browser.test_pages import violations
from tests.operating import Console


def test_a_sku_is_linked_from_its_anomaly(own_console: Console, visit: Visit) -> None:
    page = visit(own_console, "/anomalies?kind=unlinked-sku", size=PHONE, script=False)
    page.get_by_role("link", name="SKU without a link").click()
    page.get_by_role("link", name="Link this SKU").click()
    expect(page.get_by_label("SKU, as the channel spells it")).to_have_value("TEAPOT-1")
    page.get_by_label("Teapot, brown").check()
    page.get_by_role("button", name="Show what linking would do").click()
    expect(page.get_by_text("number now 4, then 3")).to_be_visible()
    page.get_by_role("button", name="Link", exact=True).click()
    expect(page.get_by_role("status")).to_contain_text("Linked.")
    expect(page.get_by_text("No sale waits for a link.")).to_be_visible()


def test_what_a_file_would_do_is_shown_and_keeps_nobody_out(own_console: Console, visit: Visit) -> None:
    page = visit(own_console, "/links/list", size=PHONE)
    table = "channel,sku,listing_id,units\nshop,TEAPOT-1,teapot,1\nshop,TEAPOT-1,vase,2\n"
    file = page.get_by_label("Import (CSV")
    file.set_input_files({"name": "links.csv", "mimeType": "text/csv", "buffer": b"sku\nx\n"})
    page.get_by_role("button", name="Show what it would do").click()
    expect(page.get_by_text("Line 1: the header lacks")).to_be_visible()
    assert violations(page) == []
    page.goto("/links/list")
    file.set_input_files({"name": "links.csv", "mimeType": "text/csv", "buffer": table.encode()})
    page.get_by_label("End the links of the file's channels").check()
    page.get_by_role("button", name="Show what it would do").click()
    expect(page.get_by_text("becomes a kit")).to_be_visible()
    assert violations(page) == []
    wide = page.evaluate("() => document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert wide <= 0
