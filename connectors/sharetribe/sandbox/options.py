"""What a Sharetribe sandbox is set up with.

`Options` are fixed at start. `Switches` may be turned while it runs: each stands for something the vendor's
documentation leaves open, so that a connector can be shown to hold either way.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from connectors.sandbox.log import Shown

UNLIMITED_TOTAL = 10**15
"""The total by which the official storefront stands for unlimited stock (web template, stock types)."""


class Profile(StrEnum):
    """Which environment is imitated."""

    DEV = "dev"
    """A test environment: one query a second, one command in two, events kept for 7 days."""
    LIVE = "live"
    """A live environment: no rate limit but on creating listings, events kept for 90 days."""


class Switches(BaseModel):
    """What the documentation does not establish; the defaults are the likeliest reading."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    own_events: Shown = Field(
        default=Shown.ATTRIBUTED,
        description="What the feed tells of stock changes made through this API: with clientId, without, or no event.",
    )
    mismatch_status: int = Field(default=409, ge=400, le=499, description="Status of `old-total-mismatch`.")
    missing_listing_code: Literal["listing-not-found", "conflict"] = Field(
        default="listing-not-found", description="Code (409) of a command on a listing that is not there."
    )
    negative_old_total: Literal["compared", "refused"] = Field(
        default="compared", description="Whether compare-and-set takes an oldTotal below zero."
    )
    omitted_old_total: Literal["refused", "null"] = Field(
        default="refused", description="Whether compare-and-set without oldTotal is refused or means null."
    )
    zero_matches_undefined: bool = Field(
        default=False, description="Whether oldTotal 0 matches a listing whose stock is undefined."
    )
    largest_total: int = Field(default=2**63 - 1, ge=0, description="The largest newTotal taken.")
    negative_result: Literal["refused", "allowed"] = Field(
        default="refused", description="Whether stock_adjustments/create may bring a total below zero."
    )
    first_adjustment: Literal["allowed", "refused"] = Field(
        default="allowed", description="Whether stock_adjustments/create may define a listing's stock."
    )
    adjustment_order: Literal["newest_first", "oldest_first", "shuffled"] = Field(
        default="newest_first", description="The order of stock_adjustments/query."
    )
    listing_updated_on_stock: Literal["never", "first", "always"] = Field(
        default="never", description="Whether listing/updated accompanies the first definition of stock, or any change."
    )
    repeated_close: Literal["accepted", "refused"] = Field(
        default="accepted", description="Whether closing a closed listing, or opening a published one, succeeds."
    )
    deleted_listing: Literal["included", "linked", "unlinked"] = Field(
        default="linked", description="What a transaction shows of a listing deleted since: all, its id, or nothing."
    )
    events_per_page: Literal["refused", "ignored", "honoured"] = Field(
        default="refused", description="What events/query does with perPage."
    )
    event_delay_seconds: float = Field(default=0, ge=0, description="How long after a change its event is visible.")
    search_lag_seconds: float = Field(default=0, ge=0, description="How far listings/query lags behind.")
    retry_after: bool = Field(default=False, description="Whether a 429 of the rate limits carries Retry-After.")
    request_id_header: bool = Field(default=False, description="Whether answers carry an X-Request-Id header.")
    access_token_seconds: int = Field(default=600, ge=1, description="Lifetime of an access token.")
    refresh_token_seconds: int = Field(default=30 * 86_400, ge=1, description="Lifetime of a refresh token.")
    rotate_refresh_tokens: bool = Field(
        default=True, description="Whether a refresh gives a new refresh token and ends the old one."
    )
    refresh_needs_client_id: bool = Field(default=True, description="Whether a refresh without client_id is refused.")


class Options(BaseModel):
    """How to set up one sandbox: one marketplace with its applications, limits and standing faults."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    profile: Profile = Field(default=Profile.LIVE, description="Which environment's limits to enforce.")
    seed: int = Field(default=0, description="Makes ids, sequence gaps and faults reproducible.")
    client_id: str = Field(
        default="6d1f0a52-2c0e-4b7e-9a53-5b6f0e8c1d01", min_length=1, description="The application under test."
    )
    client_secret: SecretStr = Field(default=SecretStr("sandbox-secret"), description="Its secret.")
    other_applications: Mapping[str, SecretStr] = Field(
        default_factory=dict, description="Further integration applications: client id to secret."
    )
    concurrent: int | None = Field(default=10, ge=1, description="Requests at once per client address; null lifts it.")
    query_burst: int = Field(default=20, ge=1, description="Queries at once above the average, in profile dev.")
    command_burst: int = Field(default=10, ge=1, description="Commands at once above the average, in profile dev.")
    creations_per_minute: int = Field(default=100, ge=1, description="Limit of listings/create in every profile.")
    query_limit: int = Field(default=10_000, ge=1, description="Results a filtered or sorted query can reach.")
    payment_expiry_seconds: int = Field(default=900, ge=1, description="After how long an unpaid purchase expires.")
    lost_before_rate: float = Field(
        default=0, ge=0, le=1, description="Share of compare-and-sets whose connection breaks before execution."
    )
    lost_after_rate: float = Field(
        default=0, ge=0, le=1, description="Share of compare-and-sets whose connection breaks after execution."
    )
    switches: Switches = Field(default=Switches(), description="What the documentation leaves open.")

    @property
    def event_retention_days(self) -> int:
        """How far back events/query reaches."""
        return 90 if self.profile is Profile.LIVE else 7
