"""What a Shopify sandbox is set up with.

`Options` are fixed at start. `Switches` may be turned while it runs: each stands for something the vendor's
documentation leaves open, so that a connector can be shown to hold either way. `DeliveryFaults` may be changed at any
time too: they say how often a webhook goes wrong on its way.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr

MAX_QUERY_COST = 1000
"""The dearest single query on every plan (docs, "Shopify API limits")."""

Rate = Annotated[float, Field(ge=0, le=1)]


def _ordered(pair: tuple[float, float]) -> tuple[float, float]:
    if not 0 <= pair[0] <= pair[1]:
        message = f"a range needs 0 <= from <= to, got {pair[0]} and {pair[1]}"
        raise ValueError(message)
    return pair


Seconds = Annotated[tuple[float, float], AfterValidator(_ordered)]
"""A range of seconds, from and to; one value is drawn per use."""


class Switches(BaseModel):
    """What the documentation does not establish; the defaults are the likeliest reading."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    connection_cost: Literal["logarithmic", "linear"] = Field(
        default="logarithmic",
        description="How the cost of a connection grows with `first`: as measured on real shops, or in proportion.",
    )
    index_lag_seconds: Seconds = Field(
        default=(0.0, 0.0), description="How long after a change orders(query:) finds the order where it belongs."
    )
    edit_removal_refunds: bool = Field(
        default=False, description="Whether units removed by an edit show up as a refund rather than on the line only."
    )
    current_quantity_after_cancel: Literal["zero", "unchanged"] = Field(
        default="zero", description="What GraphQL shows as currentQuantity of a cancelled order's lines."
    )
    refund_moves_updated_at: bool = Field(default=True, description="Whether a refund moves the order's updatedAt.")
    updated_on_create: bool = Field(default=False, description="Whether orders/updated accompanies orders/create.")
    retry_webhook_id: Literal["same", "new"] = Field(
        default="same", description="Whether a retry carries the webhook id of the first attempt."
    )
    duplicate_webhook_id: Literal["same", "new"] = Field(
        default="same", description="Whether a duplicate carries the webhook id of its original."
    )
    subscription_deleted_after: Literal["retries", "failures"] = Field(
        default="retries",
        description="What `8 failures in a row` means: one delivery used up its retries with no success between, or "
        "any 8 attempts of the subscription failed one after the other.",
    )
    payload_utc_offset_minutes: int = Field(
        default=0, ge=-840, le=840, description="The shop's time zone, in which webhook payloads write times."
    )
    signing_secret: int = Field(
        default=0, ge=0, description="Which secret signs webhooks: 0 is client_secret, 1 the first further one, ..."
    )


class DeliveryFaults(BaseModel):
    """How webhooks go wrong on their way. Rates are shares of the genuine deliveries."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    drop_rate: Rate = Field(default=0.0, description="Never sent, never retried.")
    duplicate_rate: Rate = Field(default=0.0, description="Sent twice.")
    delay_seconds: Seconds = Field(default=(0.0, 0.0), description="How long each delivery waits before it is sent.")
    reorder_rate: Rate = Field(default=0.0, description="Held back until later ones have been sent.")
    reorder_span: int = Field(default=5, ge=1, description="How many later deliveries overtake one held back, at most.")
    reorder_hold_seconds: float = Field(
        default=2.0, ge=0, description="How long to hold one back when no later ones come."
    )
    forge_rate: Rate = Field(default=0.0, description="Followed by a copy that somebody else signed.")
    tamper_rate: Rate = Field(
        default=0.0, description="Followed by a replay whose unsigned headers (topic, shop, ids) were changed."
    )
    truncate_rate: Rate = Field(default=0.0, description="Sent with half its body, correctly signed as such.")


class Options(BaseModel):
    """How to set up one sandbox: one shop with the applications installed on it, limits and standing faults."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    shop_domain: str = Field(default="sandbox-shop.myshopify.com", description="The shop's myshopify domain.")
    shop_name: str = Field(default="Sandbox Shop", description="What the shop calls itself.")
    access_token: SecretStr = Field(
        default=SecretStr("shpat_sandbox"), description="Admin API access token of the application under test."
    )
    client_id: str = Field(default="sandbox-client", min_length=1, description="Client id of that application.")
    client_secret: SecretStr = Field(
        default=SecretStr("sandbox-secret"), description="Its client secret; signs webhooks."
    )
    further_secrets: tuple[SecretStr, ...] = Field(default=(), description="Secrets that a rotation can move on to.")
    scopes: tuple[str, ...] = Field(
        default=("read_orders", "read_all_orders", "read_products", "read_inventory", "read_locations"),
        description="Access scopes granted; without read_all_orders only the orders of the last 60 days show.",
    )
    other_applications: Mapping[str, SecretStr] = Field(
        default_factory=dict,
        description="Further applications on the shop, each with a cost bucket of its own: name to access token.",
    )
    access_token_seconds: int = Field(
        default=86_399, ge=1, description="Lifetime of tokens from the client credentials grant."
    )
    api_versions: tuple[str, ...] = Field(
        default=("2026-01", "2026-04", "2026-07", "2026-10"),
        min_length=1,
        description="Versions served, oldest first; an older one falls forward to the first of these.",
    )
    bucket_points: float = Field(default=2000, gt=0, description="Cost points an application can have saved up.")
    restore_points_per_second: float = Field(default=100, gt=0, description="Cost points that come back per second.")
    seed: int = Field(default=0, description="Makes ids and faults reproducible.")
    first_order_number: int = Field(default=1001, ge=1, description="Number of the first order, as in `#1001`.")
    retry_time_scale: float = Field(
        default=1.0, ge=0, description="Factor on the 4 hours over which a failed delivery is tried again."
    )
    concurrent_deliveries: int = Field(default=32, ge=1, description="Webhooks under way at once.")
    delivery_faults: DeliveryFaults = Field(default=DeliveryFaults(), description="How webhooks go wrong.")
    switches: Switches = Field(default=Switches(), description="What the documentation leaves open.")
