"""Lets the events of a scenario happen to a deployment."""

from __future__ import annotations

from collections import Counter
from functools import partial
from random import Random
from typing import TYPE_CHECKING

from tests.simulation.broker import Weather
from tests.simulation.courier import Post
from tests.simulation.events import (
    Buy,
    Call,
    ChangeOrder,
    CorrectLink,
    Crash,
    DelayFeed,
    EditStock,
    Event,
    ExpireTokens,
    FlushBroker,
    LagIndex,
    LinkSku,
    LoseCommit,
    Outage,
    PauseChannel,
    PlaceOrder,
    SkewClock,
    SpoilCall,
    Step,
    StepOfPurchase,
    Stop,
    TellOfOwn,
    Trouble,
    TurnListing,
)
from tests.simulation.scenario import LONGEST_STOP_SECONDS
from worker.store.tables import HoldScope

if TYPE_CHECKING:
    from tests.simulation.history import Deployment


class Happenings:
    """One method for each kind of event."""

    def __init__(self, deployment: Deployment) -> None:
        self._on = deployment
        self._note = deployment.witness.note
        self._over = False
        self.counts: Counter[str] = Counter()

    def happen(self, event: Event) -> None:
        """Let one event happen; what cannot happen then does not."""
        self.counts[type(event).__name__] += 1
        match event:
            case PlaceOrder() | ChangeOrder():
                self._at_shop(event)
            case Buy() | StepOfPurchase() | EditStock() | TurnListing():
                self._at_marketplace(event)
            case LinkSku():
                self._note("operator", self._on.operator.link(event))
            case CorrectLink():
                self._note("operator", self._on.operator.correct(event))
            case PauseChannel():
                self._pause(event)
            case Crash() | Stop() | LoseCommit():
                self._on.troubles.arm(event)
            case _:
                self._go_wrong(event)

    def stop_faults(self) -> None:
        """From now on everything works, and what was lost on the way stays lost."""
        self._over = True
        on = self._on
        self._note("scenario", "the faults stop")
        on.network.flawless = True
        for vendor in on.vendors:
            vendor.spoilt.clear()
        for courier in on.couriers:
            courier.post = Post()
        on.broker.weather = Weather()
        on.troubles.disarm()
        for number, vendor in enumerate(on.vendors):
            vendor.trouble = None
            self._renew(number)
            # Who stood still with a refusal in hand tells of it later: the operator has another alert to heed.
            on.scheduler.after(LONGEST_STOP_SECONDS + 30.0, partial(self._renew, number))
        for shop in on.shops:
            on.operator.resume(shop.channel)
        on.market.delay(0.0, 0.0)

    # --- people -----------------------------------------------------------------------------------------------

    def _at_shop(self, event: PlaceOrder | ChangeOrder) -> None:
        on = self._on
        if isinstance(event, PlaceOrder):
            number = event.channel
        else:
            owner = [number for number, shop in enumerate(on.shops) if event.order in shop.orders]
            if not owner:
                return
            [number] = owner
        on.couriers[number].luck = Random(event.seed)
        shop = on.shops[number]
        said = shop.place(event) if isinstance(event, PlaceOrder) else shop.change(event)
        self._note(shop.channel, f"{type(event).__name__}: {said}")

    def _at_marketplace(self, event: Buy | StepOfPurchase | EditStock | TurnListing) -> None:
        market = self._on.market
        match event:
            case Buy():
                self._note("buyer", f"L{event.listing} {event.units} units ({event.purchase}): {market.buy(event)}")
            case StepOfPurchase():
                name = market.listing_of(event.purchase)
                self._note("buyer", f"{name} purchase {event.purchase} {event.step.value}: {market.step(event)}")
                if event.step is Step.FAIL_RELEASE:
                    wait = Random(event.seed).choice((0.5, 5.0, 30.0))
                    self._on.scheduler.after(wait, lambda: self._undo(event.purchase))
            case EditStock():
                self._note("provider", f"L{event.listing} {event.edit.value} {event.units}: {market.edit(event)}")
            case TurnListing():
                self._note("provider", f"L{event.listing} {event.turn.value}: {market.turn(event)}")

    def _undo(self, purchase: int) -> None:
        market = self._on.market
        self._note("buyer", f"{market.listing_of(purchase)} purchase {purchase}: {market.undo_release(purchase)}")

    def _pause(self, event: PauseChannel) -> None:
        channel = self._on.shops[event.channel].channel
        self._note("operator", f"pauses {channel}")
        self._on.operator.pause(channel)

        def resume() -> None:
            self._note("operator", f"resumes {channel}")
            self._on.operator.resume(channel)

        self._on.scheduler.after(event.seconds, resume)

    # --- trouble ----------------------------------------------------------------------------------------------

    def _go_wrong(self, event: Event) -> None:
        on = self._on
        self._note("scenario", _words(event))
        match event:
            case SpoilCall():
                vendors = on.vendors[1:] if event.call is Call.CHANNEL else on.vendors[:1]
                for vendor in vendors:
                    vendor.spoilt.append([event, event.skip])
            case Outage():
                self._outage(event)
            case SkewClock():
                on.hosts[event.process].skew(event.seconds)
            case ExpireTokens():
                on.market.expire_tokens(refresh_tokens=event.refresh_tokens)
            case DelayFeed():
                on.market.delay(event.seconds, event.search_seconds)
            case LagIndex():
                on.shops[event.channel].lag_index(event)
            case TellOfOwn():
                on.market.tell_of_own(event.telling.value)
            case FlushBroker():
                on.broker.flush()

    def _outage(self, event: Outage) -> None:
        on = self._on
        vendor = on.vendors[event.vendor]
        vendor.trouble, vendor.trouble_until = event.trouble, on.scheduler.now + event.seconds
        if event.trouble is Trouble.UNAUTHORISED:
            # The operator learns of it by the one alert, and renews the credentials.
            on.scheduler.after(event.seconds + 30.0, lambda: self._renew(event.vendor))

    def _renew(self, vendor: int) -> None:
        on = self._on
        if on.vendors[vendor].trouble is not None:
            return
        if vendor == 0:
            on.operator.renew(HoldScope.MARKETPLACE, on.operator.name_of_marketplace())
        else:
            on.operator.renew(HoldScope.CHANNEL, on.shops[vendor - 1].channel)


def _words(event: Event) -> str:
    text = repr(event)
    return text.replace(f"at={event.at!r}, seed={event.seed!r}, ", "").replace(
        f"at={event.at!r}, seed={event.seed!r}", ""
    )
