"""A database as a deployment of schema 0001 left it: rows in every table, written without any table of today's code.

The values are plain text, so that both databases take them. What they tell: listing L began at 10; order 100 took 3
(answered and claimed), order 101 owes 2, order 102 was placed before the link and waived, order 103 was deleted and its
unit given back; one write of listing M has an unknown outcome.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from worker.store import Transaction

Rows = Sequence[Mapping[str, Any]]

NOON = "2025-12-01 12:00:00.000000"
LATER = "2025-12-01 12:05:00.000000"
EARLIER = "2025-11-30 12:00:00.000000"


def _listing(listing_id: str, total: int | None, anchor: str | None, **more: Any) -> Mapping[str, Any]:
    return {
        "listing_id": listing_id,
        "seller_id": "s1",
        "title": f"Listing {listing_id}",
        "sku": None,
        "state": "published",
        "state_author": None,
        "state_changed_at": None,
        "stock_kind": "counted",
        "first_seen_at": EARLIER,
        "total": total,
        "anchor_total": total,
        "anchor_adjustment": anchor,
        "anchor_at": LATER if anchor else None,
        "anchor_certain": anchor is not None,
        "doubted": False,
        "next_attempt_at": None,
        "attempts": 0,
        "lease_owner": None,
        "lease_until": None,
        "correlation_id": "corr-1",
        "zero_since": None,
        "close_done": False,
        "closed_by_us_at": None,
        "next_upkeep_at": None,
        "swept_at": NOON,
        **more,
    }


def _order(order_id: str, state: str, revision: int, **more: Any) -> Mapping[str, Any]:
    return {
        "channel": "shop",
        "order_id": order_id,
        "state": state,
        "revision": revision,
        "fetched_at": None,
        "digest": f"digest-{order_id}",
        "placed_at": NOON,
        "first_seen_at": NOON,
        "reason": None,
        "accepted_by": None,
        "fetch_at": None,
        "fetch_attempts": 0,
        "looks": 0,
        "look_at": None,
        "correlation_id": "corr-1",
        **more,
    }


def _line(order_row: int, committed: int, first: int, placed_at: str = NOON) -> Mapping[str, Any]:
    return {
        "order_row": order_row,
        "channel": "shop",
        "line_id": "A",
        "item_key": "item-A",
        "sku": "A",
        "committed": committed,
        "first_committed": first,
        "placed_at": placed_at,
        "linked": True,
    }


def _pair(line_row: int, committed: int, applied: int, waived: int, placed_at: str = NOON) -> Mapping[str, Any]:
    return {
        "line_row": line_row,
        "listing_id": "L",
        "channel": "shop",
        "units": 1,
        "committed": committed,
        "applied": applied,
        "waived": waived,
        "placed_at": placed_at,
    }


def _operation(listing_id: str, state: str, expected: int, new: int, *, answered: bool) -> Mapping[str, Any]:
    return {
        "listing_id": listing_id,
        "kind": "stock",
        "state": state,
        "expected_total": expected,
        "new_total": new,
        "prepared_at": NOON,
        "settled_at": LATER if answered else None,
        "answered": answered,
        "claimed": answered,
        "outcome": None if answered else "OutcomeUnknown: no answer",
        "correlation_id": "corr-1",
    }


def _adjustment(name: str, quantity: int, total_after: int, sequence: int) -> Mapping[str, Any]:
    return {
        "adjustment_id": name,
        "listing_id": "L",
        "at": LATER,
        "quantity": quantity,
        "author": "ours",
        "sequence": sequence,
        "total_after": total_after,
        "reservation_id": None,
        "transaction_id": None,
        "open_claim": False,
    }


def _entry(kind: str, units: int, pair: int | None = None, operation: int | None = None, **more: Any) -> Any:
    return {
        "at": LATER,
        "listing_id": "L",
        "pair_id": pair,
        "kind": kind,
        "units": units,
        "operation_id": operation,
        "reason": None,
        "note": None,
        **more,
    }


def _delivery(state: str, **more: Any) -> Mapping[str, Any]:
    return {
        "channel": "shop",
        "delivery_id": f"delivery-{state}",
        "digest": "d" * 64,
        "topic": "orders",
        "kept": b"{",
        "raw": False,
        "received_at": NOON,
        "correlation_id": "corr-1",
        "state": state,
        "next_attempt_at": None,
        "attempts": 1,
        "handled_at": LATER,
        "outcome": "order",
        **more,
    }


ROWS: Mapping[str, Rows] = {
    "channels": [{"name": "shop", "seller_id": "", "counted_from": EARLIER, "created_at": EARLIER}],
    "listings": [
        _listing("L", 7, "adjustment-3", next_attempt_at=LATER),
        _listing("M", None, None, stock_kind="undefined"),
    ],
    "orders": [
        _order("100", "open", 1764590400),
        _order("101", "open", 1764590400),
        _order("102", "open", 1764590400, fetched_at=NOON),
        _order("103", "gone", 1764590400, fetched_at=LATER, reason="the channel says that it does not exist"),
        _order("104", "parked", -1, placed_at=None, reason="not readable"),
    ],
    "order_lines": [_line(1, 3, 3), _line(2, 2, 2), _line(3, 4, 4, EARLIER), _line(4, 0, 1)],
    "links": [
        {
            "channel": "shop",
            "sku": "A",
            "listing_id": "L",
            "units": 1,
            "from_at": NOON,
            "until_at": None,
            "created_at": NOON,
        }
    ],
    "pairs": [_pair(1, 3, 3, 0), _pair(2, 2, 0, 0), _pair(3, 4, 0, 4, EARLIER), _pair(4, 0, 0, 0)],
    "operations": [
        _operation("L", "applied", 10, 7, answered=True),
        _operation("L", "applied", 7, 6, answered=True),
        _operation("L", "applied", 6, 7, answered=True),
        _operation("M", "unknown", 5, 4, answered=False),
    ],
    "operation_pairs": [
        {"operation_id": 1, "pair_id": 1, "units": 3},
        {"operation_id": 2, "pair_id": 4, "units": 1},
        {"operation_id": 3, "pair_id": 4, "units": -1},
    ],
    "remote_adjustments": [
        _adjustment("adjustment-1", -3, 7, 11),
        _adjustment("adjustment-2", -1, 6, 12),
        _adjustment("adjustment-3", 1, 7, 13),
    ],
    "claims": [
        {"adjustment_id": f"adjustment-{number}", "operation_id": number, "claimed_at": LATER} for number in (1, 2, 3)
    ],
    "journal": [
        _entry("total", 10),
        _entry("applied", 3, 1, 1),
        _entry("waived", 4, 3, reason="before_start"),
        _entry("applied", 1, 4, 2),
        _entry("applied", -1, 4, 3),
    ],
    "deliveries": [
        _delivery("handled"),
        _delivery("parked", kept=None, raw=True, outcome="cannot be read"),
    ],
    "holds": [
        {
            "reason": "paused",
            "scope": "channel",
            "subject": "shop",
            "note": "paused in the configuration",
            "since": EARLIER,
            "until": None,
            "lifted_at": NOON,
            "lifted_by": "the configuration",
        }
    ],
    "anomalies": [
        {
            "kind": "oversold",
            "fingerprint": "oversold||L||",
            "severity": "critical",
            "state": "resolved",
            "channel": None,
            "listing_id": "L",
            "order_id": None,
            "message": "Listing L is oversold.",
            "detail": '{"missing_units": 1}',
            "occurrences": 2,
            "transitions": 2,
            "first_seen_at": EARLIER,
            "last_seen_at": NOON,
            "acknowledged_by": None,
            "resolved_at": NOON,
        }
    ],
    "alerts": [
        {
            "anomaly_id": 1,
            "transition": 1,
            "became": "open",
            "message": "Listing L is oversold.",
            "created_at": EARLIER,
            "state": "sent",
            "next_attempt_at": None,
            "attempts": 1,
            "sent_at": EARLIER,
            "error": None,
        }
    ],
    "cursors": [
        {"name": "feed", "value": "13", "moved_at": LATER, "current_at": LATER},
        {"name": "orders:shop", "value": "1764590400", "moved_at": LATER, "current_at": LATER},
    ],
    "ticks": [{"name": "feed", "next_at": LATER, "ran_at": NOON}],
}
"""Table -> its rows, in an order in which nothing refers to what comes later. Ids are given by the database, from 1."""


def fill(transaction: Transaction) -> None:
    """Write the rows."""
    mark = "?" if transaction.dialect.name == "sqlite" else "%s"
    for table, rows in ROWS.items():
        for row in rows:
            columns, places = ", ".join(row), ", ".join([mark] * len(row))
            transaction.exec_driver_sql(f"INSERT INTO {table} ({columns}) VALUES ({places})", tuple(row.values()))
