from __future__ import annotations

from datetime import UTC, datetime, timedelta

from tests.receiving import CHANNEL, settings
from worker.intake.poll import cursor_name
from worker.upkeep.repository import FEED
from worker.web.lag import Lags
from worker.web.repository import Backlog

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
STARTED = NOW - timedelta(hours=2)


def seen(*, oldest: datetime | None = None, **current_at: datetime) -> Backlog:
    return Backlog(0, oldest, {}, {}, 0, current_at)


def lags(*, has_feed: bool = True) -> Lags:
    return Lags(settings(), has_feed=has_feed, poll_seconds={CHANNEL: 300}, since=STARTED)


def test_an_empty_inbox_is_not_behind() -> None:
    assert lags().deliveries(seen(), NOW).age == timedelta(0)


def test_an_old_delivery_is_too_old() -> None:
    assert lags().deliveries(seen(oldest=NOW - timedelta(minutes=5)), NOW).ok
    assert not lags().deliveries(seen(oldest=NOW - timedelta(minutes=6)), NOW).ok


def test_a_feed_may_miss_two_rounds() -> None:
    lag = lags().feed(seen(**{FEED: NOW - timedelta(minutes=4)}), NOW)

    assert lag is not None
    assert lag.ok
    assert lag.age == timedelta(minutes=4)


def test_what_was_never_read_counts_from_the_start_of_the_process() -> None:
    lag = lags().feed(seen(), NOW)

    assert lag is not None
    assert lag.age == NOW - STARTED
    assert not lag.ok


def test_a_marketplace_without_a_feed_has_no_lag() -> None:
    assert lags(has_feed=False).feed(seen(), NOW) is None


def test_a_poll_is_judged_by_its_channels_own_rhythm() -> None:
    every_five_minutes = seen(**{cursor_name(CHANNEL): NOW - timedelta(minutes=14)})
    assert lags().polls(every_five_minutes, NOW)[CHANNEL].ok

    late = seen(**{cursor_name(CHANNEL): NOW - timedelta(minutes=16)})
    assert not lags().polls(late, NOW)[CHANNEL].ok


def test_a_clock_ahead_of_ours_makes_no_negative_age() -> None:
    assert lags().deliveries(seen(oldest=NOW + timedelta(seconds=5)), NOW).age == timedelta(0)
