"""A WooCommerce shop on this machine: its REST API v3, as far as a stock sync uses it, and its signed webhooks.

    application = create_app(Options(consumer_key="ck_x", consumer_secret="cs_x"))

The API answers on the vendor's paths (`/wp-json/wc/v3/...`); `/_control` sells, edits, refunds, trashes and deletes
orders, turns switches, arms faults and tells the whole truth. Behaviour follows the vendor's documentation and what its
plugin is known to do; what neither establishes is a switch.
"""

from .app import create_app
from .options import DeliveryFaults, Options, Switches

__all__ = ["DeliveryFaults", "Options", "Switches", "create_app"]
