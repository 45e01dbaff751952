"""What a connector fulfils: the values it hands over and the protocols it implements.

One connector speaks one vendor's protocol. It can offer a marketplace (whose stock we keep true), a channel (where
sales happen), or both. Optional abilities are declared by implementing their protocol, never by raising
NotImplementedError; the worker asks with `isinstance`.

Rules for every implementation:

* Every answer becomes a value or one of the errors in `connectors.errors`.
* Reads are retried inside the connector. A write is sent at most once per call.
* Quantities are Python integers that fit 64 signed bits; times are aware and in UTC; ids are the vendor's, as text.
* Methods may be called from several threads at once.
* A call comes back: it waits for nothing without a bound. `connectors.http` keeps to `connectors.deadline` for it.
* What is handed over is checked before it is booked (`worker.intake.boundary`): an order of more than 10,000 lines is
  parked, a cursor of more than 65,536 characters, or one that leads back to where it was, ends the call.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import BinaryIO, Protocol, runtime_checkable

VERSION = 1
"""Of this contract. It grows when a connector that fulfilled the former one would not fulfil this one."""

MAX_QUANTITY = 2**63 - 1
"""The largest quantity the store can hold; a connector turns anything beyond it into `Unreadable`."""


# --------------------------------------------------------------------------------------------------------------
# Marketplace: values


class Guard(StrEnum):
    """What a stock write of this marketplace really guarantees."""

    COMPARE_AND_SET = "compare_and_set"
    """Applied only if the total is exactly the one seen."""
    RELATIVE = "relative"
    """A delta, refused by the vendor if it would go below zero."""
    ABSOLUTE = "absolute"
    """A plain overwrite: a sale racing it can be lost."""


class Evidence(StrEnum):
    """What the marketplace's own log can tell about a write whose answer was lost."""

    ATTRIBUTED = "attributed"
    """Each adjustment, with its author."""
    ANONYMOUS = "anonymous"
    """Each adjustment, without its author."""
    NONE = "none"
    """No log at all."""


class StockKind(StrEnum):
    """Whether a listing has a number at all."""

    COUNTED = "counted"
    UNLIMITED = "unlimited"
    UNDEFINED = "undefined"


@dataclass(frozen=True, slots=True)
class Stock:
    """The available quantity of a listing: pending and accepted reservations are already subtracted."""

    kind: StockKind
    total: int = 0
    """Units; means something only when `kind` is COUNTED. Below zero is abnormal but happens."""

    @classmethod
    def counted(cls, total: int) -> Stock:
        return cls(StockKind.COUNTED, total)


UNLIMITED = Stock(StockKind.UNLIMITED)
UNDEFINED = Stock(StockKind.UNDEFINED)


class ListingState(StrEnum):
    """Whether a listing is on sale."""

    DRAFT = "draft"
    PENDING_APPROVAL = "pending_approval"
    PUBLISHED = "published"
    CLOSED = "closed"
    DELETED = "deleted"


@dataclass(frozen=True, slots=True)
class Listing:
    """One thing the marketplace counts."""

    listing_id: str
    state: ListingState
    stock: Stock
    seller_id: str = ""
    title: str = ""
    sku: str | None = None
    """The SKU the marketplace itself keeps for this listing, where it keeps one. A hint, never a link."""
    closed_with: tuple[str, ...] = ()
    """Of a closed listing read by itself: the other listings that the marketplace closes and opens by the same switch.
    What we did to one of them, we did to all."""


@dataclass(frozen=True, slots=True)
class UnreadableListing:
    """A listing in a page that does not have its documented shape; its neighbours go on."""

    listing_id: str | None
    reason: str


@dataclass(frozen=True, slots=True)
class Adjusted:
    """A stock write that certainly happened."""

    total: int
    """The total right after it."""
    adjustment_id: str | None = None
    """The vendor's record of it, where the answer names it."""


class Author(StrEnum):
    """Who made a remote change, as far as the marketplace says."""

    OURS = "ours"
    OTHER = "other"


class ReservationState(StrEnum):
    """How far a marketplace transaction has come with the units it holds."""

    PENDING = "pending"
    PROPOSED = "proposed"
    ACCEPTED = "accepted"
    CANCELLED = "cancelled"
    DECLINED = "declined"


@dataclass(frozen=True, slots=True)
class Reservation:
    """Units held by a marketplace transaction."""

    reservation_id: str
    transaction_id: str | None = None
    state: ReservationState | None = None
    quantity: int | None = None


