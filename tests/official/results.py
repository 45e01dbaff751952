"""What a client's script tells: one line of JSON for each check, and a last one when it came to its end."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Result:
    """One check of one vendor's client."""

    check: str
    passed: bool
    detail: str = ""
    """What was found instead, when it did not pass."""


def told(lines: Iterable[str], *, trouble: str) -> Iterator[Result]:
    """The results in a script's output; `trouble` is what else it said, for when it ended early or told nothing."""
    ended, count = False, 0
    for line in lines:
        said = json.loads(line)
        if "check" in said:
            count += 1
            yield Result(said["check"], said["passed"] is True, said.get("detail", ""))
        ended = ended or said.get("ended") is True
    if not ended or not count:
        yield Result("the script comes to its end", passed=False, detail=trouble.strip() or "it said nothing")
