"""A local server that speaks Marketplacer's Seller API: adverts, variants, inventories, invoices, webhooks.

The vendor's API is on the vendor's paths, the control surface under `/_control`. What the vendor's documentation leaves
open is a switch in `Options`.
"""

from __future__ import annotations

from .app import create_app
from .options import Options

__all__ = ["Options", "create_app"]