@dataclass(frozen=True, slots=True)
class RemoteAdjustment:
    """An immutable record of one stock change on the marketplace, ours or another's."""

    adjustment_id: str
    listing_id: str
    at: datetime
    quantity: int
    """Signed units; never 0."""
    author: Author | None = None
    """None: this source does not tell."""
    reservation: Reservation | None = None
    """Set when a marketplace transaction caused it; such an adjustment is never ours."""


@dataclass(frozen=True, slots=True)
class StockChange:
    """Feed: the stock of a listing was adjusted."""

    sequence: int
    adjustment: RemoteAdjustment


@dataclass(frozen=True, slots=True)
class ListingChange:
    """Feed: a listing was created, edited, closed, opened or deleted."""

    sequence: int
    listing_id: str
    at: datetime
    """When it happened, by the marketplace's clock."""
    state: ListingState
    """The state after the change."""
    state_changed: bool
    """Whether this very change altered the state."""
    author: Author | None = None
    seller_id: str = ""
    title: str = ""


Change = StockChange | ListingChange


@dataclass(frozen=True, slots=True)
class UnreadableChange:
    """A change that does not have its documented shape; those around it go on."""

    name: str
    """What the vendor calls it, for a person to find it."""
    listing_id: str | None
    """Whom it concerns, where that much can be read."""
    reason: str


@dataclass(frozen=True, slots=True)
class ChangePage:
    """One page of the change feed, in the marketplace's order."""

    changes: Sequence[Change]
    cursor: str
    """Where to go on. Opaque to the worker; stored in the transaction that handled this page."""
    more: bool
    """Whether another page is waiting right now."""
    unknown_types: Sequence[str] = ()
    """Types of changes this connector does not know. They are skipped, and counted by the worker."""
    unreadable: Sequence[UnreadableChange] = ()
    """Of this page; the cursor leads past them."""


@dataclass(frozen=True, slots=True)
class TrailEvent:
    """One thing that happened within a marketplace transaction, oldest first in a trail."""

    at: datetime
    kind: str
    """`stock` for a stock adjustment or reservation, `transaction` for a completed transition."""
    name: str
    """The vendor's name of it, e.g. `stockReservation/updated` or `transition/decline`."""


@dataclass(frozen=True, slots=True)
class PendingReservation:
    """Units that a marketplace transaction holds without having been accepted."""

    reservation_id: str
    transaction_id: str
    listing_id: str | None
    """None: the marketplace does not say which listing it is."""
    quantity: int
    since: datetime
    """When the units were taken, by the marketplace's clock."""


@dataclass(frozen=True, slots=True)
class MarketplaceSale:
    """Units of one listing that the marketplace itself sold in one of its own orders."""

    sale_id: str
    """The vendor's id of this part of the order: the same sale is told again under the same id."""
    listing_id: str | None
    """None: the marketplace does not say which listing it was."""
    quantity: int
    """Units sold, whatever became of them since; above 0."""
    placed_at: datetime
    """When the order was made, by the marketplace's clock; stock may have fallen at any time from then to `paid_at`."""
    paid_at: datetime
    """When it was paid, by the marketplace's clock. No sale is told before that."""


@dataclass(frozen=True, slots=True)
class Check:
    """One thing `doctor` tried."""

    name: str
    ok: bool
    detail: str
    remedy: str = ""
    """What to do about it; empty when `ok`."""


# --------------------------------------------------------------------------------------------------------------
# Marketplace: protocols


@runtime_checkable
class Marketplace(Protocol):
    """The system whose stock we keep true."""

    guard: Guard
    evidence: Evidence
    unlimited_from: int | None
    """A total at or above which stock is unlimited; None where the marketplace says so in another way."""

    def listing(self, listing_id: str) -> Listing:
        """One listing with its stock: authoritative, now. Raises `NotFound` when it is gone."""

    def adjust(self, listing_id: str, *, seen: int, delta: int) -> Adjusted:
        """Move the stock by `delta` (never 0), under this marketplace's `guard`; sent at most once.

        `seen` is the total the caller planned from. Raises `StockMismatch` or `InsufficientStock` (nothing changed),
        `NotFound`, `Rejected`, `Unauthorized`, `RateLimited`, `Unavailable` (all: certainly not executed) or
        `OutcomeUnknown` (may have been executed, or may be yet).
        """

    def listings(self) -> Iterator[Sequence[Listing | UnreadableListing]]:
        """Every listing of the marketplace, a page at a time. May lag behind writes: never a base for a write."""

    def check(self) -> Sequence[Check]:
        """Try credentials, scopes and clock, for `doctor`. Returns failures as checks; does not raise for them."""


