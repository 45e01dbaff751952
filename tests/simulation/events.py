"""What can happen in a history: plain values, made from the seed before anything runs.

An event names what it concerns by number (the third order, the second listing), never by an id that a run gives out. So
any subset of a history is a history too, which is what shrinking needs: an event whose order was taken away does
nothing. Whatever an event leaves to chance comes from its own `seed`, and does not change when others are taken away.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that happens."""

    at: float
    """Seconds after the beginning."""
    seed: int


# --- at the shop --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaceOrder(Event):
    """Somebody buys in the shop."""

    channel: int
    order: int
    lines: tuple[tuple[int, int], ...]
    """Number of the SKU, and units."""
    test: bool = False
    """Made by the payment provider's test mode: it does not count."""
    days_ago: int = 0
    """Imported: placed that long ago."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeOrder(Event):
    """Something is done to an order; what is possible then is chosen by the seed."""

    order: int


class EditOrder(ChangeOrder):
    """Quantities of lines are changed, or a line is added."""


class CancelOrder(ChangeOrder):
    """Everything that is left is cancelled, put back or not."""


class RefundOrder(ChangeOrder):
    """Units are refunded, with any restock type."""


class FulfilOrder(ChangeOrder):
    """Units are handed over."""


class TouchOrder(ChangeOrder):
    """A change that has nothing to do with stock."""


class DeleteOrder(ChangeOrder):
    """The order is removed as if it had never been."""


# --- at the marketplace -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Buy(Event):
    """A buyer goes to the checkout."""

    listing: int
    purchase: int
    units: int
    proposed: bool = False
    """By the process that only proposes a reservation."""


class Step(StrEnum):
    """What becomes of a purchase."""

    PAY = "pay"
    EXPIRE = "expire"
    """The checkout is abandoned: the total returns to what it was."""
    CANCEL = "cancel"
    ACCEPT = "accept"
    DECLINE = "decline"
    FAIL_RELEASE = "fail_release"
    """A release is undone after its units were sold again: this is how stock becomes negative."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepOfPurchase(Event):
    """A purchase goes on, if it can."""

    purchase: int
    step: Step


class Edit(StrEnum):
    """What a provider types in."""

    ADD = "add"
    REMOVE = "remove"
    SET = "set"
    UNLIMITED = "unlimited"
    UNDEFINED = "undefined"


@dataclass(frozen=True, slots=True, kw_only=True)
class EditStock(Event):
    """A provider changes the stock."""

    listing: int
    edit: Edit
    units: int = 0


class Turn(StrEnum):
    """What people do to a listing as a whole."""

    CLOSE = "close"
    OPEN = "open"
    DELETE = "delete"


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnListing(Event):
    """A provider closes, opens or deletes a listing."""

    listing: int
    turn: Turn


# --- by the operator ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkSku(Event):
    """The SKU is linked to exactly these listings from now on; none: its links end."""

    channel: int
    sku: int
    listings: tuple[tuple[int, int], ...]
    """Number of the listing, and units per sale: several make a kit."""
    from_now: bool = False
    """Lines placed before now do not count; else the link begins as early as it may."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CorrectLink(Event):
    """The SKU was linked to the wrong listing all along: what it took there is given back and taken here."""

    channel: int
    sku: int
    listing: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PauseChannel(Event):
    """The channel's sales are taken in, but nothing is written for them for that long."""

    channel: int
    seconds: float


class Call(StrEnum):
    """What a request to a vendor is, whichever vendor it is."""

    WRITE = "write"
    """Changes the stock of a listing."""
    CLOSE = "close"
    OPEN = "open"
    SHOW = "show"
    """Reads one listing."""
    LOG = "log"
    """Reads what moved a listing's stock."""
    FEED = "feed"
    SEARCH = "search"
    """Reads pages of listings."""
    TOKEN = "token"
    OTHER = "other"
    CHANNEL = "channel"
    """Anything that is asked of a shop."""


# --- what goes wrong ----------------------------------------------------------------------------------------------


class Fate(StrEnum):
    """What becomes of one call."""

    REFUSED = "refused"
    """No connection: certainly not executed."""
    LOST_BEFORE = "lost_before"
    """The connection breaks; never executed."""
    LOST_AFTER = "lost_after"
    """Executed; the answer is lost."""
    LATE = "late"
    """No answer; executed `seconds` later, maybe after our next attempt."""
    SLOW = "slow"
    """Executed at once, answered `seconds` later."""
    THROTTLED = "throttled"
    """429: not executed."""
    ERROR_BEFORE = "error_before"
    """500, not executed."""
    ERROR_AFTER = "error_after"
    """502, executed all the same."""
    GARBLED = "garbled"
    """Executed; a page of HTML under a 200."""
    TOKEN_EXPIRED = "token_expired"
    """401 as if the access token had ended a moment before its time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SpoilCall(Event):
    """The next call of that kind, after `skip` more, goes wrong."""

    call: Call
    fate: Fate
    seconds: float = 0.0
    skip: int = 0


class Trouble(StrEnum):
    """What a whole vendor may suffer from."""

    DOWN = "down"
    UNAUTHORISED = "unauthorised"
    """The credentials are refused until an operator renews them."""
    THROTTLING = "throttling"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outage(Event):
    """One vendor (0 is the marketplace, then the shops) does not serve us for a while."""

    vendor: int
    trouble: Trouble
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Crash(Event):
    """A process dies at the boundary after `skip` more, in its sleep if it meets none, and is started again."""

    process: int
    skip: int
    down_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop(Event):
    """A process stands still from the boundary after `skip` more, longer than its leases, and goes on unaware."""

    process: int
    skip: int
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class LoseCommit(Event):
    """A transaction of a process fails; committed or not, its caller does not learn."""

    process: int
    skip: int
    committed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class SkewClock(Event):
    """A host's clock is off from now on."""

    process: int
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpireTokens(Event):
    """The marketplace forgets the tokens it gave out."""

    refresh_tokens: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class DelayFeed(Event):
    """From now on the feed shows events that much later, and searches lag."""

    seconds: float
    search_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class LagIndex(Event):
    """From now on the shop's order search finds changes up to that much later."""

    channel: int
    seconds: float


class Telling(StrEnum):
    """What the feed tells of our own writes."""

    ATTRIBUTED = "attributed"
    ANONYMOUS = "anonymous"
    MISSING = "missing"


@dataclass(frozen=True, slots=True, kw_only=True)
class TellOfOwn(Event):
    """From now on the feed tells that much of our own writes."""

    telling: Telling


@dataclass(frozen=True, slots=True, kw_only=True)
class FlushBroker(Event):
    """Every message under way is lost."""
