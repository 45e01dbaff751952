"""Webhooks: verified, reduced to what stock needs, and read. No I/O.

Only the body is signed, so only the body is believed. It holds no time: somebody may send an old one again. That does
no harm, since an older version of an order is passed over, and everything else is only a reason to ask.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Collection, Mapping, Sequence
from typing import Annotated

import msgspec
from connectors.contract import AccessEnded, Ignored, Look, Notice, Receipt
from connectors.errors import InvalidSignature, Unreadable
from pydantic import SecretStr

from trueup_acorn.orders import Id, Named, OrderRow, shaped, to_order

ORDERS: dict[str, type[Named]] = {"order.changed": OrderRow, "order.deleted": Named}
"""Which events are about an order, and what of it they hold."""


class _Event(msgspec.Struct):
    id: Id
    event: Annotated[str, msgspec.Meta(pattern=r"\A[a-z.]{1,40}\Z")]
    order: msgspec.Raw = msgspec.Raw(b"null")


def receipt(headers: Mapping[str, str], body: bytes, secrets: Sequence[SecretStr]) -> Receipt:
    """A delivery that is signed with one of the secrets. Raises `InvalidSignature`, and nothing else."""
    given = headers.get("acorn-signature", "").encode("ascii", "replace")
    expected = [hmac.new(secret.get_secret_value().encode(), body, "sha256").hexdigest() for secret in secrets]
    # Each of them, whichever fits: the time it takes tells nothing.
    if not sum(hmac.compare_digest(one.encode(), given) for one in expected):
        raise InvalidSignature("the delivery is not signed with a secret of this channel", code="signature")
    try:
        event = shaped(body, _Event, "the delivery")
        order = shaped(event.order, ORDERS[event.event], "its order") if event.event in ORDERS else None
    except Unreadable:
        return Receipt(hashlib.sha256(body).hexdigest(), "", body, raw=True)
    kept = {"id": event.id, "event": event.event, "order": order}
    return Receipt(event.id, event.event, msgspec.json.encode(kept), raw=False)


def notices(kept: bytes, excluded_sources: Collection[str]) -> Sequence[Notice]:
    """What a kept delivery says. Raises `Unreadable`."""
    event = shaped(kept, _Event, "the delivery")
    match event.event:
        case "order.changed":
            return (to_order(event.order, excluded_sources, fetched_at=None),)
        case "order.deleted":
            return (Look(shaped(event.order, Named, "its order").id),)
        case "access.revoked":
            return (AccessEnded(),)
    return (Ignored("unknown_topic"),)
