"""The stock model of a marketplace: totals, an immutable ledger of adjustments, and reservations.

Vendors differ in how they speak of it, not in how it behaves. Every change of a total appends one adjustment and one
log entry in the same step, under one lock, so that a compare-and-set and a buyer's reservation can never interleave.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from .log import Log, Origin

ADJUSTMENT_CREATED = "stockAdjustment/created"
RESERVATION_CREATED = "stockReservation/created"
RESERVATION_UPDATED = "stockReservation/updated"


class ReservationState(StrEnum):
    """The life of a reservation."""

    PENDING = "pending"
    PROPOSED = "proposed"
    ACCEPTED = "accepted"
    DECLINED = "declined"
    CANCELLED = "cancelled"


HOLDING = frozenset({ReservationState.PENDING, ReservationState.ACCEPTED})
"""The states in which a reservation's units are taken from the total."""


class StockRefusalError(Exception):
    """The model refused a change; nothing was changed."""


class UnknownListingError(StockRefusalError):
    """There is no such listing."""


class TotalMismatchError(StockRefusalError):
    """The total is not the expected one."""


class NotEnoughStockError(StockRefusalError):
    """The total is undefined, or would fall below zero."""


class WrongReservationStateError(StockRefusalError):
    """The reservation's state does not allow this step."""


@dataclass(frozen=True, slots=True)
class Adjustment:
    """One change of one total. Never altered, never removed."""

    adjustment_id: str
    listing_id: str
    at: datetime
    quantity: int
    total: int
    """The total right after it. The sandbox's own knowledge: no vendor tells it."""
    origin: Origin
    reservation_id: str | None = None


@dataclass(slots=True)
class ListingStock:
    """The stock of one listing: a total, or None while it is undefined."""

    listing_id: str
    total: int | None = None
    adjustments: list[Adjustment] = field(default_factory=list)
    """Oldest first."""
    reservations: list[Reservation] = field(default_factory=list)
    """Of every state, oldest first."""


@dataclass(slots=True)
class Reservation:
    """Units held, or asked for, by one transaction."""

    reservation_id: str
    listing_id: str
    transaction_id: str
    quantity: int
    state: ReservationState
    adjustments: list[Adjustment] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class ReservationChange:
    """A reservation as it was right after one step."""

    reservation: Reservation
    state: ReservationState
    previous: ReservationState | None


