"""Several rows of a table chosen at once: boxes whose names differ, because a form holds each name once."""

from __future__ import annotations

from collections.abc import Sequence

from worker.console.door import Visit

BOX = "pick-"


def picked(visit: Visit) -> Sequence[str]:
    """The values of the boxes that were ticked, each once."""
    return list(dict.fromkeys(value for name, value in visit.form.items() if name.startswith(BOX)))


def picked_rows(visit: Visit) -> Sequence[int]:
    """`picked`, where each is the number of a row."""
    return [int(value) for value in picked(visit) if value.isascii() and value.isdecimal() and len(value) < 19]