@runtime_checkable
class Ledger(Protocol):
    """A marketplace that keeps a log of stock adjustments."""

    def adjustments(self, listing_id: str, *, since: datetime) -> Sequence[RemoteAdjustment]:
        """All adjustments of one listing at or after `since`, oldest first; complete as of the call."""


@runtime_checkable
class Feed(Protocol):
    """A marketplace that tells what changed."""

    def changes(self, cursor: str | None) -> ChangePage:
        """The changes after `cursor`; None starts about a minute ago. Raises `CursorTooOld`."""


@runtime_checkable
class Closable(Protocol):
    """A marketplace where a listing can be taken off sale and put back. Both calls may be repeated without harm."""

    def close(self, listing_id: str) -> None:
        """Take a published listing off sale. Raises `Rejected` if its state does not allow it."""

    def open(self, listing_id: str) -> None:
        """Put a closed listing back on sale. Raises `Rejected` if its state does not allow it."""


@runtime_checkable
class Trail(Protocol):
    """A marketplace that can show what happened within one transaction, for the diagnosis of negative stock."""

    def trail(self, transaction_id: str) -> Sequence[TrailEvent]:
        """Oldest first, as far back as the vendor keeps events."""


@runtime_checkable
class Sales(Protocol):
    """A marketplace that tells its own sales: those that an absolute write may have overwritten."""

    def sales(self, *, since: datetime) -> Iterator[Sequence[MarketplaceSale | UnreadableOrder]]:
        """The marketplace's sales that were paid at or after `since`, in no order, a page at a time.

        Complete as of the call, except for orders that are not paid yet; may hold earlier sales, and one twice.
        """


@runtime_checkable
class Reserving(Protocol):
    """A marketplace that tells which reservations are still pending."""

    def pending_reservations(self, *, before: datetime) -> Sequence[PendingReservation]:
        """Reservations made before then that are pending now, the oldest first. One call: at most a page of them."""


# --------------------------------------------------------------------------------------------------------------
# Either role


@runtime_checkable
class Clocked(Protocol):
    """An account whose answers tell the vendor's time."""

    @property
    def clock_skew_seconds(self) -> float | None:
        """The vendor's clock less ours, as its last answer showed; None before the first."""


@runtime_checkable
class Located(Protocol):
    """An account that can tell which of the vendor's systems it opens: a channel must not be the marketplace itself."""

    def system_id(self) -> str:
        """The vendor's own id of that system. Asks the vendor, and raises like any read."""


# --------------------------------------------------------------------------------------------------------------
# Channel: values


@dataclass(frozen=True, slots=True)
class OrderLine:
    """One line of an order, reduced to what stock needs."""

    line_id: str
    sku: str | None
    """As the channel spells it; case matters. None when the sold thing has none."""
    item_key: str
    """The vendor's stable id of the sold item, else its SKU: fixed at first sight. Empty where the vendor forgets what
    was sold, once the item is deleted; that changes nothing.
    """
    committed: int
    """Units ordered less cancelled less restocked; never below 0."""


@dataclass(frozen=True, slots=True)
class Order:
    """A whole order, as the channel shows it now: a line that is missing here is committed 0."""

    order_id: str
    revision: int
    """Grows whenever the order changes; vendors that stamp whole seconds may repeat one."""
    placed_at: datetime
    lines: Sequence[OrderLine]
    excluded: str | None = None
    """Why this order does not count (a test, a mirrored marketplace order), by the channel's exclusion rules."""
    fetched_at: datetime | None = None
    """When the request that read it started; None when it came in a webhook."""
    revision_is_exact: bool = False
    """The channel promises that no two contents of an order share a revision: where two do, a person is told."""


@dataclass(frozen=True, slots=True)
class Gone:
    """The channel says that this order does not exist (any more)."""

    order_id: str
    fetched_at: datetime


@dataclass(frozen=True, slots=True)
class OrderRef:
    """An order's id and revision, without its content."""

    order_id: str
    revision: int


@dataclass(frozen=True, slots=True)
class UnreadableOrder:
    """An order in a page that does not have its documented shape; its neighbours go on."""

    order_id: str | None
    reason: str
    raw: bytes


@dataclass(frozen=True, slots=True)
class OrderPage:
    """Whole orders changed since a cursor, oldest change first."""

    orders: Sequence[Order]
    cursor: str
    """Where to go on. Opaque to the worker; stored in the transaction that took this page in."""
    more: bool
    unreadable: Sequence[UnreadableOrder] = ()


@dataclass(frozen=True, slots=True)
class FileEntry:
    """What one stretch of a file of orders says."""

    line: int
    """Where it begins; the first line is 1."""
    content: Order | UnreadableOrder
    next_line: int
    offset: int
    """How many bytes of the file have been read with it."""


