"""`links`: importing, exporting and correcting which SKU is which listing."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import replace as replaced
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from worker.cli.context import Config, Json, caller, examples, opened
from worker.cli.exits import CommandError
from worker.cli.output import note, print_json, print_table, progress, say

if TYPE_CHECKING:
    from worker.links import CorrectionPlan, ImportResult, UnlinkedSku
    from worker.links.versions import Version
    from worker.services import Services

links = typer.Typer(help="Which SKU of a channel is which listing.", no_args_is_help=True)

ROWS_SHOWN = 20


@links.command(
    "import",
    epilog=examples(
        "trueup links import links.csv --dry-run",
        "trueup links import links.csv --replace",
        "trueup links export | sed s/old/new/ | trueup links import -",
    ),
)
def import_(
    file: Annotated[Path, typer.Argument(help="CSV; - is standard input.", metavar="FILE")],
    replace: Annotated[
        bool, typer.Option("--replace", help="End the links of the file's channels that it does not name.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what it would do; change nothing.")] = False,
    config: Config = None,
    json: Json = False,
) -> None:
    """Make the links be as a CSV file says: all of it or, if any line is wrong, nothing of it.

    Columns: channel, sku, listing_id, units (1 when left out), from (when the link begins, e.g. 2026-11-01T00:00:00Z;
    left out, it is the channel's counted-from time, or later: where the SKU's links in force begin and its former ones
    have ended).

    Importing a file twice changes nothing. Changed units end the old link now and begin a new one; order lines keep
    what they have. Lines that waited for their link become due.
    """
    from worker.links import LinkTableError

    text = _read(file)
    with opened(config, register=True) as services, nullcontext() if json else progress("importing"):
        try:
            if dry_run:
                result = services.links.import_csv(text, replace=replace, dry_run=True)
            else:
                result = services.desk.import_links(text, by=caller(), replace=replace)
        except LinkTableError as error:
            if json:
                print_json({"imported": False, "problems": error.problems})
            raise CommandError(str(error)) from None
    if json:
        print_json({"imported": not dry_run, **_fields(result)})
        return
    _show_import(result)


def _read(file: Path) -> str:
    try:
        raw = sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
        return raw.decode("utf-8-sig")
    except OSError as error:
        raise CommandError(f"{file} cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise CommandError(f"{file} is not UTF-8 text. Save it as CSV in UTF-8.") from None


def _fields(result: ImportResult) -> dict[str, object]:
    return {
        "begun": result.begun,
        "ended": result.ended,
        "unchanged": result.unchanged,
        "kept_starts": result.kept_starts,
        "lines_linked": result.lines_linked,
        "due_units": result.due_units,
        "waived_units": result.waived_units,
        "listings_due": result.listings_due,
    }


def _show_import(result: ImportResult) -> None:
    _show_versions("Begun", result.begun)
    _show_versions("Ended", result.ended)
    for kept in result.kept_starts:
        note(
            f"line {kept.line}: the link of SKU {kept.sku!r} keeps its start {kept.kept:%Y-%m-%dT%H:%M:%SZ}; what was"
            " counted before can only be changed by `trueup links correct`"
        )
    would = "would be " if result.dry_run else ""
    say(f"{len(result.begun)} links {would}begun, {len(result.ended)} {would}ended, {result.unchanged} unchanged.")
    say(
        f"{result.lines_linked} order lines had waited; {result.due_units} units on {result.listings_due} listings"
        f" {would or 'are '}due, {result.waived_units} from before their link's start {would or 'are '}waived."
    )
    if result.dry_run:
        say("Nothing was changed.")


def _show_versions(title: str, held: Sequence[Version]) -> None:
    if held:
        print_table(
            ("Channel", "SKU", "Listing", "Units", "From", "Until"),
            [(v.channel, v.sku, v.listing_id, v.units, v.from_at, v.until_at) for v in held[:ROWS_SHOWN]],
            title=title,
        )
    if len(held) > ROWS_SHOWN:
        say(f"… and {len(held) - ROWS_SHOWN} more (--json has all).")


@links.command("export", epilog=examples("trueup links export > links.csv", "trueup links export --channel acme-shop"))
def export(
    channel: Annotated[str | None, typer.Option(help="Only of this channel.")] = None,
    config: Config = None,
    json: Json = False,
) -> None:
    """Print the links in force as CSV, in the form that `trueup links import` takes."""
    with opened(config) as services:
        if json:
            print_json({"links": services.links.in_force(channel)})
        else:
            sys.stdout.write(services.links.export_csv(channel))


@links.command(
    "suggest",
    epilog=examples(
        "trueup links suggest",
        "trueup links suggest --channel acme-shop --sku MUG-BLUE --json",
        "trueup links suggest --least 95 --csv | trueup links import - --dry-run",
    ),
)
def suggest(
    channel: Annotated[str | None, typer.Option(help="Only of this channel.")] = None,
    sku: Annotated[str | None, typer.Option(help="Only this SKU, as the channel spells it.")] = None,
    least: Annotated[int, typer.Option(help="Only suggestions of this score or more.", min=0, max=100)] = 0,
    csv: Annotated[
        bool, typer.Option("--csv", help="Print the surest of each SKU as `trueup links import` takes it.")
    ] = False,
    config: Config = None,
    json: Json = False,
) -> None:
    """Show SKUs whose sales wait for a link, and which listing each may be: a score from 60 to 100, and why.

    The same SKU on the marketplace scores 100; the same barcode, another channel's link of the same SKU and a former
    link follow; SKUs and titles that are merely spelled alike stay below 90. Nothing is linked by it.
    """
    from worker.links.table import written

    with opened(config) as services:
        held = list(_unlinked(services, channel, sku, least))
    if json:
        print_json({"skus": held})
    elif csv:
        best = ((entry.channel, entry.sku, entry.suggestions[0]) for entry in held if entry.suggestions)
        sys.stdout.write(written((name, of, found.listing_id, found.units, "") for name, of, found in best))
    else:
        _show_suggestions(held)


def _unlinked(services: Services, channel: str | None, sku: str | None, least: int) -> Iterator[UnlinkedSku]:
    """Page by page: what is compared at once is bounded."""
    from worker.links import Unlinked

    unlinked, after = Unlinked(services.store), None
    while True:
        page = unlinked.page(channel=channel, sku=sku, after=after)
        for entry in page.skus:
            yield replaced(entry, suggestions=[found for found in entry.suggestions if found.score >= least])
        if not page.more:
            return
        after = (page.skus[-1].channel, page.skus[-1].sku)


def _show_suggestions(held: Sequence[UnlinkedSku]) -> None:
    rows: list[tuple[object, ...]] = []
    for entry in held:
        first = (entry.channel, entry.sku, entry.units, entry.orders, entry.since)
        rows += [
            (*(first if index == 0 else ("",) * len(first)), found.listing_id, found.score, found.why)
            for index, found in enumerate(entry.suggestions)
        ] or [(*first, None, None, "Nothing is like it.")]
    print_table(
        ("Channel", "SKU", "Units", "Orders", "Since", "Listing", "Score", "Why"),
        rows,
        empty="No sale waits for a link.",
    )


@links.command(
    "correct",
    epilog=examples(
        "trueup links correct --channel acme-shop --sku MUG --from 2fd8… --to 77aa…",
        "trueup links correct --channel acme-shop --sku SIX --from 2fd8… --to 2fd8… --units 6 --yes",
    ),
)
def correct(
    channel: Annotated[str, typer.Option(help="The channel.")],
    sku: Annotated[str, typer.Option(help="The SKU, as the channel spells it.")],
    from_listing: Annotated[str, typer.Option("--from", help="The listing it was counted for.")],
    to_listing: Annotated[str, typer.Option("--to", help="The listing it shall have been counted for.")],
    units: Annotated[int | None, typer.Option(help="Listing units per sold one; else as they are.", min=1)] = None,
    since: Annotated[
        str | None, typer.Option(help="Only lines placed at or after this, e.g. 2026-11-01T00:00:00Z.")
    ] = None,
    yes: Annotated[
        bool, typer.Option("--yes", help="Do it; without this the plan is shown and nothing is done.")
    ] = False,
    config: Config = None,
    json: Json = False,
) -> None:
    """Rewrite the past of one SKU: give its units back on one listing and take them on another.

    Shows its plan first, and needs --yes. For what is to come alone, import changed links instead.
    """
    from worker.links import Correction, CorrectionRefusedError, Corrections

    correction = Correction(channel, sku, from_listing, to_listing, units, _moment(since))
    with opened(config, register=True) as services:
        corrections = Corrections(services.store, services.clock)
        try:
            plan = corrections.make(correction, by=caller().name) if yes else corrections.plan(correction)
        except CorrectionRefusedError as error:
            raise CommandError(str(error)) from None
    if json:
        print_json(
            {
                "done": yes,
                "correction": plan.correction,
                "lines": plan.lines,
                "units_given_back": plan.units_given_back,
                "units_taken": plan.units_taken,
                "links_ended": plan.links_ended,
                "links_begun": plan.links_begun,
            }
        )
        return
    _show_correction(plan, done=yes)


def _moment(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise CommandError(f"--since {text!r} is no time with an offset. Write it like 2026-11-01T00:00:00Z.")
    return moment


def _show_correction(plan: CorrectionPlan, *, done: bool) -> None:
    print_table(
        ("Order", "Line", "Placed", "Given back", "No longer owed", "Taken", "Waived"),
        [
            (line.order_id, line.line_id, line.placed_at, line.given_back, line.no_longer_owed, line.taken, line.waived)
            for line in plan.lines[:ROWS_SHOWN]
        ],
        title=f"SKU {plan.correction.sku}: from {plan.correction.from_listing} to {plan.correction.to_listing}",
        empty="no order lines are concerned",
    )
    if len(plan.lines) > ROWS_SHOWN:
        say(f"… and {len(plan.lines) - ROWS_SHOWN} more lines (--json has all).")
    say(
        f"{len(plan.lines)} lines: {plan.units_given_back} units are given back on the one, {plan.units_taken} taken on"
        f" the other; {plan.links_ended} links are rewritten, {plan.links_begun} made."
    )
    say("Done; both listings are due." if done else "Nothing was changed. Repeat with --yes to do it.")
