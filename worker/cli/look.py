"""`status`, `plan`, `doctor`: how things are."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from worker.cli.context import Config, Json, channel_named, load_settings, opened
from worker.cli.exits import CommandError, ExitCode
from worker.cli.output import (
    Marked,
    Mood,
    ago,
    laid_out,
    marked,
    mood_of,
    note,
    print_json,
    print_table,
    progress,
    say,
    show,
    shown,
    summed_up,
)
from worker.cli.output import watch as watched

if TYPE_CHECKING:
    from rich.console import RenderableType

    from worker.status import ListingPreview, Status
    from worker.status.doctor import Examined
    from worker.status.overview import Reading

LISTINGS_SHOWN = 50
CHECKS_SHOWN, ALIKE_SHOWN = 60, 5
"""Of `doctor`: how many checks are shown one by one, and how many that fail alike when there are more."""
ROWS_SHOWN = 20
"""Of one table of `status`; JSON has all."""


def status(
    check: Annotated[bool, typer.Option("--check", help="Exit with 1 unless the stock is true.")] = False,
    watch: Annotated[bool, typer.Option("--watch", help="Show it anew again and again, until Ctrl-C.")] = False,
    every: Annotated[float, typer.Option(help="With --watch: seconds from one look to the next.", min=0.2)] = 2.0,
    config: Config = None,
    json: Json = False,
) -> None:
    """Is the stock true? What waits, what is unknown, what is held, and how far everything has been read.

    Asks the database alone: no vendor is called.
    """
    if watch and (json or check):
        raise CommandError("--watch is for people and does not end: leave out --json and --check.")
    if watch and not sys.stdout.isatty():
        raise CommandError("--watch needs a terminal. `trueup status --json` is for programs.")
    with opened(config) as services:
        if watch:
            # What it costs to count every listing is not spent again and again.
            watched(lambda: _live_status(services.overview.now(count_listings=False)), every_seconds=every)
            return
        found = services.overview.now()
    if json:
        print_json(found)
    else:
        _show_status(found)
    if check and not found.stock_is_true:
        raise typer.Exit(ExitCode.WRONG)


def _show_status(found: Status) -> None:
    show(*_status_lines(found))


def _live_status(found: Status) -> RenderableType:
    from rich.console import Group

    return Group(marked(f"{shown(found.at)}, Ctrl-C ends this."), *_status_lines(found))


def _status_lines(found: Status) -> Iterator[RenderableType]:
    if found.stock_is_true:
        yield marked("The stock is true.", Mood.GOOD)
    else:
        yield marked("The stock is not known to be true:", Mood.BAD)
    yield from (marked(f"  - {reason}") for reason in found.reasons)
    yield marked("")
    unsettled = found.operations_prepared + found.operations_unknown
    known = "" if found.listings is None else f"{found.listings}, "
    facts = [
        ("Listings", f"{known}{found.listings_below_zero} below zero, {found.closed_by_us} closed by us"),
        ("Last sweep", ago(found.last_swept_at, found.at)),
        ("Writes not settled", f"{unsettled}, oldest {ago(found.oldest_unsettled_at, found.at)}" if unsettled else "0"),
        (
            "Deliveries waiting",
            f"{found.deliveries_waiting}, oldest {ago(found.oldest_delivery_at, found.at)}"
            if found.deliveries_waiting
            else "0",
        ),
        ("Orders to fetch", str(found.orders_to_fetch)),
        ("Parked", f"{found.deliveries_parked} deliveries, {found.orders_parked} orders"),
        ("Units without a link", str(found.unlinked_units)),
        ("Alerts to send", str(found.alerts_unsent)),
    ]
    yield laid_out(("What", "Now"), facts)
    pending = sorted(found.pending, key=lambda row: -(row.to_take + row.to_give_back))
    rows = [(row.channel, row.to_take, row.to_give_back, row.listings) for row in pending[:ROWS_SHOWN]]
    yield laid_out(("Channel", "To take", "To give back", "Listings"), rows, title="Pending units")
    yield from _of_more(len(pending), "channels with fewer")
    # Of many, those that are worth a look: late ones, the longest first.
    read = sorted(found.readings, key=_worst_first)
    readings = [
        (reading.name, ago(reading.current_at, found.at), Marked("late", Mood.BAD) if reading.late else "")
        for reading in (found.readings if len(read) <= ROWS_SHOWN else read[:ROWS_SHOWN])
    ]
    yield laid_out(("Feed or channel", "Read to its head", ""), readings, title="Read")
    late = sum(reading.late for reading in read)
    yield from _of_more(len(read), f"read more lately; {late} of all {len(read)} are late")
    holds = [
        (Marked(hold.reason.value, Mood.ODD), f"{hold.scope.value} {hold.subject}", hold.since, hold.note)
        for hold in found.holds[:ROWS_SHOWN]
    ]
    yield laid_out(("Hold", "On", "Since", "Why"), holds, title="Holds")
    yield from _of_more(
        len(found.holds), f"in all {summed_up(hold.reason.value for hold in found.holds)}: `trueup holds list`"
    )
    anomalies = [(Marked(kind, mood_of(kind)), count) for kind, count in sorted(found.anomalies.items())]
    yield laid_out(("Kind", "Unresolved"), anomalies, title="Anomalies")


def _worst_first(reading: Reading) -> tuple[bool, float]:
    return not reading.late, -math.inf if reading.lag_seconds is None else -reading.lag_seconds


def _of_more(rows: int, of_them: str) -> Iterator[RenderableType]:
    if rows > ROWS_SHOWN:
        yield marked(f"… and {rows - ROWS_SHOWN} more, {of_them}.\n")


def plan(
    channel: Annotated[str | None, typer.Option(help="Only listings this channel sold.")] = None,
    listing: Annotated[str | None, typer.Option(help="Only this listing.")] = None,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Read each listing first; else the best known totals are used.")
    ] = False,
    limit: Annotated[int, typer.Option(help="Most listings to print (JSON has all).", min=1)] = LISTINGS_SHOWN,
    config: Config = None,
    json: Json = False,
) -> None:
    """What would be sent to the marketplace, and why, per listing with its order lines. Nothing is written.

    Channels in shadow or with a plan that is too large are counted in: look here, then confirm them with
    `trueup holds lift channel NAME`.
    """
    from worker.status import Preview

    with opened(config) as services:
        if channel is not None:
            channel_named(services, channel)
        preview = Preview(services.store, services.holds, services.marketplace, services.executor)
        with progress("reading listings") as move:
            found = preview.plan(channel=channel, listing_id=listing, fresh=fresh, on_read=lambda read, _of: move(read))
    if json:
        print_json({"listings": [{**asdict(entry), "change": entry.change} for entry in found]})
        return
    for entry in found[:limit]:
        _show_listing(entry)
    if len(found) > limit:
        say(f"… and {len(found) - limit} more listings: --limit, --listing or --json show them.")
    writes = sum(entry.step.value == "write" for entry in found)
    held = sum(entry.held is not None for entry in found)
    down = -sum(entry.change for entry in found if entry.change < 0)
    up = sum(entry.change for entry in found if entry.change > 0)
    say(
        f"{len(found)} listings with pending units: {writes} writes, taking {down} units and giving back {up};"
        f" {held} of them are held. Nothing was sent."
    )


def _show_listing(entry: ListingPreview) -> None:
    arrow = f"{shown(entry.total)} -> {shown(entry.new_total)}" if entry.step.value == "write" else shown(entry.total)
    held = f" [held: {entry.held}]" if entry.held else ""
    name = f"{entry.listing_id} {entry.title}".strip()
    print_table(
        ("Channel", "Order", "SKU", "Placed", "Committed", "Applied", "Waived", "Due", "Planned", "Held"),
        [
            (
                line.channel,
                line.order_id,
                line.sku,
                line.placed_at,
                line.committed,
                line.applied,
                line.waived,
                line.due_units,
                line.planned_units,
                line.held or "",
            )
            for line in entry.lines
        ],
        title=f"{name}: {entry.step.value}, stock {arrow} ({entry.why}){held}",
    )


def _show_examined(found: Sequence[Examined]) -> None:
    """Everything, where that is little; else what failed, a few of each kind: three hundred accounts that fail alike
    are one thing to mend.
    """
    listed: Sequence[Examined] = found
    left_out = ""
    if len(found) > CHECKS_SHOWN:
        alike: dict[tuple[str, str], list[Examined]] = {}
        for entry in found:
            if not entry.check.ok:
                alike.setdefault((entry.check.name, entry.check.remedy), []).append(entry)
        listed = [entry for group in alike.values() for entry in group[:ALIKE_SHOWN]]
        more = sum(max(0, len(group) - ALIKE_SHOWN) for group in alike.values())
        left_out = f" … and {more} more that fail like these: --json shows them." if more else ""
    print_table(
        ("Of", "Tried", "", "Found", "What to do"),
        [
            (
                entry.subject,
                entry.check.name,
                Marked("ok", Mood.GOOD) if entry.check.ok else Marked("FAILED", Mood.BAD),
                entry.check.detail,
                entry.check.remedy,
            )
            for entry in listed
        ],
        title="Failed" if listed is not found else None,
    )
    if listed is not found:
        subjects = {entry.subject for entry in found}
        troubled = {entry.subject for entry in found if not entry.check.ok}
        say(f"{len(found)} things were tried of {len(subjects)}; of {len(troubled)} something failed.{left_out}")


def doctor(config: Config = None, json: Json = False) -> None:
    """Try everything that has to work: configuration, database, broker; each account, its scopes, webhooks and clock.

    Each failure comes with a remedy. An account that was held because it refused our credentials is freed when it
    passes; webhooks that are missing are registered. Exits with 1 if anything failed.
    """
    from worker.services import Services
    from worker.status.doctor import Doctor

    settings = load_settings(config)
    services = Services(settings)
    found = []
    try:
        with progress("trying") as move:
            for examined in Doctor(services).examine():
                found.append(examined)
                move(len(found))
    finally:
        services.close()
    failed = [examined for examined in found if not examined.check.ok]
    if json:
        checks = [{"subject": examined.subject, **asdict(examined.check)} for examined in found]
        print_json({"ok": not failed, "checks": checks})
    else:
        say("The configuration is valid.")
        _show_examined(found)
        say("Everything works." if not failed else f"{len(failed)} of {len(found)} things failed.")
    if failed:
        if json:
            note(f"{len(failed)} of {len(found)} things failed.")
        raise typer.Exit(ExitCode.WRONG)
