"""The Sharetribe connector against its sandbox, over real HTTP, on one virtual clock for both."""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import httpx
import pytest

from connectors.budget import LocalBudgets
from connectors.contract import (
    Author,
    Change,
    Listing,
    ListingChange,
    ListingState,
    RemoteAdjustment,
    ReservationState,
    Stock,
    StockChange,
)
from connectors.errors import (
    ConnectorError,
    CursorTooOld,
    NotFound,
    OutcomeUnknown,
    Rejected,
    StockMismatch,
    Unauthorized,
    Unavailable,
)
from connectors.http import Timeouts, Toolbox
from connectors.registry import connector
from connectors.sandbox.clock import VirtualClock
from connectors.sandbox.serve import serve
from connectors.sharetribe import SharetribeMarketplace
from connectors.sharetribe.sandbox import Options, create_app

WRITE = "stock/compare_and_set"
MISSING = "00000000-0000-4000-8000-000000000000"
QUICK = Timeouts(connect_seconds=5, read_seconds=0.3, write_seconds=5, pool_seconds=5)
START = datetime(2026, 1, 1, tzinfo=UTC)


class Site:
    """A served marketplace: our connector to it, and everybody else's hands."""

    def __init__(self, url: str, clock: VirtualClock, options: Options) -> None:
        self.url = url
        self.clock = clock
        self.options = options
        self._control = httpx.Client(base_url=f"{url}/_control", timeout=10)
        self.budgets = LocalBudgets(clock)
        self._opened: list[SharetribeMarketplace] = []
        self.marketplace = self.open()

    def open(
        self, *, clock: VirtualClock | None = None, timeouts: Timeouts | None = None, **changes: Any
    ) -> SharetribeMarketplace:
        """One more connector, opened as the worker opens it."""
        found = connector("sharetribe")
        assert found.marketplace_settings is not None
        assert found.open_marketplace is not None
        settings = found.marketplace_settings.model_validate(
            {
                "client_id": self.options.client_id,
                "client_secret": self.options.client_secret,
                "base_url": self.url,
                "environment": self.options.profile.value,
                **changes,
            }
        )
        toolbox = Toolbox(clock or self.clock, self.budgets, random.Random(1), timeouts=timeouts or Timeouts())
        opened = found.open_marketplace(settings, toolbox)
        assert isinstance(opened, SharetribeMarketplace)
        self._opened.append(opened)
        return opened

    def control(self, path: str, body: Any = None) -> Any:
        response = self._control.post(path, json={} if body is None else body)
        assert response.status_code == 200, response.text
        return response.json()

    def look(self, path: str) -> Any:
        return self._control.get(path).json()

    def listing(self, stock: int | str | None = None, **details: Any) -> str:
        made = self.control("/listings", {"listings": [{"title": "Mug", "stock": stock, **details}]})
        return str(made["listings"][0]["id"])

    def total(self, listing_id: str) -> int:
        return int(self.look(f"/listings/{listing_id}")["total"])

    def fault(self, kind: str, operation: str = WRITE, **more: Any) -> None:
        self.control("/faults", {"operation": operation, "kind": kind, **more})

    def buy(self, listing_id: str, quantity: int = 1) -> str:
        return str(self.control("/purchases", {"listing_id": listing_id, "quantity": quantity})["id"])

    def written(self) -> Counter[str]:
        """What became of the compare-and-sets that arrived."""
        return Counter(self.look("/counts")["outcomes"].get(WRITE, {}))

    def close(self) -> None:
        for opened in self._opened:
            opened.disconnect()
        self._control.close()


@contextmanager
def served(clock: VirtualClock, **options: Any) -> Iterator[Site]:
    chosen = Options.model_validate(options)
    with serve(create_app(chosen, clock)) as url:
        site = Site(url, clock, chosen)
        try:
            yield site
        finally:
            site.close()


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock(START)


@pytest.fixture
def site(clock: VirtualClock) -> Iterator[Site]:
    with served(clock) as site:
        yield site


def follow(marketplace: SharetribeMarketplace, cursor: str | None) -> tuple[list[Change], str, list[str]]:
    """The feed to its head."""
    changes: list[Change] = []
    unknown: list[str] = []
    while True:
        page = marketplace.changes(cursor)
        changes += page.changes
        unknown += page.unknown_types
        cursor = page.cursor
        if not page.more:
            return changes, cursor, unknown


