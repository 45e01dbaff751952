"""Transaction processes: which transition leads where, who may make it, and what it does to stock.

`default-purchase` is the official web template's process, reduced to what touches stock and the states around it. It
neither proposes a reservation nor begins before one, so `proposed-purchase` and `inquiry-purchase` are this sandbox's
own, built from the documented stock actions (docs, "Transaction process actions").
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from .entities import Actor

_DAY_SECONDS = 86_400

DEFAULT_PURCHASE = "default-purchase"
PROPOSED_PURCHASE = "proposed-purchase"
INQUIRY_PURCHASE = "inquiry-purchase"


class StockAction(StrEnum):
    """What a transition does to stock, named as the vendor names it."""

    CREATE_PENDING = "create-pending-stock-reservation"
    CREATE_PROPOSED = "create-proposed-stock-reservation"
    ACCEPT = "accept-stock-reservation"
    DECLINE = "decline-stock-reservation"
    CANCEL = "cancel-stock-reservation"


RELEASES = frozenset({StockAction.DECLINE, StockAction.CANCEL})


@dataclass(frozen=True, slots=True)
class Transition:
    """One step of a process."""

    name: str
    by: Actor
    source: str | None
    """The state it leaves; None starts a transaction."""
    target: str
    action: StockAction | None = None
    after_seconds: int | None = None
    """How long after the last transition it happens by itself."""


@dataclass(frozen=True, slots=True)
class Process:
    """One transaction process."""

    name: str
    transitions: tuple[Transition, ...]

    @property
    def start(self) -> Transition:
        """The transition that starts a transaction."""
        return next(transition for transition in self.transitions if transition.source is None)

    def leaving(self, state: str) -> tuple[Transition, ...]:
        """Every transition out of a state."""
        return tuple(transition for transition in self.transitions if transition.source == state)

    def find(self, name: str) -> Transition | None:
        """The transition of that name."""
        return next((transition for transition in self.transitions if transition.name == name), None)


def processes(payment_expiry_seconds: int) -> Mapping[str, Process]:
    """Every process by name."""
    customer, provider, operator, system = Actor.CUSTOMER, Actor.PROVIDER, Actor.OPERATOR, Actor.SYSTEM
    accept, decline, cancel = StockAction.ACCEPT, StockAction.DECLINE, StockAction.CANCEL
    initial, pending, purchased = None, "state/pending-payment", "state/purchased"
    delivered, disputed, received = "state/delivered", "state/disputed", "state/received"
    canceled, expired = "state/canceled", "state/payment-expired"
    proposed, accepted, declined = "state/proposed", "state/accepted", "state/declined"
    expiry = payment_expiry_seconds
    default_purchase = (
        Transition("transition/request-payment", customer, initial, pending, StockAction.CREATE_PENDING),
        Transition("transition/confirm-payment", customer, pending, purchased, accept),
        Transition("transition/expire-payment", system, pending, expired, decline, after_seconds=expiry),
        Transition("transition/cancel", operator, purchased, canceled, cancel),
        Transition("transition/auto-cancel", system, purchased, canceled, cancel, after_seconds=14 * _DAY_SECONDS),
        Transition("transition/mark-delivered", provider, purchased, delivered),
        Transition("transition/operator-mark-delivered", operator, purchased, delivered),
        Transition("transition/mark-received", customer, delivered, received),
        Transition("transition/dispute", customer, delivered, disputed),
        Transition("transition/operator-dispute", operator, delivered, disputed),
        Transition("transition/cancel-from-disputed", operator, disputed, canceled, cancel),
        Transition(
            "transition/auto-cancel-from-disputed", system, disputed, canceled, cancel, after_seconds=60 * _DAY_SECONDS
        ),
        Transition("transition/mark-received-from-disputed", operator, disputed, received),
    )
    proposed_purchase = (
        Transition("transition/propose", customer, initial, proposed, StockAction.CREATE_PROPOSED),
        Transition("transition/accept", operator, proposed, accepted, accept),
        Transition("transition/decline", operator, proposed, declined, decline),
        Transition("transition/cancel", operator, accepted, canceled, cancel),
    )
    inquiry_purchase = (
        Transition("transition/inquire", customer, initial, "state/inquiry"),
        Transition(
            "transition/request-payment-after-inquiry", customer, "state/inquiry", pending, StockAction.CREATE_PENDING
        ),
        *(transition for transition in default_purchase if transition.source is not initial),
    )
    return {
        DEFAULT_PURCHASE: Process(DEFAULT_PURCHASE, default_purchase),
        PROPOSED_PURCHASE: Process(PROPOSED_PURCHASE, proposed_purchase),
        INQUIRY_PURCHASE: Process(INQUIRY_PURCHASE, inquiry_purchase),
    }
