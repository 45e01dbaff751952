"""Webhooks on their way from a shop to the receiver: dropped, doubled, delayed, reordered, cut off, forged."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from random import Random
from typing import Any

from connectors.shopify.sandbox.sender import RETRIES, WEBHOOK_ID, Delivery, retry_delay_seconds
from connectors.shopify.sandbox.webhooks import SIGNATURE
from tests.simulation.processes import Web
from tests.simulation.scheduler import Scheduler
from tests.simulation.shop import Shop

DAY_SECONDS = 86_400.0


@dataclass(frozen=True, slots=True)
class Post:
    """How webhooks fare: shares of them."""

    dropped: float = 0.0
    doubled: float = 0.0
    slow: float = 0.0
    """Delayed by seconds to minutes, so that later ones overtake."""
    very_slow: float = 0.0
    """Delayed by hours to days."""
    cut_off: float = 0.0
    """Half the body, signed as such."""
    forged: float = 0.0
    """Followed by a changed copy that somebody else signed."""


@dataclass(slots=True)
class Carried:
    """What came of the deliveries, for the checker."""

    delivered: int = 0
    forged_accepted: int = 0
    forged_refused: int = 0
    under_way: int = 0


class Courier:
    """Carries one shop's webhooks."""

    def __init__(
        self,
        scheduler: Scheduler,
        web: Web,
        post: Post,
        shop: Shop,
        trace: Callable[[str, str], None],
        stir: Callable[[], None],
    ) -> None:
        self._scheduler = scheduler
        self._web = web
        self.post = post
        self._shop = shop
        self._trace = trace
        self._stir = stir
        self.luck = Random(0)
        """Of the event whose webhooks these are."""
        self.carried = Carried()
        self.tells_deletions = False
        """Whether a deletion is always told, sooner or later: nothing but a late look finds one that is not."""
        shop.listen(self.accept)

    def accept(self, delivery: Delivery, **_timing: Any) -> None:
        """Take a delivery from the shop."""
        luck, post = Random(self.luck.getrandbits(64)), self.post
        topic = delivery.headers["X-Shopify-Topic"]
        if luck.random() < post.dropped and not (self.tells_deletions and topic == "orders/delete"):
            self._trace(self._shop.channel, f"webhook {topic} is dropped")
            return
        if luck.random() < post.forged:
            self._forge(delivery, luck)
        if luck.random() < post.cut_off and topic != "orders/delete":
            half = delivery.body[: len(delivery.body) // 2]
            signature = self._shop.webhooks.sign(half)
            delivery = replace(delivery, body=half, headers={**delivery.headers, SIGNATURE: signature})
            self._trace(self._shop.channel, f"webhook {topic} is cut off")
        for _ in range(2 if luck.random() < post.doubled else 1):
            self._send_after(self._delay(luck), delivery, luck)

    def _delay(self, luck: Random) -> float:
        chance, post = luck.random(), self.post
        if chance < post.very_slow and not self.tells_deletions:
            return luck.uniform(0.1, 3.0) * DAY_SECONDS
        if chance < post.very_slow + post.slow:
            return luck.expovariate(1 / 60.0)
        return luck.uniform(0.05, 1.5)

    def _forge(self, delivery: Delivery, luck: Random) -> None:
        body = delivery.body.replace(b'"quantity":', b'"quantity":9', 1) + b" "
        headers = {**delivery.headers, WEBHOOK_ID: f"forged-{luck.getrandbits(32)}"}
        if luck.random() < 0.3:
            del headers[SIGNATURE]
        self._scheduler.after(
            self._delay(luck), lambda: self._post_forged(replace(delivery, body=body, headers=headers))
        )

    def _post_forged(self, delivery: Delivery) -> None:
        def answered(status: int | None) -> None:
            if status is not None:
                accepted = status == 200
                self.carried.forged_accepted += accepted
                self.carried.forged_refused += not accepted

        self._web.post(delivery.url, dict(delivery.headers), delivery.body, answered)

    def _send_after(self, seconds: float, delivery: Delivery, luck: Random) -> None:
        self.carried.under_way += 1
        self._scheduler.after(seconds, lambda: self._send(delivery, luck))

    def _send(self, delivery: Delivery, luck: Random) -> None:
        """One attempt, as the vendor makes it: no 2xx, and it is tried again over four hours."""
        self.carried.under_way -= 1
        self._stir()
        topic = delivery.headers["X-Shopify-Topic"]

        def answered(status: int | None) -> None:
            self._trace(self._shop.channel, f"webhook {topic} attempt {delivery.attempt + 1}: {status}")
            if status == 200:
                self.carried.delivered += 1
            elif delivery.attempt < RETRIES:
                again = replace(delivery, attempt=delivery.attempt + 1)
                self._send_after(retry_delay_seconds(again.attempt) * luck.uniform(0.8, 1.2), again, luck)

        self._web.post(delivery.url, dict(delivery.headers), delivery.body, answered)
