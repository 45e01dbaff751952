"""What can be done to the shop from outside: the bodies the control surface takes."""

from __future__ import annotations

from typing import Any

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

Status = str
"""`pending`, `processing`, ... or whatever a plugin adds."""


class _Command(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ProductSpec(_Command):
    """One product, or one variation of a product, for the catalogue."""

    sku: str = ""
    managed: bool = Field(default=True, description="Whether the shop counts its stock.")
    stock: int | None = Field(default=None, description="Null: as the options say.")
    variation: bool = Field(default=False, description="A variation: its product gets a number of its own.")


class LineSpec(_Command):
    """One line to sell."""

    sku: str = "A"
    quantity: int = Field(default=1, ge=1)
    product_id: int | None = Field(default=None, description="Null: the product of this SKU, made if new.")
    managed: bool = Field(default=True, description="Of a product that is made for it.")
    meta: dict[str, Any] = Field(default_factory=dict)


class OrderSpec(_Command):
    """One order to place."""

    lines: tuple[LineSpec, ...] = Field(min_length=1)
    status: Status = "processing"
    created_at: AwareDatetime | None = Field(default=None, description="Null: now.")
    created_via: str = "checkout"
    meta: dict[str, Any] = Field(default_factory=dict)


class SetStatus(_Command):
    """A change of status. To `refunded` by hand it makes a refund of the rest, without lines and without restock."""

    status: Status


class SetQuantity(_Command):
    """A line brought to `quantity`; 0 takes it off."""

    line_id: int
    quantity: int = Field(ge=0)


class EditSpec(_Command):
    """One edit through the REST API."""

    set: tuple[SetQuantity, ...] = ()
    add: tuple[LineSpec, ...] = ()


class RefundLineSpec(_Command):
    """Units of one line to give back."""

    line_id: int
    quantity: int = Field(ge=1)


class RefundSpec(_Command):
    """One refund. No lines: money only."""

    lines: tuple[RefundLineSpec, ...] = ()
    restock: bool = True


class DeleteSpec(_Command):
    """For good, or into the trash."""

    force: bool = True
