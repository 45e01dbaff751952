"""Which reservation made a stock negative."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import permutations

from connectors.contract import RemoteAdjustment, Reservation, ReservationState, TrailEvent
from worker.upkeep.negative import Suspect, crossing, direct, suspects, with_trail

START = datetime(2026, 1, 1, tzinfo=UTC)
PENDING, ACCEPTED, CANCELLED = ReservationState.PENDING, ReservationState.ACCEPTED, ReservationState.CANCELLED


def moved(number: int, quantity: int, reservation: Reservation | None = None) -> RemoteAdjustment:
    return RemoteAdjustment(f"a{number}", "L", START + timedelta(seconds=number), quantity, None, reservation)


def held(name: str, state: ReservationState, quantity: int) -> Reservation:
    return Reservation(name, f"tx-{name}", state, quantity)


def test_a_release_that_was_undone_is_the_suspect() -> None:
    guilty, taker = held("g", ACCEPTED, 4), held("t", PENDING, 4)
    ledger = [moved(1, -4, guilty), moved(2, 4, guilty), moved(3, -4, taker), moved(4, -4, guilty)]
    [suspect] = suspects(-4, ledger)
    assert (suspect.reservation_id, suspect.transaction_id) == ("g", "tx-g")


def test_adjustments_that_contradict_the_state_are_suspect() -> None:
    assert [s.reservation_id for s in suspects(-1, [moved(1, -2, held("g", CANCELLED, 2))])] == ["g"]
    assert suspects(-1, [moved(1, -2, held("ok", PENDING, 2))]) == []


def test_the_one_that_crossed_zero_comes_first() -> None:
    early, late = held("early", CANCELLED, 1), held("late", CANCELLED, 2)
    ledger = [moved(1, -1, early), moved(2, -2, late)]
    assert [suspect.reservation_id for suspect in suspects(-1, ledger)] == ["late", "early"]


def test_a_direct_adjustment_can_cross_zero_without_a_suspect() -> None:
    ledger = [moved(1, -1, held("ok", ACCEPTED, 1)), moved(2, -5)]
    assert crossing(-5, ledger) == [ledger[1]]
    assert suspects(-5, ledger) == []
    assert direct(-5, ledger) == ledger[1]


def test_stock_events_that_no_transition_closes_confirm_a_suspect() -> None:
    suspect = Suspect("g", "tx", "why", certain=False)
    closed = [TrailEvent(START, "stock", "s"), TrailEvent(START, "transaction", "t")]
    assert not with_trail(suspect, closed).certain
    assert with_trail(suspect, [*closed, TrailEvent(START, "stock", "stockReservation/updated")]).certain


def test_a_reservation_that_began_before_the_log_is_none() -> None:
    """What is read of the log begins some time: a release within it need not have its taking there."""
    ledger = [moved(1, 4, held("old", CANCELLED, 4)), moved(2, -4, held("new", PENDING, 4)), moved(3, -1)]
    assert suspects(-1, ledger) == []
    undone = [moved(1, 4, held("old", ACCEPTED, 4)), moved(2, -4, held("new", PENDING, 4))]
    undone.append(moved(3, -4, held("old", ACCEPTED, 4)))
    assert [suspect.reservation_id for suspect in suspects(-4, undone)] == ["old"]


def test_what_happened_in_one_instant_tells_the_same_in_any_order() -> None:
    guilty, taker = held("g", ACCEPTED, 4), held("t", PENDING, 4)
    quantities = [(-4, guilty), (4, guilty), (-4, taker), (-4, guilty)]
    for order in permutations(quantities):
        ledger = [RemoteAdjustment(f"a{at}", "L", START, each, None, whose) for at, (each, whose) in enumerate(order)]
        [suspect] = suspects(-4, ledger)
        assert (suspect.reservation_id, suspect.crossed) == ("g", True)
        assert direct(-4, ledger) is None


def test_a_release_undone_without_harm_is_not_blamed_for_what_an_adjustment_did() -> None:
    harmless = held("h", ACCEPTED, 2)
    ledger = [moved(1, -2, harmless), moved(2, 2, harmless), moved(3, -2, harmless), moved(4, -3)]
    assert direct(-3, ledger) == ledger[3]
    assert [suspect.crossed for suspect in suspects(-3, ledger)] == [False]


def test_a_failed_transition_shows_in_the_trail_after_another_has_succeeded() -> None:
    suspect = Suspect("g", "tx", "why", certain=False)
    began = [TrailEvent(START, "stock", "created"), TrailEvent(START, "transaction", "request")]
    tried = [TrailEvent(START, "stock", "updated"), TrailEvent(START, "stock", "updated")]
    paid = [TrailEvent(START, "stock", "updated"), TrailEvent(START, "transaction", "confirm")]
    assert with_trail(suspect, [*began, *tried, *paid]).certain
    assert not with_trail(suspect, [*began, *paid]).certain
