"""Purchases under way: transitions, their stock actions, what happens by itself, and releases that fail."""

from __future__ import annotations

import heapq
from dataclasses import replace
from datetime import datetime, timedelta

from connectors.sandbox.log import Origin
from connectors.sandbox.stock import NotEnoughStockError, Reservation, ReservationState

from .entities import Actor, Transaction, TransactionChange, TransitionRecord
from .errors import ApiError, conflict
from .marketplace import TRANSACTION, Marketplace
from .process import DEFAULT_PURCHASE, RELEASES, StockAction, Transition, processes
from .values import Id


class Purchases:
    """All transactions of one marketplace. Callers hold the marketplace's lock."""

    def __init__(self, marketplace: Marketplace) -> None:
        self._marketplace = marketplace
        self._processes = processes(marketplace.options.payment_expiry_seconds)
        self._due: list[tuple[datetime, str, Transition]] = []
        self._half_released: dict[str, ReservationState] = {}

    def start(
        self, listing_id: str, quantity: int, *, customer_id: str | None = None, process_name: str = DEFAULT_PURCHASE
    ) -> Transaction:
        """A customer begins a purchase. Raises `ApiError` as the buyer's own call would get it."""
        marketplace = self._marketplace
        listing = marketplace.listing(listing_id)
        if listing is None:
            raise conflict("transaction-listing-not-found", f"Listing {listing_id} was not found.")
        process = self._processes.get(process_name)
        if process is None:
            raise conflict("conflict", f"There is no transaction process {process_name}.")
        customer = marketplace.users.get(customer_id) if customer_id else None
        customer = customer or marketplace.add_user("Customer", customer_id)
        transaction = Transaction(
            transaction_id=marketplace.new_id(),
            process_name=process_name,
            listing_id=listing_id,
            customer_id=customer.user_id,
            provider_id=listing.author_id,
            created_at=marketplace.log.moment(),
            state="state/initial",
        )
        return self._make(transaction, process.start, self._origin(transaction, process.start.by), quantity=quantity)

    def transition(self, transaction_id: str, name: str, origin: Origin | None = None) -> Transaction:
        """Make one transition; without `origin`, as the person the process names. Raises `ApiError`."""
        transaction, transition = self._find(transaction_id, name)
        return self._make(transaction, transition, origin or self._origin(transaction, transition.by))

    def operator_transition(self, transaction_id: str, name: str, client_id: str) -> Transaction:
        """Make a transition through the API, which may make only the operator's. Raises `ApiError`."""
        transaction, transition = self._find(transaction_id, name)
        if transition.by is not Actor.OPERATOR:
            raise ApiError(403, "forbidden", f"{name} is not the operator's to make.")
        return self._make(transaction, transition, Origin(TRANSACTION, client_id=client_id))

    def pass_time(self) -> None:
        """Make every transition that has fallen due by itself."""
        now = self._marketplace.log.moment()
        while self._due and self._due[0][0] <= now:
            due, transaction_id, transition = heapq.heappop(self._due)
            transaction = self._marketplace.transactions[transaction_id]
            current = transaction.last.created_at + timedelta(seconds=transition.after_seconds or 0) == due
            if current and transaction.state == transition.source and transaction_id not in self._half_released:
                self._make(transaction, transition, self._origin(transaction, transition.by))

    def half_release(self, transaction_id: str) -> None:
        """Begin a releasing transition that is going to fail: its units are back on sale, it is not finished.

        Until `undo_release` the transaction is locked.
        """
        transaction = self._get(transaction_id)
        process = self._processes[transaction.process_name]
        transition = next((each for each in process.leaving(transaction.state) if each.action in RELEASES), None)
        reservation = self._reservation(transaction)
        if transition is None or reservation is None:
            raise conflict("transaction-invalid-transition", f"Nothing can be released in {transaction.state}.")
        before = reservation.state
        self._act(transaction, transition, self._origin(transaction, transition.by), quantity=None)
        self._half_released[transaction_id] = before

    def undo_release(self, transaction_id: str) -> None:
        """Fail the transition begun by `half_release`: the units are taken again, sold meanwhile or not.

        The failed transition leaves no trace in the transaction and no event of its own.
        """
        transaction = self._marketplace.transactions[transaction_id]
        state = self._half_released.pop(transaction_id, None)
        reservation = self._reservation(transaction)
        if state is None or reservation is None:
            raise conflict("conflict", f"Transaction {transaction_id} has no failing release.")
        self._marketplace.stock.undo_release(reservation, state, self._origin(transaction, Actor.SYSTEM))
        self._schedule(transaction)

    def _make(
        self, transaction: Transaction, transition: Transition, origin: Origin, *, quantity: int | None = None
    ) -> Transaction:
        if transition.source not in (None, transaction.state):
            title = f"{transition.name} is not possible in {transaction.state}."
            raise conflict("transaction-invalid-transition", title)
        reservation_id = self._act(transaction, transition, origin, quantity=quantity)
        marketplace = self._marketplace
        record = TransitionRecord(transition.name, marketplace.log.moment(), transition.by)
        done = replace(
            transaction,
            state=transition.target,
            reservation_id=reservation_id,
            transitions=(*transaction.transitions, record),
        )
        marketplace.transactions[done.transaction_id] = done
        started = transition.source is None
        about = [done.transaction_id, done.listing_id, done.customer_id, done.provider_id]
        if reservation_id:
            about.append(reservation_id)
        marketplace.log.append(
            "transaction/initiated" if started else "transaction/transitioned",
            TransactionChange(None if started else transaction, done),
            origin,
            tuple(about),
        )
        self._schedule(done)
        return done

    def _act(
        self, transaction: Transaction, transition: Transition, origin: Origin, *, quantity: int | None
    ) -> str | None:
        """Do the transition's stock action; returns the reservation's id."""
        stock, action = self._marketplace.stock, transition.action
        if action is None:
            return transaction.reservation_id
        try:
            if action in (StockAction.CREATE_PENDING, StockAction.CREATE_PROPOSED):
                return stock.reserve(
                    transaction.listing_id,
                    quantity or 1,
                    transaction_id=transaction.transaction_id,
                    proposed=action is StockAction.CREATE_PROPOSED,
                    origin=origin,
                ).reservation_id
            reservation = self._reservation(transaction)
            if reservation is None:
                raise conflict("transaction-invalid-action-sequence", "The transaction has no stock reservation.")
            act = {
                StockAction.ACCEPT: stock.accept,
                StockAction.DECLINE: stock.decline,
                StockAction.CANCEL: stock.cancel,
            }[action]
            act(reservation, origin)
        except NotEnoughStockError as error:
            raise conflict("transaction-listing-insufficient-stock", str(error)) from error
        return transaction.reservation_id

    def _schedule(self, transaction: Transaction) -> None:
        for transition in self._processes[transaction.process_name].leaving(transaction.state):
            if transition.after_seconds is not None:
                due = transaction.last.created_at + timedelta(seconds=transition.after_seconds)
                heapq.heappush(self._due, (due, transaction.transaction_id, transition))

    def _get(self, transaction_id: str) -> Transaction:
        transaction = self._marketplace.transactions.get(transaction_id)
        if transaction is None:
            raise conflict("transaction-not-found", f"Transaction {transaction_id} was not found.")
        if transaction_id in self._half_released:
            raise conflict("transaction-locked", f"Transaction {transaction_id} is in the middle of a transition.")
        return transaction

    def _find(self, transaction_id: str, name: str) -> tuple[Transaction, Transition]:
        transaction = self._get(transaction_id)
        transition = self._processes[transaction.process_name].find(name)
        if transition is None or transition.source is None:
            raise conflict("transaction-invalid-transition", f"{transaction.process_name} has no such {name}.")
        return transaction, transition

    def _reservation(self, transaction: Transaction) -> Reservation | None:
        return self._marketplace.stock.reservations.get(transaction.reservation_id or "")

    def _origin(self, transaction: Transaction, by: Actor) -> Origin:
        marketplace = self._marketplace
        if by is Actor.SYSTEM:
            return Origin(TRANSACTION)
        if by is Actor.OPERATOR:
            return Origin(TRANSACTION, admin_id=marketplace.admin_id)
        person = transaction.customer_id if by is Actor.CUSTOMER else transaction.provider_id
        return Origin(TRANSACTION, client_id=marketplace.storefront_client_id, user_id=Id(person))
