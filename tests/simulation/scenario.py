"""From one integer: a deployment, and a history of what happens to it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

from tests.simulation.broker import Weather
from tests.simulation.courier import Post
from tests.simulation.events import (
    Buy,
    Call,
    CancelOrder,
    CorrectLink,
    Crash,
    DelayFeed,
    DeleteOrder,
    Edit,
    EditOrder,
    EditStock,
    Event,
    ExpireTokens,
    Fate,
    FlushBroker,
    FulfilOrder,
    LagIndex,
    LinkSku,
    LoseCommit,
    Outage,
    PauseChannel,
    PlaceOrder,
    RefundOrder,
    SkewClock,
    SpoilCall,
    Step,
    StepOfPurchase,
    Stop,
    Telling,
    TellOfOwn,
    TouchOrder,
    Trouble,
    Turn,
    TurnListing,
)
from tests.simulation.vendors import MAIN, Pairing

EVENTS = 200
DAY_SECONDS = 86_400.0
SKUS = 8
LONGEST_STOP_SECONDS = 300.0
"""For how long a process may stand still."""

CALLS = (
    Call.WRITE,
    Call.WRITE,
    Call.WRITE,
    Call.WRITE,
    Call.CLOSE,
    Call.OPEN,
    Call.SHOW,
    Call.LOG,
    Call.FEED,
    Call.SEARCH,
    Call.CHANNEL,
)


@dataclass(frozen=True, slots=True)
class Profile:
    """What a history is played on."""

    workers: int
    shops: int
    opening: tuple[int, ...]
    """Units of each listing."""
    links: tuple[tuple[tuple[tuple[int, int], ...], ...], ...]
    """For each shop and SKU: the listings it is linked to in the beginning, with units."""
    telling: Telling
    feed_delay_seconds: float
    search_lag_seconds: float
    close_after_seconds: float
    settle_after_seconds: float
    skews: tuple[float, ...]
    post: Post
    weather: Weather
    patient: bool
    """Whether the quiet afterwards lasts past the looks after 1, 7 and 30 days: only then may a deletion go untold."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """One history before it is run."""

    seed: int
    profile: Profile
    events: tuple[Event, ...]
    pairing: Pairing


def make(seed: int, *, events: int = EVENTS, pairing: Pairing = MAIN) -> Scenario:
    """The scenario of a seed. Of every pairing the same happens, as far as it can happen there."""
    random = Random(f"scenario {seed}")
    profile = _profile(random)
    return Scenario(seed, profile, tuple(_Author(random, profile).write(events)), pairing)


def _profile(random: Random) -> Profile:
    listings = random.randint(2, 5)
    shops = 2 if random.random() < 0.25 else 1
    opening = tuple(random.choice((0, 1, 2, 3, 5, 8, 20, 40)) for _ in range(listings))
    calm = random.random() < 0.15
    return Profile(
        workers=random.choice((2, 2, 3)),
        shops=shops,
        opening=opening,
        links=tuple(tuple(_first_link(random, listings) for _ in range(SKUS)) for _ in range(shops)),
        telling=random.choices(tuple(Telling), (6, 2, 2))[0],
        feed_delay_seconds=random.choice((0.0, 0.0, 1.0, 8.0, 45.0)),
        search_lag_seconds=random.choice((0.0, 2.0, 60.0)),
        close_after_seconds=random.choice((0.0, 60.0, 300.0, 1200.0)),
        settle_after_seconds=random.choice((20.0, 60.0)),
        skews=tuple(random.choice((0.0, 0.0, random.uniform(-25.0, 25.0))) for _ in range(4)),
        post=Post()
        if calm
        else Post(
            dropped=random.choice((0.0, 0.1, 0.5)),
            doubled=random.choice((0.0, 0.2)),
            slow=random.choice((0.0, 0.3)),
            very_slow=random.choice((0.0, 0.03)),
            cut_off=random.choice((0.0, 0.03)),
            forged=random.choice((0.0, 0.05)),
        ),
        patient=random.random() < 0.25,
        weather=Weather() if calm else Weather(lost=random.choice((0.0, 0.2, 0.6)), doubled=0.1, late=0.15),
    )


def _first_link(random: Random, listings: int) -> tuple[tuple[int, int], ...]:
    if random.random() < 0.2:
        return ()
    return _some_link(random, listings)


def _some_link(random: Random, listings: int) -> tuple[tuple[int, int], ...]:
    count = 2 if random.random() < 0.2 else 1
    chosen = random.sample(range(listings), min(count, listings))
    return tuple((listing, random.choice((1, 1, 1, 2, 6))) for listing in sorted(chosen))


class _Author:
    """Writes the events of one scenario."""

    def __init__(self, random: Random, profile: Profile) -> None:
        self._random = random
        self._profile = profile
        self._listings = len(profile.opening)
        self._orders = 0
        self._purchases = 0
        self._now = 5.0
        self._strained = random.random() < 0.25
        """Whether it is mostly the answers of stock writes that go wrong."""
        # Hot spots make things meet: a few orders and listings get most of what happens.
        self._kinds: Sequence[tuple[float, Callable[[], Event]]] = (
            (30, self._place),
            (9, lambda: EditOrder(**self._next(), order=self._some_order())),
            (5, lambda: CancelOrder(**self._next(), order=self._some_order())),
            (9, lambda: RefundOrder(**self._next(), order=self._some_order())),
            (4, lambda: FulfilOrder(**self._next(), order=self._some_order())),
            (2, lambda: TouchOrder(**self._next(), order=self._some_order())),
            (2, lambda: DeleteOrder(**self._next(), order=self._some_order())),
            (16, self._buy),
            (16, self._step),
            (8, self._edit),
            (5, self._turn),
            (4, self._link),
            (1, self._correct),
            (1, lambda: PauseChannel(**self._next(), channel=self._channel(), seconds=random.uniform(20, 900))),
            (26, self._spoil),
            (4, self._outage),
            (8, self._crash),
            (5, self._stop),
            (6, self._lose_commit),
            (1, lambda: SkewClock(**self._next(), process=self._process(), seconds=random.uniform(-25, 25))),
            (1, lambda: ExpireTokens(**self._next(), refresh_tokens=random.random() < 0.5)),
            (2, self._delay_feed),
            (1, lambda: LagIndex(**self._next(), channel=self._channel(), seconds=random.choice((0.0, 5.0, 300.0)))),
            (0.7, self._tell),
            (1, lambda: FlushBroker(**self._next())),
        )

    def write(self, count: int) -> list[Event]:
        """That many events, in the order of time."""
        weights = [weight for weight, _ in self._kinds]
        made: list[Event] = []
        while len(made) < count:
            self._pass_time()
            [(_, make)] = self._random.choices(self._kinds, weights)
            made.append(make())
        return made

    def _pass_time(self) -> None:
        """Mostly seconds; now and then a pause; seldom days or months."""
        chance = self._random.random()
        if chance < 0.45:
            self._now += self._random.uniform(0.0, 0.4)
        elif chance < 0.98:
            self._now += self._random.expovariate(1 / 1.5)
        elif chance < 0.997:
            self._now += self._random.uniform(20.0, 200.0)
        else:
            self._now += self._random.choice((0.1, 1.0, 3.0, 30.0)) * DAY_SECONDS

    def _next(self) -> dict[str, Any]:
        return {"at": round(self._now, 3), "seed": self._random.getrandbits(32)}

    def _channel(self) -> int:
        return self._random.randrange(self._profile.shops)

    def _process(self) -> int:
        """A worker, or behind them the receiver."""
        return self._random.randrange(self._profile.workers + 1)

    def _listing(self) -> int:
        return min(self._random.randrange(self._listings), self._random.randrange(self._listings))

    def _some_order(self) -> int:
        """Mostly a recent one."""
        if not self._orders:
            return 0
        back = int(self._random.expovariate(1 / 3.0)) if self._random.random() < 0.8 else self._random.randrange(999)
        return max(0, self._orders - 1 - back % self._orders)

    def _place(self) -> Event:
        random = self._random
        # Now and then more lines than one page of the shop's answers holds.
        size = random.choice((1, 1, 1, 2, 3)) if random.random() < 0.98 else random.randint(20, 40)
        skus = [min(random.randrange(SKUS), random.randrange(SKUS)) for _ in range(size)]
        self._orders += 1
        return PlaceOrder(
            **self._next(),
            channel=self._channel(),
            order=self._orders - 1,
            lines=tuple((sku, random.choice((1, 1, 1, 2, 3, 7))) for sku in skus),
            test=random.random() < 0.03,
            days_ago=100 if random.random() < 0.02 else 0,
        )

    def _buy(self) -> Event:
        self._purchases += 1
        return Buy(
            **self._next(),
            listing=self._listing(),
            purchase=self._purchases - 1,
            units=self._random.choice((1, 1, 2, 3)),
            proposed=self._random.random() < 0.2,
        )

    def _step(self) -> Event:
        purchase = max(0, self._purchases - 1 - int(self._random.expovariate(1 / 3.0)))
        steps = (Step.PAY, Step.EXPIRE, Step.CANCEL, Step.ACCEPT, Step.DECLINE, Step.FAIL_RELEASE)
        step = self._random.choices(steps, (8, 8, 5, 2, 2, 1))[0]
        return StepOfPurchase(**self._next(), purchase=purchase, step=step)

    def _edit(self) -> Event:
        edits = (Edit.ADD, Edit.REMOVE, Edit.SET, Edit.UNLIMITED, Edit.UNDEFINED)
        edit = self._random.choices(edits, (10, 5, 5, 0.5, 0.3))[0]
        units = self._random.choice((1, 1, 2, 3, 10))
        return EditStock(**self._next(), listing=self._listing(), edit=edit, units=units)

    def _turn(self) -> Event:
        turn = self._random.choices(tuple(Turn), (6, 8, 0.5))[0]
        return TurnListing(**self._next(), listing=self._listing(), turn=turn)

    def _link(self) -> Event:
        random = self._random
        to = () if random.random() < 0.2 else _some_link(random, self._listings)
        sku = min(random.randrange(SKUS), random.randrange(SKUS))
        return LinkSku(
            **self._next(),
            channel=self._channel(),
            sku=sku,
            listings=to,
            from_now=random.random() < 0.25,
        )

    def _correct(self) -> Event:
        sku = min(self._random.randrange(SKUS), self._random.randrange(SKUS))
        return CorrectLink(**self._next(), channel=self._channel(), sku=sku, listing=self._listing())

    def _spoil(self) -> Event:
        random = self._random
        call = random.choice(CALLS)
        if self._strained and random.random() < 0.7:
            call = Call.WRITE
        fates = (
            (Fate.REFUSED, 2),
            (Fate.LOST_BEFORE, 4),
            (Fate.LOST_AFTER, 6),
            (Fate.LATE, 21 if self._strained else 7),
            (Fate.SLOW, 2),
            (Fate.THROTTLED, 2),
            (Fate.ERROR_BEFORE, 1),
            (Fate.ERROR_AFTER, 1),
            (Fate.GARBLED, 1),
            (Fate.TOKEN_EXPIRED, 1),
        )
        fate = random.choices([fate for fate, _ in fates], [weight for _, weight in fates])[0]
        seconds = {
            Fate.LATE: random.choice((2.0, 12.0, 30.0, 75.0, 150.0, 400.0)) * random.uniform(0.7, 1.3),
            Fate.SLOW: random.uniform(1.0, 9.0),
            Fate.THROTTLED: random.choice((0.0, 2.0, 10.0)),
        }.get(fate, 0.0)
        return SpoilCall(
            **self._next(),
            call=call,
            fate=fate,
            seconds=round(seconds, 2),
            skip=0 if random.random() < 0.7 else random.randint(1, 3),
        )

    def _outage(self) -> Event:
        random = self._random
        trouble = random.choices(tuple(Trouble), (5, 1, 3))[0]
        return Outage(
            **self._next(),
            vendor=random.randrange(self._profile.shops + 1),
            trouble=trouble,
            seconds=round(random.choice((3.0, 20.0, 90.0, 300.0)) * random.uniform(0.5, 1.5), 2),
        )

    def _crash(self) -> Event:
        random = self._random
        down = random.choice((0.5, 5.0, 40.0, 200.0))
        return Crash(**self._next(), process=self._process(), skip=random.randint(0, 25), down_seconds=down)

    def _stop(self) -> Event:
        random = self._random
        seconds = random.choice((15.0, 35.0, 90.0, LONGEST_STOP_SECONDS))
        return Stop(**self._next(), process=self._process(), skip=random.randint(0, 25), seconds=seconds)

    def _lose_commit(self) -> Event:
        random = self._random
        committed = random.random() < 0.7
        return LoseCommit(**self._next(), process=self._process(), skip=random.randint(0, 15), committed=committed)

    def _delay_feed(self) -> Event:
        random = self._random
        return DelayFeed(
            **self._next(),
            seconds=random.choice((0.0, 0.0, 2.0, 20.0, 120.0)),
            search_seconds=random.choice((0.0, 5.0, 300.0)),
        )

    def _tell(self) -> Event:
        telling = self._random.choices(tuple(Telling), (5, 2, 1))[0]
        return TellOfOwn(**self._next(), telling=telling)
