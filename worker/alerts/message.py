"""What is told: changes of anomalies, and anomalies that are still open; and one text about many of them. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby

from worker.store.tables import AnomalyState, Severity

MOST_LINES = 25
"""A message with more is not read: the rest is counted."""
MOST_CHARACTERS = 600
"""Of one line."""

_URGENCY = {Severity.CRITICAL: 0, Severity.ERROR: 1, Severity.WARNING: 2}


@dataclass(frozen=True, slots=True)
class StateChange:
    """One change of an anomaly's state that a destination has not been told of yet, or is reminded of."""

    anomaly_id: int
    transition: int
    """The how-manieth change of this anomaly it is."""
    became: AnomalyState
    severity: Severity
    message: str
    at: datetime
    kind: str
    channel: str | None = None
    listing_id: str | None = None
    order_id: str | None = None
    reminded_at: datetime | None = None
    """When the destination was to be told again that it is still so; None for a change that it does not know."""


@dataclass(frozen=True, slots=True)
class Message:
    """What is sent, as plain text."""

    title: str
    body: str
    worst: Severity | None
    """Of what is open now; None when the message brings good news only."""


@dataclass(frozen=True, slots=True)
class _Story:
    """What happened to one anomaly since the destination was last told."""

    word: str
    is_open: bool
    last: StateChange

    @property
    def rank(self) -> tuple[bool, bool, int, int]:
        return (not self.is_open, self.is_old, _URGENCY[self.last.severity], self.last.anomaly_id)

    @property
    def is_old(self) -> bool:
        return self.last.reminded_at is not None

    def __str__(self) -> str:
        text = " ".join(self.last.message.split())
        if len(text) > MOST_CHARACTERS:
            text = f"{text[: MOST_CHARACTERS - 1]}…"
        return f"[{self.last.severity.value}] {self.word}: {text}"


def compose(changes: Iterable[StateChange]) -> Message:
    """One line for each anomaly: what is open first, what is new before what is still so, the worst of it on top.

    An anomaly that opened and was resolved before anybody was told gets one line that says both.
    """
    ordered = sorted(changes, key=lambda change: (change.anomaly_id, change.transition))
    stories = [_story(list(group)) for _, group in groupby(ordered, key=lambda change: change.anomaly_id)]
    stories.sort(key=lambda story: story.rank)
    opened = [story for story in stories if story.is_open]
    still = sum(story.is_old for story in opened)
    counted = ((len(opened) - still, "opened"), (len(stories) - len(opened), "resolved"), (still, "still open"))
    counts = [f"{count} {word}" for count, word in counted if count]
    worst = min((story.last.severity for story in opened), key=_URGENCY.__getitem__, default=None)
    lines = [str(story) for story in stories[:MOST_LINES]]
    if len(stories) > MOST_LINES:
        lines.append(f"… and {len(stories) - MOST_LINES} more: `trueup anomalies list`")
    return Message(f"trueup: {', '.join(counts)}", "\n".join(lines), worst)


def trial(destination: str) -> Message:
    """What is sent when somebody tries a destination."""
    body = (
        f"This is a test of the alert destination {destination}. Nothing has happened: if you read this, alerts arrive."
    )
    return Message("trueup: a test", body, None)


def _story(changes: Sequence[StateChange]) -> _Story:
    first, last = changes[0], changes[-1]
    if last.became is AnomalyState.RESOLVED:
        word = "opened and resolved" if first.became is AnomalyState.OPEN else "resolved"
        return _Story(word, is_open=False, last=last)
    if last.reminded_at is not None:
        return _Story(f"still open since {last.at.astimezone(UTC):%Y-%m-%d %H:%M} UTC", is_open=True, last=last)
    word = "opened" if first.transition == last.transition == 1 else "opened again"
    return _Story(word, is_open=True, last=last)
