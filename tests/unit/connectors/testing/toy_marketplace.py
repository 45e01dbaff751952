"""A marketplace of a page's length with each guard, and a sound connector to it, to be broken method by method."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, ClassVar

import httpx

from connectors.contract import (
    MAX_QUANTITY,
    UNDEFINED,
    UNLIMITED,
    Adjusted,
    Author,
    Change,
    ChangePage,
    Check,
    Evidence,
    Guard,
    Listing,
    ListingChange,
    ListingState,
    MarketplaceSale,
    RemoteAdjustment,
    Stock,
    StockChange,
    UnreadableChange,
    UnreadableListing,
    UnreadableOrder,
)
from connectors.errors import (
    ConnectorError,
    CursorTooOld,
    InsufficientStock,
    NotFound,
    OutcomeUnknown,
    Rejected,
    StockMismatch,
    Unauthorized,
    Unreadable,
)
from connectors.http import Http, Toolbox, excerpt, parse_json
from connectors.testing import VirtualClock

TOKEN = "toy-access-token-1"
PAGE = 5
KEPT_SECONDS = 90 * 86_400


@dataclass
class ToyListing:
    listing_id: str
    total: int | str | None
    on_sale: bool = True
    log: list[dict[str, Any]] = field(default_factory=list)


class ToyStore:
    """The vendor: totals, a log of what moved them, a feed, its own sales."""

    page_size = PAGE
    missing_listing = "m-0"
    enumerations = ("state",)

    def __init__(self, kind: type[ToyMarketplace] | None = None) -> None:
        self.clock = VirtualClock()
        self.transport = httpx.MockTransport(self._answer)
        self._kind = kind or ToyMarketplace
        self._listings: dict[str, ToyListing] = {}
        self._events: list[dict[str, Any]] = []
        self._sales: list[dict[str, Any]] = []
        self._tokens = {TOKEN}
        self._lock = threading.Lock()

    # What the kit asks

    def open(self, toolbox: Toolbox) -> Any:
        return self._kind(toolbox)

    def offer(self, total: int) -> str:
        listing_id = self._new(0)
        if total:
            self._move(listing_id, total, "somebody")
        return listing_id

    def total(self, listing_id: str) -> int:
        total = self._listings[listing_id].total
        assert isinstance(total, int)
        return total

    def offer_unlimited(self) -> str:
        return self._new("unlimited")

    def offer_undefined(self) -> str:
        return self._new(None)

    def buy(self, listing_id: str, quantity: int) -> None:
        with self._lock:
            self._move(listing_id, -quantity, "buyer")
            sale_id = f"s-{len(self._sales) + 1}"
            at = self._now()
            self._sales.append({"id": sale_id, "listing": listing_id, "quantity": quantity, "placed": at, "paid": at})

    def edit_total(self, listing_id: str, total: int) -> None:
        self._move(listing_id, total - self.total(listing_id), "somebody")

    def remove(self, listing_id: str) -> None:
        del self._listings[listing_id]

    def on_sale(self, listing_id: str) -> bool:
        return self._listings[listing_id].on_sale

    def distract(self) -> None:
        self._events.append({"sequence": len(self._events) + 1, "type": "moon", "at": self._now()})

    def revoke(self) -> None:
        self._tokens.clear()

    # The vendor's side

    def _now(self) -> float:
        return self.clock.now().timestamp()

    def _new(self, total: int | str | None) -> str:
        listing_id = f"m-{len(self._listings) + 1}"
        self._listings[listing_id] = ToyListing(listing_id, total)
        self._event("listing", listing=listing_id, state="on_sale")
        return listing_id

    def _move(self, listing_id: str, quantity: int, by: str) -> None:
        listing = self._listings[listing_id]
        assert isinstance(listing.total, int)
        listing.total += quantity
        entry = {"id": f"a-{len(self._events)}", "quantity": quantity, "at": self._now(), "by": by}
        listing.log.append(entry)
        self._event("stock", listing=listing_id, **{name: text for name, text in entry.items() if name != "at"})

    def _event(self, kind: str, **details: Any) -> None:
        self._events.append({"sequence": len(self._events) + 1, "type": kind, "at": self._now(), **details})

    def _answer(self, request: httpx.Request) -> httpx.Response:
        with self._lock:
            status, body = self._acted(request)
        headers = {"date": self.clock.now().strftime("%a, %d %b %Y %H:%M:%S GMT")}
        return httpx.Response(status, json=body, headers=headers)

    def _acted(self, request: httpx.Request) -> tuple[int, Any]:
        if request.headers["authorization"].removeprefix("Bearer ") not in self._tokens:
            return 401, {"error": "token"}
        _, _, what, *rest = request.url.path.split("/")
        asked = request.url.params
        if what == "events":
            after = int(asked["after"])
            if self._events and after < len(self._events) and self._now() - self._events[after]["at"] > KEPT_SECONDS:
                return 410, {"error": "too old"}
            return 200, {"events": self._events[after : after + PAGE], "more": len(self._events) > after + PAGE}
        if what == "sales":
            return 200, {"sales": [each for each in self._sales if each["paid"] >= float(asked["since"])]}
        if not rest:
            first = int(asked["from"])
            page = list(self._listings.values())[first : first + PAGE]
            return 200, {"listings": [self._shown(each) for each in page], "more": len(self._listings) > first + PAGE}
        listing = self._listings.get(rest[0])
        if listing is None:
            return 404, {"error": "no such listing"}
        if rest[1:] == ["log"]:
            return 200, {"log": [each for each in listing.log if each["at"] >= float(asked["since"])]}
        if rest[1:] == ["stock"]:
            return self._written(listing, json.loads(request.content))
        if rest[1:]:
            listing.on_sale = rest[1] == "open"
            self._event("listing", listing=listing.listing_id, state="on_sale" if listing.on_sale else "closed")
            return 200, self._shown(listing)
        return 200, self._shown(listing)

    def _written(self, listing: ToyListing, wanted: Any) -> tuple[int, Any]:
        if not isinstance(listing.total, int):
            return 409, {"error": "mismatch"}
        if "seen" in wanted and wanted["seen"] != listing.total:
            return 409, {"error": "mismatch"}
        delta = wanted["delta"] if "delta" in wanted else wanted["total"] - listing.total
        if listing.total + delta < 0:
            return 409, {"error": "insufficient"}
        self._move(listing.listing_id, delta, "us")
        return 200, {"written": True, "total": listing.total}

    @staticmethod
    def _shown(listing: ToyListing) -> dict[str, Any]:
        state = "on_sale" if listing.on_sale else "closed"
        return {"id": listing.listing_id, "title": "Toy", "state": state, "available": listing.total}


class ToyMarketplace:
    """Compares and sets; attributed; with a log, a feed, closing and sales."""

    guard: ClassVar[Guard] = Guard.COMPARE_AND_SET
    evidence: ClassVar[Evidence] = Evidence.ATTRIBUTED
    unlimited_from: int | None = None

    def __init__(self, toolbox: Toolbox) -> None:
        self._clock = toolbox.clock
        self._http = Http(
            toolbox, account="toy", base_url="http://toy.invalid/v1", headers={"authorization": f"Bearer {TOKEN}"}
        )
        self._writing = threading.Lock()

    @property
    def clock_skew_seconds(self) -> float | None:
        return self._http.clock_skew_seconds

    def disconnect(self) -> None:
        self._http.close()

    def listing(self, listing_id: str) -> Listing:
        return self.listing_of(self.ask(f"listings/{listing_id}"))

    def listings(self) -> Iterator[Sequence[Listing | UnreadableListing]]:
        first, more = 0, True
        while more:
            found = self.ask("listings", **{"from": first})
            rows, more = self.rows(found, "listings"), self.more(found)
            yield [self.listed(row) for row in rows]
            first += len(rows)

    def listed(self, row: Any) -> Listing | UnreadableListing:
        try:
            return self.listing_of(row)
        except Unreadable as error:
            return UnreadableListing(None, error.message)

    def check(self) -> Sequence[Check]:
        try:
            next(self.listings())
        except ConnectorError as error:
            return [Check("access", False, str(error), "look at the token")]
        return [Check("access", True, "answers")]

    # Writing

    def adjust(self, listing_id: str, *, seen: int, delta: int) -> Adjusted:
        return self.wrote(listing_id, self.body(seen, delta), seen, delta)

    def body(self, seen: int, delta: int) -> dict[str, int]:
        return {"seen": seen, "delta": delta}

    def wrote(self, listing_id: str, body: dict[str, int], seen: int, delta: int) -> Adjusted:
        response = self.send(f"listings/{listing_id}/stock", body)
        try:
            answer = response.json()
        except ValueError:
            answer = None
        if response.status_code == 401:
            raise Unauthorized("the token is refused", account="toy")
        if response.status_code == 404 and answer == {"error": "no such listing"}:
            raise NotFound("no such listing", account="toy")
        if response.status_code == 409:
            kind = InsufficientStock if answer == {"error": "insufficient"} else StockMismatch
            raise kind("refused", account="toy")
        if response.status_code != 200 or not isinstance(answer, dict) or answer.get("written") is not True:
            raise OutcomeUnknown("an answer that says nothing", account="toy")
        return Adjusted(answer["total"])

    def send(self, path: str, body: dict[str, int]) -> httpx.Response:
        return self._http.write("POST", path, json=body)

    def close(self, listing_id: str) -> None:
        self.turn(listing_id, "close")

    def open(self, listing_id: str) -> None:
        self.turn(listing_id, "open")

    def turn(self, listing_id: str, how: str) -> None:
        response = self._http.write("POST", f"listings/{listing_id}/{how}", json={})
        if response.status_code == 404:
            raise NotFound("no such listing", account="toy")

    # Records

    def adjustments(self, listing_id: str, *, since: datetime) -> Sequence[RemoteAdjustment]:
        found = self.ask(f"listings/{listing_id}/log", since=since.timestamp())
        return [self.adjustment(listing_id, row, row.get("at")) for row in self.rows(found, "log")]

    def changes(self, cursor: str | None) -> ChangePage:
        after = int(cursor or 0)
        found = self.ask("events", after=after)
        changes: list[Change] = []
        unknown: list[str] = []
        unreadable = []
        rows = self.rows(found, "events")
        for row in rows:
            try:
                change = self.change(row)
            except Unreadable as error:
                unreadable.append(UnreadableChange("event", None, error.message))
            else:
                if change is None:
                    unknown.append(str(row["type"]))
                else:
                    changes.append(change)
        return ChangePage(changes, self.onward(after, rows), self.more(found), unknown, unreadable)

    def onward(self, after: int, rows: Sequence[Any]) -> str:
        return str(after + len(rows))

    def change(self, row: Any) -> Change | None:
        sequence = self.shaped(row, "sequence", int)
        if row.get("type") == "stock":
            return StockChange(sequence, self.adjustment(self.shaped(row, "listing", str), row, row.get("at")))
        if row.get("type") == "listing":
            at, state = self.moment(row.get("at")), self.state(row.get("state"))
            return ListingChange(sequence, self.shaped(row, "listing", str), at, state, state_changed=True)
        if not isinstance(row.get("type"), str):
            raise Unreadable("an event of no type", account="toy")
        return None

    def sales(self, *, since: datetime) -> Iterator[Sequence[MarketplaceSale | UnreadableOrder]]:
        found = self.ask("sales", since=since.timestamp())
        yield [self.sale(row) for row in self.rows(found, "sales")]

    def sale(self, row: Any) -> MarketplaceSale | UnreadableOrder:
        try:
            sale_id, listing_id = self.shaped(row, "id", str), self.shaped(row, "listing", str)
            placed, paid = self.moment(row.get("placed")), self.moment(row.get("paid"))
            return MarketplaceSale(sale_id, listing_id, self.shaped(row, "quantity", int), placed, paid)
        except Unreadable as error:
            return UnreadableOrder(None, error.message, b"{}")

    # Reading

    def ask(self, path: str, **params: Any) -> Any:
        response = self._http.read("GET", path, params=params)
        if response.status_code == 401:
            raise Unauthorized(f"the token is refused: {excerpt(response)}", account="toy", code="401")
        found = parse_json(response, account="toy")
        if response.status_code == 404 and found == {"error": "no such listing"}:
            raise NotFound("no such listing", account="toy")
        if response.status_code == 410:
            raise CursorTooOld("no longer kept", account="toy")
        if response.status_code != 200:
            raise Rejected(f"answered {response.status_code}: {excerpt(response)}", account="toy")
        return found

    def rows(self, found: Any, name: str) -> list[Any]:
        rows = found.get(name) if isinstance(found, dict) else None
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise Unreadable(f"an answer without {name}", account="toy")
        return rows

    def more(self, found: Any) -> bool:
        if not isinstance(found.get("more"), bool):
            raise Unreadable("an answer that does not say whether there is more", account="toy")
        return bool(found["more"])

    def listing_of(self, row: Any) -> Listing:
        if not isinstance(row, dict):
            raise Unreadable("a listing that is none", account="toy")
        listing_id, title = self.shaped(row, "id", str), str(row.get("title", ""))
        return Listing(listing_id, self.state(row.get("state")), self.stock(row), title=title)

    def stock(self, row: Any) -> Stock:
        if "available" not in row:
            raise Unreadable("no number", account="toy")
        if row["available"] is None:
            return UNDEFINED
        return UNLIMITED if row["available"] == "unlimited" else Stock.counted(self.shaped(row, "available", int))

    def state(self, said: Any) -> ListingState:
        states = {"on_sale": ListingState.PUBLISHED, "closed": ListingState.CLOSED}
        if not isinstance(said, str) or said not in states:
            raise Unreadable("an unknown state", account="toy")
        return states[said]

    def adjustment(self, listing_id: str, row: Any, at: Any) -> RemoteAdjustment:
        adjustment_id, quantity = self.shaped(row, "id", str), self.shaped(row, "quantity", int)
        return RemoteAdjustment(adjustment_id, listing_id, self.moment(at), quantity, self.author(row))

    def author(self, row: Any) -> Author | None:
        return Author.OURS if row.get("by") == "us" else Author.OTHER

    def moment(self, said: Any) -> datetime:
        if type(said) not in (int, float):
            raise Unreadable("a time that is none", account="toy")
        return datetime.fromtimestamp(said, UTC)

    def shaped(self, row: Any, name: str, kind: type) -> Any:
        said: Any = row.get(name)
        if type(said) is not kind or (isinstance(said, int) and abs(said) > MAX_QUANTITY):
            raise Unreadable(f"{name} is not what it should be", account="toy")
        return said


class ToyRelative(ToyMarketplace):
    """Takes deltas; its log names nobody."""

    guard = Guard.RELATIVE
    evidence = Evidence.ANONYMOUS

    def body(self, seen: int, delta: int) -> dict[str, int]:
        return {"delta": delta}

    def adjust(self, listing_id: str, *, seen: int, delta: int) -> Adjusted:
        with self._writing:
            if self.listing(listing_id).stock != Stock.counted(seen):
                raise StockMismatch("another total", account="toy")
            return self.wrote(listing_id, self.body(seen, delta), seen, delta)

    def author(self, row: Any) -> Author | None:
        return Author.OTHER if row.get("by") in ("buyer", "somebody") else None


class ToyAbsolute(ToyRelative):
    """Sets totals."""

    guard = Guard.ABSOLUTE

    def body(self, seen: int, delta: int) -> dict[str, int]:
        return {"total": seen + delta}

    def wrote(self, listing_id: str, body: dict[str, int], seen: int, delta: int) -> Adjusted:
        if seen + delta < 0:
            raise InsufficientStock("below zero", account="toy")
        return super().wrote(listing_id, body, seen, delta)
