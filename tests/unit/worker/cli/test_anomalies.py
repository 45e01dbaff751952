"""What people say of anomalies on the command line."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from connectors.clock import SystemClock
from tests.unit.worker.cli.conftest import Command
from worker.alerts import Anomalies, Finding, Kind
from worker.store import Store


@pytest.fixture
def anomaly(store: Store) -> str:
    anomalies = Anomalies(store, SystemClock())
    anomalies.open(Finding(Kind.OVERSOLD, "Listing L is oversold.", listing_id="L"))
    return str(anomalies.list()[0].id)


def test_one_is_snoozed_listed_as_such_and_ended(trueup: Command, anomaly: str) -> None:
    ended = trueup("anomalies", "snooze", anomaly, "--until", "8h", "--reason", "counted tonight")
    assert ended.out.startswith("Snoozed until ")
    [listed] = trueup("anomalies", "list", "--snoozed", "--json").json["anomalies"]
    until = datetime.fromisoformat(listed["snoozed_until"])
    assert timedelta(hours=7.9) < until - SystemClock().now() <= timedelta(hours=8)
    assert "snoozed until" in trueup("anomalies", "list").out
    assert trueup("anomalies", "unsnooze", anomaly, "--json").json == {"unsnoozed": [int(anomaly)], "not_snoozed": []}
    assert trueup("anomalies", "list", "--snoozed").out == "None is snoozed.\n"
    assert trueup("anomalies", "unsnooze", anomaly).code == 1


def test_a_moment_may_be_written_out(trueup: Command, anomaly: str) -> None:
    until = (SystemClock().now() + timedelta(days=2)).isoformat(timespec="seconds")
    assert trueup("anomalies", "snooze", anomaly, "--until", until, "--reason", "the shop moves").code == 0


@pytest.mark.parametrize("until", ["soon", "8", "2026-12-01T08:00", "0m", "2020-01-01T00:00Z", "400d"])
def test_other_times_are_refused_with_what_to_write(trueup: Command, anomaly: str, until: str) -> None:
    ended = trueup("anomalies", "snooze", anomaly, "--until", until, "--reason", "x")
    assert ended.code == 2
    assert repr(until) in ended.err
    assert trueup("anomalies", "list", "--snoozed", "--json").json == {"anomalies": []}


def test_a_reason_is_needed_and_something_that_is_open(trueup: Command, anomaly: str) -> None:
    assert trueup("anomalies", "snooze", anomaly, "--until", "8h", "--reason", " ").code == 2
    ended = trueup("anomalies", "snooze", "99", "--until", "8h", "--reason", "x")
    assert ended.code == 1
    assert "Not open: 99" in ended.err
