"""A Shopify shop on this machine: its Admin GraphQL, as far as a stock sync uses it, and its signed webhooks.

    application = create_app(Options(access_token="shpat_x", client_secret="s"))

The API answers on the vendor's paths (`/admin/api/{version}/graphql.json`, `/admin/oauth/access_token`); `/_control`
places, edits, cancels, refunds and deletes orders, turns switches, arms faults and tells the whole truth. Schema,
limits and behaviour follow the vendor's documentation; what that leaves open is a switch.
"""

from .app import create_app
from .options import DeliveryFaults, Options, Switches

__all__ = ["DeliveryFaults", "Options", "Switches", "create_app"]
