"""The shop's messages: what they say, how they are signed, and how they are spoilt on the way as the faults say."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Callable, Mapping
from itertools import count
from random import Random
from typing import Any

import orjson

from connectors.clock import Clock
from connectors.sandbox.sending import Parcel

from .options import Options
from .sender import Sender, Task
from .shop import Order, Shop

TYPE = "order.upserted"
PREFIX = "whsec_"
_STALE_SECONDS = 360
_FOREIGN = base64.b64encode(b"nobody has told us this secret..").decode()


class Messages:
    """Tells whoever registered. Used from the event loop only."""

    def __init__(self, options: Options, clock: Clock) -> None:
        self._clock = clock
        self._luck = Random(f"faults {options.seed}")
        self._ids = count(1)
        self.faults = options.delivery_faults
        self.secrets: tuple[str, ...] = (options.secret.get_secret_value(),)
        self.urls: list[str] = []
        self.shop: Shop
        """Set by whoever builds both: each knows the other."""
        self.sender = Sender(
            clock,
            concurrent=options.concurrent_deliveries,
            retry_seconds=[seconds * options.retry_time_scale for seconds in options.retry_seconds],
        )

    def announce(self, order: Order) -> None:
        """Queue a message about an order, as it is now, for every address."""
        now = self._clock.now().isoformat()
        body = orjson.dumps({"type": TYPE, "timestamp": now, "data": self.shop.shown(order)})
        for url in self.urls:
            self._send(url, body)

    def made_up(self, body: bytes, url: str, *, signed: bool, headers: Mapping[str, str]) -> Parcel:
        """Any message at all: an old body, an attacker's attempt."""
        secrets = self.secrets if signed else (_FOREIGN,)
        parcel = self._parcel(url, self._new_id(), body, secrets=secrets)
        return Parcel(url, {**parcel.headers, **headers}, body)

    def _send(self, url: str, body: bytes) -> None:
        faults, counts = self.faults, self.sender.counts
        if self._strikes(faults.drop_rate):
            counts["dropped"] += 1
            return
        least, most = faults.delay_seconds
        delay_seconds = self._luck.uniform(least, most) if most else 0.0
        if self._strikes(faults.reorder_rate):
            counts["reordered"] += 1
            delay_seconds += faults.reorder_hold_seconds
        if self._strikes(faults.truncate_rate):
            counts["truncated"] += 1
            body = body[: len(body) // 2]
        message_id = self._new_id()

        def accept(pack: Callable[[], Parcel], *, own: bool = True) -> None:
            self.sender.accept(Task(pack, own), delay_seconds=delay_seconds)

        accept(lambda: self._parcel(url, message_id, body))
        if self._strikes(faults.duplicate_rate):
            counts["duplicated"] += 1
            accept(lambda: self._parcel(url, message_id, body))
        if self._strikes(faults.repeat_rate):
            counts["repeated"] += 1
            another = self._new_id()
            accept(lambda: self._parcel(url, another, body))
        if self._strikes(faults.forge_rate):
            counts["forged"] += 1
            accept(lambda: self._parcel(url, message_id, body, secrets=(_FOREIGN,)), own=False)
        if self._strikes(faults.stale_rate):
            counts["stale"] += 1
            accept(lambda: self._parcel(url, message_id, body, age_seconds=_STALE_SECONDS), own=False)
        if self._strikes(faults.tamper_rate):
            counts["tampered"] += 1
            lie = self._luck.choice(("webhook-id", "webhook-timestamp", "body"))
            accept(lambda: _tampered(self._parcel(url, message_id, body), lie), own=False)

    def _parcel(
        self, url: str, message_id: str, body: bytes, *, secrets: tuple[str, ...] = (), age_seconds: int = 0
    ) -> Parcel:
        timestamp = str(int(self._clock.now().timestamp()) - age_seconds)
        signatures = [sign(secret, message_id, timestamp, body) for secret in secrets or self.secrets]
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "standard-sandbox",
            "webhook-id": message_id,
            "webhook-timestamp": timestamp,
            "webhook-signature": " ".join(signatures),
        }
        return Parcel(url, headers, body)

    def _new_id(self) -> str:
        return f"msg_{next(self._ids):06}"

    def _strikes(self, rate: float) -> bool:
        return rate > 0 and self._luck.random() < rate


def sign(secret: str, message_id: str, timestamp: str, body: bytes) -> str:
    """One signature of a message, with its version."""
    key = base64.b64decode(secret.removeprefix(PREFIX))
    digest = hmac.digest(key, f"{message_id}.{timestamp}.".encode() + body, hashlib.sha256)
    return f"v1,{base64.b64encode(digest).decode()}"


def _tampered(parcel: Parcel, lie: str) -> Parcel:
    headers: dict[str, Any] = dict(parcel.headers)
    if lie == "body":
        return Parcel(parcel.url, headers, parcel.body.replace(b'"quantity":', b'"quantity":9'))
    headers[lie] = f"{headers[lie]}9" if lie == "webhook-id" else str(int(headers[lie]) + 1)
    return Parcel(parcel.url, headers, parcel.body)
