"""What a marketplace holds besides stock. All immutable: a change replaces the entity, so the log can keep both."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from .values import Geolocation, Money


class ListingState(StrEnum):
    """Where a listing is in its life; being deleted comes on top."""

    DRAFT = "draft"
    PENDING_APPROVAL = "pendingApproval"
    PUBLISHED = "published"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class MarketplaceCard:
    """The marketplace as `marketplace/show` tells of it."""

    marketplace_id: str
    name: str


@dataclass(frozen=True, slots=True)
class User:
    """A seller or a buyer, as little as the API can show."""

    user_id: str
    created_at: datetime
    display_name: str


@dataclass(frozen=True, slots=True)
class Listing:
    """One thing for sale; its stock is in the stock model."""

    listing_id: str
    stock_id: str
    author_id: str
    created_at: datetime
    title: str
    state: ListingState
    deleted: bool = False
    description: str | None = None
    price: Money | None = None
    geolocation: Geolocation | None = None
    public_data: Mapping[str, Any] = field(default_factory=dict)
    private_data: Mapping[str, Any] = field(default_factory=dict)
    metadata: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ListingChange:
    """A listing before and after one change; None before it existed."""

    before: Listing | None
    after: Listing


@dataclass(frozen=True, slots=True)
class IndexedListing:
    """A listing and its total as the search index knows them, which may be a while ago."""

    listing: Listing
    total: int | None


@dataclass(frozen=True, slots=True)
class Stock:
    """The `stock` resource: a defined total."""

    stock_id: str
    quantity: int


class Actor(StrEnum):
    """Whose transition it is."""

    CUSTOMER = "customer"
    PROVIDER = "provider"
    OPERATOR = "operator"
    SYSTEM = "system"


@dataclass(frozen=True, slots=True)
class TransitionRecord:
    """One completed transition, as the transaction lists it."""

    transition: str
    created_at: datetime
    by: Actor


@dataclass(frozen=True, slots=True)
class Transaction:
    """One purchase."""

    transaction_id: str
    process_name: str
    listing_id: str
    customer_id: str
    provider_id: str
    created_at: datetime
    state: str
    reservation_id: str | None = None
    transitions: tuple[TransitionRecord, ...] = ()

    @property
    def last(self) -> TransitionRecord:
        """The transition that brought it where it is."""
        return self.transitions[-1]


@dataclass(frozen=True, slots=True)
class TransactionChange:
    """A transaction before and after one transition."""

    before: Transaction | None
    after: Transaction
