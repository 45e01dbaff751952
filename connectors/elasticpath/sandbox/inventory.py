"""What can be done to stock, whichever flavour of the API asks for it."""

from __future__ import annotations

from datetime import datetime

from connectors.sandbox.log import Origin
from connectors.sandbox.stock import NotEnoughStockError, Reservation

from .entities import Level, Position, StockTransaction
from .errors import INSUFFICIENT, ApiError, bad_request, not_found, unprocessable
from .store import Store

BASIC_ACTIONS = ("increment", "decrement", "allocate", "deallocate")
ALL_ACTIONS = (*BASIC_ACTIONS, "set")


class Inventory:
    """All stock of one store. Callers hold the store's lock."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def create(self, product_id: str, quantities: dict[str | None, int], origin: Origin) -> None:
        """Start managing a product's stock."""
        self._own(product_id)
        if self._store.managed(product_id):
            if self._store.switches.second_creation == "refused":
                raise bad_request(f"stock for {product_id} exists already")
            self.delete(product_id, origin)
        if self._store.switches.recreated_history == "cleared":
            self._store.transactions[product_id].clear()
        for location, quantity in quantities.items():
            self._define(product_id, location, quantity, origin)

    def delete(self, product_id: str, origin: Origin) -> None:
        """Stop managing it: the stock is null from then on, not zero."""
        for position in self._store.managed(product_id):
            position.allocated = position.discrepancy = 0
            self._store.stock.undefine(position.key, origin)

    def put_locations(self, product_id: str, quantities: dict[str, int | None], origin: Origin) -> None:
        """Set what is available at locations; None takes one away."""
        if not self._store.managed(product_id):
            raise not_found("No stock found")
        for location, quantity in quantities.items():
            position = self._store.position(product_id, location)
            present = self._store.available(position)
            if quantity is None:
                position.allocated = 0
                self._store.stock.undefine(position.key, origin)
            elif present is None:
                self._define(product_id, location, quantity, origin)
            elif quantity != present:
                self._store.stock.compare_and_set(position.key, present, quantity, origin)
                self._record(product_id, "set", quantity + position.allocated, location)

    def act(
        self, product_id: str, action: str, quantity: int, location: str | None, origin: Origin
    ) -> StockTransaction:
        """One transaction, as the API or a person in Commerce Manager makes it."""
        self._own(product_id)
        position = self._for_action(product_id, location, origin)
        available = self._store.available(position) or 0
        change = {
            "increment": quantity,
            "decrement": -quantity,
            "allocate": -quantity,
            "deallocate": quantity,
            "set": quantity - position.allocated - available,
        }[action]
        if action == "deallocate" and quantity > position.allocated:
            raise unprocessable(INSUFFICIENT)
        if available + change < 0 and change < 0:
            raise unprocessable(INSUFFICIENT)
        position.allocated += {"allocate": quantity, "deallocate": -quantity}.get(action, 0)
        if change:
            self._store.stock.adjust(position.key, change, origin)
        made = self._record(product_id, action, quantity, location)
        self._store.announce(
            "stock-transaction.created", {"data": {"id": made.transaction_id, "type": "stock-transaction"}}
        )
        return made

    def level(self, position: Position, *, lag_seconds: float = 0.0) -> Level:
        """A position's numbers, now or as of some time ago."""
        now = self._store.clock.now()
        for level in reversed(position.levels):
            if lag_seconds <= 0 or (now - level.at).total_seconds() >= lag_seconds:
                return level
        return position.levels[0] if position.levels else Level(now, None)

    def break_level(self, position: Position, available: int | None, discrepancy: int, origin: Origin) -> None:
        """Make the numbers what they should never be."""
        if available is not None:
            present = self._store.available(position) or 0
            if available != present:
                self._store.stock.adjust(position.key, available - present, origin, allow_negative=True)
        position.discrepancy = discrepancy
        self._store.note_level(position)

    # What orders do.

    def has(self, product_id: str, quantity: int, location: str | None) -> bool:
        """Whether so much could be sold; what is not managed always can."""
        position = self._sold_from(product_id, location)
        return position is None or (self._store.available(position) or 0) >= quantity

    def allocate(
        self, order_id: str, product_id: str, quantity: int, location: str | None, origin: Origin
    ) -> Reservation | None:
        """Hold units for an order; None where stock is not managed. Raises `ApiError`."""
        position = self._sold_from(product_id, location)
        if position is None:
            return None
        try:
            reservation = self._store.stock.reserve(
                position.key, quantity, transaction_id=order_id, proposed=False, origin=origin
            )
        except NotEnoughStockError as error:
            raise ApiError(400, "Insufficient stock", str(error), meta={"id": product_id}) from error
        self._store.stock.accept(reservation, origin)
        position.allocated += quantity
        self._store.note_level(position)
        self._record(product_id, "allocate", quantity, position.location, by_order=True)
        return reservation

    def give_back(self, reservation: Reservation, origin: Origin) -> None:
        """Deallocate what an order held."""
        position = self._of(reservation)
        position.allocated -= reservation.quantity
        self._store.stock.cancel(reservation, origin)
        self._record(position.product_id, "deallocate", reservation.quantity, position.location, by_order=True)

    def ship(self, reservation: Reservation) -> None:
        """Allocated and total both fall; what is available does not move."""
        position = self._of(reservation)
        position.allocated -= reservation.quantity
        self._store.note_level(position)
        if self._store.switches.fulfilment_transactions == "deallocate_decrement":
            for action in ("deallocate", "decrement"):
                self._record(position.product_id, action, reservation.quantity, position.location, by_order=True)

    # ------------------------------------------------------------------------------------------------------------

    def _own(self, product_id: str) -> None:
        product = self._store.products.get(product_id)
        if product is not None and product.organization:
            status = self._store.switches.organization_status
            raise ApiError(status, "Bad Request" if status == 400 else "Not Found", "invalid product identifier")

    def _define(self, product_id: str, location: str | None, quantity: int, origin: Origin) -> None:
        position = self._store.position(product_id, location)
        self._store.stock.compare_and_set(position.key, None, quantity, origin)
        self._record(product_id, "create", quantity, location)

    def _for_action(self, product_id: str, location: str | None, origin: Origin) -> Position:
        position = self._store.positions.get(product_id, {}).get(location)
        if position is not None and self._store.available(position) is not None:
            return position
        if self._store.managed(product_id):
            raise unprocessable("No stock at this location" if location else "This stock is kept at locations")
        if product_id not in self._store.products or self._store.switches.unmanaged_transaction == "not_found":
            raise not_found()
        self._define(product_id, location, 0, origin)
        return self._store.position(product_id, location)

    def _sold_from(self, product_id: str, location: str | None) -> Position | None:
        managed = self._store.managed(product_id)
        if not managed:
            return None
        return next((each for each in managed if each.location == location), managed[0])

    def _of(self, reservation: Reservation) -> Position:
        product_id, _, location = reservation.listing_id.partition("@")
        return self._store.position(product_id, location or None)

    def _record(
        self, product_id: str, action: str, quantity: int, location: str | None, *, by_order: bool = False
    ) -> StockTransaction:
        at: datetime = self._store.log.moment()
        made = StockTransaction(self._store.new_id(), action, quantity, at, location, by_order)
        self._store.transactions[product_id].append(made)
        return made
