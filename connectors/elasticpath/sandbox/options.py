"""What an Elastic Path sandbox is set up with.

`Options` are fixed at start. `Switches` may be turned while it runs: each stands for something the vendor's
documentation leaves open, so that a connector can be shown to hold either way.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr

Rate = Annotated[float, Field(ge=0, le=1)]
PER_SECOND = {"production": 100, "development": 25}
"""Requests a second by kind of store (guides, "Rate limits")."""


class Switches(BaseModel):
    """What the documentation does not establish; the defaults are the likeliest reading."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    transaction_time: Literal["go", "rfc3339"] = Field(
        default="go", description="How stock transactions write their time: the examples' way, or the specification's."
    )
    transaction_order: Literal["oldest_first", "newest_first"] = Field(
        default="oldest_first", description="The order of a product's transaction list."
    )
    transaction_paging: Literal["whole", "paged"] = Field(
        default="whole", description="Whether the basic flavour's transaction list comes whole or by pages."
    )
    located_meta: Literal["left_out", "shown"] = Field(
        default="left_out",
        description="Whether lists of the multi-location flavour tell how many there are: its specification says no.",
    )
    order_transactions: Literal["listed", "hidden"] = Field(
        default="listed", description="Whether the transaction list shows what orders do to stock."
    )
    fulfilment_transactions: Literal["none", "deallocate_decrement"] = Field(
        default="none", description="What the list shows of a shipment, which lowers allocated and total together."
    )
    unknown_transactions: bool = Field(
        default=False, description="Whether the list also holds an action that no documentation names."
    )
    recreated_history: Literal["kept", "cleared"] = Field(
        default="kept", description="Whether stock that is managed again shows the transactions of the time before."
    )
    unmanaged_transaction: Literal["not_found", "creates"] = Field(
        default="not_found", description="What a transaction on a product without a stock record does."
    )
    second_creation: Literal["refused", "replaces"] = Field(
        default="refused", description="What creating stock does where there is some."
    )
    unknown_ids: Literal["left_out", "refused", "refused_named"] = Field(
        default="left_out",
        description="What inventories/multiple does with unmanaged ids: left out, or 404, with their names or not.",
    )
    most_ids: int = Field(default=1000, ge=1, description="How many ids inventories/multiple takes.")
    located_available: Literal["sum", "separate"] = Field(
        default="sum", description="What `available` beside `locations` means: their sum, or a position of its own."
    )
    organization_status: Literal[400, 404, 422] = Field(
        default=400, description="Status of the refusal to keep stock of an organisation's product in a store."
    )
    refund_effect: Literal["none", "deallocate"] = Field(
        default="none", description="Whether a refund in full gives allocated units back."
    )
    order_includes: bool = Field(default=True, description="Whether a single order takes `include=items`.")
    updated_at_sort: Literal["refused", "accepted"] = Field(
        default="refused", description="Whether orders can be sorted by updated_at, which one example does."
    )
    missing_refs: Literal["null", "left_out"] = Field(
        default="null", description="How an order writes that it has no order_number and external_ref."
    )
    secret_listed: bool = Field(default=True, description="Whether lists of integrations show their secret.")
    integration_created: Literal[200, 201] = Field(default=200, description="Status of a created integration.")
    event_id: Literal["same", "new"] = Field(
        default="same", description="Whether a repeated delivery carries the event id of the first attempt."
    )
    delivery_retries: int = Field(default=2, ge=0, le=10, description="How often a failed delivery is tried again.")
    order_lag_seconds: float = Field(default=0, ge=0, description="How far lists of orders lag behind.")
    stock_lag_seconds: float = Field(default=0, ge=0, description="How far reads of stock lag behind.")
    token_wrapped: bool = Field(default=False, description="Whether the token's answer is wrapped in `data`.")
    access_token_seconds: int = Field(default=3600, ge=1, description="Lifetime of an access token.")


class DeliveryFaults(BaseModel):
    """How events go wrong on their way. Rates are shares of the genuine deliveries."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    drop_rate: Rate = Field(default=0.0, description="Never sent, never retried.")
    duplicate_rate: Rate = Field(default=0.0, description="Sent twice.")
    reorder_rate: Rate = Field(default=0.0, description="Sent after the next one.")


class Options(BaseModel):
    """How to set up one sandbox: one store with its application key, limits and standing faults."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    profile: Literal["production", "development"] = Field(
        default="production", description="Which kind of store: 100 or 25 requests a second."
    )
    seed: int = Field(default=0, description="Makes ids and faults reproducible.")
    client_id: str = Field(default="sandbox-client", min_length=1, description="The application key under test.")
    client_secret: SecretStr = Field(default=SecretStr("sandbox-secret"), description="Its secret.")
    page_length: int = Field(default=25, ge=1, le=100, description="Page size where a request asks for none.")
    lost_before_rate: Rate = Field(
        default=0, description="Share of stock transactions whose connection breaks before execution."
    )
    lost_after_rate: Rate = Field(
        default=0, description="Share of stock transactions whose connection breaks after execution."
    )
    retry_seconds: float = Field(default=30, ge=0, description="Sandbox time before a failed delivery is tried again.")
    delivery_faults: DeliveryFaults = Field(default=DeliveryFaults(), description="How events go wrong.")
    switches: Switches = Field(default=Switches(), description="What the documentation leaves open.")
