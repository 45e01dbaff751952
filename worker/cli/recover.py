"""`recover`: making up the accounts after the database was restored from a copy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from worker.cli.context import Config, Json, caller, opened
from worker.cli.exits import CommandError, ExitCode
from worker.cli.output import note, print_json, print_table, progress, say

if TYPE_CHECKING:
    from worker.recovery.service import Recovered
    from worker.services import Services


def recover(
    since: Annotated[
        str | None,
        typer.Option(
            help="From when the copy is, as 2026-11-25T14:00Z; else the last reading of the feed that it knows.",
            metavar="TIME",
        ),
    ] = None,
    ours: Annotated[
        list[str] | None,
        typer.Option(help="Only this held listing: what was written there was ours, whatever its lines explain."),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Book what matches without asking.")] = False,
    config: Config = None,
    json: Json = False,
) -> None:
    """After a restore from a copy: find what was written since, match it to the order lines, and book it.

    Run it before anything else starts. It stops every write, reads the feed and all channels to their heads, and shows
    listing by listing what was taken and what is due. What matches is booked, what does not stays held for a person.
    Where the marketplace says who wrote what, the service does the same by itself; this is for where it does not.
    Safe to repeat: after a crash, run it again.
    """
    copied_at = None if since is None else _moment(since)
    with opened(config, register=True) as services:
        if ours:
            done: Sequence[Recovered] = [
                services.recovery.settle(entry, by=caller().name, copied_at=copied_at) for entry in ours
            ]
        else:
            done = _recover(services, copied_at, yes=yes or json)
    left = [entry for entry in done if entry.verdict.value in {"remains held", "later"}]
    if json:
        print_json({"listings": [asdict(entry) for entry in done]})
    else:
        _show(done)
        say(f"{len(done) - len(left)} of {len(done)} listings are as they must be. What is still due is written now.")
    if left:
        note(f"{len(left)} listings are held for a person: `trueup anomalies list --kind orphan` says what to do.")
        raise typer.Exit(ExitCode.WRONG)


def _recover(services: Services, copied_at: datetime | None, *, yes: bool) -> Sequence[Recovered]:
    recovery = services.recovery
    copied_at = recovery.begin(copied_at)
    note(f"Nothing is written from here on. The copy is taken to be from {copied_at:%Y-%m-%d %H:%M:%S}Z.")
    if silent := sorted(services.channels.keys() - services.poll_seconds.keys()):
        note(
            f"{', '.join(silent)} cannot be read again: have the orders since then sent again, or import them, before"
            " you say yes."
        )
    with progress("reading the feed and the channels") as move:
        services.feed.follow()
        for number, name in enumerate(sorted(services.poll_seconds), start=1):
            while not services.poller.poll(name):
                pass
            while services.fetcher.drain():
                pass
            move(number)
    with progress("reading the logs of listings") as move:
        found = recovery.examine(copied_at, on_listing=lambda done, _of: move(done))
    if found and not yes:
        _show(found)
        if not typer.confirm("Book what matches, hold what does not, and let the rest be written?", err=True):
            message = "Nothing was booked, and nothing is written until `trueup recover` has been answered with yes."
            raise CommandError(message, ExitCode.WRONG)
    return recovery.finish(copied_at, found)


def _show(found: Sequence[Recovered]) -> None:
    print_table(
        ("Listing", "Taken since", "Due", "", "Why"),
        [
            (
                entry.listing_id,
                f"{entry.taken} (by nobody named)" if entry.anonymous else entry.taken,
                entry.due,
                entry.verdict.value,
                entry.why,
            )
            for entry in found
        ],
        empty="No listing has anything pending or unexplained.",
    )


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise CommandError(f"--since {text!r} is no time, e.g. 2026-11-25T14:00Z.") from None
    if moment.tzinfo is None:
        raise CommandError(f"--since {text!r} has no time zone; end it with Z for UTC.")
    return moment.astimezone(UTC)
