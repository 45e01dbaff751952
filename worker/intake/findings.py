"""What intake has to tell operators."""

from __future__ import annotations

from typing import Any

from connectors.text import legible
from worker.alerts import Finding, Kind
from worker.alerts.anomalies import fingerprint
from worker.intake.traffic import Quiet

MOST_CHARACTERS = 500
"""Of an error that nobody expected."""
NO_SKU = "(no SKU)"
"""What stands for the SKU of lines that have none."""


def unlinked(channel: str, sku: str, waiting: int) -> Finding:
    """Sales of a SKU that no listing is known for."""
    return Finding(
        Kind.UNLINKED_SKU,
        f"SKU {sku!r} of channel {channel} is linked to no listing: its sales wait ({waiting} units in the last order)."
        " Link it with `trueup links import`; the waiting lines then count by themselves.",
        channel=channel,
        key=sku,
        detail={"sku": sku, "units": waiting},
    )


def unlinked_fingerprint(channel: str, sku: str) -> str:
    """What identifies the anomaly of that SKU."""
    return fingerprint(Kind.UNLINKED_SKU, channel=channel, key=sku)


def item_changed(channel: str, order_id: str, known: Any, item_key: str) -> Finding:
    """A line that names another item than it did at first sight."""
    return Finding(
        Kind.ITEM_CHANGED,
        f"Line {known.line_id} of order {order_id} on {channel} now names item {item_key!r} instead of"
        f" {known.item_key!r}. trueup goes on counting it for the listing of the first: check the order in the shop.",
        channel=channel,
        order_id=order_id,
        key=known.line_id,
        detail={"line": known.line_id, "first": known.item_key, "now": item_key},
    )


def parked_order(channel: str, order_id: str, reason: str) -> Finding:
    """An order that waits for a person, or for a snapshot that can be read."""
    return Finding(
        Kind.PARKED_ORDER,
        f"Order {order_id} of {channel} is parked, its units are not taken: {reason}."
        f" `trueup deliveries replay --order {channel}/{order_id}` lets it count.",
        channel=channel,
        order_id=order_id,
        detail={"reason": reason},
    )


def webhook_broken(channel: str, orders: int) -> Finding:
    """Polling finds orders that webhooks should have told of."""
    return Finding(
        Kind.WEBHOOK_BROKEN,
        f"Polling found {orders} new orders of channel {channel} in a day before any webhook told of them, although its"
        " webhooks are registered: they come late or not at all. Nothing is lost, but stock follows sales only as often"
        " as is polled. Look at the deliveries in the vendor's own pages, and whether its calls reach the receiver.",
        channel=channel,
        detail={"orders": orders},
    )


def channel_silent(channel: str, found: Quiet) -> Finding:
    """A channel sells far less than it ever does."""
    return Finding(
        Kind.CHANNEL_SILENT,
        f"Channel {channel} had {found.orders} orders in {found.hours} hours; in the two weeks before, no {found.hours}"
        f" hours had fewer than {found.usual}. It answers, so look in the shop: is it open, does it take payments, and"
        " does this account still see its orders?",
        channel=channel,
        detail={"hours": found.hours, "orders": found.orders, "usual": found.usual},
    )


def failure_reason(error: BaseException) -> str:
    """What to tell a person of an error that nobody expected: its first line, bounded and legible."""
    try:
        first, *_ = str(error).splitlines() or [""]
    except Exception:  # noqa: BLE001  an error that cannot even be told
        first = ""
    return legible(f"{type(error).__name__}: {first}"[:MOST_CHARACTERS])
