"""The stock model: what each step does to the total, the ledger and the log."""

from __future__ import annotations

import threading
from itertools import count
from random import Random

import pytest

from connectors.sandbox.clock import VirtualClock
from connectors.sandbox.log import Log, Origin, Shown
from connectors.sandbox.stock import (
    NotEnoughStockError,
    Reservation,
    ReservationState,
    StockModel,
    TotalMismatchError,
    UnknownListingError,
    WrongReservationStateError,
)

APP = Origin("source/integration-api", client_id="app")
BUYER = Origin("source/transaction", user_id="buyer")


@pytest.fixture
def log() -> Log:
    return Log(VirtualClock(), Random(1))


@pytest.fixture
def model(log: Log) -> StockModel:
    numbers = count(1)
    model = StockModel(log, lambda: f"id-{next(numbers)}")
    model.add_listing("mug")
    model.compare_and_set("mug", None, 10, APP)
    return model


def reserve(model: StockModel, quantity: int, *, proposed: bool = False) -> Reservation:
    return model.reserve("mug", quantity, transaction_id="purchase", proposed=proposed, origin=BUYER)


def ledger(model: StockModel) -> list[int]:
    return [adjustment.quantity for adjustment in model.stock("mug").adjustments]


def kinds(log: Log) -> list[str]:
    return [entry.kind for entry in log.page(until=log.moment())]


def test_compare_and_set_moves_the_total_and_records_the_difference(model: StockModel) -> None:
    adjustment = model.compare_and_set("mug", 10, 7, APP)
    assert adjustment is not None
    assert (adjustment.quantity, adjustment.total, adjustment.origin, adjustment.reservation_id) == (-3, 7, APP, None)
    assert ledger(model) == [10, -3]


def test_compare_and_set_with_another_total_changes_nothing(model: StockModel, log: Log) -> None:
    entries = len(log)
    with pytest.raises(TotalMismatchError):
        model.compare_and_set("mug", 9, 7, APP)
    assert (model.stock("mug").total, ledger(model), len(log)) == (10, [10], entries)


def test_compare_and_set_to_the_same_total_leaves_no_trace(model: StockModel, log: Log) -> None:
    entries = len(log)
    assert model.compare_and_set("mug", 10, 10, APP) is None
    assert (ledger(model), len(log)) == ([10], entries)


def test_undefined_stock_matches_only_none(model: StockModel) -> None:
    model.add_listing("hat")
    with pytest.raises(TotalMismatchError):
        model.compare_and_set("hat", 0, 5, APP)
    model.compare_and_set("hat", None, 0, APP)
    assert model.stock("hat").total == 0
    with pytest.raises(TotalMismatchError):
        model.compare_and_set("hat", None, 5, APP)


def test_an_unknown_listing_is_refused(model: StockModel) -> None:
    with pytest.raises(UnknownListingError):
        model.compare_and_set("nothing", None, 1, APP)


def test_a_direct_adjustment_stops_at_zero_unless_allowed(model: StockModel) -> None:
    with pytest.raises(NotEnoughStockError):
        model.adjust("mug", -11, APP)
    assert ledger(model) == [10]
    assert model.adjust("mug", -11, APP, allow_negative=True).total == -1


def test_a_pending_reservation_takes_its_units_at_once(model: StockModel, log: Log) -> None:
    reservation = reserve(model, 4)
    assert (reservation.state, model.stock("mug").total) == (ReservationState.PENDING, 6)
    assert [adjustment.reservation_id for adjustment in model.stock("mug").adjustments] == [
        None,
        reservation.reservation_id,
    ]
    assert kinds(log)[-2:] == ["stockReservation/created", "stockAdjustment/created"]


def test_a_proposed_reservation_takes_nothing_until_accepted(model: StockModel) -> None:
    reservation = reserve(model, 4, proposed=True)
    assert model.stock("mug").total == 10
    model.accept(reservation, BUYER)
    assert (reservation.state, model.stock("mug").total) == (ReservationState.ACCEPTED, 6)