# Reading and writing


def test_a_listing_as_its_seller_made_it(site: Site) -> None:
    seller = str(uuid4())
    listing_id = site.listing(7, title="Red mug", author_id=seller, metadata={"sku": "MUG-R"})
    found = site.open(sku_key="metadata.sku").listing(listing_id)
    assert found == Listing(listing_id, ListingState.PUBLISHED, Stock.counted(7), seller, "Red mug", "MUG-R")


def test_an_id_that_is_none_is_rejected(site: Site) -> None:
    with pytest.raises(Rejected, match="validation-invalid-value"):
        site.marketplace.listing("mug-1")


@pytest.mark.parametrize("status", [409, 400, 412])
def test_a_mismatch_changes_nothing_whatever_its_status(clock: VirtualClock, status: int) -> None:
    with served(clock, switches={"mismatch_status": status}) as site:
        listing_id = site.listing(7)
        with pytest.raises(StockMismatch):
            site.marketplace.adjust(listing_id, seen=8, delta=-1)
        assert site.total(listing_id) == 7


@pytest.mark.parametrize("code", ["listing-not-found", "conflict"])
def test_writing_to_a_missing_listing_is_not_found_whatever_the_code(clock: VirtualClock, code: str) -> None:
    with served(clock, switches={"missing_listing_code": code}) as site:
        for write in (
            lambda: site.marketplace.adjust(MISSING, seen=1, delta=-1),
            lambda: site.marketplace.close(MISSING),
            lambda: site.marketplace.open(MISSING),
        ):
            with pytest.raises(NotFound):
                write()


def test_a_refused_total_is_rejected(clock: VirtualClock) -> None:
    with served(clock, switches={"largest_total": 100, "negative_old_total": "refused"}) as site:
        with pytest.raises(Rejected, match="newTotal"):
            site.marketplace.adjust(site.listing(99), seen=99, delta=2)
        with pytest.raises(Rejected, match="oldTotal"):
            site.marketplace.adjust(site.listing(0), seen=-1, delta=2)


# The ledger


@pytest.mark.parametrize("order", ["newest_first", "oldest_first", "shuffled"])
def test_the_ledger_in_any_order_of_the_vendor(clock: VirtualClock, order: str) -> None:
    with served(clock, switches={"adjustment_order": order}) as site:
        listing_id = site.listing(300)
        for number in range(250):
            clock.advance(1)
            site.marketplace.adjust(listing_id, seen=300 - number, delta=-1)
        found = site.marketplace.adjustments(listing_id, since=START)
        assert [each.quantity for each in found] == [300] + [-1] * 250
        assert [each.at for each in found] == sorted(each.at for each in found)
        assert {each.author for each in found} == {None}
        truth = site.look(f"/listings/{listing_id}")["adjustments"]
        assert [each.adjustment_id for each in found] == [each["id"] for each in truth]


def test_the_ledger_tells_reservations_in_every_state(site: Site) -> None:
    listing_id = site.listing(20)
    steps: dict[str, list[str]] = {
        "pending": [],
        "accepted": ["pay"],
        "declined": ["expire"],
        "cancelled": ["pay", "cancel"],
    }
    made: dict[str, str] = {}
    for state, path in steps.items():
        transaction_id = made[state] = site.buy(listing_id, 2)
        for step in path:
            site.clock.advance(1)
            site.control(f"/purchases/{transaction_id}/{step}")
    found = site.marketplace.adjustments(listing_id, since=START)
    assert sum(each.quantity for each in found) == site.total(listing_id) == 16
    for state, transaction_id in made.items():
        own = [each for each in found if each.reservation and each.reservation.transaction_id == transaction_id]
        assert {each.author for each in own} == {Author.OTHER}
        assert {each.reservation.state for each in own if each.reservation} == {ReservationState(state)}
        assert {each.reservation.quantity for each in own if each.reservation} == {2}
        assert [each.quantity for each in own] == ([-2] if state in {"pending", "accepted"} else [-2, 2])


