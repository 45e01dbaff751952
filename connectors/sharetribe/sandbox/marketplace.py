"""The state of one sandboxed marketplace: listings, users, stock and the log of events."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from random import Random
from typing import Any
from uuid import UUID

from connectors.sandbox.clock import MovableClock
from connectors.sandbox.log import Log, Origin, Shown
from connectors.sandbox.stock import ListingStock, StockModel

from .entities import Listing, ListingChange, ListingState, MarketplaceCard, Transaction, User
from .options import Options
from .search import SearchIndex
from .values import Id

INTEGRATION_API = "source/integration-api"
MARKETPLACE_API = "source/marketplace-api"
TRANSACTION = "source/transaction"
CONSOLE = "source/console"


class Marketplace:
    """Everything there is. Whoever reads or writes it holds `lock`, so one request is one step."""

    def __init__(self, options: Options, clock: MovableClock) -> None:
        self.options = options
        self.switches = options.switches
        self.clock = clock
        self._ids = Random(f"ids:{options.seed}")
        self.log = Log(clock, Random(f"log:{options.seed}"))
        self.stock = StockModel(self.log, self.new_id, changed=self._stock_changed)
        self.lock = self.stock.lock
        self.search = SearchIndex(clock)
        self.listings: dict[str, Listing] = {}
        self.users: dict[str, User] = {}
        self.transactions: dict[str, Transaction] = {}
        self.card = MarketplaceCard(self.new_id(), "Sandbox marketplace")
        self.storefront_client_id = self.new_id()
        self.admin_id = self.new_id()
        self.provider = self.add_user("Provider")
        self._defined: set[str] = set()

    def new_id(self) -> Id:
        """A fresh UUID, the same one for the same seed and history."""
        return Id(UUID(int=self._ids.getrandbits(128), version=4))

    # Origins: who does something, as the log will tell it.

    def by_application(self, client_id: str) -> Origin:
        """An application calling the Integration API."""
        own = client_id == self.options.client_id
        return Origin(INTEGRATION_API, client_id=client_id, shown=self.switches.own_events if own else Shown.ATTRIBUTED)

    def by_storefront(self, user_id: str) -> Origin:
        """A person using the marketplace's own site."""
        return Origin(MARKETPLACE_API, client_id=self.storefront_client_id, user_id=user_id)

    def by_operator(self) -> Origin:
        """An operator in Console."""
        return Origin(CONSOLE, admin_id=self.admin_id)

    # Users and listings.

    def add_user(self, display_name: str, user_id: str | None = None) -> User:
        """A new seller or buyer."""
        user = User(Id(user_id) if user_id else self.new_id(), self.log.moment(), display_name)
        self.users[user.user_id] = user
        return user

    def listing(self, listing_id: str) -> Listing | None:
        """None when it never existed or was deleted: the API shows no difference."""
        listing = self.listings.get(listing_id)
        return None if listing is None or listing.deleted else listing

    def add_listing(
        self,
        origin: Origin,
        *,
        title: str,
        author_id: str,
        state: ListingState,
        listing_id: str | None = None,
        created_at: datetime | None = None,
        details: Mapping[str, Any] | None = None,
    ) -> Listing:
        """A new listing with undefined stock. `details` are further attributes of `Listing`."""
        listing = Listing(
            listing_id=Id(listing_id) if listing_id else self.new_id(),
            stock_id=self.new_id(),
            author_id=author_id,
            created_at=created_at or self.log.moment(),
            title=title,
            state=state,
            **(details or {}),
        )
        self.stock.add_listing(listing.listing_id)
        self._put("listing/created", ListingChange(None, listing), origin)
        return listing

    def change_listing(self, listing: Listing, origin: Origin, **changes: Any) -> Listing:
        """Replace some attributes; an unchanged listing leaves no event."""
        changed = replace(listing, **changes)
        if changed != listing:
            self._put("listing/updated", ListingChange(listing, changed), origin)
        return changed

    def delete_listing(self, listing: Listing, origin: Origin) -> None:
        """Take a listing away for good: no endpoint returns it any more."""
        self._put("listing/deleted", ListingChange(listing, replace(listing, deleted=True)), origin)

    def _put(self, kind: str, change: ListingChange, origin: Origin) -> None:
        listing = change.after
        self.listings[listing.listing_id] = listing
        self.log.append(kind, change, origin, (listing.listing_id, listing.author_id))
        self._index(listing)

    def _index(self, listing: Listing) -> None:
        total = self.stock.stock(listing.listing_id).total
        self.search.note(listing, total, lag_seconds=self.switches.search_lag_seconds)

    def _stock_changed(self, stock: ListingStock, origin: Origin) -> None:
        listing = self.listings[stock.listing_id]
        self._index(listing)
        first = stock.listing_id not in self._defined
        self._defined.add(stock.listing_id)
        accompanied = self.switches.listing_updated_on_stock
        if accompanied == "always" or (accompanied == "first" and first):
            self.log.append(
                "listing/updated", ListingChange(listing, listing), origin, (listing.listing_id, listing.author_id)
            )