@dataclass(frozen=True, slots=True)
class Receipt:
    """A verified delivery, reduced to what is worth keeping."""

    delivery_id: str
    """The sender's id of this delivery: a noise filter, never a proof of sameness."""
    topic: str
    kept: bytes
    """What to store: the reduced body, or the raw one when it cannot be read."""
    raw: bool
    """Whether `kept` is the raw body: it is then dropped after a short, configurable time."""


@dataclass(frozen=True, slots=True)
class Look:
    """A delivery that says only that an order may have changed: fetch it."""

    order_id: str


@dataclass(frozen=True, slots=True)
class AccessEnded:
    """A delivery that says our access was withdrawn: try the credentials before believing it."""


@dataclass(frozen=True, slots=True)
class Ignored:
    """A delivery that concerns no stock (a ping, a compliance request, a topic we do not know)."""

    reason: str
    """One short machine-readable word, e.g. `compliance` or `unknown_topic`."""


Notice = Order | Look | AccessEnded | Ignored


@dataclass(frozen=True, slots=True)
class Subscription:
    """One webhook registration at the vendor."""

    topic: str
    address: str
    problem: str = ""
    """Empty when it is registered and alive as it should be."""


# --------------------------------------------------------------------------------------------------------------
# Channel: protocols


@runtime_checkable
class Channel(Protocol):
    """One account on an external system where sales happen.

    How they get here is an ability of its own: it is read (`Polled`), it can be asked (`Askable`), it sends webhooks
    (`Hooks`), or a person has them in a file (`OrderFiles`). Most have several.
    """

    def check(self) -> Sequence[Check]:
        """Try credentials, scopes, webhooks and clock, for `doctor`."""


@runtime_checkable
class Polled(Channel, Protocol):
    """A channel whose changed orders can be read from a place on."""

    def orders(self, cursor: str) -> OrderPage:
        """Whole orders changed since `cursor`, up to the vendor's now less 3 s, so that no second is read early.

        Idempotent. Any error is a failure of the page: nothing of it is handed over.
        """

    def cursor_at(self, moment: datetime) -> str:
        """The cursor that reads every order changed at or after `moment`."""


@runtime_checkable
class Askable(Channel, Protocol):
    """A channel that says what an order is now, by its id, and which ones changed."""

    def recent(self, since: datetime) -> Iterator[Sequence[OrderRef | UnreadableOrder]]:
        """Ids and revisions of orders changed at or after `since`, a page at a time: cheap, for late index entries."""

    def order(self, order_id: str) -> Order | Gone:
        """One whole order, now: all nested pages, same revision before and after."""


@runtime_checkable
class OrderFiles(Channel, Protocol):
    """A channel whose orders may come as a file."""

    def read_file(self, file: BinaryIO) -> Iterator[FileEntry]:
        """Whole orders, as the file has them, and what cannot be read of it; its neighbours go on. `file` can seek.

        A stream: memory does not grow with the file. Raises `Unreadable` for a file that is none of orders.
        """


@runtime_checkable
class Hooks(Protocol):
    """An account that sends webhooks. `receive` and `read` do no I/O."""

    refusal_status: int
    """The HTTP status for a delivery with a bad signature: 401, unless the vendor would disable the webhook for it."""

    def receive(self, headers: Mapping[str, str], body: bytes) -> Receipt:
        """Verify the signature over the raw body, in constant time; reduce. Header names are in lower case.

        Raises `InvalidSignature` and nothing else: a signed body that cannot be read is kept raw.
        """

    def read(self, topic: str, kept: bytes) -> Sequence[Notice]:
        """What a kept delivery says. Raises `Unreadable`."""

    def subscriptions(self, address: str) -> Sequence[Subscription]:
        """What is registered for `address`, with what is missing or broken named in `problem`."""

    def subscribe(self, address: str) -> Sequence[Subscription]:
        """Register what is missing for `address`; idempotent. Returns the registrations as they are now."""


@runtime_checkable
class EnduringHooks(Hooks, Protocol):
    """Hooks of a vendor that turns a webhook off for a 4xx: none is ever answered on their path.

    Whatever cannot be verified gets `refusal_status`, which is no 4xx here. Of what is too large, the beginning is
    taken.
    """

    def receive_beginning(self, headers: Mapping[str, str], beginning: bytes) -> Receipt:
        """Take the first bytes of a delivery that is too large to be read to its end, and keep them raw.

        Raises `InvalidSignature` where the headers alone do not show who sent it, and nothing else.
        """