def test_a_year_of_ledger(site: Site) -> None:
    listing_id = site.listing(5)
    site.clock.advance(timedelta(days=365).total_seconds())
    site.marketplace.adjust(listing_id, seen=5, delta=-1)
    assert [each.quantity for each in site.marketplace.adjustments(listing_id, since=START)] == [5, -1]
    site.clock.advance(timedelta(days=1).total_seconds())
    with pytest.raises(CursorTooOld):
        site.marketplace.adjustments(listing_id, since=START)


# The feed


def test_the_feed_tells_who_changed_what(site: Site) -> None:
    _, cursor, _ = follow(site.marketplace, None)
    listing_id = site.listing(9)
    site.marketplace.adjust(listing_id, seen=9, delta=-2)
    site.control(f"/listings/{listing_id}/stock", {"set": 6})
    site.control(f"/listings/{listing_id}/stock", {"change": 1, "by": "operator"})
    site.buy(listing_id, 3)
    changes, _, _ = follow(site.marketplace, cursor)
    created, *stock_changes = changes
    assert isinstance(created, ListingChange)
    assert (created.listing_id, created.state, created.state_changed) == (listing_id, ListingState.PUBLISHED, True)
    assert (created.author, created.title) == (Author.OTHER, "Mug")
    assert created.seller_id == site.look("/state")["provider_id"]
    adjustments = [each.adjustment for each in stock_changes if isinstance(each, StockChange)]
    assert [(each.quantity, each.author) for each in adjustments] == [
        (9, Author.OTHER),
        (-2, Author.OURS),
        (-1, Author.OTHER),
        (1, Author.OTHER),
        (-3, Author.OTHER),
    ]
    assert [each.reservation is not None for each in adjustments] == [False, False, False, False, True]
    sequences = [each.sequence for each in changes]
    assert sequences == sorted(set(sequences))


def test_feed_and_ledger_speak_of_the_same_adjustments(site: Site) -> None:
    _, cursor, _ = follow(site.marketplace, None)
    listing_id = site.listing(9)
    site.marketplace.adjust(listing_id, seen=9, delta=-2)
    changes, _, _ = follow(site.marketplace, cursor)
    fed = [each.adjustment for each in changes if isinstance(each, StockChange)]
    kept = site.marketplace.adjustments(listing_id, since=START)
    assert [_without_author(each) for each in fed] == [_without_author(each) for each in kept]


def _without_author(adjustment: RemoteAdjustment) -> tuple[object, ...]:
    return (adjustment.adjustment_id, adjustment.listing_id, adjustment.at, adjustment.quantity)


def test_another_integration_is_not_us(clock: VirtualClock) -> None:
    with served(clock, other_applications={"another-app": "s"}) as site:
        listing_id = site.listing(9)
        _, cursor, _ = follow(site.marketplace, None)
        other = site.open(client_id="another-app", client_secret="s")
        other.adjust(listing_id, seen=9, delta=-1)
        changes, _, _ = follow(site.marketplace, cursor)
        assert [each.adjustment.author for each in changes if isinstance(each, StockChange)] == [Author.OTHER]


def test_p4_an_anonymous_adjustment_has_no_author_and_a_missing_one_is_in_the_ledger(clock: VirtualClock) -> None:
    with served(clock) as site:
        listing_id = site.listing(9)
        _, cursor, _ = follow(site.marketplace, None)
        site.control("/switches", {"own_events": "anonymous"})
        site.marketplace.adjust(listing_id, seen=9, delta=-1)
        changes, cursor, _ = follow(site.marketplace, cursor)
        assert [each.adjustment.author for each in changes if isinstance(each, StockChange)] == [None]
        site.control("/switches", {"own_events": "missing"})
        site.marketplace.adjust(listing_id, seen=8, delta=-1)
        assert follow(site.marketplace, cursor)[0] == []
        assert len(site.marketplace.adjustments(listing_id, since=START)) == 3


def test_listing_states_in_the_feed(site: Site) -> None:
    listing_id = site.listing(9)
    _, cursor, _ = follow(site.marketplace, None)
    site.marketplace.close(listing_id)
    site.control(f"/listings/{listing_id}/open", {"by": "operator"})
    site.control(f"/listings/{listing_id}/delete")
    changes, _, _ = follow(site.marketplace, cursor)
    assert [
        (each.listing_id, each.state, each.state_changed, each.author)
        for each in changes
        if isinstance(each, ListingChange)
    ] == [
        (listing_id, ListingState.CLOSED, True, Author.OURS),
        (listing_id, ListingState.PUBLISHED, True, Author.OTHER),
        (listing_id, ListingState.DELETED, True, Author.OTHER),
    ]


