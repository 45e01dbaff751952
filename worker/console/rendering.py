"""Templates: escaped always, and a name that is not there is an error."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape
from starlette.responses import HTMLResponse, Response

from worker.alerts.explained import explain
from worker.console.door import Visit

HERE = Path(__file__).parent
STATIC = HERE / "static"

UNKNOWN = "\u2013"
"""A dash, where there is no value."""
DONE = {
    "acknowledged": "Acknowledged. It stays in the list until its cause is gone.",
    "resolved": "Resolved. It opens again if its cause is seen again.",
    "snoozed": "Snoozed. Nobody is told of it until then, unless it gets worse or comes back.",
    "unsnoozed": "It is not snoozed any more.",
    "settled": "Settled. The listing is looked at next.",
    "accepted": "The marketplace's number stands. Nothing is pending on this listing any more.",
    "retried": "The listing is looked at now.",
    "lifted": "The hold is lifted. What waited is written from now on.",
    "confirmed": "The plan is confirmed. It is written from now on.",
    "paused": "Paused. What is sold meanwhile is read, and waits.",
    "replayed": "It is handled anew.",
    "linked": "Linked. What waited for it counts from now on.",
    "counted": "The order counts from now on.",
    "asked-for": "Its channel is asked for it now; what it says counts.",
    "replayed-some": "They are handled anew.",
    "asked-for-some": "Their channels are asked for them now; what they say counts.",
    "counted-some": "The orders count from now on.",
    "retried-some": "The listings are looked at now.",
    "test-taken": "The test was taken. See that it arrived.",
    "signed-out-everywhere": "Every other browser is signed out.",
}
"""What a page says after a form was sent, by the word that the address carries: nobody else's text is shown."""


class Rendering:
    """Makes pages."""

    def __init__(self) -> None:
        self._environment = Environment(
            loader=FileSystemLoader(HERE / "templates"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._environment.filters.update(
            moment=moment, told=told, ago=ago, number=number, signed=signed, seconds=duration, words=in_words
        )
        self._environment.globals.update(explain=explain, static=self._static)

    def page(
        self, template: str, visit: Visit, values: Mapping[str, Any], *, problem: str | None = None, status: int = 200
    ) -> Response:
        """A page for somebody who is signed in; `problem` says why what was just asked for was not done."""
        shared = {
            "visit": visit,
            "token": visit.token,
            "now": visit.now,
            "problem": problem,
            "done": DONE.get(visit.asked("done")),
            "path": visit.request.url.path,
        }
        return self.plain(template, {**shared, **values}, status=409 if problem is not None else status)

    def plain(self, template: str, values: Mapping[str, Any], *, status: int = 200) -> Response:
        """A page for whoever asks."""
        text = self._environment.get_template(template).render(values)
        return HTMLResponse(text, status_code=status)

    def _static(self, name: str) -> str:
        return f"/static/{name}?v={self._version}"

    @cached_property
    def _version(self) -> str:
        """Of our files: a browser may keep them until they change."""
        digest = hashlib.sha256()
        for path in sorted(STATIC.iterdir()):
            digest.update(path.read_bytes())
        return digest.hexdigest()[:12]


def told(text: str) -> Markup:
    """A sentence of ours, in which commands stand between backticks."""
    parts = [escape(part) for part in text.split("`")]
    marked = [part if index % 2 == 0 else Markup("<code>{}</code>").format(part) for index, part in enumerate(parts)]
    return Markup("").join(marked)


def moment(at: datetime | None) -> Markup | str:
    """A time in UTC, to the second."""
    if at is None:
        return "never"
    at = at.astimezone(UTC)
    return Markup('<time datetime="{}">{}</time>').format(at.isoformat(timespec="seconds"), f"{at:%Y-%m-%d %H:%M:%S}")


def ago(at: datetime | None, now: datetime) -> Markup | str:
    """How long ago, with the time itself for those who point at it."""
    if at is None:
        return "never"
    at = at.astimezone(UTC)
    return Markup('<time datetime="{}" title="{}">{}</time>').format(
        at.isoformat(timespec="seconds"), f"{at:%Y-%m-%d %H:%M:%S} UTC", f"{duration((now - at).total_seconds())} ago"
    )


def duration(seconds: float | None) -> str:
    """Seconds in the largest fitting unit."""
    if seconds is None:
        return UNKNOWN
    seconds = max(0.0, seconds)
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * size or (seconds >= size and unit == "min"):
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s" if seconds >= 10 or seconds == 0 else f"{seconds:.1f} s"


def number(value: int | None) -> str:
    """With separators; a dash for one that is not known."""
    return UNKNOWN if value is None else f"{value:,}".replace("-", "\u2212")


def signed(value: int) -> str:
    """A change, with its sign."""
    return f"+{value:,}" if value > 0 else number(value)


def in_words(name: str) -> str:
    """A name of ours as words."""
    return name.replace("-", " ").replace("_", " ")
