"""The state of one sandboxed store: products, stock positions and their history, locations, orders."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from random import Random
from typing import Any
from uuid import UUID

from connectors.sandbox.clock import MovableClock
from connectors.sandbox.log import Log, Origin
from connectors.sandbox.stock import ListingStock, StockModel

from .entities import Level, Location, Order, Position, Product, StockTransaction
from .options import Options

API = "api"
COMMERCE_MANAGER = "commerce-manager"
CHECKOUT = "checkout"


class Store:
    """Everything there is. Whoever reads or writes it holds `lock`, so one request is one step."""

    def __init__(self, options: Options, clock: MovableClock) -> None:
        self.options = options
        self.switches = options.switches
        self.clock = clock
        self._ids = Random(f"ids:{options.seed}")
        self.log = Log(clock, Random(f"log:{options.seed}"))
        self.stock = StockModel(self.log, self.new_id, changed=self._changed)
        self.lock = self.stock.lock
        self.products: dict[str, Product] = {}
        self.locations: dict[str, Location] = {}
        self.positions: defaultdict[str, dict[str | None, Position]] = defaultdict(dict)
        self.transactions: defaultdict[str, list[StockTransaction]] = defaultdict(list)
        self.orders: dict[str, list[Order]] = {}
        """Every state of every order, oldest first: lists may lag behind."""
        self.announce: Callable[[str, Mapping[str, Any]], None] = lambda *_: None
        """Tells the integrations of an event and its payload."""
        self._by_key: dict[str, Position] = {}

    def new_id(self) -> str:
        """A fresh UUID, the same one for the same seed and history."""
        return str(UUID(int=self._ids.getrandbits(128), version=4))

    def by_application(self) -> Origin:
        """The application key, over the API."""
        return Origin(API, client_id=self.options.client_id)

    def position(self, product_id: str, location: str | None) -> Position:
        """The position, made (not managed) if there is none."""
        places = self.positions[product_id]
        if location not in places:
            key = product_id if location is None else f"{product_id}@{location}"
            self.stock.add_listing(key)
            places[location] = self._by_key[key] = Position(key, product_id, location)
        return places[location]

    def available(self, position: Position) -> int | None:
        """What is free there now; None while it is not managed."""
        return self.stock.stock(position.key).total

    def managed(self, product_id: str) -> list[Position]:
        """The product's positions that have a number; empty: its stock is not managed."""
        return [each for each in self.positions.get(product_id, {}).values() if self.available(each) is not None]

    def note_level(self, position: Position) -> None:
        """Remember the position's numbers from now on, for reads that lag behind."""
        available = self.available(position)
        total = (available or 0) + position.allocated + position.discrepancy
        position.levels.append(Level(self.log.moment(), available, position.allocated, total))

    def order(self, order_id: str) -> Order | None:
        """Its present state."""
        states = self.orders.get(order_id)
        return states[-1] if states else None

    def _changed(self, stock: ListingStock, _: Origin) -> None:
        self.note_level(self._by_key[stock.listing_id])
