"""Webhooks on their way from a shop to the receiver: dropped, doubled, delayed, reordered, cut off, forged."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from random import Random

from connectors.sandbox.sending import Parcel
from tests.simulation.processes import Web
from tests.simulation.scheduler import Scheduler
from tests.simulation.shop import Letter, Shop

DAY_SECONDS = 86_400.0
TOLD_AT_LAST_SECONDS = 60.0
"""How soon a deletion whose only webhook was not taken is told again, in a history too short for anything else to find
it: that some vendors send it once is in those that last.
"""


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

    def accept(self, letter: Letter) -> None:
        """Take a webhook from the shop."""
        luck, post = Random(self.luck.getrandbits(64)), self.post
        if luck.random() < post.dropped and not (self.tells_deletions and letter.deletes):
            self._trace(self._shop.channel, f"webhook {letter.topic} is dropped")
            return
        if luck.random() < post.forged:
            self._forge(letter, luck)
        if luck.random() < post.cut_off and not letter.deletes:
            letter = self._cut_off(letter)
        for _ in range(2 if luck.random() < post.doubled else 1):
            self._send_after(self._delay(luck), letter, luck)

    def _cut_off(self, letter: Letter) -> Letter:
        self._trace(self._shop.channel, f"webhook {letter.topic} is cut off")

        def pack(attempt: int) -> Parcel | None:
            whole = letter.pack(attempt)
            return None if whole is None else self._shop.cut(whole)

        return replace(letter, pack=pack)

    def _delay(self, luck: Random) -> float:
        chance, post = luck.random(), self.post
        if chance < post.very_slow and not self.tells_deletions:
            return luck.uniform(0.1, 3.0) * DAY_SECONDS
        if chance < post.very_slow + post.slow:
            return luck.expovariate(1 / 60.0)
        return luck.uniform(0.05, 1.5)

    def _forge(self, letter: Letter, luck: Random) -> None:
        genuine = letter.pack(0)
        if genuine is not None:
            forged = self._shop.forge(genuine, luck)
            self._scheduler.after(self._delay(luck), lambda: self._post_forged(forged))

    def _post_forged(self, forged: Parcel) -> None:
        def answered(status: int | None) -> None:
            if status is not None:
                accepted = status == 200
                self.carried.forged_accepted += accepted
                self.carried.forged_refused += not accepted

        self._web.post(forged.url, dict(forged.headers), forged.body, answered)

    def _send_after(self, seconds: float, letter: Letter, luck: Random) -> None:
        self.carried.under_way += 1
        self._scheduler.after(seconds, lambda: self._send(letter, luck))

    def _send(self, letter: Letter, luck: Random) -> None:
        """One attempt, as the vendor makes it; without an answer that pleases it, it may be made again."""
        self.carried.under_way -= 1
        self._stir()
        parcel = letter.pack(letter.attempt)
        if parcel is None:
            return

        def answered(status: int | None) -> None:
            attempt = letter.attempt + 1
            self._trace(self._shop.channel, f"webhook {letter.topic} attempt {attempt}: {status}")
            if status == 200:
                self.carried.delivered += 1
                return
            wait = self._shop.retry_after_seconds(attempt)
            if wait is None and letter.deletes and self.tells_deletions:
                wait = TOLD_AT_LAST_SECONDS
            if wait is not None:
                self._send_after(wait * luck.uniform(0.8, 1.2), replace(letter, attempt=attempt), luck)

        self._web.post(parcel.url, dict(parcel.headers), parcel.body, answered)
