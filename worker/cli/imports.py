"""`import`: taking in what comes in files."""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, BinaryIO

import typer

from worker.cli.context import Config, Json, channel_named, examples, opened
from worker.cli.exits import CommandError, ExitCode
from worker.cli.output import note, print_json, print_table, progress, say

if TYPE_CHECKING:
    from worker.intake.importing import Imported

imports = typer.Typer(help="Taking in what comes in files.", no_args_is_help=True)

ROWS_SHOWN = 20


@imports.command(
    "orders",
    epilog=examples(
        "trueup import orders sales.csv --channel till --dry-run",
        "trueup import orders sales.jsonl --channel till --json",
        "zcat sales.csv.gz | trueup import orders - --channel till",
    ),
)
def orders(
    file: Annotated[Path, typer.Argument(help="CSV or JSON lines; - is standard input.", metavar="FILE")],
    channel: Annotated[str, typer.Option(help="The channel whose orders they are.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what it would do; change nothing.")] = False,
    config: Config = None,
    json: Json = False,
) -> None:
    """Take orders in from a file, as the channel's connector reads one.

    Orders are whole and as they are now, so that importing a file twice changes nothing, and a newer file may hold
    older orders again. Every order that can be read is taken; every other is told with its line, and the command exits
    with 1: mend those and import the file again. Nothing is written to the marketplace by this.
    """
    from connectors.contract import OrderFiles
    from connectors.errors import Unreadable

    with opened(config, register=not dry_run) as services, _opened(file) as stream:
        source = services.channels[channel_named(services, channel)]
        if not isinstance(source, OrderFiles):
            raise CommandError(f"The connector of channel {channel!r} reads no files of orders; `standard` does.")
        with progress("lines", _lines_of(stream)) as move:
            try:
                result = services.importer.import_orders(channel, source, stream, dry_run=dry_run, on_line=move)
            except Unreadable as error:
                raise CommandError(f"{file} was not imported: {error.message}.") from None
    if json:
        print_json(
            {
                "imported": not dry_run,
                "orders": result.orders,
                "taken": result.taken,
                "unchanged": result.unchanged,
                "not_taken": result.not_taken,
                "problems": result.problems,
            }
        )
    else:
        _show(result)
    if result.not_taken:
        raise typer.Exit(ExitCode.WRONG)


@contextmanager
def _opened(file: Path) -> Iterator[BinaryIO]:
    """The file, such that it can be read twice."""
    try:
        with sys.stdin.buffer if str(file) == "-" else file.open("rb") as stream:
            if str(file) != "-" and stream.seekable():
                yield stream
                return
            with tempfile.TemporaryFile() as copy:
                shutil.copyfileobj(stream, copy)
                copy.seek(0)
                yield copy
    except OSError as error:
        raise CommandError(f"{file} cannot be read: {error.strerror}.") from None


def _lines_of(stream: BinaryIO) -> int:
    """How many there are; the file is read once for it, and stands at its beginning again."""
    lines = sum(1 for _ in stream)
    stream.seek(0)
    return lines


def _show(result: Imported) -> None:
    if result.problems:
        print_table(
            ("Line", "Order", "Not taken, because"),
            [(problem.line, problem.order_id, problem.problem) for problem in result.problems[:ROWS_SHOWN]],
        )
    if result.not_taken > ROWS_SHOWN:
        say(f"… and {result.not_taken - ROWS_SHOWN} more (--json has them).")
    would = "would be " if result.dry_run else ""
    say(f"{result.orders} orders read: {result.taken} {would}taken in, {result.unchanged} known already.")
    if result.not_taken:
        note(f"{result.not_taken} were not taken. Mend them and import the file again: the others stay as they are.")
    if result.dry_run:
        say("Nothing was changed.")
