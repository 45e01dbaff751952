from __future__ import annotations

from datetime import UTC, datetime

from worker.alerts.message import MOST_CHARACTERS, MOST_LINES, StateChange, compose
from worker.store.tables import AnomalyState, Severity

OPEN, RESOLVED = AnomalyState.OPEN, AnomalyState.RESOLVED


NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)


def change(
    anomaly: int,
    transition: int = 1,
    became: AnomalyState = OPEN,
    severity: Severity = Severity.ERROR,
    text: str = "",
    reminded_at: datetime | None = None,
) -> StateChange:
    text = text or f"Listing L{anomaly} is odd."
    return StateChange(anomaly, transition, became, severity, text, at=NOON, kind="oversold", reminded_at=reminded_at)


def test_the_worst_open_one_comes_first_and_good_news_last() -> None:
    message = compose(
        [
            change(1, 2, RESOLVED, Severity.CRITICAL),
            change(2, severity=Severity.WARNING),
            change(3, severity=Severity.CRITICAL),
        ]
    )

    assert message.title == "trueup: 2 opened, 1 resolved"
    assert message.worst is Severity.CRITICAL
    assert message.body.split("\n") == [
        "[critical] opened: Listing L3 is odd.",
        "[warning] opened: Listing L2 is odd.",
        "[critical] resolved: Listing L1 is odd.",
    ]


def test_good_news_alone_is_not_urgent() -> None:
    message = compose([change(1, 2, RESOLVED)])

    assert message.worst is None
    assert message.title == "trueup: 1 resolved"


def test_opened_and_resolved_before_anybody_was_told_is_one_line() -> None:
    message = compose([change(1, 2, RESOLVED, text="L1 is odd. Resolved: stock came."), change(1, 1)])

    assert message.body == "[error] opened and resolved: L1 is odd. Resolved: stock came."
    assert message.worst is None


def test_one_that_came_back_says_so() -> None:
    assert compose([change(1, 3)]).body.startswith("[error] opened again: ")
    assert compose([change(1, 1), change(1, 2, RESOLVED), change(1, 3)]).body.startswith("[error] opened again: ")


def test_a_storm_is_counted_not_spelt_out() -> None:
    message = compose(change(number) for number in range(500))
    lines = message.body.split("\n")

    assert message.title == "trueup: 500 opened"
    assert len(lines) == MOST_LINES + 1
    assert lines[-1] == f"… and {500 - MOST_LINES} more: `trueup anomalies list`"


def test_a_line_is_one_line_and_bounded() -> None:
    (line,) = compose([change(1, text="a\nb\t" + "x" * 5000)]).body.split("\n")

    assert line.startswith("[error] opened: a b xxx")
    assert len(line) < MOST_CHARACTERS + 40


def test_what_is_still_so_comes_after_what_is_new_and_says_since_when() -> None:
    message = compose(
        [
            change(1, severity=Severity.CRITICAL, reminded_at=NOON),
            change(2, severity=Severity.WARNING),
            change(3, 2, RESOLVED),
        ]
    )

    assert message.title == "trueup: 1 opened, 1 resolved, 1 still open"
    assert message.worst is Severity.CRITICAL
    assert message.body.split("\n") == [
        "[warning] opened: Listing L2 is odd.",
        "[critical] still open since 2026-11-01 12:00 UTC: Listing L1 is odd.",
        "[error] resolved: Listing L3 is odd.",
    ]
