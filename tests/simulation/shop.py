"""The shops' people: customers and merchants, and what they do to orders. Each vendor's own is in `vendors`.

They act on the real sandbox, beside every connector, and note in the books what must be committed from then on.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from random import Random
from typing import Any, ClassVar

import httpx
from pydantic import BaseModel
from starlette.types import ASGIApp

from connectors.sandbox.clock import VirtualClock
from connectors.sandbox.sending import Parcel
from tests.simulation.books import Books
from tests.simulation.events import Call, ChangeOrder, LagIndex, PlaceOrder

OLDEST_DELETED_SECONDS = 25 * 86_400
"""A deletion that no webhook tells is found by the last look, after 30 days; later ones are a known limit."""
SKUS = ("MUG", "mug", "PLATE", "BOWL", "SET-OF-6", "KIT", "SPOON", "FORK")
"""How the shops spell them; two differ by case alone."""


@dataclass(frozen=True, slots=True)
class Letter:
    """One webhook on its way."""

    topic: str
    pack: Callable[[int], Parcel | None]
    """Makes the request of an attempt, the first of which is 0; None when there is nothing to send any more."""
    deletes: bool = False
    """Whether it tells of a deletion."""
    attempt: int = 0


class Shop(ABC):
    """One shop and everybody in it."""

    name: ClassVar[str]
    """In pairings, and of its connector."""
    tells_deletions: ClassVar[bool] = True
    """Whether a webhook tells of them; else only a late look finds one."""
    app: ASGIApp

    def __init__(self, number: int, clock: VirtualClock, books: Books, *, seed: int, random: Random) -> None:
        """A shop without orders; what the vendor's documentation leaves open is settled by `random`."""
        self.channel = f"shop-{number + 1}"
        self.number = number
        self._clock = clock
        self._books = books
        self.deletions_are_found = True
        """Whether the history lasts long enough for the looks that find what nobody told."""
        self.orders: dict[int, Any] = {}
        """Number of the event's order -> what the shop calls it."""

    # --- how trueup gets in -----------------------------------------------------------------------------------

    @property
    def host(self) -> str:
        """Where it is called."""
        return f"{self.channel}.example"

    @property
    @abstractmethod
    def settings(self) -> BaseModel:
        """What the connector is configured with."""

    @property
    @abstractmethod
    def secrets(self) -> tuple[str, ...]:
        """What must never be found in the database, nor anything personal."""

    def call_of(self, request: httpx.Request) -> Call:
        """What a request is."""
        return Call.TOKEN if request.url.path.endswith(("/oauth/access_token", "/auth/token")) else Call.CHANNEL

    # --- what people do ---------------------------------------------------------------------------------------

    @abstractmethod
    def place(self, event: PlaceOrder) -> str:
        """Somebody buys."""

    @abstractmethod
    def change(self, event: ChangeOrder) -> str:
        """Something is done to an order, if it can be."""

    def pass_time(self) -> None:
        """Let what falls due by itself happen."""

    def lag_index(self, event: LagIndex) -> None:
        """Searches find a change up to that much later."""

    # --- webhooks ---------------------------------------------------------------------------------------------

    def send_to(self, address: str) -> None:
        """Register that address by hand, where trueup cannot."""

    def listen(self, carry: Callable[[Letter], None]) -> None:
        """Hand every webhook to `carry` instead of sending it."""

    def cut(self, parcel: Parcel) -> Parcel:
        """The same with half its body, signed as such."""
        return Parcel(parcel.url, parcel.headers, parcel.body[: len(parcel.body) // 2])

    @abstractmethod
    def forge(self, parcel: Parcel, luck: Random) -> Parcel:
        """A changed copy that somebody else signed."""

    def retry_after_seconds(self, attempt: int) -> float | None:
        """The wait before a further attempt, the first of which is 1; None: it is given up."""
        return 30.0 if attempt <= 2 else None

    # --- the truth --------------------------------------------------------------------------------------------

    @abstractmethod
    def committed(self) -> Iterator[tuple[str, str, int]]:
        """Order, line and committed units of everything that was sold, as the shop itself knows it."""


class KnowingShop(Shop):
    """A shop whose own account of what is gone goes into the books after every change."""

    def place(self, event: PlaceOrder) -> str:
        if event.test:
            return "no test orders here"
        try:
            order = self._place(event, Random(event.seed))
        except self.refusals as error:
            return f"impossible: {error}"
        if order is None:
            return "nothing that can be sold here"
        self.orders[event.order] = order
        return f"order {event.order} is {order}: {self._note(order)}"

    def change(self, event: ChangeOrder) -> str:
        order = self.orders.get(event.order)
        if order is None:
            return "no such order"
        try:
            said = self._change(event, order, Random(event.seed))
        except self.refusals as error:
            return f"impossible: {error}"
        return f"{said}: {self._note(order)}"

    refusals: ClassVar[tuple[type[Exception], ...]]
    """What the sandbox raises when something cannot be done."""

    @abstractmethod
    def _place(self, event: PlaceOrder, random: Random) -> Any:
        """Sell; returns what the shop calls the order, which is in the books then."""

    @abstractmethod
    def _change(self, event: ChangeOrder, order: Any, random: Random) -> str:
        """Do it; what is not possible here says so."""

    @abstractmethod
    def _lines(self, order: Any) -> dict[str, tuple[str, int]] | None:
        """SKU and committed units of each line; None once the order is gone."""

    def _note(self, order: Any) -> str:
        """Put the shop's account of one order into the books."""
        lines = self._lines(order)
        if lines is None:
            self._books.delete(self.channel, str(order))
            return "gone"
        shown = {line_id: (sku_number(sku), units) for line_id, (sku, units) in lines.items()}
        self._books.show(self.channel, str(order), shown)
        return ", ".join(f"{sku} {units}" for sku, units in lines.values())

    def committed(self) -> Iterator[tuple[str, str, int]]:
        for order in self.orders.values():
            for line_id, (_, units) in (self._lines(order) or {}).items():
                yield str(order), line_id, units


def sku_name(number: int) -> str:
    """How the shops spell a SKU."""
    return SKUS[number]


def sku_number(name: str | None) -> int:
    """The counterpart of `sku_name`."""
    return SKUS.index(name or "")


def milliseconds(moment: datetime) -> float:
    """Unix seconds, as a shop stamps them that cuts off what is finer than a millisecond."""
    return int(moment.timestamp() * 1000) / 1000
