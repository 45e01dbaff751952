"""A connector that breaks its contract in every way: nothing wrong is booked, each failure names its channel and order,
and the channel beside it goes on as if nothing were.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import timedelta
from random import Random
from typing import Any

import pytest
from structlog.testing import capture_logs

from config.settings import ChannelSettings, WebSettings
from connectors.contract import AccessEnded, Gone, Look, Order, OrderPage, OrderRef, UnreadableOrder
from connectors.errors import RateLimited, Unavailable, Unreadable
from tests import hostile
from tests.hostile import BAD_ORDERS, FAILURES, NO_PAGES, HostileChannel, Trick, line, order
from tests.world import CHANNEL, InTurn, NoOptions, World
from worker.holds.accounts import Accounts
from worker.housekeeping import Housekeeping
from worker.intake import boundary
from worker.intake import repository as orders
from worker.intake.inbox import Incoming
from worker.intake.snapshots import NEVER_SEEN
from worker.links import Links
from worker.services import Services
from worker.status.doctor import Doctor
from worker.store import Store
from worker.store.tables import HoldScope, OrderLineRow, OrderRow, OrderState
from worker.tasks import Tasks

BAD = "bad"
HOUR = 3600


class Beside(World):
    """The world, with a hostile channel beside the good one."""

    def __init__(self, store: Store) -> None:
        self.hostile = HostileChannel()
        super().__init__(store)
        self.tasks = Tasks(self.services, self)  # type: ignore[arg-type]

    def ring(self, task: str) -> None: ...

    def rooms(self, store: Store) -> Services:
        bad = ChannelSettings(name=BAD, connector="shopify", any_seller=True, options=NoOptions())
        channels = {**self._settings.channels, BAD: bad}
        web = WebSettings(public_url="https://stock.example.com")
        return Services(
            self._settings.model_copy(update={"channels": channels, "web": web}),
            clock=self.clock,
            store=store,
            executor=InTurn(),
            randomness=Random(7),
            marketplace=self.marketplace,
            channels={BAD: self.hostile, CHANNEL: self._offered},
        )

    def rounds(self, count: int = 1) -> None:
        """What the schedule rings, as often."""
        for _ in range(count):
            for run in (self.tasks.poll, self.tasks.intake, self.tasks.reconcile):
                run()
            self.pass_time(HOUR / 2)

    def assert_the_other_goes_on(self, order_id: str = "good-1") -> None:
        before = self.total()
        assert before is not None
        self.channel.put(order_id, {"A": 2})
        self.pass_time(HOUR)
        self.rounds()
        assert self.total() == before - 2
        self.assert_p1()

    def assert_nothing_is_booked(self) -> None:
        assert [row for row in self.rows(OrderLineRow.channel) if row.channel == BAD] == []

    def ask_for(self, order_id: str) -> None:
        """Somebody wants to know what this order of the hostile channel is."""
        with self.store.write() as transaction:
            orders.ensure_orders(transaction, BAD, {order_id: "c"}, NEVER_SEEN, self.clock.now())
            orders.ask_for_fetch(transaction, BAD, [order_id], self.clock.now())

    def link_for(self, channel: str) -> None:
        table = f"channel,sku,listing_id,units,from\n{channel},A,L,1,{hostile.MOMENT.isoformat()}\n"
        Links(self.store, self.clock, self.services.anomalies).import_csv(table)

    def told(self) -> list[Any]:
        return [view for view in self.services.anomalies.list() if view.channel == BAD]


@pytest.fixture(autouse=True)
def _unseen() -> Iterator[None]:
    """Hundreds of tracebacks, each laid out for a terminal, are all that would be waited for."""
    with capture_logs():
        yield


@pytest.fixture
def beside(store: Store) -> Beside:
    made = Beside(store)
    made.listing(total=100_000)
    made.link()
    return made


def deliver(world: Beside, body: bytes) -> None:
    name = hashlib.sha256(body).hexdigest()
    world.services.inbox.put([Incoming(BAD, name, name, "orders", body, False, world.clock.now(), "c")])


# --- polls --------------------------------------------------------------------------------------------------------


def test_a_poll_that_fails_in_any_way_is_told_and_ends_when_it_can_be_read(beside: Beside) -> None:
    for name, trick in {**FAILURES, **NO_PAGES}.items():
        beside.hostile.tricks["orders"] = trick
        beside.assert_the_other_goes_on(name)
        [told] = beside.told()
        assert told.kind == "unusable-answer", name
        assert BAD in told.message
        assert len(told.message) < 3000
        assert told.message.isprintable()
        beside.assert_nothing_is_booked()
        del beside.hostile.tricks["orders"]
        beside.rounds()
        assert beside.told() == []


def test_a_first_cursor_that_cannot_be_had_is_told(beside: Beside) -> None:
    for name, trick in FAILURES.items():
        beside.hostile.tricks["cursor_at"] = trick
        beside.assert_the_other_goes_on(name)
        assert [told.kind for told in beside.told()] == ["unusable-answer"]


@pytest.mark.parametrize("cursors", [["0"], ["1", "2", "1"]])
def test_a_cursor_that_leads_in_a_circle_is_left(beside: Beside, cursors: list[str]) -> None:
    pages = 0

    def page() -> OrderPage:
        nonlocal pages
        pages += 1
        return OrderPage([], cursors[min(pages, len(cursors)) - 1], more=True)

    beside.hostile.tricks["orders"] = page
    beside.tasks.poll()
    assert pages <= 4
    assert [told.kind for told in beside.told()] == ["unusable-answer"]
    beside.assert_the_other_goes_on()


def test_a_reading_that_never_comes_to_its_head_takes_turns_with_the_others(beside: Beside) -> None:
    pages = 0

    def page() -> OrderPage:
        nonlocal pages
        pages += 1
        beside.pass_time(1)
        return OrderPage([], str(pages), more=True)

    beside.hostile.tricks["orders"] = page
    beside.channel.put("good-1", {"A": 2})
    beside.pass_time(4)
    beside.tasks.poll()
    assert [call[0] for call in beside.channel.calls].count("orders") == 1
    beside.tasks.reconcile()
    assert beside.total() == 99_998


def test_an_order_that_cannot_be_booked_is_parked_and_its_neighbours_are_booked(beside: Beside) -> None:
    beside.link_for(BAD)
    taken = 0
    for number, (name, trick) in enumerate(BAD_ORDERS.items()):
        bad = trick()
        if isinstance(bad, Order) and bad.order_id == "bad-1":
            bad = replace(bad, order_id=f"bad-{name}")
        neighbours = [order(f"{side}-{number}", [line(committed=3)]) for side in ("left", "right")]
        page = OrderPage([neighbours[0], bad, neighbours[1]], str(number), more=False)
        beside.hostile.tricks["orders"] = lambda page=page: page  # type: ignore[misc]
        beside.rounds()
        taken += 6
        assert beside.total() == 100_000 - taken, name
        told = max(beside.told(), key=lambda view: view.last_seen_at)
        assert (told.kind, told.channel) == ("parked-order", BAD), name
        assert told.order_id
        assert len(told.message) < 2000
    open_ones = {row.order_id for row in beside.rows(OrderRow.order_id, OrderRow.state) if row.state is OrderState.OPEN}
    assert all(name.startswith(("left-", "right-")) for name in open_ones)
    named = {view.order_id for view in beside.told()}
    assert {f"bad-{name}" for name in ("the year 9999", "negative units", "100,000 lines")} <= named
    beside.assert_the_other_goes_on()


def test_a_page_of_more_lines_than_one_commit_takes_is_taken_in_whole(beside: Beside) -> None:
    beside.link_for(BAD)
    many = [order(f"o{number}", [line(line_id=str(each), committed=1) for each in range(900)]) for number in range(5)]
    beside.hostile.tricks["orders"] = lambda: OrderPage(many, "1", more=False)
    beside.rounds()
    assert beside.total() == 100_000 - 4500
    assert beside.marketplace.count("adjust") == 1


# --- what is asked by id ------------------------------------------------------------------------------------------

WRONG_ANSWERS: Mapping[str, Trick] = {
    **FAILURES,
    "nothing": lambda: None,
    "another order": lambda: order("another"),
    "another that is gone": lambda: Gone("another", hostile.MOMENT),
    "gone without a moment": lambda: Gone("bad-gone without a moment", None),  # type: ignore[arg-type]
    "negative units": lambda: order("bad-negative units", [line(committed=-1)]),
}


def test_a_fetch_that_fails_in_any_way_is_parked_in_the_end(beside: Beside) -> None:
    for name in WRONG_ANSWERS:
        beside.ask_for(f"bad-{name}")

    def answer() -> Any:
        return WRONG_ANSWERS[beside.hostile.asked.removeprefix("bad-")]()

    beside.hostile.tricks["order"] = answer
    beside.rounds(9)
    assert {(told.kind, told.order_id) for told in beside.told()} == {
        ("parked-order", f"bad-{name}") for name in WRONG_ANSWERS
    }
    beside.assert_nothing_is_booked()
    beside.assert_the_other_goes_on()


@pytest.mark.parametrize("seconds", [float("nan"), float("inf"), -1.0, 1e308, "soon"])
def test_a_wait_that_makes_no_sense_is_bounded(beside: Beside, seconds: Any) -> None:
    limited = RateLimited("slow down", retry_after_seconds=seconds)
    beside.hostile.tricks["order"] = beside.hostile.tricks["orders"] = hostile.raising(limited)
    beside.ask_for("bad-1")
    beside.rounds(2)
    beside.assert_the_other_goes_on()
    beside.hostile.tricks.clear()
    beside.pass_time(24 * HOUR)
    beside.rounds(2)
    assert beside.hostile.calls.count("order") >= 2
    assert beside.hostile.calls.count("orders") >= 2


PASSES: Mapping[str, Trick] = {
    **FAILURES,
    "nothing": lambda: None,
    "pages that are no pages": lambda: iter([1, 2]),
    "an error in the middle": lambda: hostile.after_some([[OrderRef("bad-1", 1)]], RuntimeError("boom")),
    "without end": lambda: ([OrderRef("bad-1", 1)] for _ in hostile.without_end()),
}


def test_a_late_pass_that_fails_in_any_way_or_never_ends_is_ended(
    beside: Beside, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(boundary, "MOST_PAGES", 20)
    for name, trick in PASSES.items():
        beside.hostile.tricks["recent"] = trick
        with pytest.raises(Unreadable, match=BAD):
            beside.services.poller.late_pass(BAD, timedelta(days=1))
        beside.assert_the_other_goes_on(name)
    beside.assert_nothing_is_booked()


def test_references_that_make_no_sense_are_told(beside: Beside) -> None:
    entries: list[Any] = [7, OrderRef(None, 1), OrderRef("bad-1", "x"), UnreadableOrder("bad-2", None, b"")]  # type: ignore[arg-type]
    beside.hostile.tricks["recent"] = lambda: iter([entries])
    assert beside.services.poller.late_pass(BAD, timedelta(days=1)) == 2
    assert [told.kind for told in beside.told()] == ["parked-order"]


# --- webhooks -----------------------------------------------------------------------------------------------------

WRONG_NOTICES: Mapping[str, Trick] = {
    "nothing": lambda: None,
    "a text": lambda: ["order"],
    "without end": hostile.without_end,
    "a look at nothing": lambda: [Look(None)],  # type: ignore[arg-type]
    "a look at an id of 100 kB": lambda: [Look("x" * 100_000)],
    **{name: (lambda trick=trick: [trick()]) for name, trick in BAD_ORDERS.items()},  # type: ignore[misc]
}


def test_a_delivery_that_is_read_wrongly_is_parked_and_the_next_ones_are_handled(beside: Beside) -> None:
    for number, (name, trick) in enumerate(WRONG_NOTICES.items()):
        beside.hostile.tricks["read"] = trick
        deliver(beside, name.encode())
        beside.sell(name, {"A": 2})
        beside.tasks.intake()
        beside.tasks.reconcile()
        assert beside.total() == 100_000 - 2 * (number + 1), name
        [told] = beside.told()
        assert told.kind == "parked-delivery", name
        assert BAD in told.message
        beside.hostile.tricks["read"] = lambda: [AccessEnded()]
        beside.services.inbox.replay([told.detail["delivery"]])
        beside.tasks.intake()
        assert beside.told() == []
        beside.pass_time(1)
    beside.assert_nothing_is_booked()


def test_a_delivery_whose_reading_fails_is_tried_again_and_parked_in_the_end(beside: Beside) -> None:
    deliveries = list(FAILURES)
    for name in deliveries:
        deliver(beside, name.encode())

    def read() -> Any:
        return FAILURES[beside.hostile.kept.decode()]()

    beside.hostile.tricks["read"] = read
    beside.sell("good-1", {"A": 2})
    for _ in range(6):
        beside.tasks.intake()
        beside.tasks.reconcile()
        assert beside.total() == 99_998
        beside.pass_time(60)
    assert [told.kind for told in beside.told()] == ["parked-delivery"] * len(deliveries)
    beside.assert_nothing_is_booked()


# --- the rest -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["subscribe", "check", "clock_skew_seconds"])
def test_whatever_else_fails_keeps_nobody_from_being_looked_after(beside: Beside, method: str) -> None:
    for name, trick in {**FAILURES, "a text": lambda: "soon"}.items():
        beside.hostile.tricks[method] = trick
        Housekeeping(beside.services).check_clocks()
        found = list(Doctor(beside.services).examine())
        assert {examined.subject for examined in found} >= {BAD, CHANNEL}
        assert all(examined.check.ok for examined in found if examined.subject == CHANNEL), name
        beside.assert_the_other_goes_on(name)


def test_a_call_that_never_comes_back_is_told_once_and_forgotten_when_the_account_answers(beside: Beside) -> None:
    services = beside.services
    accounts = Accounts(
        beside.store, beside.clock, services.holds, services.anomalies, services.breakers, call_seconds=0.0
    )
    with accounts.calling(HoldScope.CHANNEL, BAD):
        assert accounts.stuck() == accounts.stuck() == {BAD}
        [told] = beside.told()
        assert (told.kind, told.occurrences) == ("not-answering", 1)
        assert "its connector hangs" in told.message
    assert accounts.stuck() == frozenset()
    beside.rounds()
    assert beside.told() == []


class Liar:
    """It says that it can be read and asked, and has nothing to be called."""

    refusal_status = 401
    orders = cursor_at = recent = order = check = receive = read = subscriptions = subscribe = 5
    clock_skew_seconds = "fast"


def test_a_channel_that_lies_about_what_it_can_is_told(beside: Beside) -> None:
    beside.services.channels[BAD] = Liar()  # type: ignore[index]
    beside.rounds(2)
    assert [told.kind for told in beside.told()] == ["unusable-answer"]
    list(Doctor(beside.services).examine())
    beside.assert_the_other_goes_on()


def test_a_channel_that_does_not_answer_is_told_and_comes_back_by_itself(beside: Beside) -> None:
    beside.hostile.tricks["orders"] = hostile.raising(Unavailable("no answer"))
    asked: list[int] = []
    for _ in range(60):
        beside.tasks.poll()
        asked.append(beside.hostile.calls.count("orders"))
        beside.pass_time(10)
    assert [told.kind for told in beside.told()] == ["not-answering"]
    assert 10 <= asked[-1] <= 20, "it is tried soon at first, and once a minute in the end"
    beside.assert_the_other_goes_on()
    beside.hostile.tricks.clear()
    beside.pass_time(60)
    beside.tasks.poll()
    assert beside.told() == []
