"""A Sharetribe marketplace, through its Integration API (API reference, "Integration API")."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import count
from typing import Any

from connectors.budget import Priority
from connectors.checks import clocks
from connectors.contract import (
    MAX_QUANTITY,
    Adjusted,
    Change,
    ChangePage,
    Check,
    Evidence,
    Guard,
    Listing,
    ListingState,
    PendingReservation,
    RemoteAdjustment,
    TrailEvent,
    UnreadableChange,
    UnreadableListing,
)
from connectors.errors import (
    CursorTooOld,
    Rejected,
    StockMismatch,
    Unavailable,
    Unreadable,
)
from connectors.http import Toolbox
from connectors.sharetribe import checks, events, reservations, resources
from connectors.sharetribe.client import Client
from connectors.sharetribe.errors import CONFLICT, INVALID_STATE
from connectors.sharetribe.events import Position
from connectors.sharetribe.resources import ShapeError, timestamp
from connectors.sharetribe.settings import SharetribeMarketplaceSettings
from connectors.text import legible

ACCOUNT = "sharetribe"
PAGE = 100
LEDGER = timedelta(days=366)
"""How far back, and over how long a span, stock adjustments can be asked for (API reference, "Stock adjustments")."""
FIRST_LOOK = timedelta(seconds=60)

# Windows reach beyond the vendor's present and stay inside its past: requests travel, and clocks differ a little.
_MARGIN = timedelta(hours=1)
_LEDGER_MARGIN = timedelta(minutes=5)


class SharetribeMarketplace:
    """Marketplace, Ledger, Feed, Closable, Trail, Reserving and Located of `connectors.contract`.

    Safe for use from several threads. `disconnect` closes its connections (`close` closes a listing).
    """

    guard = Guard.COMPARE_AND_SET
    evidence = Evidence.ATTRIBUTED

    def __init__(self, settings: SharetribeMarketplaceSettings, toolbox: Toolbox) -> None:
        self.unlimited_from: int | None = settings.unlimited_from
        self._settings = settings
        self._client = Client(settings, toolbox, account=ACCOUNT)
        section = [settings.sku_key.partition(".")[0]] if settings.sku_key else []
        # Sparse, so that nothing personal is even sent: of the author, only the id is of use.
        self._listing_query = {
            "include": "author,currentStock",
            "fields.listing": ",".join(["createdAt", "deleted", "state", "title", *section]),
            "fields.stock": "quantity",
            "fields.user": "createdAt",
        }

    @property
    def calls(self) -> int:
        """HTTP requests sent so far."""
        return self._client.http.calls

    @property
    def clock_skew_seconds(self) -> float | None:
        return self._client.http.clock_skew_seconds

    def disconnect(self) -> None:
        """Close every connection. Idempotent."""
        self._client.http.close()

    # Stock

    def listing(self, listing_id: str) -> Listing:
        """See `Marketplace.listing`. A deleted listing is `NotFound`: the vendor shows no difference."""
        what = f"reading listing {listing_id}"
        answer = self._client.query("listings/show", {"id": listing_id, **self._listing_query}, what=what)
        with self._client.reading(what):
            return self._listing(resources.primary(answer), resources.included(answer))

    def adjust(self, listing_id: str, *, seen: int, delta: int) -> Adjusted:
        """See `Marketplace.adjust`: one compare-and-set from `seen` to `seen + delta`.

        Refused before sending, as `Rejected`: a result below zero, no change at all (the vendor would keep no trace of
        it), and totals that stand for unlimited stock.
        """
        total = seen + delta
        what = f"changing the stock of listing {listing_id} from {seen} to {total}"
        if delta == 0 or total < 0 or max(seen, total) >= min(self._settings.unlimited_from, MAX_QUANTITY):
            raise Rejected(f"{what} was not sent: it is never allowed", account=ACCOUNT, code="not_sent")
        try:
            self._client.command(
                "stock/compare_and_set",
                {"listingId": listing_id, "oldTotal": seen, "newTotal": total},
                params={"expand": "true"},
                what=what,
                confirms=lambda stock: _is_total(stock, total),
            )
        except StockMismatch as error:
            message = f"listing {listing_id} does not have {seen} units any more"
            raise StockMismatch(message, account=ACCOUNT, code=error.code) from error
        except Rejected as error:
            if error.code != CONFLICT:
                raise
            listing = self._look(listing_id, error)
            raise Rejected(f"{error.message}; it is {listing.state}", account=ACCOUNT, code=error.code) from error
        return Adjusted(total)

    def adjustments(self, listing_id: str, *, since: datetime) -> Sequence[RemoteAdjustment]:
        """See `Ledger.adjustments`: by `at`, then id. Authors are left out, but for reservations, which are never ours.

        Raises `CursorTooOld`, with `kept_since`, when `since` is 366 days ago or more, the end of the vendor's ledger.
        """
        what = f"reading the stock adjustments of listing {listing_id}"
        now = self._client.now()
        kept_since = now - LEDGER + _LEDGER_MARGIN
        if since < kept_since:
            message = f"{what} goes back 366 days only, not to {timestamp(since)}"
            raise CursorTooOld(message, account=ACCOUNT, kept_since=kept_since)
        found: dict[str, RemoteAdjustment] = {}
        start, end = since, now + _MARGIN
        while start < end:
            stop = min(end, start + LEDGER)
            found |= self._ledger(listing_id, start, stop, what)
            start = stop
        return sorted(found.values(), key=lambda adjustment: (adjustment.at, adjustment.adjustment_id))

    def _ledger(self, listing_id: str, start: datetime, end: datetime, what: str) -> dict[str, RemoteAdjustment]:
        query = {
            "listingId": listing_id,
            "start": timestamp(start),
            "end": timestamp(end),
            "perPage": PAGE,
            "include": "stockReservation,stockReservation.transaction",
            "fields.transaction": "lastTransition",
        }
        found: dict[str, RemoteAdjustment] = {}
        total = 0
        for page in count(1):
            answer = self._client.query("stock_adjustments/query", {**query, "page": page}, what=what)
            with self._client.reading(what):
                shown = _adjustments(answer, listing_id)
            total = total or resources.meta(answer, "totalItems") or 0
            # A page may repeat what the one before showed, when the ledger grew in between; never all of it.
            advanced = not shown.keys() <= found.keys()
            found |= shown
            if len(shown) < PAGE or not advanced:
                break
        if len(found) < total:
            raise Unavailable(f"{what} showed {len(found)} of {total}; try again", account=ACCOUNT)
        return found

    # Feed

    def changes(self, cursor: str | None) -> ChangePage:
        """See `Feed.changes`.

        Raises `Unreadable` for a full page none of whose events has a place in the feed: it would be read for ever.
        """
        started = self._client.now()
        position = self._position(cursor, started)
        answer = self._client.query("events/query", position.query(events.FEED_TYPES), what="reading the change feed")
        with self._client.reading("the change feed"):
            found = resources.elements(answer)
        changes: list[Change] = []
        unknown: list[str] = []
        unreadable: list[UnreadableChange] = []
        begun = position
        for element in found:
            try:
                event = resources.as_resource(element)
                position = events.following(position, event)
                change = events.change(event, client_id=self._settings.client_id)
                if change is None:
                    unknown.append(events.event_type(event))
                else:
                    changes.append(change)
            except ShapeError as error:
                unreadable.append(_unreadable(element, error))
        more = not events.is_last(found, answer)
        if more and position == begun:
            raise Unreadable(f"the change feed does not lead on: {unreadable[0].reason}", account=ACCOUNT)
        if not more and started - position.at > 2 * _MARGIN:
            # At the head of a quiet feed: the cursor keeps its age, so that it never looks older than the retention.
            position = Position(started - _MARGIN, position.sequence)
        return ChangePage(changes, position.text(), more, unknown, unreadable)

    def _position(self, cursor: str | None, now: datetime) -> Position:
        if cursor is None:
            return Position(now - FIRST_LOOK)
        try:
            position = Position.parse(cursor)
        except ShapeError as error:
            raise CursorTooOld(f"the cursor of the change feed cannot be read: {error}", account=ACCOUNT) from error
        if position.at < now - events.RETENTION[self._settings.environment] + _MARGIN:
            message = f"events since {timestamp(position.at)} are no longer kept; reconcile everything"
            raise CursorTooOld(message, account=ACCOUNT)
        return position

    def trail(self, transaction_id: str) -> Sequence[TrailEvent]:
        """See `Trail.trail`: the transaction's transitions and what they did to its stock reservation."""
        what = f"reading the trail of transaction {transaction_id}"
        query: dict[str, Any] = {"relatedResourceId": transaction_id, "eventTypes": events.TRAIL_TYPES}
        trail: list[TrailEvent] = []
        position: Position | None = None
        while True:
            after = {} if position is None else {"startAfterSequenceId": position.sequence}
            answer = self._client.query("events/query", {**query, **after}, what=what)
            with self._client.reading(what):
                page = resources.primaries(answer)
            for event in page:
                try:
                    position = events.following(position, event)
                    step = events.trail_event(event)
                except ShapeError as error:
                    raise Unreadable(f"event {_name(event)} while {what}: {error}", account=ACCOUNT) from error
                if step is not None:
                    trail.append(step)
            if events.is_last(page, answer):
                return trail

    def pending_reservations(self, *, before: datetime) -> Sequence[PendingReservation]:
        """See `Reserving.pending_reservations`. The vendor sorts by when transactions began, so one that was an inquiry
        for long may be told late.
        """
        what = "reading the pending stock reservations"
        query = {**reservations.QUERY, "createdAtEnd": timestamp(before), "perPage": PAGE}
        answer = self._client.query("transactions/query", query, what=what, priority=Priority.SWEEP)
        with self._client.reading(what):
            came = resources.included(answer)
            found = [reservations.pending(transaction, came) for transaction in resources.primaries(answer)]
        return sorted((each for each in found if each.since < before), key=lambda each: each.since)

    # Listings

    def listings(self) -> Iterator[Sequence[Listing | UnreadableListing]]:
        """See `Marketplace.listings`: all states, newest first, 100 at a time.

        Each page starts where the one before ended in time of creation rather than by its number: a listing deleted
        meanwhile then shifts nothing, and the vendor's end of 10,000 results is never near (API reference, "Query
        listings"). Only listings created in the same millisecond are told apart by page number.
        """
        what = "reading the listings"
        end: datetime | None = None
        page = 1
        shown: set[str | None] = set()
        while True:
            window = {} if end is None else {"createdAtEnd": timestamp(end)}
            answer = self._client.query(
                "listings/query",
                {"page": page, "perPage": PAGE, **window, **self._listing_query},
                what=what,
                priority=Priority.SWEEP,
            )
            with self._client.reading(what):
                found = self._listing_page(answer)
            fresh = [listing for listing, _ in found if listing.listing_id not in shown]
            if fresh:
                yield fresh
            if len(found) < PAGE:
                return
            times = [created_at for _, created_at in found if created_at is not None]
            if not times:
                raise Unreadable(f"{what}: a page says of none when it was created", account=ACCOUNT)
            if times != sorted(times, reverse=True):
                raise Unreadable(f"{what}: they are not in the documented order, newest first", account=ACCOUNT)
            next_end = times[-1] + timedelta(milliseconds=1)
            if end is None or next_end < end:
                end, page = next_end, 1
                shown = {listing.listing_id for listing, created_at in found if created_at in {times[-1], None}}
                continue
            shown.update(listing.listing_id for listing in fresh)
            page += 1
            last_page = resources.meta(answer, "paginationLimit")
            if last_page is not None and page > last_page:
                message = f"{what}: more than {last_page * PAGE} were created at {timestamp(times[-1])}"
                raise Unreadable(message, account=ACCOUNT)

    def close(self, listing_id: str) -> None:
        """See `Closable.close`."""
        self._move(listing_id, "close", ListingState.CLOSED)

    def open(self, listing_id: str) -> None:
        """See `Closable.open`."""
        self._move(listing_id, "open", ListingState.PUBLISHED)

    def _move(self, listing_id: str, action: str, wanted: ListingState) -> None:
        what = f"a request to {action} listing {listing_id}"
        try:
            self._client.command(
                f"listings/{action}",
                {"id": listing_id},
                what=what,
                confirms=lambda listing: resources.resource_id(listing) == listing_id,
            )
        except Rejected as error:
            if error.code not in {CONFLICT, INVALID_STATE}:
                raise
            listing = self._look(listing_id, error)
            if listing.state is not wanted:
                message = f"{what} is refused: it is {listing.state}"
                raise Rejected(message, account=ACCOUNT, code=error.code) from error

    def _look(self, listing_id: str, refused: Rejected) -> Listing:
        """The listing behind a conflict: a bare one means that it is missing, or in a state that does not allow it.

        Raises only what leaves no doubt that the refused write was not executed.
        """
        try:
            return self.listing(listing_id)
        except Unreadable:
            raise refused from None

    # Doctor

    def check(self) -> Sequence[Check]:
        """See `Marketplace.check`."""
        access = self._try("access", self._client.marketplace)
        if not access.ok:
            return [access]
        return [
            access,
            self._try("listings", lambda: next(self.listings(), None)),
            self._try("events", lambda: self.changes(None)),
            clocks(self.clock_skew_seconds, "the marketplace"),
        ]

    def system_id(self) -> str:
        """See `Located.system_id`."""
        return self._client.marketplace_id()

    def _try(self, name: str, act: Callable[[], object]) -> Check:
        return checks.attempt(name, act, self._settings.base_url)

    def _listing(self, resource: resources.Resource, included: resources.Included) -> Listing:
        try:
            return resources.listing(
                resource, included, unlimited_from=self._settings.unlimited_from, sku_key=self._settings.sku_key
            )
        except ShapeError as error:
            raise ShapeError(f"listing {_name(resource)}: {error}") from None

    def _listing_page(self, answer: Any) -> list[tuple[Listing | UnreadableListing, datetime | None]]:
        included = resources.included(answer)
        found: list[tuple[Listing | UnreadableListing, datetime | None]] = []
        for element in resources.elements(answer):
            created_at = None
            try:
                resource = resources.as_resource(element)
                created_at = resources.moment(resources.attributes(resource).get("createdAt"))
                found.append((self._listing(resource, included), created_at))
            except ShapeError as error:
                found.append((UnreadableListing(_id(element), legible(str(error))), created_at))
        return found