@pytest.mark.parametrize("accompanied", ["never", "first", "always"])
def test_listing_events_that_accompany_stock_change_no_state(clock: VirtualClock, accompanied: str) -> None:
    with served(clock, switches={"listing_updated_on_stock": accompanied}) as site:
        _, cursor, _ = follow(site.marketplace, None)
        listing_id = site.listing(9)
        site.marketplace.adjust(listing_id, seen=9, delta=-1)
        changes, _, _ = follow(site.marketplace, cursor)
        assert sum(isinstance(each, StockChange) for each in changes) == 2
        assert [each.state_changed for each in changes if isinstance(each, ListingChange)][1:] == (
            [False] * {"never": 0, "first": 1, "always": 2}[accompanied]
        )


def test_types_of_events_we_do_not_know_are_counted(site: Site) -> None:
    _, cursor, _ = follow(site.marketplace, None)
    site.control("/events", {"event_type": "listing/archived"})
    site.control("/events", {"event_type": "warehouse/created"})
    listing_id = site.listing(1)
    changes, _, unknown = follow(site.marketplace, cursor)
    assert unknown == ["listing/archived"]
    assert {each.listing_id for each in changes if isinstance(each, ListingChange)} == {listing_id}


def test_events_that_become_visible_late_are_not_missed(clock: VirtualClock) -> None:
    with served(clock, switches={"event_delay_seconds": 30}) as site:
        _, cursor, _ = follow(site.marketplace, None)
        listing_id = site.listing(9)
        changes, cursor, _ = follow(site.marketplace, cursor)
        assert changes == []
        clock.advance(31)
        changes, _, _ = follow(site.marketplace, cursor)
        assert {each.listing_id for each in changes if isinstance(each, ListingChange)} == {listing_id}


@pytest.mark.parametrize(("profile", "days"), [("live", 90), ("dev", 7)])
def test_a_cursor_past_the_retention_is_too_old_and_a_followed_one_never_is(
    clock: VirtualClock, profile: str, days: int
) -> None:
    with served(clock, profile=profile) as site:
        site.listing(1)
        _, left, _ = follow(site.marketplace, None)
        followed = left
        for _ in range(days + 1):
            clock.advance(86_400)
            _, followed, _ = follow(site.marketplace, followed)
        with pytest.raises(CursorTooOld):
            site.marketplace.changes(left)


# Trails


def test_reservations_that_stay_pending_are_told_the_oldest_first(site: Site, clock: VirtualClock) -> None:
    mug, hat = site.listing(9), site.listing(9)
    paid = site.buy(mug, 1)
    site.control(f"/purchases/{paid}/pay")
    asked = site.control("/purchases", {"listing_id": hat, "process": "inquiry-purchase"})["id"]
    clock.advance(60)
    first = site.buy(mug, 2)
    clock.advance(60)
    site.control(f"/purchases/{asked}/request")
    clock.advance(60)
    site.buy(mug, 3)
    found = site.marketplace.pending_reservations(before=clock.now() - timedelta(seconds=30))
    assert [(each.transaction_id, each.listing_id, each.quantity, each.since - START) for each in found] == [
        (first, mug, 2, timedelta(seconds=60)),
        (asked, hat, 1, timedelta(seconds=120)),
    ]
    assert [each.transaction_id for each in site.marketplace.pending_reservations(before=found[1].since)] == [first]


def test_the_trail_of_a_failed_release_shows_what_went_wrong(site: Site) -> None:
    listing_id = site.listing(3)
    transaction_id = site.buy(listing_id, 3)
    site.control(f"/purchases/{transaction_id}/pay")
    site.control(f"/purchases/{transaction_id}/fail_release")
    assert site.marketplace.listing(listing_id).stock.total < 0
    trail = site.marketplace.trail(transaction_id)
    assert [step.name for step in trail if step.kind == "transaction"] == [
        "transition/request-payment",
        "transition/confirm-payment",
    ]
    # Stock moved after the last completed transition: the one that failed left no other trace.
    assert trail[-1].kind == "stock"


