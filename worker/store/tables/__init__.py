"""Every table of trueup. The constraints here carry the promises; the code above them only saves work.

channels --< orders --< order_lines --< pairs >-- listings --< operations --< operation_pairs
links (channel, sku -> listing)                    |              `-- claims -- remote_adjustments
deliveries, cursors, ticks, breakers               `--< journal
holds, anomalies --< alerts
"""

from __future__ import annotations

from worker.store.tables.base import Base
from worker.store.tables.people import Alert, Anomaly, Hold
from worker.store.tables.progress import BreakerRow, Cursor, Tick
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
    Severity,
    WaiveReason,
)
from worker.store.tables.stock import (
    APPEND_ONLY,
    Claim,
    JournalEntry,
    ListingRow,
    Operation,
    OperationPair,
    RemoteAdjustmentRow,
)

__all__ = [
    "APPEND_ONLY",
    "UNSETTLED",
    "Alert",
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
    "OrderLineRow",
    "OrderRow",
    "OrderState",
    "Pair",
    "RemoteAdjustmentRow",
    "Severity",
    "Tick",
    "WaiveReason",
]