def _adjustments(answer: Any, listing_id: str) -> dict[str, RemoteAdjustment]:
    included = resources.included(answer)
    found: dict[str, RemoteAdjustment] = {}
    for resource in resources.primaries(answer):
        try:
            adjustment = resources.adjustment(resource, included, listing_id=listing_id)
        except ShapeError as error:
            raise ShapeError(f"stock adjustment {_name(resource)}: {error}") from None
        found[adjustment.adjustment_id] = adjustment
    return found


def _unreadable(element: Any, error: ShapeError) -> UnreadableChange:
    event = element if isinstance(element, Mapping) else {}
    return UnreadableChange(_name(event), events.listing_of(event), legible(str(error)))


def _id(element: Any) -> str | None:
    """The id of what may be anything."""
    try:
        return resources.resource_id(resources.as_resource(element))
    except ShapeError:
        return None


def _is_total(stock: resources.Resource, total: int) -> bool:
    """Whether an answered stock is the one asked for; without `expand` it carries no attributes."""
    if stock.get("type") != "stock" or not resources.resource_id(stock):
        return False
    if not stock.get("attributes"):
        return True
    quantity = resources.attributes(stock).get("quantity")
    return quantity is None or resources.whole(quantity, "the stock quantity") == total


def _name(resource: resources.Resource) -> str:
    """The id of a resource that may be malformed, for an error."""
    try:
        return legible(resources.resource_id(resource))
    except ShapeError:
        return "without an id"
