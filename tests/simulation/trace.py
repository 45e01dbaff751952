"""What happened, line by line, as it is printed when a promise is broken."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Line:
    """One thing that happened."""

    at: float
    who: str
    what: str

    def __str__(self) -> str:
        days, seconds = divmod(self.at, 86_400)
        minutes, seconds = divmod(seconds, 60)
        hours, minutes = divmod(int(minutes), 60)
        return f"{int(days):>3}d {hours:02}:{minutes:02}:{seconds:06.3f}  {self.who:<12} {self.what}"


class Trace:
    """Lines in the order of time. The same seed always gives the same ones."""

    def __init__(self) -> None:
        self.lines: list[Line] = []

    def add(self, at: float, who: str, what: str) -> None:
        """Note one thing."""
        self.lines.append(Line(at, who, what))

    def text(self, about: str = "") -> str:
        """Everything, or what concerns one listing: its own lines, and those that name no listing at all."""
        chosen = [line for line in self.lines if not about or about in line.what.split() or not _names_listing(line)]
        return "\n".join(str(line) for line in chosen)


def _names_listing(line: Line) -> bool:
    return any(len(word) == 2 and word[0] == "L" and word[1].isdigit() for word in line.what.split())
