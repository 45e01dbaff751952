"""What a standard sandbox is set up with.

`Options` are fixed at start. `Switches` may be turned while it runs: what one sender does one way and another another.
`DeliveryFaults` may be changed at any time too: they say how often a message goes wrong on its way.
"""

from __future__ import annotations

from typing import Annotated

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
    """What senders do differently; the defaults are what docs/connectors/standard.md asks for."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    versions: bool = Field(default=True, description="Whether orders have a version; else updated_at alone.")
    whole_seconds: bool = Field(default=False, description="Whether updated_at is cut off to seconds.")
    single_orders: bool = Field(default=True, description="Whether order_id is known; else it is ignored.")
    index_lag_seconds: float = Field(default=0.0, ge=0, description="How long a change takes to be listed.")
    cursors_expire: bool = Field(default=False, description="Whether every cursor is refused with 410.")
    cursor_repeats: bool = Field(default=False, description="Whether a page names itself as the next one.")
    dated: bool = Field(default=True, description="Whether answers carry the time of the shop's clock.")


class DeliveryFaults(BaseModel):
    """How messages go wrong on their way. Rates are shares of the genuine messages."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    drop_rate: Rate = Field(default=0.0, description="Never sent.")
    duplicate_rate: Rate = Field(default=0.0, description="Sent twice under one id.")
    repeat_rate: Rate = Field(default=0.0, description="Sent once more under another id.")
    delay_seconds: Seconds = Field(default=(0.0, 0.0), description="How long each waits before it is sent.")
    reorder_rate: Rate = Field(default=0.0, description="Held back until later ones have been sent.")
    reorder_hold_seconds: float = Field(default=2.0, ge=0, description="How long one is held back.")
    forge_rate: Rate = Field(default=0.0, description="Followed by a copy that somebody else signed.")
    tamper_rate: Rate = Field(default=0.0, description="Followed by a copy with another id, time or body.")
    stale_rate: Rate = Field(default=0.0, description="Followed by a copy that was signed six minutes ago.")
    truncate_rate: Rate = Field(default=0.0, description="Sent with half its body, correctly signed as such.")


class Options(BaseModel):
    """How to set up one sandbox: one shop."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    secret: SecretStr = Field(
        default=SecretStr("whsec_c2FuZGJveCBzYW5kYm94IHNhbmRib3ggc2FuZGJveA=="),
        description="What messages are signed with.",
    )
    token: SecretStr = Field(default=SecretStr("sandbox-token"), description="The bearer token of `GET /orders`.")
    seed: int = Field(default=0, description="Makes faults reproducible.")
    first_id: int = Field(default=1000, ge=1, description="The number of the first order.")
    concurrent_deliveries: int = Field(default=16, ge=1, description="Messages under way at once.")
    retry_seconds: tuple[float, ...] = Field(
        default=(5, 300, 1800, 7200, 18000, 36000), description="How long after each failure a message is tried again."
    )
    retry_time_scale: float = Field(default=1.0, ge=0, description="What the waits before a retry are multiplied by.")
    delivery_faults: DeliveryFaults = Field(default=DeliveryFaults(), description="How messages go wrong.")
    switches: Switches = Field(default=Switches(), description="What senders do differently.")
