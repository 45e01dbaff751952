"""The control surface under `/_control`: what people do on the marketplace, and what goes wrong with it.

JSON in and out, no authentication: it is for the machine the sandbox runs on. A refusal is `{"error", "code"}` with the
status the person's own call would have got; a body that is not understood is a 422.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.routing import Route

from connectors.sandbox.calls import Counts
from connectors.sandbox.control import ControlSurface, Nothing
from connectors.sandbox.faults import FaultPlan
from connectors.sandbox.log import Origin, Shown
from connectors.sandbox.stock import NotEnoughStockError

from . import inspection
from .auth import Tokens
from .control_requests import (
    By,
    Expire,
    FailedRelease,
    NewListing,
    NewListings,
    NewPurchase,
    StockEdit,
    UnknownEvent,
)
from .entities import Listing, ListingState
from .errors import ApiError, conflict, not_found
from .marketplace import MARKETPLACE_API, Marketplace
from .options import UNLIMITED_TOTAL, Switches
from .purchases import Purchases
from .values import Id

STEPS = {
    "request": "transition/request-payment-after-inquiry",
    "pay": "transition/confirm-payment",
    "expire": "transition/expire-payment",
    "cancel": "transition/cancel",
    "accept": "transition/accept",
    "decline": "transition/decline",
    "deliver": "transition/mark-delivered",
    "dispute": "transition/dispute",
    "cancel_disputed": "transition/cancel-from-disputed",
}


class Control(ControlSurface):
    """Everything the control surface can do. Each request holds the marketplace's lock."""

    def __init__(
        self, marketplace: Marketplace, purchases: Purchases, tokens: Tokens, faults: FaultPlan, counts: Counts
    ) -> None:
        super().__init__(clock=marketplace.clock, faults=faults, lock=marketplace.lock, pass_time=purchases.pass_time)
        self._marketplace = marketplace
        self._purchases = purchases
        self._tokens = tokens
        self._counted = counts

    def own_routes(self) -> list[Route]:
        """What people do there."""
        return [
            self.get("/listings/{listing_id}", self._listing_state),
            self.post("/listings", NewListings, lambda _, body: self._add_listings(body)),
            self.post("/listings/{listing_id}/stock", StockEdit, self._edit_stock),
            self.post("/listings/{listing_id}/{act}", By, self._act_on_listing),
            self.post("/purchases", NewPurchase, lambda _, body: self._start(body)),
            self.post("/purchases/{id}/fail_release", FailedRelease, self._fail_release),
            self.post("/purchases/{id}/undo_release", Nothing, lambda path, _: self._undo_release(path["id"])),
            self.post("/purchases/{id}/{step}", Nothing, self._step),
            self.post("/events", UnknownEvent, lambda _, body: self._add_event(body)),
            self.post("/tokens/expire", Expire, lambda _, body: self._expire_tokens(body)),
        ]

    # What every surface has.

    def switches(self) -> Switches:
        """The present ones."""
        return self._marketplace.switches

    def turn(self, switches: Switches) -> None:
        """Other switches, from now on."""
        self._marketplace.switches = switches

    def refused(self, error: Exception) -> tuple[dict[str, Any], int] | None:
        """With the status the person's own call would have got."""
        if not isinstance(error, ApiError):
            return None
        return {"error": error.title, "code": error.code}, error.status

    # Looking.

    def state(self, request: Request) -> Any:
        """The whole, as the vendor itself knows it."""
        state = inspection.whole_state(
            self._marketplace, adjustments=request.query_params.get("adjustments") != "false"
        )
        return {**state, "counts": self.counts()}

    def _listing_state(self, request: Request) -> Any:
        state = inspection.listing_state(self._marketplace, request.path_params["listing_id"])
        if state is None:
            raise not_found(f"Listing {request.path_params['listing_id']}")
        return state

    def counts(self) -> dict[str, Any]:
        """What was asked of the API, and what became of it."""
        return {
            **self._counted.summary(),
            "faults": self.faulted()["struck"],
            "last_sequence": self._marketplace.log.last_sequence,
        }

    # Listings and their stock.

    def _add_listings(self, asked: NewListings) -> Any:
        added = [self._add_listing(each, events=asked.events) for each in asked.listings]
        return {"listings": [inspection.listing_summary(self._marketplace, listing) for listing in added]}

    def _add_listing(self, asked: NewListing, *, events: bool) -> Listing:
        marketplace = self._marketplace
        author_id = str(asked.author_id) if asked.author_id else marketplace.provider.user_id
        if author_id not in marketplace.users:
            marketplace.add_user("Provider", author_id)
        if asked.id and str(asked.id) in marketplace.listings:
            raise conflict("conflict", f"Listing {asked.id} exists already.")
        origin = Origin(
            MARKETPLACE_API,
            client_id=marketplace.storefront_client_id,
            user_id=author_id,
            shown=Shown.ATTRIBUTED if events else Shown.MISSING,
        )
        listing = marketplace.add_listing(
            origin,
            title=asked.title,
            author_id=author_id,
            state=asked.state,
            listing_id=str(asked.id) if asked.id else None,
            created_at=asked.created_at,
            details={
                "public_data": asked.public_data,
                "private_data": asked.private_data,
                "metadata": asked.metadata,
            },
        )
        total = UNLIMITED_TOTAL if asked.stock == "unlimited" else asked.stock
        if total:
            marketplace.stock.adjust(listing.listing_id, total, origin, at=asked.created_at)
        elif total == 0:
            marketplace.stock.compare_and_set(listing.listing_id, None, 0, origin)
        return listing

    def _edit_stock(self, path: Mapping[str, str], asked: StockEdit) -> Any:
        listing = self._listing(path["listing_id"])
        stock, origin = self._marketplace.stock, self._by(asked.by, listing)
        present = stock.stock(listing.listing_id).total
        if asked.undefined:
            stock.undefine(listing.listing_id, origin)
        elif asked.change is not None:
            try:
                stock.adjust(listing.listing_id, asked.change, origin)
            except NotEnoughStockError as error:
                raise conflict("conflict", str(error)) from error
        else:
            total = UNLIMITED_TOTAL if asked.set is None else asked.set
            stock.compare_and_set(listing.listing_id, present, total, origin)
        return inspection.listing_summary(self._marketplace, listing)

    def _act_on_listing(self, path: Mapping[str, str], asked: By) -> Any:
        listing = self._listing(path["listing_id"])
        origin = self._by(asked.by, listing)
        match path["act"]:
            case "close":
                self._marketplace.change_listing(listing, origin, state=ListingState.CLOSED)
            case "open":
                self._marketplace.change_listing(listing, origin, state=ListingState.PUBLISHED)
            case "delete":
                self._marketplace.delete_listing(listing, origin)
            case act:
                raise not_found(f"An act called {act}")
        return inspection.listing_summary(self._marketplace, self._marketplace.listings[listing.listing_id])

    def _listing(self, listing_id: str) -> Listing:
        listing = self._marketplace.listing(listing_id)
        if listing is None:
            raise not_found(f"Listing {listing_id}")
        return listing

    def _by(self, person: str, listing: Listing) -> Origin:
        if person == "operator":
            return self._marketplace.by_operator()
        return self._marketplace.by_storefront(listing.author_id)

    # Purchases.

    def _start(self, asked: NewPurchase) -> Any:
        transaction = self._purchases.start(
            str(asked.listing_id),
            asked.quantity,
            customer_id=str(asked.customer_id) if asked.customer_id else None,
            process_name=asked.process,
        )
        return self._purchase_state(transaction.transaction_id)

    def _step(self, path: Mapping[str, str], asked: Nothing) -> Any:
        if path["step"] not in STEPS:
            raise not_found(f"A step called {path['step']}")
        self._purchases.transition(path["id"], STEPS[path["step"]])
        return self._purchase_state(path["id"])

    def _fail_release(self, path: Mapping[str, str], asked: FailedRelease) -> Any:
        self._purchases.half_release(path["id"])
        listing_id = self._marketplace.transactions[path["id"]].listing_id
        free = self._marketplace.stock.stock(listing_id).total or 0
        units = free if asked.taker_units is None else min(asked.taker_units, free)
        if units > 0:
            taker = self._purchases.start(listing_id, units)
            self._purchases.transition(taker.transaction_id, STEPS["pay"])
        if not asked.hold:
            self._purchases.undo_release(path["id"])
        return self._purchase_state(path["id"])

    def _undo_release(self, transaction_id: str) -> Any:
        self._purchases.undo_release(transaction_id)
        return self._purchase_state(transaction_id)

    def _purchase_state(self, transaction_id: str) -> Any:
        transaction = self._marketplace.transactions[transaction_id]
        total = self._marketplace.stock.stock(transaction.listing_id).total
        return {**inspection.transaction_summary(transaction), "total": total}

    # Trouble and time.

    def _add_event(self, asked: UnknownEvent) -> Any:
        resource_id = Id(str(asked.resource_id)) if asked.resource_id else self._marketplace.new_id()
        entry = self._marketplace.log.append(asked.event_type, None, self._marketplace.by_operator(), (resource_id,))
        return {"sequence": entry and entry.sequence, "resource_id": resource_id}

    def _expire_tokens(self, asked: Expire) -> Any:
        self._tokens.expire(refresh_tokens=asked.refresh_tokens)
        return {}
