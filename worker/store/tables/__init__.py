"""Every table of trueup. The constraints here carry the promises; the code above them only saves work.

channels --< orders --< order_lines --< pairs >-- listings --< operations --< operation_pairs
links (channel, sku -> listing)                    |              `-- claims -- remote_adjustments
deliveries, cursors, ticks, breakers               |--< journal
                                                   `--- proofs
holds, anomalies --< alerts --< tellings (alert_destinations)
operators --< operator_sessions; sign_in_attempts, actions, verdicts
"""

from __future__ import annotations

from worker.store.tables.base import Base
from worker.store.tables.operators import Action, Operator, OperatorSession, SignInAttempt, Verdict
from worker.store.tables.people import Alert, AlertDestination, Anomaly, Hold, Telling
from worker.store.tables.progress import BreakerRow, Cursor, Tick
from worker.store.tables.proofs import ProofRow
from worker.store.tables.sales import ChannelRow, Delivery, Link, OrderLineRow, OrderRow, Pair
from worker.store.tables.states import (
    UNSETTLED,
    AlertState,
    AnomalyState,
    DeliveryState,
    HoldReason,
    HoldScope,
    JournalKind,
    OperationKind,
    OperationState,
    OrderState,
    ProofState,
    Role,
    Severity,
    WaiveReason,
)
from worker.store.tables.stock import (
    Claim,
    JournalEntry,
    ListingRow,
    Operation,
    OperationPair,
    RemoteAdjustmentRow,
)

APPEND_ONLY = (JournalEntry.__tablename__, Claim.__tablename__, Action.__tablename__)
"""Tables where the database itself refuses to change or delete a row."""

__all__ = [
    "APPEND_ONLY",
    "UNSETTLED",
    "Action",
    "Alert",
    "AlertDestination",
    "AlertState",
    "Anomaly",
    "AnomalyState",
    "Base",
    "BreakerRow",
    "ChannelRow",
    "Claim",
    "Cursor",
    "Delivery",
    "DeliveryState",
    "Hold",
    "HoldReason",
    "HoldScope",
    "JournalEntry",
    "JournalKind",
    "Link",
    "ListingRow",
    "Operation",
    "OperationKind",
    "OperationPair",
    "OperationState",
    "Operator",
    "OperatorSession",
    "OrderLineRow",
    "OrderRow",
    "OrderState",
    "Pair",
    "ProofRow",
    "ProofState",
    "RemoteAdjustmentRow",
    "Role",
    "Severity",
    "SignInAttempt",
    "Telling",
    "Tick",
    "Verdict",
    "WaiveReason",
]
