"""How commands speak: tables for people, JSON for programs, everything else on standard error."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.progress import ProgressColumn

WIDTH_OF_A_PIPE = 200
"""Columns to lay tables out for where no terminal says how many there are."""


class Mood(StrEnum):
    """What a colour says beside the word that says it too. The value is rich's name of the style."""

    GOOD = "green"
    ODD = "yellow"
    BAD = "bold red"


@dataclass(frozen=True, slots=True)
class Marked:
    """A word in a colour, where there are colours: on a terminal, unless NO_COLOR is set."""

    text: str
    mood: Mood | None

    def __str__(self) -> str:
        return self.text


def say(text: str) -> None:
    """A line on standard output."""
    sys.stdout.write(f"{printable(text)}\n")


def note(text: str) -> None:
    """A line on standard error: for people, also when standard output is JSON."""
    sys.stderr.write(f"{printable(text)}\n")
    sys.stderr.flush()


def print_json(value: Any) -> None:
    """One JSON document on standard output; dataclasses, times (UTC) and enumerations included."""
    import orjson

    # Enumerations as keys, too.
    how = orjson.OPT_INDENT_2 | orjson.OPT_UTC_Z | orjson.OPT_NON_STR_KEYS
    sys.stdout.write(orjson.dumps(value, option=how).decode() + "\n")


def print_table(
    columns: Sequence[str], rows: Iterable[Sequence[Any]], *, title: str | None = None, empty: str = "None."
) -> None:
    """A table that fits the terminal; numbers to the right. Says `empty` when there are no rows."""
    show(laid_out(columns, rows, title=title, empty=empty))


def show(*what: RenderableType) -> None:
    """On standard output, one below the other."""
    for each in what:
        _console().print(each)


def marked(text: str, mood: Mood | None = None) -> RenderableType:
    """A line in a colour."""
    from rich.text import Text

    return Text(printable(text), mood or "")


def laid_out(
    columns: Sequence[str], rows: Iterable[Sequence[Any]], *, title: str | None = None, empty: str = "None."
) -> RenderableType:
    """`print_table`, to be shown later."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    held = [list(row) for row in rows]
    if not held:
        return Text(f"{title}: {empty}" if title else empty)
    table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)
    for position, name in enumerate(columns):
        numbers = all(isinstance(row[position], int) for row in held)
        table.add_column(name, justify="right" if numbers else "left", overflow="fold")
    for row in held:
        table.add_row(*(Text(shown(cell), (isinstance(cell, Marked) and cell.mood) or "") for cell in row))
    return table


def mood_of(kind: str) -> Mood:
    """Of an anomaly of this kind: bad, unless it is no more than a warning."""
    from worker.alerts.anomalies import SEVERITIES
    from worker.store.tables import Severity

    warnings = {known.value for known, severity in SEVERITIES.items() if severity is Severity.WARNING}
    return Mood.ODD if kind in warnings else Mood.BAD


def summed_up(words: Iterable[str]) -> str:
    """How often each word occurs, the most frequent first."""
    return ", ".join(f"{count} {word}" for word, count in Counter(words).most_common()) or "none"


def shown(value: object) -> str:
    """A value as a person reads it."""
    match value:
        case None:
            return "-"
        case bool():
            return "yes" if value else "no"
        case datetime():
            return f"{value.astimezone(UTC):%Y-%m-%d %H:%M:%S}Z"
        case _:
            return printable(str(value))


def printable(text: str) -> str:
    """A vendor's text cannot move the cursor or colour the screen."""
    return "".join(character if character.isprintable() or character == "\n" else "�" for character in text)


def ago(moment: datetime | None, now: datetime) -> str:
    """How long ago, in the largest fitting unit."""
    if moment is None:
        return "never"
    seconds = max(0, int((now - moment).total_seconds()))
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds // size} {unit} ago"
    return f"{seconds} s ago"


@contextmanager
def progress(description: str, total: int | None = None) -> Iterator[Callable[[int], None]]:
    """A progress bar on standard error, where that is a terminal; gives what moves it to a number."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    columns = progress_columns(knows_its_end=total is not None)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(description, total=total)

        def move(done: int) -> None:
            bar.update(task, completed=done, total=None if total is None else max(total, done))

        yield move


def progress_columns(*, knows_its_end: bool) -> Sequence[ProgressColumn]:
    """How far something has come, how long it has taken, and how long it will take where that can be told."""
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    return (*columns, TextColumn("left"), TimeRemainingColumn()) if knows_its_end else columns


def watch(look: Callable[[], RenderableType], *, every_seconds: float) -> None:
    """Show what `look` gives on the whole terminal, anew every so often, until somebody presses Ctrl-C."""
    from rich.live import Live

    with suppress(KeyboardInterrupt), Live(look(), console=_console(), screen=True, auto_refresh=False) as live:
        while True:
            live.refresh()
            time.sleep(every_seconds)
            live.update(look())


def _console() -> Console:
    from rich.console import Console

    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=WIDTH_OF_A_PIPE)
