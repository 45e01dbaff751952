"""One message about many changes of anomalies. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby

from worker.store.tables import AnomalyState, Severity

MOST_LINES = 25
"""A message with more is not read: the rest is counted."""
MOST_CHARACTERS = 600
"""Of one line."""

_URGENCY = {Severity.CRITICAL: 0, Severity.ERROR: 1, Severity.WARNING: 2}


@dataclass(frozen=True, slots=True)
class StateChange:
    """One change of an anomaly's state that operators have not been told yet."""

    anomaly_id: int
    transition: int
    """The how-manieth change of this anomaly it is."""
    became: AnomalyState
    severity: Severity
    message: str


@dataclass(frozen=True, slots=True)
class Message:
    """What is sent, as plain text."""

    title: str
    body: str
    worst: Severity | None
    """Of what is open now; None when the message brings good news only."""


@dataclass(frozen=True, slots=True)
class _Story:
    """What happened to one anomaly since operators were last told."""

    word: str
    is_open: bool
    last: StateChange

    @property
    def rank(self) -> tuple[bool, int, int]:
        return (not self.is_open, _URGENCY[self.last.severity], self.last.anomaly_id)

    def __str__(self) -> str:
        text = " ".join(self.last.message.split())
        if len(text) > MOST_CHARACTERS:
            text = f"{text[: MOST_CHARACTERS - 1]}…"
        return f"[{self.last.severity.value}] {self.word}: {text}"


def compose(changes: Iterable[StateChange]) -> Message:
    """One line for each anomaly: what is open first, the worst of it on top.

    An anomaly that opened and was resolved before anybody was told gets one line that says both.
    """
    ordered = sorted(changes, key=lambda change: (change.anomaly_id, change.transition))
    stories = [_story(list(group)) for _, group in groupby(ordered, key=lambda change: change.anomaly_id)]
    stories.sort(key=lambda story: story.rank)
    opened = [story for story in stories if story.is_open]
    counts = [f"{len(opened)} opened"] if opened else []
    if len(stories) > len(opened):
        counts.append(f"{len(stories) - len(opened)} resolved")
    worst = opened[0].last.severity if opened else None
    lines = [str(story) for story in stories[:MOST_LINES]]
    if len(stories) > MOST_LINES:
        lines.append(f"… and {len(stories) - MOST_LINES} more: `trueup anomalies list`")
    return Message(f"trueup: {', '.join(counts)}", "\n".join(lines), worst)


def _story(changes: Sequence[StateChange]) -> _Story:
    first, last = changes[0], changes[-1]
    if last.became is AnomalyState.RESOLVED:
        word = "opened and resolved" if first.became is AnomalyState.OPEN else "resolved"
        return _Story(word, is_open=False, last=last)
    word = "opened" if first.transition == last.transition == 1 else "opened again"
    return _Story(word, is_open=True, last=last)
