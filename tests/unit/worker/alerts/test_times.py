from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest

from config.alerts import QuietHours
from worker.alerts.times import Times
from worker.store.tables import Severity

BERLIN = ZoneInfo("Europe/Berlin")
NIGHT = QuietHours(time(22), time(7))
CRITICAL, ERROR, WARNING = Severity.CRITICAL, Severity.ERROR, Severity.WARNING


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def test_without_hours_everything_is_told_at_once() -> None:
    now = at("2026-11-01T12:00")

    assert Times().ready_before(now) == dict.fromkeys(Severity, now)


@pytest.mark.parametrize(
    ("quiet", "clock", "expected"),
    [
        (NIGHT, "21:59", False),
        (NIGHT, "22:00", True),
        (NIGHT, "00:00", True),
        (NIGHT, "06:59", True),
        (NIGHT, "07:00", False),
        (QuietHours(time(12), time(13, 30)), "11:59", False),
        (QuietHours(time(12), time(13, 30)), "13:29", True),
        (QuietHours(time(12), time(13, 30)), "13:30", False),
    ],
)
def test_quiet_hours_begin_and_end_on_the_minute(quiet: QuietHours, clock: str, expected: bool) -> None:
    assert Times(quiet=quiet).is_quiet(at(f"2026-11-01T{clock}")) is expected


def test_only_what_passes_is_told_in_quiet_hours() -> None:
    now = at("2026-11-01T23:00")

    assert set(Times(quiet=NIGHT).ready_before(now)) == {CRITICAL}
    assert set(Times(quiet=NIGHT, passes=frozenset()).ready_before(now)) == set()


@pytest.mark.parametrize(
    ("day", "last_quiet_minute"),
    [("2026-10-24", "04:59"), ("2026-10-25", "05:59"), ("2026-03-28", "05:59"), ("2026-03-29", "04:59")],
)
def test_quiet_hours_go_by_the_clocks_of_the_time_zone_on_the_days_they_change_too(
    day: str, last_quiet_minute: str
) -> None:
    times = Times(zone=BERLIN, quiet=NIGHT)
    end = at(f"{day}T{last_quiet_minute}")

    assert times.is_quiet(end)
    assert not times.is_quiet(end + timedelta(minutes=1))


def test_what_is_digested_is_told_from_the_hour_on_if_it_happened_before() -> None:
    times = Times(zone=BERLIN, digest_at=time(8))
    early, late = at("2026-11-01T06:59:59"), at("2026-11-01T07:00")

    assert times.ready_before(early) == {CRITICAL: early, ERROR: early, WARNING: at("2026-10-31T07:00")}
    assert times.ready_before(late) == {CRITICAL: late, ERROR: late, WARNING: late}


def test_there_is_one_digest_a_day_on_the_days_the_clocks_change_too() -> None:
    """02:30 comes twice on one of these days in Berlin, and not at all on the other."""
    times = Times(zone=BERLIN, digest_at=time(2, 30))
    for first in (at("2026-10-23T12:00"), at("2026-03-27T12:00")):
        moments = [times.ready_before(first + timedelta(minutes=10 * step))[WARNING] for step in range(6 * 24 * 4)]
        assert moments == sorted(moments)
        assert all(moment <= first + timedelta(minutes=10 * step) for step, moment in enumerate(moments))
        days = [moment.astimezone(BERLIN).date() for moment in dict.fromkeys(moments)]
        assert len(days) == len(set(days)) == 5


def test_a_digest_within_quiet_hours_waits_for_their_end() -> None:
    times = Times(quiet=NIGHT, digest_at=time(6))

    assert WARNING not in times.ready_before(at("2026-11-02T06:30"))
    assert times.ready_before(at("2026-11-02T07:00"))[WARNING] == at("2026-11-02T06:00")