# The sweep


def test_a_sweep_sees_every_listing_once_in_every_state(site: Site) -> None:
    states = ["draft", "pendingApproval", "published", "closed"]
    made = {site.listing(number, state=states[number % 4]): states[number % 4] for number in range(8)}
    deleted = site.listing(1)
    site.control(f"/listings/{deleted}/delete")
    found = [each for page in site.marketplace.listings() for each in page if isinstance(each, Listing)]
    expected = {"pendingApproval": "pending_approval"}
    assert {each.listing_id: each.state for each in found} == {
        listing_id: ListingState(expected.get(state, state)) for listing_id, state in made.items()
    }
    assert len(found) == len(made)


@pytest.mark.parametrize("same_moment", [False, True])
def test_a_sweep_of_a_large_catalogue(site: Site, same_moment: bool) -> None:
    moment = START - timedelta(days=1)
    new = [
        {
            "title": f"Mug {number}",
            "stock": number,
            "created_at": (moment if same_moment else moment + timedelta(seconds=number // 3)).isoformat(),
        }
        for number in range(730)
    ]
    made = site.control("/listings", {"listings": new, "events": False})["listings"]
    calls = site.marketplace.calls
    found = [each for page in site.marketplace.listings() for each in page if isinstance(each, Listing)]
    assert Counter(each.listing_id for each in found) == Counter(each["id"] for each in made)
    assert {each.listing_id: each.stock.total for each in found} == {each["id"]: each["total"] for each in made}
    # A token, and a page for about every hundred.
    assert site.marketplace.calls - calls <= 1 + 9


# Closing and opening


@pytest.mark.parametrize("repeated", ["accepted", "refused"])
def test_closing_and_opening_may_be_repeated(clock: VirtualClock, repeated: str) -> None:
    with served(clock, switches={"repeated_close": repeated}) as site:
        listing_id = site.listing(0)
        for act, state in ((site.marketplace.close, "closed"), (site.marketplace.open, "published")):
            act(listing_id)
            act(listing_id)
            assert site.look(f"/listings/{listing_id}")["state"] == state


def test_a_draft_cannot_be_closed(site: Site) -> None:
    with pytest.raises(Rejected, match="it is draft"):
        site.marketplace.close(site.listing(0, state="draft"))


# Trouble


@pytest.mark.parametrize(
    ("kind", "more", "applied"),
    [
        ("drop_before", {}, 0),
        ("drop_before", {"reset": False}, 0),
        ("drop_after", {}, 1),
        ("drop_after", {"reset": False}, 1),
        ("answer", {"status": 404, "body": "<html>"}, 0),
    ],
)
def test_p4_a_write_whose_answer_says_nothing_is_unknown_and_sent_once(
    site: Site, kind: str, more: dict[str, Any], applied: int
) -> None:
    listing_id = site.listing(7)
    # On a connection that is open already, as most are.
    site.marketplace.listing(listing_id)
    site.fault(kind, **more)
    with pytest.raises(OutcomeUnknown):
        site.marketplace.adjust(listing_id, seen=7, delta=-1)
    assert site.total(listing_id) == 7 - applied
    assert site.look("/counts")["calls"][WRITE] == 1


@pytest.mark.parametrize(("kind", "applied"), [("slow", 1), ("delay", 0)])
def test_p4_a_write_that_is_answered_too_late_is_unknown(site: Site, kind: str, applied: int) -> None:
    listing_id = site.listing(7)
    marketplace = site.open(timeouts=QUICK)
    site.fault(kind, seconds=3600)
    with pytest.raises(OutcomeUnknown):
        marketplace.adjust(listing_id, seen=7, delta=-1)
    assert site.total(listing_id) == 7 - applied


@pytest.mark.parametrize(
    ("kind", "more", "error"),
    [
        ("answer", {"status": 404, "body": "<html>"}, Unavailable),
        ("answer", {"status": 403, "body": "<html>"}, Unauthorized),
    ],
)
def test_a_read_says_what_does_not_pass(
    site: Site, kind: str, more: dict[str, Any], error: type[ConnectorError]
) -> None:
    listing_id = site.listing(7)
    site.fault(kind, "listings/show", times=None, **more)
    with pytest.raises(error):
        site.marketplace.listing(listing_id)
    site.control("/faults/clear")
    assert site.marketplace.listing(listing_id).stock.total == 7


def test_a_host_that_does_not_listen_is_unavailable_for_a_write(site: Site) -> None:
    gone = site.open(base_url="http://127.0.0.1:9")
    with pytest.raises(Unavailable):
        gone.adjust(MISSING, seen=7, delta=-1)


# Tokens


@pytest.mark.parametrize("rotate", [True, False])
@pytest.mark.parametrize("refresh_tokens", [True, False])
def test_tokens_that_end_early_are_replaced_without_a_word(
    clock: VirtualClock, rotate: bool, refresh_tokens: bool
) -> None:
    with served(clock, switches={"rotate_refresh_tokens": rotate}) as site:
        listing_id = site.listing(9)
        for number in range(3):
            assert site.marketplace.adjust(listing_id, seen=9 - number, delta=-1).total == 8 - number
            site.control("/tokens/expire", {"refresh_tokens": refresh_tokens})
        assert site.written() == {"applied": 3, "auth-invalid-access-token": 2}


def test_tokens_are_renewed_before_they_end(site: Site) -> None:
    listing_id = site.listing(9)
    for _ in range(5):
        site.marketplace.listing(listing_id)
        site.clock.advance(571)
    assert site.look("/counts")["outcomes"]["listings/show"] == {"ok": 5}


def test_many_threads_share_one_token(site: Site) -> None:
    listing_id = site.listing(9)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: site.marketplace.listing(listing_id), range(40)))
        site.control("/tokens/expire", {"refresh_tokens": False})
        list(pool.map(lambda _: site.marketplace.listing(listing_id), range(40)))
    assert site.look("/counts")["calls"]["auth/token"] == 2


