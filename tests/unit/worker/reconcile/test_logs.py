from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest

from connectors.contract import RemoteAdjustment
from worker.reconcile.logs import anchor_positions

READ_AT = datetime(2026, 1, 5, 8, tzinfo=UTC)


def log(*minutes: int) -> Sequence[RemoteAdjustment]:
    """Adjustments so many minutes after the read."""
    return [RemoteAdjustment(f"a{at}", "L", READ_AT + timedelta(minutes=at), 1) for at in minutes]


def anchor(adjustment: str | None = None, at: datetime | None = READ_AT, *, certain: bool = False) -> SimpleNamespace:
    return SimpleNamespace(anchor_adjustment=adjustment, anchor_at=at, anchor_certain=certain)


@pytest.mark.parametrize(
    ("held", "minutes", "positions"),
    [
        (anchor(), (), [0]),
        # A total that was read stands anywhere before what happened later, however it comes to that number again.
        (anchor(), (-60, 1, 10, 20), [0, 1, 2]),
        (anchor("a1"), (-60, 1, 10, 20), [0, 1, 2]),
        (anchor(at=None), (-60, 10), [0, 1, 2]),
        (anchor("a1", certain=True), (-60, 1, 10), [2]),
        (anchor("gone", certain=True), (1, 10), [0]),
    ],
)
def test_where_the_anchor_may_stand(held: SimpleNamespace, minutes: Sequence[int], positions: list[int]) -> None:
    assert list(anchor_positions(held, log(*minutes))) == positions