@pytest.mark.parametrize("proposed", [False, True])
def test_a_reservation_needs_enough_defined_stock(model: StockModel, log: Log, proposed: bool) -> None:
    model.add_listing("hat")
    entries = len(log)
    for listing_id, quantity in (("mug", 11), ("hat", 1)):
        with pytest.raises(NotEnoughStockError):
            model.reserve(listing_id, quantity, transaction_id="purchase", proposed=proposed, origin=BUYER)
    assert len(log) == entries


def test_accepting_a_pending_reservation_moves_nothing(model: StockModel) -> None:
    reservation = reserve(model, 4)
    model.accept(reservation, BUYER)
    assert ledger(model) == [10, -4]


def test_accepting_a_proposed_reservation_fails_when_the_stock_is_gone(model: StockModel) -> None:
    reservation = reserve(model, 4, proposed=True)
    model.compare_and_set("mug", 10, 3, APP)
    with pytest.raises(NotEnoughStockError):
        model.accept(reservation, BUYER)
    assert reservation.state is ReservationState.PROPOSED


def test_declining_gives_back_what_was_held(model: StockModel) -> None:
    pending, proposed = reserve(model, 4), reserve(model, 5, proposed=True)
    model.decline(proposed, BUYER)
    assert ledger(model) == [10, -4]
    model.decline(pending, BUYER)
    assert ledger(model) == [10, -4, 4]


def test_cancelling_gives_back_an_accepted_reservation(model: StockModel) -> None:
    reservation = reserve(model, 4)
    model.accept(reservation, BUYER)
    model.cancel(reservation, BUYER)
    assert (reservation.state, ledger(model)) == (ReservationState.CANCELLED, [10, -4, 4])


def test_steps_out_of_order_are_refused(model: StockModel) -> None:
    reservation = reserve(model, 4)
    with pytest.raises(WrongReservationStateError):
        model.cancel(reservation, BUYER)
    model.decline(reservation, BUYER)
    for step in (model.accept, model.decline, model.cancel):
        with pytest.raises(WrongReservationStateError):
            step(reservation, BUYER)
    assert ledger(model) == [10, -4, 4]


def test_undoing_a_release_after_the_units_are_gone_makes_the_total_negative(model: StockModel) -> None:
    reservation = reserve(model, 10)
    model.decline(reservation, BUYER)
    reserve(model, 10)
    model.undo_release(reservation, ReservationState.PENDING, BUYER)
    assert (reservation.state, model.stock("mug").total) == (ReservationState.PENDING, -10)


def test_undefining_stock_balances_the_ledger(model: StockModel) -> None:
    model.undefine("mug", APP)
    assert (model.stock("mug").total, ledger(model)) == (None, [10, -10])


def test_a_silent_origin_leaves_an_adjustment_but_no_event(model: StockModel, log: Log) -> None:
    entries = len(log)
    model.compare_and_set("mug", 10, 9, Origin("source/integration-api", shown=Shown.MISSING))
    assert (ledger(model), len(log)) == ([10, -1], entries)


def test_the_ledger_always_adds_up_to_the_total_under_concurrent_writers(model: StockModel) -> None:
    model.compare_and_set("mug", 10, 1_000, APP)
    taken: list[int] = []

    def sell() -> None:
        won = 0
        while won < 100:
            total = model.stock("mug").total
            assert total is not None
            try:
                model.compare_and_set("mug", total, total - 1, APP)
            except TotalMismatchError:
                continue
            won += 1
        taken.append(won)

    def buy() -> None:
        for _ in range(100):
            model.decline(reserve(model, 1), BUYER)

    threads = [threading.Thread(target=work) for work in (sell, sell, buy, buy)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert taken == [100, 100]
    assert model.stock("mug").total == sum(ledger(model)) == 800
    running = 0
    for adjustment in model.stock("mug").adjustments:
        running += adjustment.quantity
        assert adjustment.total == running
