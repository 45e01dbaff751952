"""What can be done to the shop from outside: the bodies the control surface takes."""

from __future__ import annotations

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field


class _Command(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class LineSpec(_Command):
    """One line to sell."""

    sku: str | None = "A"
    quantity: int = Field(default=1, ge=0)
    item_id: str | None = None


class OrderSpec(_Command):
    """One order to place."""

    lines: tuple[LineSpec, ...] = Field(min_length=1)
    order_id: str | None = Field(default=None, description="Null: the next number.")
    created_at: AwareDatetime | None = Field(default=None, description="Null: now.")
    source: str | None = None


class UnitsSpec(_Command):
    """Units of one line."""

    line_id: str
    quantity: int = Field(ge=0)


class ChangeSpec(_Command):
    """Units of lines that are cancelled, or come back."""

    lines: tuple[UnitsSpec, ...] = ()


class EditSpec(_Command):
    """Lines brought to a quantity (0 takes one off), and new ones."""

    set: tuple[UnitsSpec, ...] = ()
    add: tuple[LineSpec, ...] = ()


class EndpointSpec(_Command):
    """An address to send to."""

    url: str


class SecretsSpec(_Command):
    """What messages are signed with from now on: several while one is replaced."""

    secrets: tuple[str, ...] = Field(min_length=1)
