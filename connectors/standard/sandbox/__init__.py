"""A shop on this machine that speaks our own format: it signs and sends its orders, and can be read for them.

    application = create_app(Options(token="t"))

`GET /orders` answers as docs/connectors/standard.md asks for; `/_control` registers addresses to send to, sells,
cancels, restocks and deletes, turns switches, arms faults and tells the whole truth. What a sender of this kind may do
one way or another is a switch.
"""

from .app import create_app
from .options import DeliveryFaults, Options, Switches

__all__ = ["DeliveryFaults", "Options", "Switches", "create_app"]