class StockModel:
    """All stock of one marketplace. Every method takes the lock; callers that need several steps at once hold it too.

    `changed` is called, under the lock, after every change of a total.
    """

    def __init__(
        self, log: Log, new_id: Callable[[], str], *, changed: Callable[[ListingStock, Origin], None] | None = None
    ) -> None:
        self.lock = threading.RLock()
        self.reservations: dict[str, Reservation] = {}
        self._stocks: dict[str, ListingStock] = {}
        self._log = log
        self._new_id = new_id
        self._changed = changed

    def add_listing(self, listing_id: str) -> ListingStock:
        """A new listing, its stock undefined."""
        with self.lock:
            if listing_id in self._stocks:
                raise ValueError(f"listing {listing_id} exists already")
            stock = self._stocks[listing_id] = ListingStock(listing_id)
            return stock

    def stock(self, listing_id: str) -> ListingStock:
        """Raises `UnknownListingError`."""
        stock = self._stocks.get(listing_id)
        if stock is None:
            raise UnknownListingError(f"there is no listing {listing_id}")
        return stock

    def compare_and_set(self, listing_id: str, expected: int | None, total: int, origin: Origin) -> Adjustment | None:
        """Set the total if it is exactly `expected` (None: undefined). Raises `TotalMismatchError`.

        Returns None when no unit moved, which leaves nothing in the ledger: an equal total, or a first total of 0.
        """
        with self.lock:
            stock = self.stock(listing_id)
            if stock.total != expected:
                raise TotalMismatchError(f"the total of listing {listing_id} is {stock.total}, not {expected}")
            quantity = total - (expected or 0)
            if quantity:
                return self._move(stock, quantity, origin)
            if expected is None:
                stock.total = 0
                self._tell(stock, origin)
            return None

    def adjust(
        self,
        listing_id: str,
        quantity: int,
        origin: Origin,
        *,
        allow_negative: bool = False,
        at: datetime | None = None,
    ) -> Adjustment:
        """Move the total by `quantity`, defining it first if need be. Raises `NotEnoughStockError` below zero.

        `at` dates the adjustment back, for a listing made with a past; it must not precede an earlier adjustment.
        """
        with self.lock:
            stock = self.stock(listing_id)
            if (stock.total or 0) + quantity < 0 and not allow_negative:
                raise NotEnoughStockError(
                    f"listing {listing_id} has {stock.total}, so {quantity} would leave it below zero"
                )
            return self._move(stock, quantity, origin, at=at)

    def undefine(self, listing_id: str, origin: Origin) -> None:
        """Take the stock away altogether; the ledger shows the units leaving."""
        with self.lock:
            stock = self.stock(listing_id)
            if stock.total:
                self._move(stock, -stock.total, origin)
            stock.total = None
            self._tell(stock, origin)

    def reserve(
        self, listing_id: str, quantity: int, *, transaction_id: str, proposed: bool, origin: Origin
    ) -> Reservation:
        """A pending reservation takes its units at once, a proposed one not yet. Raises `NotEnoughStockError`."""
        with self.lock:
            stock = self.stock(listing_id)
            self._require(stock, quantity)
            state = ReservationState.PROPOSED if proposed else ReservationState.PENDING
            reservation = Reservation(self._new_id(), listing_id, transaction_id, quantity, state)
            self.reservations[reservation.reservation_id] = reservation
            stock.reservations.append(reservation)
            self._log_reservation(RESERVATION_CREATED, reservation, None, origin)
            if not proposed:
                self._move(stock, -quantity, origin, reservation)
            return reservation

    def accept(self, reservation: Reservation, origin: Origin) -> None:
        """Pending or proposed becomes accepted. Raises `WrongReservationStateError`, `NotEnoughStockError`."""
        with self.lock:
            before = self._expect(reservation, ReservationState.PENDING, ReservationState.PROPOSED)
            stock = self.stock(reservation.listing_id)
            if before is ReservationState.PROPOSED:
                self._require(stock, reservation.quantity)
            self._turn(reservation, ReservationState.ACCEPTED, origin)

    def decline(self, reservation: Reservation, origin: Origin) -> None:
        """Pending or proposed becomes declined; units held come back. Raises `WrongReservationStateError`."""
        with self.lock:
            self._expect(reservation, ReservationState.PENDING, ReservationState.PROPOSED)
            self._turn(reservation, ReservationState.DECLINED, origin)

    def cancel(self, reservation: Reservation, origin: Origin) -> None:
        """Accepted becomes cancelled; its units come back. Raises `WrongReservationStateError`."""
        with self.lock:
            self._expect(reservation, ReservationState.ACCEPTED)
            self._turn(reservation, ReservationState.CANCELLED, origin)

    def undo_release(self, reservation: Reservation, state: ReservationState, origin: Origin) -> None:
        """Take a release back to the holding `state` before it, whatever the total is by now.

        This is how a total falls below zero: what was released may have been sold meanwhile.
        """
        with self.lock:
            self._expect(reservation, ReservationState.DECLINED, ReservationState.CANCELLED)
            self._turn(reservation, state, origin)

    def _turn(self, reservation: Reservation, state: ReservationState, origin: Origin) -> None:
        before, reservation.state = reservation.state, state
        self._log_reservation(RESERVATION_UPDATED, reservation, before, origin)
        taken = (state in HOLDING) - (before in HOLDING)
        if taken:
            self._move(self.stock(reservation.listing_id), -taken * reservation.quantity, origin, reservation)

    def _move(
        self,
        stock: ListingStock,
        quantity: int,
        origin: Origin,
        reservation: Reservation | None = None,
        at: datetime | None = None,
    ) -> Adjustment:
        total = (stock.total or 0) + quantity
        adjustment = Adjustment(
            self._new_id(),
            stock.listing_id,
            at or self._log.moment(),
            quantity,
            total,
            origin,
            reservation.reservation_id if reservation else None,
        )
        about = [adjustment.adjustment_id, stock.listing_id]
        if reservation:
            reservation.adjustments.append(adjustment)
            about.append(reservation.reservation_id)
        stock.total = total
        stock.adjustments.append(adjustment)
        self._log.append(ADJUSTMENT_CREATED, adjustment, origin, tuple(about))
        self._tell(stock, origin)
        return adjustment

    def _tell(self, stock: ListingStock, origin: Origin) -> None:
        if self._changed:
            self._changed(stock, origin)

    def _log_reservation(
        self, kind: str, reservation: Reservation, previous: ReservationState | None, origin: Origin
    ) -> None:
        change = ReservationChange(reservation, reservation.state, previous)
        about = (reservation.reservation_id, reservation.listing_id, reservation.transaction_id)
        self._log.append(kind, change, origin, about)

    @staticmethod
    def _require(stock: ListingStock, quantity: int) -> None:
        if stock.total is None or stock.total < quantity:
            raise NotEnoughStockError(f"listing {stock.listing_id} has {stock.total}, less than {quantity}")

    @staticmethod
    def _expect(reservation: Reservation, *states: ReservationState) -> ReservationState:
        if reservation.state not in states:
            raise WrongReservationStateError(f"reservation {reservation.reservation_id} is {reservation.state}")
        return reservation.state
