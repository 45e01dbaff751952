"""Which reservation made a stock negative. Pure.

A negative total is abnormal: it means that a transition which gave units back was undone after somebody else had taken
them (Sharetribe, "Listing stock management"), or that an adjustment took more than there was. The adjustment with
which the total fell below zero tells which. A reservation is suspect when its adjustments do not add up to what its
state says, or when it gave its units back and then took them again; that may have done no harm, so the fall decides.

Adjustments of one instant stand in no order that can be relied on: nothing here depends on it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from connectors.contract import RemoteAdjustment, Reservation, ReservationState, TrailEvent

HOLDING = (ReservationState.PENDING, ReservationState.ACCEPTED)


@dataclass(frozen=True, slots=True)
class Suspect:
    """A reservation that may be the cause."""

    reservation_id: str
    transaction_id: str | None
    why: str
    certain: bool
    """Whether the transaction's own trail shows the failed transition."""
    crossed: bool = False
    """Whether the total fell below zero with one of its adjustments."""


def crossing(total_now: int, ledger: Sequence[RemoteAdjustment]) -> Sequence[RemoteAdjustment]:
    """What last took the total from zero or more to below it: one adjustment, or those of one instant that took."""
    after = total_now
    for _, instant in groupby(reversed(ledger), key=lambda adjustment: adjustment.at):
        together = list(instant)
        before = after - sum(adjustment.quantity for adjustment in together)
        if after < 0 <= before:
            return [adjustment for adjustment in reversed(together) if adjustment.quantity < 0]
        after = before
    return ()


def suspects(total_now: int, ledger: Sequence[RemoteAdjustment]) -> Sequence[Suspect]:
    """Reservations whose adjustments contradict their state, the one that crossed zero first."""
    by_reservation: dict[str, list[RemoteAdjustment]] = {}
    for adjustment in ledger:
        if adjustment.reservation is not None:
            by_reservation.setdefault(adjustment.reservation.reservation_id, []).append(adjustment)
    crossed = {entry.reservation.reservation_id for entry in crossing(total_now, ledger) if entry.reservation}
    found = []
    for reservation_id, adjustments in by_reservation.items():
        reservation = adjustments[-1].reservation
        assert reservation is not None  # noqa: S101  grouped by it
        why = _contradiction(reservation, adjustments)
        if why is not None:
            suspect = Suspect(
                reservation_id, reservation.transaction_id, why, certain=False, crossed=reservation_id in crossed
            )
            found.append(suspect)
    return sorted(found, key=lambda suspect: not suspect.crossed)


def direct(total_now: int, ledger: Sequence[RemoteAdjustment]) -> RemoteAdjustment | None:
    """The adjustment that took the total below zero and belongs to no reservation, where no reservation did."""
    crossed = crossing(total_now, ledger)
    by_itself = [adjustment for adjustment in crossed if adjustment.reservation is None]
    if not by_itself or any(suspect.crossed for suspect in suspects(total_now, ledger)):
        return None
    return min(by_itself, key=lambda adjustment: adjustment.quantity)


def _contradiction(reservation: Reservation, adjustments: Sequence[RemoteAdjustment]) -> str | None:
    quantities = [adjustment.quantity for adjustment in adjustments]
    gave = [quantity for quantity in quantities if quantity > 0]
    undone = len(gave) > 1 or (bool(gave) and reservation.state in HOLDING)
    if reservation.state is None:
        undone |= any(
            quantity > 0 and any(later < 0 for later in quantities[position + 1 :])
            for position, quantity in enumerate(quantities)
        )
    if undone:
        return f"it gave {gave[0]} units back and then took them again: its release was undone"
    if reservation.state is None or reservation.quantity is None:
        return None
    expected = -reservation.quantity if reservation.state in HOLDING else 0
    if gave and len(quantities) == len(gave):
        # It took its units before what is known of the log.
        expected += reservation.quantity
    if sum(quantities) != expected:
        return f"it is {reservation.state.value}, but its adjustments add up to {sum(quantities)} instead of {expected}"
    return None


def with_trail(suspect: Suspect, trail: Sequence[TrailEvent]) -> Suspect:
    """Confirm a suspect: a transition does each thing to stock once, and is closed by an event of its own. What is done
    twice before that, or after the last one, belongs to a transition that failed.
    """
    done: list[str] = []
    failed = ""
    for event in trail:
        if event.kind == "transaction":
            done = []
        elif event.name in done:
            failed = event.name
        else:
            done.append(event.name)
    failed = failed or (done[-1] if done else "")
    if not failed:
        return suspect
    why = f"{suspect.why}; stock events of its trail ({failed}) belong to no completed transition"
    return Suspect(suspect.reservation_id, suspect.transaction_id, why, certain=True, crossed=suspect.crossed)
