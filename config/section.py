"""What the sections of the configuration have in common."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat

Seconds = Annotated[FiniteFloat, Field(ge=0)]
Interval = Annotated[FiniteFloat, Field(gt=0)]


class Section(BaseModel):
    """One table of the configuration file: frozen, closed to unknown keys, silent about the values it refuses."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, validate_default=True)
