"""What a connector's author tells the kit of his sandbox: what people can do there, and what is true in it.

`ChannelSandbox` and `MarketplaceSandbox` are needed. Every protocol whose name begins with `Can` is optional, and
fulfilled by having its methods; nothing has to be inherited.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import httpx

from connectors.contract import Channel, Marketplace
from connectors.http import Toolbox
from connectors.sandbox.clock import VirtualClock


@dataclass(frozen=True, slots=True)
class Sold:
    """One line of an order to place. The SKUs of one order differ."""

    sku: str
    quantity: int = 1


@dataclass(frozen=True, slots=True)
class Delivery:
    """One webhook as the receiver gets it."""

    headers: Mapping[str, str]
    """Names in lower case."""
    body: bytes


@runtime_checkable
class ChannelSandbox(Protocol):
    """The sandbox of a channel, empty when the case begins."""

    clock: VirtualClock
    """The sandbox's own time. It stands still unless the kit moves it; the connector gets the same."""
    page_size: int
    """How many orders one page holds at most, as `open` opens the connector. The smaller, the quicker the cases."""
    missing_order: str
    """An id of the vendor's form that no order has."""

    def open(self, toolbox: Toolbox) -> Channel:
        """The connector under test, with credentials that work, opened as the worker opens it."""

    def place(self, *lines: Sold) -> str:
        """A customer's order that counts, paid if that matters; its id as the connector names it."""

    def committed(self, order_id: str) -> Mapping[str, int]:
        """Units of each SKU that are gone for the seller, as the sandbox itself counts them now."""


@runtime_checkable
class MarketplaceSandbox(Protocol):
    """The sandbox of a marketplace, empty when the case begins."""

    clock: VirtualClock
    """The sandbox's own time. It stands still unless the kit moves it; the connector gets the same."""
    page_size: int
    """How many listings one page of a sweep holds at most, as `open` opens the connector."""
    missing_listing: str
    """An id of the vendor's form that no listing has."""

    def open(self, toolbox: Toolbox) -> Marketplace:
        """The connector under test, with credentials that work, opened as the worker opens it."""

    def offer(self, total: int) -> str:
        """A new listing, on sale, with so many units; its id as the connector names it."""

    def total(self, listing_id: str) -> int:
        """Its units, as the sandbox itself counts them now."""


# --------------------------------------------------------------------------------------------------------------
# Of either


@runtime_checkable
class CanBeCarried(Protocol):
    """A sandbox that is no server: reached through a transport of its own, within this process."""

    transport: httpx.BaseTransport


@runtime_checkable
class CanRevoke(Protocol):
    """Somebody withdraws our credentials."""

    def revoke(self) -> None:
        """From now on every call of the connector is refused, whatever token it still has."""


@runtime_checkable
class CanExpire(Protocol):
    """Short-lived tokens that end before their time."""

    def expire(self) -> None:
        """Every token given out so far is refused from now on; the credentials go on working."""


@runtime_checkable
class CanNameEnumerations(Protocol):
    """Fields with a fixed set of words, to which the vendor may add one any day."""

    enumerations: Collection[str]
    """Their names in the vendor's JSON, e.g. `status`."""


@runtime_checkable
class CanLeaveOut(Protocol):
    """Fields that the vendor documents as left out when there is nothing to say: a missing one has a meaning."""

    left_out: Collection[str]
    """Their ends in the vendor's JSON, e.g. `line_items.refunds`. The kit does not try what happens without them."""


# --------------------------------------------------------------------------------------------------------------
# Of a channel


@runtime_checkable
class CanTouch(Protocol):
    """An order changes in something that is no quantity."""

    def touch(self, order_id: str) -> None:
        """E.g. a note is edited: the order counts as changed now."""


@runtime_checkable
class CanHideChanges(Protocol):
    """The vendor does not show when, or that, an order changed: its revision stands still."""

    hides_changes: str
    """What is missing, in a few words."""


@runtime_checkable
class CanCancel(Protocol):
    """A whole order is called off."""

    def cancel(self, order_id: str) -> None:
        """Its units come back."""


@runtime_checkable
class CanEdit(Protocol):
    """A line gets another quantity."""

    def edit(self, order_id: str, sku: str, quantity: int) -> None:
        """The line of `sku` counts `quantity` units from now on, more or fewer than before."""


@runtime_checkable
class CanGiveBack(Protocol):
    """Some units of a line come back to the shelf."""

    def give_back(self, order_id: str, sku: str, quantity: int) -> None:
        """A refund, a return or a part cancellation, whatever the vendor calls it."""


@runtime_checkable
class CanDelete(Protocol):
    """An order is deleted for good."""

    def delete(self, order_id: str) -> None:
        """It is not there any more."""


@runtime_checkable
class CanLag(Protocol):
    """Lists show an order only some time after it was placed, as search indexes do."""

    def lag(self, seconds: float) -> None:
        """What is placed from now on is listed so much later; asked for by its id, it is there at once."""


@runtime_checkable
class CanTell(Protocol):
    """The vendor sends webhooks of orders to us."""

    signs_body: bool
    """Whether the signature covers the body. False where the vendor only sends a secret along."""

    def tell(self) -> None:
        """Have webhooks sent from now on: register them, as `subscribe` or a person would."""

    def told(self) -> Sequence[Delivery]:
        """What was sent since, oldest first. Waits until everything on its way has arrived."""


@runtime_checkable
class CanSign(Protocol):
    """Whoever runs the sandbox can sign what he likes as the vendor does."""

    def signed(self, like: Delivery, body: bytes) -> Delivery:
        """`like` with another body and the signature that goes with it."""


# --------------------------------------------------------------------------------------------------------------
# Of a marketplace


@runtime_checkable
class CanBuy(Protocol):
    """Buyers of the marketplace itself."""

    def buy(self, listing_id: str, quantity: int) -> None:
        """A buyer takes so many units, and pays: they are off the total at once."""


@runtime_checkable
class CanEditTotal(Protocol):
    """A person types a number."""

    def edit_total(self, listing_id: str, total: int) -> None:
        """The listing has `total` units from now on, and that was not us."""


@runtime_checkable
class CanRemove(Protocol):
    """A listing is deleted."""

    def remove(self, listing_id: str) -> None:
        """It is not there any more."""


@runtime_checkable
class CanOfferUnlimited(Protocol):
    """Listings that never run out."""

    def offer_unlimited(self) -> str:
        """A new listing of unlimited stock; its id."""


@runtime_checkable
class CanOfferUndefined(Protocol):
    """Listings that have no number at all."""

    def offer_undefined(self) -> str:
        """A new listing of undefined stock; its id."""


@runtime_checkable
class CanTellSale(Protocol):
    """Whether a listing can be bought right now, as the sandbox itself knows."""

    def on_sale(self, listing_id: str) -> bool:
        """False when it was closed."""


@runtime_checkable
class CanDistract(Protocol):
    """Feeds carry more than stock."""

    def distract(self) -> None:
        """Something of a type that no connector knows appears in the feed."""
