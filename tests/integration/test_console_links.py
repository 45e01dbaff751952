"""SKU links on the console: what waits and what it may be, what linking would do to stock, and linking."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from urllib.parse import urlencode

import httpx
import pytest
from sqlalchemy import update

from connectors.contract import ListingState
from tests.integration.test_console import signed_in
from tests.operating import Browser, Console, known_as
from tests.world import CHANNEL, World
from worker.alerts import Kind
from worker.console.uploads import MOST_BYTES, MOST_FILE_BYTES
from worker.links import Unlinked
from worker.operators import Actor, Via
from worker.operators.desk import MOST_LINKS_TOLD, LinksChangedError
from worker.store.bulk import insert_rows
from worker.store.tables import ChannelRow, HoldReason, HoldScope, Link, ListingRow

SOMEBODY = Actor("ada", Via.COMMAND)
BY_HAND = {
    "source": "one",
    "channel": CHANNEL,
    "sku": "NEW",
    "listing": "mug",
    "units": "6",
    "from": "2020-01-01T00:00:00Z",
}


@pytest.fixture
def console(world: World) -> Iterator[Console]:
    """A teapot that was sold before anybody linked it, and a mug that is linked."""
    world.listing("mug", 9)
    world.listing("pot", 4)
    world.link("MUG-1", "mug")
    world.pass_time(1)
    world.sell("o1", {"TEAPOT-1": 1, "MUG-1": 2})
    world.sell("o2", {"TEAPOT-1": 2})
    known_as(world, "mug", "Mug", "MUG-1")
    known_as(world, "pot", "Teapot, brown", "TEAPOT 1")
    with Console(world) as listening:
        yield listening


def send(browser: Browser, path: str, fields: dict[str, str], file: bytes | None = None) -> httpx.Response:
    """A form that may hold a file, as a browser sends it."""
    parts: dict[str, tuple[str | None, bytes]] = {
        name: (None, value.encode()) for name, value in {"token": browser.token("/links"), **fields}.items()
    }
    if file is not None:
        parts["file"] = ("links.csv", file)
    return browser.client.post(path, files=parts)


def ticked(sku: str = "TEAPOT-1", listing: str = "pot", units: str = "1") -> dict[str, str]:
    """The field of a suggestion somebody has ticked."""
    return {"link.0.0": urlencode({"channel": CHANNEL, "sku": sku, "listing": listing}), "units.0": units}


def confirmed(browser: Browser, planned: httpx.Response) -> httpx.Response:
    """Press the button of a plan that is shown."""
    fields = dict(re.findall(r'<input type="hidden" name="(source|replace|shown|table)" value="([^"]*)"', planned.text))
    return send(browser, "/links/make", fields)


def links(world: World) -> list[tuple[str, str, int]]:
    rows = world.rows(Link.sku, Link.listing_id, Link.units, Link.until_at)
    return sorted((row.sku, row.listing_id, row.units) for row in rows if row.until_at is None)


# --- looking ----------------------------------------------------------------------------------------------------


def test_what_waits_for_a_link_is_shown_with_what_it_may_be_and_why(console: Console) -> None:
    text = signed_in(console).get("/links").text
    assert re.search(r"TEAPOT-1</h3>\s*<p[^>]*>shop: 3 sold in 2 orders, since <time", text)
    assert "95 of 100" in text
    assert "Its SKU TEAPOT 1 differs in case, blanks or punctuation alone." in text
    assert "MUG-1</h3>" not in text


def test_a_viewer_looks_and_links_nothing(console: Console) -> None:
    browser = signed_in(console, "grace")
    text = browser.get("/links").text
    assert "95 of 100" in text
    assert "<form" not in text.partition("<main")[2]
    for path in ("/links/plan", "/links/make"):
        answer = browser.client.post(path, files={"token": (None, browser.token("/"))})
        assert answer.status_code == 403
    assert browser.get("/links/export").text.startswith("channel,sku,listing_id,units,from")


def test_skus_and_links_are_shown_a_page_at_a_time(world: World) -> None:
    world.listing("L", 10)
    world.listing("M", 10)
    for number in range(101):
        world.link(f"S-{number:03}", "L")
    world.link("S-000", "M")
    world.sell("o1", {f"N-{number:02}": 1 for number in range(25)})
    with Console(world) as console:
        browser = signed_in(console)
        first = browser.get("/links").text
        assert re.findall(r"(N-\d\d)</h3>", first) == [f"N-{number:02}" for number in range(20)]
        more = re.search(r'href="(/links\?[^"]+)">More', first)
        assert more is not None
        assert re.findall(r"(N-\d\d)</h3>", browser.get(more[1].replace("&amp;", "&")).text) == [
            f"N-{number}" for number in range(20, 25)
        ]
        listed = browser.get("/links/list").text
        shown = re.findall(r">(S-\d\d\d)</span>", listed)
        assert (len(shown), shown[:3]) == (100, ["S-000", "S-000", "S-001"])
        assert listed.count("kit of 2") == 2
        more = re.search(r'href="(/links/list\?[^"]+)">More', listed)
        assert more is not None
        assert re.findall(r">(S-\d\d\d)</span>", browser.get(more[1].replace("&amp;", "&")).text) == ["S-099", "S-100"]
        for words, found in (("S-007", ["S-007"]), ("M", ["S-000"]), ("nothing", [])):
            assert re.findall(r">(S-\d\d\d)</span>", browser.get(f"/links/list?q={words}").text) == found


def test_an_anomaly_leads_to_its_sku(console: Console) -> None:
    browser = signed_in(console)
    (anomaly,) = console.world.services.anomalies.list(kind=Kind.UNLINKED_SKU)
    leads = re.search(r'href="(/links\?[^"]+)">Link this SKU', browser.get(f"/anomalies/{anomaly.id}").text)
    assert leads is not None
    text = browser.get(leads[1].replace("&amp;", "&")).text
    assert "Sales of “TEAPOT-1”" in text
    assert '<input id="sku" name="sku" value="TEAPOT-1"' in text


def test_settings_are_shown_and_no_secret_is(console: Console) -> None:
    text = signed_in(console, "grace").get("/settings").text
    assert 'id="channels.shop"' in text
    assert re.search(r'close_scope</th><td>all</td><td>.</td><td class="quiet">&#34;all&#34; listings', text)


# --- linking ----------------------------------------------------------------------------------------------------


def test_what_linking_would_do_is_shown_and_then_done(console: Console) -> None:
    world, browser = console.world, signed_in(console)
    world.reconcile()
    planned = send(browser, "/links/plan", ticked())
    assert planned.status_code == 200
    assert re.search(r"Teapot, brown</a>: number now 4, then 1 \(.3\)", planned.text)
    assert [re.search(rf">{order}</td>.*?this link", planned.text) is not None for order in ("o1", "o2")] == [True] * 2
    assert links(world) == [("MUG-1", "mug", 1)]
    assert world.anomalies() == ["unlinked-sku"]

    done = confirmed(browser, planned)
    assert (done.status_code, done.headers["location"]) == (303, "/links?done=linked")
    assert world.anomalies() == []
    world.reconcile()
    assert world.total("pot") == 1
    world.assert_p1()
    log = browser.get("/log").text
    assert "sku linked" in log
    assert "shop/TEAPOT-1" in log
    assert "sku linked" in browser.get("/listing?id=pot").text
    assert "No sale waits for a link." in browser.get("/links").text


def test_the_plan_says_what_waits_already_and_what_is_held(console: Console) -> None:
    world, browser = console.world, signed_in(console)
    world.services.holds.place(HoldReason.PAUSED, HoldScope.LISTING, "mug", "stock-taking")
    text = send(browser, "/links/plan", ticked(listing="mug", units="2")).text
    assert re.search(r"Mug</a>: number now 9, then 1 \(.8\)", text)
    assert re.search(r"MUG-1</td>.*?the marketplace", text)
    assert "paused hold on listing mug" in text


def test_several_suggestions_of_one_sku_are_a_kit_and_said_to_be(console: Console) -> None:
    world, browser = console.world, signed_in(console)
    both = {**ticked(), "link.0.1": ticked(listing="mug")["link.0.0"]}
    planned = send(browser, "/links/plan", both)
    assert "a sale takes from 2 listings" in planned.text
    assert confirmed(browser, planned).status_code == 303
    assert links(world) == [("MUG-1", "mug", 1), ("TEAPOT-1", "mug", 1), ("TEAPOT-1", "pot", 1)]


def test_a_link_is_added_by_hand_with_its_units_and_start(console: Console) -> None:
    world, browser = console.world, signed_in(console)
    planned = send(browser, "/links/plan", BY_HAND)
    assert "No order line waits for it" in planned.text
    assert confirmed(browser, planned).status_code == 303
    assert ("NEW", "mug", 6) in links(world)
    assert {row.from_at.isoformat() for row in world.rows(Link.sku, Link.from_at) if row.sku == "NEW"} == {
        "2020-01-01T00:00:00+00:00"
    }


def test_what_is_wrong_with_a_link_by_hand_is_said(console: Console) -> None:
    browser = signed_in(console)
    for changed, said in (
        ({"units": "0"}, "units is &#39;0&#39;"),
        ({"units": "½"}, "Write a whole number"),
        ({"from": "yesterday"}, "which is no time"),
        ({"listing": "nowhere"}, "there is no listing &#39;nowhere&#39;"),
        ({"channel": "other"}, "there is no channel &#39;other&#39;"),
        ({"sku": ""}, "sku is empty"),
    ):
        planned = send(browser, "/links/plan", {**BY_HAND, **changed})
        assert (planned.status_code, said in planned.text, "Line 2" in planned.text) == (409, True, False), said
        assert "/links/make" not in planned.text
    assert links(console.world) == [("MUG-1", "mug", 1)]


def test_blanks_and_line_breaks_of_a_sku_survive_the_confirmation(console: Console) -> None:
    world, browser = console.world, signed_in(console)
    odd = ' a,"b"\n c '
    planned = send(browser, "/links/plan", ticked(sku=odd))
    assert confirmed(browser, planned).status_code == 303
    assert (odd, "pot", 1) in links(world)


def test_what_was_exported_is_imported_and_with_replace_ends_what_is_missing(console: Console) -> None:
    world, browser = console.world, signed_in(console)
    exported = browser.get("/links/export")
    assert exported.headers["content-disposition"] == 'attachment; filename="links.csv"'
    assert exported.headers["content-type"].startswith("text/csv")
    assert [row["sku"] for row in csv.DictReader(io.StringIO(exported.text))] == ["MUG-1"]
    same = send(browser, "/links/plan", {"source": "file"}, exported.content)
    assert "Nothing: all of it is so already" in same.text
    assert "/links/make" not in same.text

    table = f"\ufeffchannel,sku,listing_id\n{CHANNEL},TEAPOT-1,pot\n".encode()
    kept = send(browser, "/links/plan", {"source": "file"}, table)
    assert "Links that end now" not in kept.text
    planned = send(browser, "/links/plan", {"source": "file", "replace": "yes"}, table)
    assert "Links that end now" in planned.text
    assert confirmed(browser, planned).status_code == 303
    assert links(world) == [("TEAPOT-1", "pot", 1)]
    assert "link ended" in browser.get("/log").text


def test_what_is_wrong_with_a_file_is_said_line_by_line_and_nothing_is_linked(console: Console) -> None:
    world, browser = console.world, signed_in(console)
    table = f"channel,sku,listing_id\n{CHANNEL},A,pot\n{CHANNEL},<b>B</b>,<i>x</i>\n".encode()
    answer = send(browser, "/links/plan", {"source": "file"}, table)
    assert answer.status_code == 409
    assert "Line 3: there is no listing &#39;&lt;i&gt;x&lt;/i&gt;&#39;" in answer.text
    assert links(world) == [("MUG-1", "mug", 1)]


def test_a_file_that_cannot_be_taken_is_refused(console: Console) -> None:
    browser = signed_in(console)
    for file, status, said in (
        (b"x" * (MOST_FILE_BYTES + 1), 413, "larger than 256 KB"),
        (b"x" * MOST_BYTES, 413, "larger than 256 KB"),
        ("channel,sku,listing_id\nshop,Ä,pot\n".encode("latin-1"), 400, "not UTF-8"),
        (b"\x00\x01\x02", 409, "This cannot be linked."),
        (b"", 409, "the header lacks"),
    ):
        answer = send(browser, "/links/plan", {"source": "file"}, file)
        assert (answer.status_code, said in answer.text) == (status, True), said


def test_who_is_not_signed_in_uploads_nothing_and_forms_of_others_do_not_count(console: Console) -> None:
    stranger = Browser(console)
    answer = stranger.client.post("/links/plan", files={"file": ("links.csv", b"x" * 10_000)})
    assert (answer.status_code, answer.headers["location"]) == (303, "/sign-in")
    browser = signed_in(console)
    assert browser.client.post("/links/make", files={"token": (None, "0" * 64)}).status_code == 403
    elsewhere = {"Origin": "https://evil.example"}
    assert browser.client.post("/links/make", files={"a": (None, "b")}, headers=elsewhere).status_code == 403
    for content, kind, status in (
        (b"token=x", "application/x-www-form-urlencoded", 415),
        (b"x", "multipart/form-data", 400),
        (b"--x\r\nnonsense", "multipart/form-data; boundary=x", 403),
        (b"--x\r\n" + b'Content-Disposition: form-data; name="a"\r\n\r\nb\r\n--x\r\n' * 200, None, 400),
    ):
        headers = {"Content-Type": kind or "multipart/form-data; boundary=x"}
        assert browser.client.post("/links/make", content=content, headers=headers).status_code == status
    assert send(browser, "/links/make", {"table": "§"}).status_code == 400


def test_what_others_changed_meanwhile_is_shown_before_it_is_done(console: Console) -> None:
    world, browser = console.world, signed_in(console)
    table = f"channel,sku,listing_id\n{CHANNEL},TEAPOT-1,pot\n".encode()
    planned = send(browser, "/links/plan", {"source": "file", "replace": "yes"}, table)
    world.link("SOMEBODYS", "mug")
    refused = confirmed(browser, planned)
    assert refused.status_code == 409
    assert "changed by somebody meanwhile" in refused.text
    assert "SOMEBODYS" in refused.text
    assert ("SOMEBODYS", "mug", 1) in links(world)
    assert confirmed(browser, refused).status_code == 303
    assert links(world) == [("TEAPOT-1", "pot", 1)]


def test_a_refused_import_leaves_neither_links_nor_a_line_in_the_log(console: Console) -> None:
    world, desk = console.world, console.world.services.desk
    table = f"channel,sku,listing_id\n{CHANNEL},TEAPOT-1,pot\n"
    with pytest.raises(LinksChangedError):
        desk.import_links(table, by=SOMEBODY, shown="something else")
    assert links(world) == [("MUG-1", "mug", 1)]
    assert {"sku-linked", "links-imported"}.isdisjoint(entry.verb for entry in world.services.actions.list())
    many = "".join(f"{CHANNEL},S-{number},pot\n" for number in range(MOST_LINKS_TOLD + 1))
    desk.import_links(f"channel,sku,listing_id\n{many}", by=SOMEBODY)
    last = world.services.actions.list()[0]
    assert (last.verb, last.subject, last.after["begun"]) == ("links-imported", CHANNEL, MOST_LINKS_TOLD + 1)


# --- what it may be ---------------------------------------------------------------------------------------------


def test_only_listings_of_the_channels_seller_that_are_not_deleted_are_suggested(world: World) -> None:
    for listing_id, seller in (("ours", "s1"), ("theirs", "s2"), ("gone", "s1")):
        world.listing(listing_id, 5, seller=seller)
    for listing_id in ("ours", "theirs", "gone"):
        known_as(world, listing_id, "Teapot", "POT-7")
    with world.store.write() as transaction:
        gone = update(ListingRow).where(ListingRow.listing_id == "gone")
        transaction.execute(gone.values(state=ListingState.DELETED))
        transaction.execute(update(ChannelRow).where(ChannelRow.name == CHANNEL).values(seller_id="s1"))
        insert_rows(
            transaction,
            ChannelRow,
            [
                {"name": name, "seller_id": seller, "counted_from": world.clock.now(), "created_at": world.clock.now()}
                for name, seller in (("other", "s2"), ("both", ""))
            ],
        )
        common = {"units": 3, "from_at": world.clock.now(), "until_at": None, "created_at": world.clock.now()}
        insert_rows(
            transaction,
            Link,
            [
                {"channel": "other", "sku": "POT-8", "listing_id": "theirs", **common},
                {"channel": "both", "sku": "POT-8", "listing_id": "ours", **common},
            ],
        )
    world.sell("o1", {"POT-7": 1, "POT-8": 2})
    unlinked = Unlinked(world.store).page(channel=CHANNEL)
    found = {entry.sku: [(s.listing_id, s.score, s.units) for s in entry.suggestions] for entry in unlinked.skus}
    assert found == {"POT-7": [("ours", 100, 1)], "POT-8": [("ours", 96, 3)]}


def test_near_spellings_are_found_in_a_catalogue_larger_than_what_is_compared(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.links.unlinked.MOST_COMPARED", 10)
    world.listing("L", 5)
    known_as(world, "L", "", "TEAPOT-BROWN")
    with world.store.write() as transaction:
        row = dict(world.listing_row("L")._mapping)
        others = [{**row, "listing_id": f"A{number:03}", "sku": f"S{number:03}"} for number in range(200)]
        insert_rows(transaction, ListingRow, [*others, {**row, "listing_id": "B", "sku": "teapot"}])
    world.sell("o1", {"teapot-brwn": 1})
    (entry,) = Unlinked(world.store).page().skus
    assert [found.listing_id for found in entry.suggestions] == ["L", "B"]


def test_a_sale_that_was_cancelled_waits_for_nothing(world: World) -> None:
    world.sell("o1", {"A": 1, "B": 1})
    world.pass_time(5)
    world.sell("o1", {"A": 0, "B": 1})
    assert [entry.sku for entry in Unlinked(world.store).page().skus] == ["B"]
