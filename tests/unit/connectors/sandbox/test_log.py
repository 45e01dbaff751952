"""The log: its sequence, and pages of it."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta
from random import Random

import pytest

from connectors.sandbox.clock import VirtualClock
from connectors.sandbox.log import Entry, Log, Origin, Shown

ORIGIN = Origin("source/console")


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
def log(clock: VirtualClock) -> Log:
    return Log(clock, Random(3))


def append(log: Log, kind: str, *about: str) -> Entry:
    entry = log.append(kind, None, ORIGIN, about)
    assert entry is not None
    return entry


def test_sequences_rise_strictly_and_have_gaps(log: Log) -> None:
    sequences = [append(log, "listing/updated", "a").sequence for _ in range(50)]
    steps = [after - before for before, after in itertools.pairwise(sequences)]
    assert min(steps) >= 1
    assert max(steps) > 1
    assert log.last_sequence == sequences[-1]


def test_moments_are_whole_milliseconds_and_never_go_back(log: Log, clock: VirtualClock) -> None:
    clock.set(datetime(2026, 3, 1, 12, 0, 0, 123_456, tzinfo=UTC))
    assert log.moment() == datetime(2026, 3, 1, 12, 0, 0, 123_000, tzinfo=UTC)
    clock.set(datetime(2026, 2, 1, tzinfo=UTC))
    assert append(log, "listing/updated", "a").at == datetime(2026, 3, 1, 12, 0, 0, 123_000, tzinfo=UTC)


def test_pages_continue_after_a_sequence(log: Log) -> None:
    entries = [append(log, "listing/updated", "a") for _ in range(7)]
    until = log.moment()
    assert log.page(until=until, limit=3) == entries[:3]
    assert log.page(until=until, after_sequence=entries[2].sequence, limit=3) == entries[3:6]
    assert log.page(until=until, after_sequence=entries[2].sequence + 0, limit=99) == entries[3:]
    assert log.page(until=until, after_sequence=entries[-1].sequence) == []


def test_pages_are_bounded_by_time_on_both_sides(log: Log, clock: VirtualClock) -> None:
    entries = []
    for _ in range(5):
        entries.append(append(log, "listing/updated", "a"))
        clock.advance(10)
    assert log.page(since=entries[1].at, until=entries[3].at) == entries[1:4]
    assert log.page(since=entries[1].at + timedelta(milliseconds=1), until=entries[3].at) == entries[2:4]


def test_a_bare_resource_type_selects_all_its_kinds_in_order(log: Log) -> None:
    created = append(log, "listing/created", "a")
    append(log, "stockAdjustment/created", "b", "a")
    updated = append(log, "listing/updated", "a")
    until = log.moment()
    assert log.page(until=until, kinds=["listing"]) == [created, updated]
    assert log.page(until=until, kinds=["listing/updated"]) == [updated]
    assert log.page(until=until, kinds=["listingX", "stock"]) == []


def test_about_selects_a_resource_with_or_without_what_points_to_it(log: Log) -> None:
    listing = append(log, "listing/created", "a", "author")
    adjustment = append(log, "stockAdjustment/created", "b", "a", "r")
    append(log, "stockAdjustment/created", "c", "other")
    reservation = append(log, "stockReservation/updated", "r", "a", "t")
    until = log.moment()
    assert log.page(until=until, about="a") == [listing, adjustment, reservation]
    assert log.page(until=until, about="a", itself_only=True) == [listing]
    assert log.page(until=until, about="r") == [adjustment, reservation]
    assert log.page(until=until, about="a", kinds=["stockAdjustment"]) == [adjustment]
    assert log.page(until=until, about="a", after_sequence=adjustment.sequence) == [reservation]
    assert log.page(until=until, about="unknown") == []


def test_a_silent_origin_uses_up_no_sequence(log: Log) -> None:
    before = log.last_sequence
    assert log.append("listing/updated", None, Origin("source/console", shown=Shown.MISSING), ("a",)) is None
    assert (log.last_sequence, len(log)) == (before, 0)
