"""What a WooCommerce sandbox is set up with.

`Options` are fixed at start. `Switches` may be turned while it runs: each stands for something that neither the
vendor's documentation nor its plugin's known behaviour establishes for every site, so that a connector can be shown to
hold either way. `DeliveryFaults` may be changed at any time too: they say how often a webhook goes wrong on its way.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr

Rate = Annotated[float, Field(ge=0, le=1)]


def _ordered(pair: tuple[float, float]) -> tuple[float, float]:
    if not 0 <= pair[0] <= pair[1]:
        message = f"a range needs 0 <= from <= to, got {pair[0]} and {pair[1]}"
        raise ValueError(message)
    return pair


Seconds = Annotated[tuple[float, float], AfterValidator(_ordered)]
"""A range of seconds, from and to; one value is drawn per use."""


class Switches(BaseModel):
    """What is not established; the defaults are the likeliest reading."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    modified_after_inclusive: bool = Field(
        default=False, description="Whether modified_after brings the orders of that very second too."
    )
    modified_before_inclusive: bool = Field(default=False, description="The same of modified_before.")
    orderby_modified: bool = Field(
        default=True, description="Whether orderby=modified is taken; else it is refused as an invalid parameter."
    )
    modified_filters: bool = Field(
        default=True, description="Whether modified_after and modified_before are known; else they are ignored."
    )
    dates_are_gmt: bool = Field(
        default=True, description="Whether dates_are_gmt is known; else dates are read in the site's time zone."
    )
    fields: bool = Field(default=True, description="Whether _fields is heeded; else orders come with everything.")
    drafts_listed: bool = Field(default=False, description="Whether drafts of the block checkout are listed.")
    reduced_stock_shown: bool = Field(default=True, description="Whether lines show the meta `_reduced_stock`.")
    reduction_lag_seconds: float = Field(
        default=0.0, ge=0, description="How long after a change of status the shop books the stock."
    )
    reduction_moves_modified: bool = Field(
        default=False, description="Whether that booking moves date_modified by itself."
    )
    line_edit_adjusts: Literal["always", "reducing_statuses", "never"] = Field(
        default="always", description="When a changed quantity of a line is booked in stock at once."
    )
    wrong_key_code: Literal["woocommerce_rest_authentication_error", "woocommerce_rest_cannot_view"] = Field(
        default="woocommerce_rest_authentication_error", description="What a wrong key is told."
    )
    ping_on_rest: bool = Field(
        default=True, description="Whether a webhook made or turned on by REST is tried with a ping before."
    )
    disabled_after_failures: int = Field(
        default=7,
        ge=1,
        description="The failure in a row that turns a webhook off: documented 5, in the plugin the 7th.",
    )
    delivery_id_header: Literal["X-WC-Webhook-Delivery-ID", "X-WC-Delivery-ID"] = Field(
        default="X-WC-Webhook-Delivery-ID", description="How the delivery id is called."
    )
    draft_webhooks: bool = Field(default=False, description="Whether drafts of the block checkout cause webhooks.")
    owner_may_read: bool = Field(
        default=True, description="Whether the user who owns the webhooks may read orders; else an error is delivered."
    )
    deleted_product: Literal["zero", "kept"] = Field(
        default="zero", description="What a line shows as the id of a product that was deleted."
    )


class DeliveryFaults(BaseModel):
    """How webhooks go wrong on their way. Rates are shares of the genuine deliveries."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    drop_rate: Rate = Field(default=0.0, description="Never sent.")
    duplicate_rate: Rate = Field(default=0.0, description="Sent twice.")
    delay_seconds: Seconds = Field(
        default=(0.0, 0.0),
        description="How long each waits for the site's task runner; meanwhile others are merged in.",
    )
    reorder_rate: Rate = Field(default=0.0, description="Held back until later ones have been sent.")
    reorder_hold_seconds: float = Field(default=2.0, ge=0, description="How long one is held back.")
    forge_rate: Rate = Field(default=0.0, description="Followed by a copy that somebody else signed.")
    tamper_rate: Rate = Field(
        default=0.0, description="Followed by a replay whose unsigned headers (topic, source, ids) were changed."
    )
    truncate_rate: Rate = Field(default=0.0, description="Sent with half its body, correctly signed as such.")


class Options(BaseModel):
    """How to set up one sandbox: one shop with one REST API key."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    site: str = Field(
        default="https://sandbox-shop.example", description="The shop's home address, as deliveries name it."
    )
    consumer_key: SecretStr = Field(default=SecretStr("ck_sandbox"), description="The REST API key.")
    consumer_secret: SecretStr = Field(default=SecretStr("cs_sandbox"), description="Its secret.")
    permissions: Literal["read", "read_write"] = Field(default="read_write", description="What the key may do.")
    sees_webhooks: bool = Field(default=True, description="Whether the key's user may manage webhooks at all.")
    utc_offset_minutes: int = Field(
        default=330, ge=-840, le=840, description="The site's time zone: never UTC by itself, so that mistakes show."
    )
    stock: int = Field(default=1_000_000, description="Units a new product has.")
    seed: int = Field(default=0, description="Makes faults reproducible.")
    first_id: int = Field(default=700, ge=1, description="Orders, refunds and products share one row of numbers.")
    coalesce_seconds: float = Field(
        default=600.0,
        ge=0,
        description="How long a waiting delivery takes in later ones of the same order and webhook.",
    )
    concurrent_deliveries: int = Field(default=16, ge=1, description="Webhooks under way at once.")
    delivery_faults: DeliveryFaults = Field(default=DeliveryFaults(), description="How webhooks go wrong.")
    switches: Switches = Field(default=Switches(), description="What is not established.")
