"""Whether a listing must be closed or opened."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from connectors.contract import UNDEFINED, UNLIMITED, ListingState, Stock
from worker.upkeep.closing import Action, ClosingPolicy, Episode, decide, waits_until

NOW = datetime(2026, 1, 1, tzinfo=UTC)
PUBLISHED, CLOSED = ListingState.PUBLISHED, ListingState.CLOSED
POLICY = ClosingPolicy()
RIPE = Episode(NOW - timedelta(minutes=20), close_done=False, closed_by_us=False, linked=False)
FRESH = Episode(NOW - timedelta(minutes=19), close_done=False, closed_by_us=False, linked=False)
DONE = Episode(NOW - timedelta(hours=9), close_done=True, closed_by_us=False, linked=False)
OURS = Episode(NOW - timedelta(hours=9), close_done=True, closed_by_us=True, linked=False)
LINKED_ONLY = ClosingPolicy(linked_only=True)


@pytest.mark.parametrize(
    ("state", "stock", "episode", "policy", "expected"),
    [
        (PUBLISHED, Stock.counted(0), RIPE, POLICY, Action.CLOSE),
        (PUBLISHED, Stock.counted(-2), RIPE, POLICY, Action.CLOSE),
        (PUBLISHED, Stock.counted(0), FRESH, POLICY, Action.NOTHING),
        (PUBLISHED, Stock.counted(1), RIPE, POLICY, Action.NOTHING),
        (PUBLISHED, Stock.counted(0), DONE, POLICY, Action.NOTHING),
        (PUBLISHED, UNDEFINED, RIPE, POLICY, Action.NOTHING),
        (PUBLISHED, UNLIMITED, RIPE, POLICY, Action.NOTHING),
        (ListingState.DRAFT, Stock.counted(0), RIPE, POLICY, Action.NOTHING),
        (ListingState.PENDING_APPROVAL, Stock.counted(0), RIPE, POLICY, Action.NOTHING),
        (CLOSED, Stock.counted(0), RIPE, POLICY, Action.NOTHING),
        (CLOSED, Stock.counted(3), RIPE, POLICY, Action.NOTHING),
        (CLOSED, Stock.counted(3), OURS, POLICY, Action.OPEN),
        (CLOSED, UNLIMITED, OURS, POLICY, Action.OPEN),
        (CLOSED, UNDEFINED, OURS, POLICY, Action.NOTHING),
        (CLOSED, Stock.counted(0), OURS, POLICY, Action.NOTHING),
        (PUBLISHED, Stock.counted(0), OURS, POLICY, Action.UNMARK),
        (PUBLISHED, Stock.counted(0), RIPE, ClosingPolicy(enabled=False), Action.NOTHING),
        (CLOSED, Stock.counted(1), OURS, ClosingPolicy(enabled=False), Action.OPEN),
        (PUBLISHED, Stock.counted(0), RIPE, LINKED_ONLY, Action.NOTHING),
    ],
)
def test_decision(state: ListingState, stock: Stock, episode: Episode, policy: ClosingPolicy, expected: Action) -> None:
    assert decide(state, stock, episode, policy, NOW) is expected


def test_waiting_ends_twenty_minutes_after_zero_was_reached() -> None:
    assert waits_until(FRESH, POLICY, 0) == NOW + timedelta(minutes=1)
    assert waits_until(FRESH, POLICY, 1) is None
    assert waits_until(DONE, POLICY, 0) is None
