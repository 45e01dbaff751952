"""A local server that speaks the Sharetribe Integration API, with stock that buyers compete for.

The vendor's API is under `/v1`, the control surface under `/_control`. What the vendor's documentation leaves open is
a switch in `Options`.
"""

from __future__ import annotations

from .app import create_app
from .options import Options

__all__ = ["Options", "create_app"]