def test_wrong_credentials(site: Site) -> None:
    wrong = site.open(client_secret="wrong")
    with pytest.raises(Unauthorized):
        wrong.listing(MISSING)
    with pytest.raises(Unauthorized):
        wrong.adjust(MISSING, seen=1, delta=-1)
    (check,) = wrong.check()
    assert not check.ok
    assert check.remedy


# Limits


def test_the_limits_of_a_dev_environment_are_kept(clock: VirtualClock) -> None:
    with served(clock, profile="dev") as site:
        listing_id = site.listing(100)
        for number in range(40):
            site.marketplace.listing(listing_id)
            site.marketplace.adjust(listing_id, seen=100 - number, delta=-1)
        assert site.written() == {"applied": 40}
        assert site.look("/counts")["outcomes"]["listings/show"] == {"ok": 40}
        assert (clock.now() - START).total_seconds() >= 60


def test_no_more_than_ten_calls_are_ever_under_way(site: Site) -> None:
    """The sandbox refuses the eleventh, so nothing may be refused."""
    listing_id = site.listing(9)
    site.fault("delay", "listings/show", times=None, seconds=0.001)
    ticking = threading.Event()

    def tick() -> None:
        while not ticking.wait(0.002):
            site.clock.advance(0.001)

    ticker = threading.Thread(target=tick)
    ticker.start()
    with ThreadPoolExecutor(24) as pool:
        list(pool.map(lambda _: site.marketplace.listing(listing_id), range(120)))
    ticking.set()
    ticker.join()
    assert site.look("/counts")["outcomes"]["listings/show"] == {"ok": 120}


# Doctor


def test_a_healthy_marketplace(site: Site) -> None:
    assert [(check.name, check.ok) for check in site.marketplace.check()] == [
        ("access", True),
        ("listings", True),
        ("events", True),
        ("clock", True),
    ]


@pytest.mark.parametrize("offset", [timedelta(minutes=-5), timedelta(hours=5)])
def test_a_clock_that_is_off_is_found_and_the_feed_goes_by_the_vendors(site: Site, offset: timedelta) -> None:
    marketplace = site.open(clock=VirtualClock(START + offset))
    _, cursor, _ = follow(marketplace, None)
    listing_id = site.listing(1)
    changes, _, _ = follow(marketplace, cursor)
    assert {each.listing_id for each in changes if isinstance(each, ListingChange)} == {listing_id}
    check = marketplace.check()[-1]
    assert (check.name, check.ok) == ("clock", False)
