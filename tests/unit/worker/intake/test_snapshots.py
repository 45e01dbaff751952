"""Which snapshot counts, and which pairs a line has."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from connectors.contract import MAX_QUANTITY, Gone, Order, OrderLine
from worker.intake.snapshots import (
    Held,
    Judgement,
    LinkVersion,
    NewPair,
    digest,
    in_listing_units,
    judge,
    pairs_for,
)
from worker.store.tables import OrderState

T0 = datetime(2026, 1, 1, tzinfo=UTC)
LATER = T0 + timedelta(seconds=1)
TAKE, KEEP, FETCH, CONFLICT = Judgement.TAKE, Judgement.KEEP, Judgement.FETCH, Judgement.CONFLICT


def order(revision: int, fetched_at: datetime | None = None, units: int = 1, *, exact: bool = False) -> Order:
    line = OrderLine("l", "A", "i", units)
    return Order("1", revision, T0, (line,), fetched_at=fetched_at, revision_is_exact=exact)


def held(
    revision: int, fetched_at: datetime | None = None, state: OrderState = OrderState.OPEN, units: int = 1
) -> Held:
    return Held(state, revision, fetched_at, digest(order(0, units=units)))


@pytest.mark.parametrize(
    ("before", "snapshot", "expected"),
    [
        (None, order(1), TAKE),
        (held(5, state=OrderState.UNSEEN), order(1), TAKE),
        (held(1), order(2), TAKE),
        (held(2), order(1), KEEP),
        (held(2), order(1, LATER), KEEP),
        (held(2), order(2), KEEP),
        (held(2), order(2, units=9), FETCH),
        (held(2), order(2, LATER, units=9), TAKE),
        (held(2, T0), order(2, LATER, units=9), TAKE),
        (held(2, LATER), order(2, T0, units=9), FETCH),
        (held(2, LATER), order(2, T0), KEEP),
        (held(2, T0), order(2, units=9), FETCH),
        (held(2), order(2, units=9, exact=True), CONFLICT),
        (held(2, T0), order(2, LATER, units=9, exact=True), CONFLICT),
        (held(2), order(2, exact=True), KEEP),
        (held(2), order(3, units=9, exact=True), TAKE),
        (held(2, T0), Gone("1", LATER), TAKE),
        (held(2, LATER), Gone("1", T0), FETCH),
        (held(2), Gone("1", T0), TAKE),
        (held(2, T0, OrderState.GONE), Gone("1", LATER), KEEP),
        (held(2, T0, OrderState.GONE), order(2), KEEP),
        (held(2, T0, OrderState.GONE), order(3), FETCH),
        (held(2, T0, OrderState.GONE), order(2, LATER), TAKE),
        (held(2, LATER, OrderState.GONE), order(3, T0), FETCH),
        (held(2, LATER, OrderState.GONE), order(2, T0), KEEP),
    ],
)
def test_judgement(before: Held | None, snapshot: Order | Gone, expected: Judgement) -> None:
    content = "" if isinstance(snapshot, Gone) else digest(snapshot)
    assert judge(before, snapshot, content) is expected


def test_the_digest_ignores_the_order_of_lines_and_sees_every_unit() -> None:
    a, b = OrderLine("1", "A", "i", 1), OrderLine("2", "A", "i", 1)
    both = Order("1", 1, T0, (a, b))
    assert digest(both) == digest(Order("1", 2, LATER, (b, a)))
    assert digest(both) != digest(Order("1", 1, T0, (a, OrderLine("2", "A", "i", 2))))


def version(listing: str, start: int, end: int | None = None, units: int = 1) -> LinkVersion:
    return LinkVersion(listing, units, T0 + timedelta(days=start), None if end is None else T0 + timedelta(days=end))


@pytest.mark.parametrize(
    ("placed_day", "versions", "expected"),
    [
        (5, [version("L", 0)], [NewPair("L", 1, False)]),
        (5, [version("L", 5)], [NewPair("L", 1, False)]),
        (5, [version("L", 6)], [NewPair("L", 1, True)]),
        (5, [version("L", 0, 5)], []),
        (5, [version("L", 0, 5, 2), version("L", 5, None, 6)], [NewPair("L", 6, False)]),
        (4, [version("L", 0, 5, 2), version("L", 5, None, 6)], [NewPair("L", 2, False)]),
        (5, [version("L", 0), version("M", 0)], [NewPair("L", 1, False), NewPair("M", 1, False)]),
        (5, [version("L", 0, 3), version("L", 7, None, 6)], [NewPair("L", 6, True)]),
        (5, [version("L", 0, 6), version("M", 6)], [NewPair("L", 1, False)]),
        (5, [version("L", 6), version("M", 7)], [NewPair("L", 1, True)]),
        (5, [], []),
    ],
)
def test_a_line_belongs_to_the_version_in_force_when_it_was_placed(
    placed_day: int, versions: list[LinkVersion], expected: list[NewPair]
) -> None:
    assert pairs_for(T0 + timedelta(days=placed_day), versions) == expected


def test_units_beyond_64_bits_are_refused() -> None:
    assert in_listing_units(MAX_QUANTITY, 1) == MAX_QUANTITY
    with pytest.raises(OverflowError, match="more than a quantity can hold"):
        in_listing_units(MAX_QUANTITY, 2)
