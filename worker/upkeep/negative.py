"""Which reservation made a stock negative. Pure.

A negative total is abnormal: it means that a transition which gave units back was undone after somebody else had taken
them (Sharetribe, "Listing stock management"). So the guilty reservation is one whose adjustments do not add up to what
its state says, or that gave its units back and then took them again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

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


def crossing(total_now: int, ledger: Sequence[RemoteAdjustment]) -> RemoteAdjustment | None:
    """The adjustment that last took the total from zero or more to below it."""
    after = total_now
    for adjustment in reversed(ledger):
        before = after - adjustment.quantity
        if after < 0 <= before:
            return adjustment
        after = before
    return None


def suspects(total_now: int, ledger: Sequence[RemoteAdjustment]) -> Sequence[Suspect]:
    """Reservations whose adjustments contradict their state, the one that crossed zero first."""
    by_reservation: dict[str, list[RemoteAdjustment]] = {}
    for adjustment in ledger:
        if adjustment.reservation is not None:
            by_reservation.setdefault(adjustment.reservation.reservation_id, []).append(adjustment)
    crossed = crossing(total_now, ledger)
    crossed_by = None if crossed is None or crossed.reservation is None else crossed.reservation.reservation_id
    found = []
    for reservation_id, adjustments in by_reservation.items():
        reservation = adjustments[-1].reservation
        assert reservation is not None  # noqa: S101  grouped by it
        why = _contradiction(reservation, adjustments)
        if why is not None:
            found.append(Suspect(reservation_id, reservation.transaction_id, why, certain=False))
    return sorted(found, key=lambda suspect: suspect.reservation_id != crossed_by)


def _contradiction(reservation: Reservation, adjustments: Sequence[RemoteAdjustment]) -> str | None:
    quantities = [adjustment.quantity for adjustment in adjustments]
    for position, quantity in enumerate(quantities):
        if quantity > 0 and any(later < 0 for later in quantities[position + 1 :]):
            return f"it gave {quantity} units back and then took them again: its release was undone"
    if reservation.state is None or reservation.quantity is None:
        return None
    expected = -reservation.quantity if reservation.state in HOLDING else 0
    if sum(quantities) != expected:
        return f"it is {reservation.state.value}, but its adjustments add up to {sum(quantities)} instead of {expected}"
    return None


def with_trail(suspect: Suspect, trail: Sequence[TrailEvent]) -> Suspect:
    """Confirm a suspect: stock events that no completed transition closes belong to one that failed."""
    last_transition = max((position for position, event in enumerate(trail) if event.kind == "transaction"), default=-1)
    dangling = [event for event in trail[last_transition + 1 :] if event.kind == "stock"]
    if not dangling:
        return suspect
    why = f"{suspect.why}; its last stock events ({dangling[-1].name}) belong to no completed transition"
    return Suspect(suspect.reservation_id, suspect.transaction_id, why, certain=True)
