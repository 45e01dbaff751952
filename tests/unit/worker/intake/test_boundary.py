"""Whatever a connector does or hands over becomes an order that is parked, or an error that names the channel."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from connectors.contract import Ignored, Order, OrderPage, OrderRef, UnreadableOrder
from connectors.errors import Unavailable, Unreadable
from tests.hostile import BAD_ORDERS, FAILURES, MOMENT, NO_PAGES, HostileChannel, Trick, line, order, raising
from worker.intake.boundary import Passing, cursor_at, handed_over, notices_of, order_of, page_of, problem_of

CHANNEL = "bad"


@pytest.fixture
def channel() -> HostileChannel:
    return HostileChannel()


def test_what_is_as_it_should_be_is_handed_on(channel: HostileChannel) -> None:
    good = order("1", (line(), line(line_id="2", sku=None, item_key=""), line(line_id="3", sku="ä\N{NO-BREAK SPACE}b")))
    channel.tricks |= {
        "orders": lambda: OrderPage((good,), "c", more=True),
        "order": lambda: good,
        "recent": lambda: iter([[OrderRef("1", 1)]]),
        "read": lambda: [good, Ignored("ping")],
    }
    assert page_of(CHANNEL, channel, "0") == OrderPage((good,), "c", True, [])
    assert order_of(CHANNEL, channel, "1") is good
    assert notices_of(CHANNEL, channel, "orders", b"{}") == (good, Ignored("ping"))
    assert cursor_at(CHANNEL, channel, MOMENT) == "0"
    passing = Passing(CHANNEL, channel, MOMENT - timedelta(days=1))
    assert (passing.next_page(), passing.next_page()) == ([OrderRef("1", 1)], None)


def test_an_error_of_the_contract_is_handed_on_as_it_is(channel: HostileChannel) -> None:
    away = Unavailable("away")
    channel.tricks["orders"] = raising(away)
    with pytest.raises(Unavailable) as raised:
        page_of(CHANNEL, channel, "0")
    assert raised.value is away


class Ended(SystemExit):
    """As Celery ends a worker."""


@pytest.mark.parametrize("end", [KeyboardInterrupt(), Ended()])
def test_what_ends_the_process_ends_it(end: BaseException) -> None:
    with pytest.raises(type(end)), handed_over(CHANNEL):
        raise end


@pytest.mark.parametrize("trick", [*FAILURES.values(), *NO_PAGES.values()], ids=[*FAILURES, *NO_PAGES])
def test_what_is_no_page_is_an_error_that_names_the_channel(channel: HostileChannel, trick: Trick) -> None:
    channel.tricks["orders"] = trick
    with pytest.raises(Unreadable) as raised:
        page_of(CHANNEL, channel, "0")
    assert raised.value.account == CHANNEL
    assert len(str(raised.value)) < 1000
    assert str(raised.value).isprintable()


@pytest.mark.parametrize("trick", BAD_ORDERS.values(), ids=BAD_ORDERS)
def test_what_is_no_order_is_put_aside_with_a_reason_and_its_neighbours_are_not(
    channel: HostileChannel, trick: Trick
) -> None:
    channel.tricks["orders"] = lambda: OrderPage([order("1"), trick(), order("2")], "c", more=False)
    page = page_of(CHANNEL, channel, "0")
    assert [each.order_id for each in page.orders] == ["1", "2"]
    (aside,) = page.unreadable
    assert isinstance(aside, UnreadableOrder)
    assert aside.reason.isprintable()
    assert len(aside.reason) < 500
    assert aside.order_id is None or (aside.order_id.isprintable() and 0 < len(aside.order_id) <= 255)


WRONG_REASON: Any = 7


@pytest.mark.parametrize(
    "entry", [None, 7, UnreadableOrder(None, WRONG_REASON, b""), UnreadableOrder("x" * 1000, "y" * 10**6, b"")]
)
def test_what_a_page_says_that_it_could_not_read_is_bounded(channel: HostileChannel, entry: Any) -> None:
    channel.tricks["orders"] = lambda: OrderPage([], "c", False, [entry])
    (aside,) = page_of(CHANNEL, channel, "0").unreadable
    assert len(aside.reason) <= 500
    assert aside.order_id is None or len(aside.order_id) == 255


@pytest.mark.parametrize("units", [0, 1, 2**63 - 1])
def test_units_that_the_store_can_hold_are_fine(units: int) -> None:
    assert problem_of(order(lines=[line(committed=units)])) is None


def test_a_problem_names_the_line() -> None:
    bad = order(lines=[line(), line(line_id="2\n", committed=-5)])
    assert problem_of(bad) == "line 2� has -5 units"


def test_an_order_is_refused_that_was_not_asked_for(channel: HostileChannel) -> None:
    channel.tricks["order"] = lambda: order("another")
    with pytest.raises(Unreadable) as raised:
        order_of(CHANNEL, channel, "1")
    assert raised.value.order_id == "1"


def test_an_order_in_a_delivery_names_itself_when_it_cannot_be_booked(channel: HostileChannel) -> None:
    bad: Order = order("7", [line(committed=-1)])
    channel.tricks["read"] = lambda: [bad]
    with pytest.raises(Unreadable) as raised:
        notices_of(CHANNEL, channel, "orders", b"{}")
    assert raised.value.order_id == "7"
