"""Every metric and every label there is, in one place: the page about them and the dashboard are held to it.

No label holds an id of a listing, an order or a delivery: their number has no bound.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class Name(StrEnum):
    """Every metric."""

    DELIVERIES = "trueup_deliveries"
    DELIVERIES_REPEATED = "trueup_deliveries_repeated"
    CALLS = "trueup_calls"
    CALL_SECONDS = "trueup_call_seconds"
    RECONCILER = "trueup_reconciler"
    BUDGET_LEFT = "trueup_budget_left_ratio"
    SALE_TO_STOCK_SECONDS = "trueup_sale_to_stock_seconds"
    DELIVERIES_WAITING = "trueup_deliveries_waiting"
    DELIVERY_OLDEST_SECONDS = "trueup_delivery_oldest_seconds"
    LISTINGS_DUE = "trueup_listings_due"
    LISTINGS_WAITING = "trueup_listings_waiting"
    OPERATIONS_UNSETTLED = "trueup_operations_unsettled"
    ANOMALIES_UNRESOLVED = "trueup_anomalies_unresolved"
    ALERTS_WAITING = "trueup_alerts_waiting"
    HOLDS = "trueup_holds"
    FEED_LAG_SECONDS = "trueup_feed_lag_seconds"
    POLL_LAG_SECONDS = "trueup_poll_lag_seconds"
    DATABASE_UP = "trueup_database_up"


class Label(StrEnum):
    """Every label."""

    CHANNEL = "channel"
    OUTCOME = "outcome"
    STATE = "state"
    KIND = "kind"
    SCOPE = "scope"
    REASON = "reason"
    ACCOUNT = "account"
    EVENT = "event"
    BUDGET = "budget"
    AGE = "age"


class Type(StrEnum):
    """How Prometheus reads a metric."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


class Of(StrEnum):
    """Whose number it is, and so how the numbers of several processes go together."""

    PROCESS = "process"
    """What this process did: add them up."""
    ALL = "all"
    """What the database says, the same whoever is asked: take one, or the largest."""


@dataclass(frozen=True, slots=True)
class About:
    """What a metric means."""

    type: Type
    of: Of
    says: str
    labels: tuple[Label, ...] = ()


ABOUT: Mapping[Name, About] = {
    Name.DELIVERIES: About(
        Type.COUNTER,
        Of.PROCESS,
        "Requests to hooks, by channel and what became of them.",
        (Label.CHANNEL, Label.OUTCOME),
    ),
    Name.DELIVERIES_REPEATED: About(Type.COUNTER, Of.PROCESS, "Stored deliveries that had been stored before."),
    Name.CALLS: About(
        Type.COUNTER,
        Of.PROCESS,
        "Calls to vendors, by account and how they ended: a status, or what went wrong.",
        (Label.ACCOUNT, Label.OUTCOME),
    ),
    Name.CALL_SECONDS: About(Type.COUNTER, Of.PROCESS, "Seconds spent waiting for vendors' answers.", (Label.ACCOUNT,)),
    Name.RECONCILER: About(
        Type.COUNTER,
        Of.PROCESS,
        "Stock writes sent and applied, mismatches and unknown outcomes among them.",
        (Label.EVENT,),
    ),
    Name.BUDGET_LEFT: About(
        Type.GAUGE,
        Of.PROCESS,
        "What is left of a rate budget, 0 to 1; 0 too while the vendor has asked for a pause. The same for all"
        " processes where budgets are shared through Redis.",
        (Label.BUDGET,),
    ),
    Name.SALE_TO_STOCK_SECONDS: About(
        Type.HISTOGRAM,
        Of.ALL,
        "From the moment a buyer placed an order to the moment the marketplace's number was lower, for each pair of an"
        " order line and a listing.",
        (Label.CHANNEL,),
    ),
    Name.DELIVERIES_WAITING: About(Type.GAUGE, Of.ALL, "Deliveries stored and not handled yet."),
    Name.DELIVERY_OLDEST_SECONDS: About(Type.GAUGE, Of.ALL, "Age of the oldest of them; 0 when there is none."),
    Name.LISTINGS_DUE: About(Type.GAUGE, Of.ALL, "Listings waiting to be reconciled."),
    Name.LISTINGS_WAITING: About(Type.GAUGE, Of.ALL, "The same, by how long they have been due.", (Label.AGE,)),
    Name.OPERATIONS_UNSETTLED: About(
        Type.GAUGE, Of.ALL, "Writes under way, or with an unknown outcome.", (Label.STATE,)
    ),
    Name.ANOMALIES_UNRESOLVED: About(Type.GAUGE, Of.ALL, "Anomalies that are open or acknowledged.", (Label.KIND,)),
    Name.ALERTS_WAITING: About(Type.GAUGE, Of.ALL, "Changes of anomalies that nobody was told of yet."),
    Name.HOLDS: About(Type.GAUGE, Of.ALL, "Active holds.", (Label.SCOPE, Label.REASON)),
    Name.FEED_LAG_SECONDS: About(Type.GAUGE, Of.ALL, "Since the change feed was last read to its head."),
    Name.POLL_LAG_SECONDS: About(
        Type.GAUGE, Of.ALL, "Since a channel's orders were last read to their head.", (Label.CHANNEL,)
    ),
    Name.DATABASE_UP: About(Type.GAUGE, Of.ALL, "Whether the database could be read for these values."),
}
