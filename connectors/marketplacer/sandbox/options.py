"""What a Marketplacer sandbox is set up with.

`Options` are fixed at start. `Switches` may be turned while it runs: each stands for something the vendor's
documentation leaves open, so that a connector can be shown to hold either way.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr

Rate = Annotated[float, Field(ge=0, le=1)]


class Switches(BaseModel):
    """What the documentation does not establish; the defaults are the likeliest reading."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    variant_data: Literal["array", "object"] = Field(
        default="array", description="Whether a single variant comes as a list of one, as the examples show."
    )
    ids: Literal["numbers", "texts"] = Field(default="numbers", description="How ids are written.")
    external_id_shown: bool = Field(default=True, description="Whether variants show their external_id.")
    infinite_shown: bool = Field(default=True, description="Whether variants show whether they are unlimited.")
    number_clears_infinite: bool = Field(
        default=False, description="Whether setting a number makes what was unlimited counted."
    )
    omitted_fields: Literal["kept", "reset"] = Field(
        default="kept", description="What becomes of what the update of an inventory does not mention."
    )
    single_seller_inventories: Literal["400", "404", "422", "empty"] = Field(
        default="404", description="What asking for the inventories of a single-seller variant is answered."
    )
    members_see_variants: bool = Field(
        default=True, description="Whether a member of a multi-store is shown its parent's variants."
    )
    parent_sees_invoices: bool = Field(
        default=True, description="Whether the parent of a multi-store is shown its members' invoices."
    )
    line_items: Literal["included", "within", "left_out"] = Field(
        default="included", description="Where a list shows line items: beside the invoices, within them, or nowhere."
    )
    last_next: Literal["missing", "null", "itself"] = Field(
        default="missing", description="What a last page gives for the next one."
    )
    links: Literal["absolute", "relative"] = Field(default="absolute", description="How links to pages are written.")
    list_order: Literal["oldest_first", "newest_first", "last_changed_first"] = Field(
        default="oldest_first", description="The order of lists."
    )
    from_inclusive: bool = Field(default=True, description="Whether since and updated_since take in their own moment.")
    until_inclusive: bool = Field(default=True, description="Whether until and updated_before do.")
    payment_updates: bool = Field(default=True, description="Whether being paid counts as a change of an invoice.")
    stock_falls: Literal["creation", "payment", "never"] = Field(
        default="creation", description="When a sale lowers the stock."
    )
    refund_restocks: bool = Field(default=False, description="Whether a refund or a cancellation gives units back.")
    error_body: Literal["json_api", "empty", "html"] = Field(default="json_api", description="What a refusal holds.")
    retry_after_shown: bool = Field(
        default=True, description="Whether a refusal for too many requests says for how long."
    )
    idempotency_key: Literal["same", "new"] = Field(
        default="same", description="Whether a repeated delivery carries the key of the first attempt."
    )
    list_lag_seconds: float = Field(default=0, ge=0, description="How far lists lag behind.")


class DeliveryFaults(BaseModel):
    """How webhooks go wrong on their way. Rates are shares of the genuine deliveries."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    drop_rate: Rate = Field(default=0.0, description="Never sent, never retried.")
    duplicate_rate: Rate = Field(default=0.0, description="Sent twice.")
    reorder_rate: Rate = Field(default=0.0, description="Sent after the next one.")
    forge_rate: Rate = Field(default=0.0, description="Followed by one that somebody else made up.")


class Options(BaseModel):
    """How to set up one sandbox: one site with one seller and its key, limits and standing faults."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    seed: int = Field(default=0, description="Makes ids and faults reproducible.")
    api_key: SecretStr = Field(default=SecretStr("sandbox-key"), description="Key of the first seller, whose id is 1.")
    multi_store: bool = Field(default=False, description="Whether the first seller is the parent of a multi-store.")
    basic_user: str | None = Field(default=None, description="User of HTTP basic authentication before the site.")
    basic_password: SecretStr = Field(default=SecretStr("sandbox-password"), description="Its password.")
    per_second: int = Field(default=50, ge=1, description="Requests a second.")
    page_length: int = Field(default=50, ge=1, description="Page size where a request asks for none.")
    longest_page: int = Field(default=100, ge=1, description="The largest page size that is granted.")
    utc_offset_minutes: int = Field(default=600, ge=-720, le=840, description="Of the times the site writes.")
    lost_before_rate: Rate = Field(default=0, description="Share of stock writes that are lost before execution.")
    lost_after_rate: Rate = Field(default=0, description="Share of stock writes whose answer is lost.")
    retry_time_scale: float = Field(
        default=1.0, gt=0, le=1, description="How much faster failed deliveries are tried again."
    )
    merge_seconds: float = Field(
        default=0, ge=0, description="How long a variant's event waits for a newer one to take its place."
    )
    delivery_faults: DeliveryFaults = Field(default=DeliveryFaults(), description="How webhooks go wrong.")
    switches: Switches = Field(default=Switches(), description="What the documentation leaves open.")
