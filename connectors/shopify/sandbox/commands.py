"""What can be done to the shop from outside: the bodies the control surface takes."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field


class RestockType(StrEnum):
    """What became of refunded units (Admin API, `RefundLineItemRestockType`)."""

    CANCEL = "CANCEL"
    """Units not yet fulfilled were put back."""
    RETURN = "RETURN"
    """Fulfilled units came back and were put back."""
    NO_RESTOCK = "NO_RESTOCK"
    """The money went back, the units did not."""
    LEGACY_RESTOCK = "LEGACY_RESTOCK"
    """Put back, in data from before the other types existed; can no longer be made."""


class _Command(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class LineSpec(_Command):
    """One line to sell."""

    sku: str | None = None
    quantity: int = Field(ge=1)
    variant_id: int | None = Field(default=None, description="Numeric id; null: the variant of this SKU, made if new.")
    custom: bool = Field(default=False, description="A custom line: no variant, no product.")
    gift_card: bool = False
    requires_shipping: bool = True
    title: str = ""
    fulfilled: int = Field(default=0, ge=0, description="Units already handed over.")
    legacy_restocked: int = Field(default=0, ge=0, description="Units of an old refund of type LEGACY_RESTOCK.")


class AppSpec(_Command):
    """The application an order came from."""

    id: int
    name: str


class OrderSpec(_Command):
    """One order to place."""

    lines: tuple[LineSpec, ...] = Field(min_length=1)
    created_at: AwareDatetime | None = Field(default=None, description="Null: now. updatedAt is now in any case.")
    test: bool = False
    source_name: str | None = "web"
    source_identifier: str | None = None
    app: AppSpec | None = None
    tags: tuple[str, ...] = ()
    financial_status: Literal["PENDING", "AUTHORIZED", "PAID"] = "PAID"


class SetQuantity(_Command):
    """An edit that brings a line to `quantity` current units; more units than now are sold in addition."""

    line_id: int
    quantity: int = Field(ge=0)
    restock: bool = True


class EditSpec(_Command):
    """One committed order edit."""

    set: tuple[SetQuantity, ...] = ()
    add: tuple[LineSpec, ...] = ()


class CancelSpec(_Command):
    """A cancellation of everything that is left."""

    reason: Literal["CUSTOMER", "DECLINED", "FRAUD", "INVENTORY", "OTHER", "STAFF"] = "CUSTOMER"
    restock: bool = True
    refund: bool = Field(default=True, description="Whether the units are given back by a refund.")


class RefundLineSpec(_Command):
    """Units of one line to give back."""

    line_id: int
    quantity: int = Field(ge=1)
    restock_type: Literal[RestockType.CANCEL, RestockType.RETURN, RestockType.NO_RESTOCK]


class RefundSpec(_Command):
    """One refund; a line may be named several times. No lines: money only."""

    lines: tuple[RefundLineSpec, ...] = ()
    note: str | None = None


class FulfilSpec(_Command):
    """Units handed over; no lines: all that is left."""

    lines: tuple[SetFulfilled, ...] = ()


class SetFulfilled(_Command):
    """Units of one line handed over."""

    line_id: int
    quantity: int = Field(ge=1)


class ReturnSpec(_Command):
    """Where a return stands. By itself it moves no units."""

    status: Literal["NO_RETURN", "RETURN_REQUESTED", "IN_PROGRESS", "INSPECTION_COMPLETE", "RETURNED", "RETURN_FAILED"]


class VariantSpec(_Command):
    """One variant for the catalogue."""

    sku: str | None = None
    tracked: bool = True
