"""The bodies the control surface takes."""

from __future__ import annotations

from typing import Any, Literal
from uuid import UUID

from pydantic import AwareDatetime, Field, model_validator

from connectors.sandbox.control import Body

from .entities import ListingState
from .process import DEFAULT_PURCHASE

Person = Literal["provider", "operator"]


class NewListing(Body):
    """A listing as the seller made it, at once in any state."""

    title: str
    id: UUID | None = None
    author_id: UUID | None = Field(default=None, description="The seller; made if new, one default seller if absent.")
    stock: int | Literal["unlimited"] | None = Field(default=None, description="Opening total; null: undefined.")
    state: ListingState = ListingState.PUBLISHED
    created_at: AwareDatetime | None = Field(default=None, description="Also dates the opening adjustment.")
    public_data: dict[str, Any] = Field(default_factory=dict)
    private_data: dict[str, Any] = Field(default_factory=dict)
    metadata: dict[str, Any] = Field(default_factory=dict)


class NewListings(Body):
    """Listings made in bulk."""

    listings: list[NewListing]
    events: bool = Field(default=True, description="False: as if made before the feed's retention began.")


class By(Body):
    """Who does it."""

    by: Person = "provider"


class StockEdit(Body):
    """Exactly one of `set`, `change`, `unlimited`, `undefined`."""

    by: Person = "provider"
    set: int | None = Field(default=None, ge=0)
    change: int | None = None
    unlimited: bool = False
    undefined: bool = False

    @model_validator(mode="after")
    def _one_edit(self) -> StockEdit:
        if [self.set is not None, bool(self.change), self.unlimited, self.undefined].count(True) != 1:
            raise ValueError("give exactly one of set, change (not 0), unlimited, undefined")
        return self


class NewPurchase(Body):
    """A buyer at the checkout."""

    listing_id: UUID
    quantity: int = Field(default=1, ge=1)
    customer_id: UUID | None = None
    process: str = DEFAULT_PURCHASE


class FailedRelease(Body):
    """How a release goes wrong."""

    taker_units: int | None = Field(
        default=None, ge=0, description="How many of the released units another buyer takes; null: all that are free."
    )
    hold: bool = Field(default=False, description="Leave the release visible until undo_release.")


class UnknownEvent(Body):
    """An event of a type that clients need not know."""

    event_type: str = Field(pattern=r"^[A-Za-z]+/[A-Za-z]+$")
    resource_id: UUID | None = None


class Expire(Body):
    """Which tokens end."""

    refresh_tokens: bool = False
