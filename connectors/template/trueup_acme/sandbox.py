"""An Acme on this machine: `trueup sandbox acme`.

What people do there and what is true there is kept. To write is how the vendor shows it: the routes of `Api`. Write
them from its documentation, not from the connector, so that the two can disagree.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime  # new: channel
from itertools import count

from connectors.clock import Clock, SystemClock
from connectors.sandbox.clock import movable
from connectors.sandbox.connection import DateHeader
from pydantic import BaseModel, ConfigDict, Field, SecretStr
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route


class Options(BaseModel):
    """How to set up one Acme account."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    api_key: SecretStr = Field(default=SecretStr("sandbox-api-key"), description="What callers must know.")


# new: channel
@dataclass(slots=True)
class Order:
    """One order, as Acme keeps it."""

    id: str
    placed_at: datetime
    changed_at: datetime
    units: dict[str, int]
    """By SKU: those that are gone for the seller."""
    version: int = 1


# new: end
@dataclass
class Vendor:
    """What is true at Acme."""

    options: Options
    clock: Clock
    orders: dict[str, Order] = field(default_factory=dict)  # new: channel
    listings: dict[str, int] = field(default_factory=dict)  # new: marketplace
    """Units on sale, by the id of a listing."""  # new: marketplace
    revoked: bool = False
    """To heed in every answer: the API key is refused."""
    numbers: Iterator[int] = field(default_factory=lambda: count(1))

    # new: channel
    def place(self, units: dict[str, int]) -> str:
        """A customer buys; the order's id."""
        order_id, now = str(next(self.numbers)), self.clock.now()
        self.orders[order_id] = Order(order_id, now, now, dict(units))
        return order_id

    def change(self, order_id: str, units: dict[str, int]) -> None:
        """Another number of units of these SKUs, or a change of something else."""
        order = self.orders[order_id]
        order.units |= units
        order.changed_at = self.clock.now()
        order.version += 1

    # new: end
    # new: marketplace
    def offer(self, total: int) -> str:
        """A new listing; its id."""
        listing_id = str(next(self.numbers))
        self.listings[listing_id] = total
        return listing_id

    # new: end


class Api:
    """What Acme answers."""

    def __init__(self, vendor: Vendor) -> None:
        self._vendor = vendor

    def routes(self) -> list[Route]:
        """To write: one for each of the vendor's that the connector calls, in the place of this."""
        return [Route("/{path:path}", self.still_to_write, methods=["GET", "POST", "PUT", "PATCH", "DELETE"])]

    def still_to_write(self, request: Request) -> Response:
        asked = f"{request.method} {request.url.path}"
        where = "Api.routes in trueup_acme/sandbox.py"
        return JSONResponse({"error": f"{where}: what is answered to {asked}"}, 501)


def create_app(options: Options, clock: Clock | None = None) -> Starlette:
    """One account, at `app.state.vendor` for tests in the same process."""
    time = movable(clock or SystemClock())
    vendor = Vendor(options, time)
    app = Starlette(routes=Api(vendor).routes(), middleware=[Middleware(DateHeader, clock=time)])
    app.state.vendor = vendor
    return app
