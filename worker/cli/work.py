"""`poll`, `reconcile`, `sweep`: one round of what the service does by itself."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from worker.cli.context import Config, Json, opened, polled_channel_named
from worker.cli.exits import ExitCode
from worker.cli.output import ago, note, print_json, print_table, progress, say

if TYPE_CHECKING:
    from worker.status.overview import PendingUnits


def poll(
    channel: Annotated[str | None, typer.Argument(help="Only this channel.", show_default="all")] = None,
    config: Config = None,
    json: Json = False,
) -> None:
    """Read changed orders of channels to their head, now.

    What is read is taken in as any poll: repeating it changes nothing. Nothing is written to the marketplace.
    """
    from connectors.errors import ConnectorError

    found = []
    with opened(config, register=True) as services:
        names = [polled_channel_named(services, channel)] if channel else sorted(services.poll_seconds)
        for name in names:
            error = None
            with progress(f"polling {name}") as move:
                try:
                    pages = 0
                    while not services.poller.poll(name):
                        pages += 1
                        move(pages)
                    while services.fetcher.drain():
                        pass
                except ConnectorError as refused:
                    error = str(refused)
            found.append({"channel": name, "at_head": error is None, "error": error})
        waiting = services.overview.now()
    if json:
        print_json({"channels": found, "pending": [asdict(pending) for pending in waiting.pending]})
    else:
        rows = [(entry["channel"], "read to its head" if entry["at_head"] else entry["error"]) for entry in found]
        print_table(("Channel", "Orders"), rows, empty="No channel is configured that can be polled.")
        to_take, to_give_back = _pending(waiting.pending)
        say(f"{to_take} units wait to be taken and {to_give_back} to be given back. See them with `trueup plan`.")
    if any(entry["error"] for entry in found):
        note("`trueup doctor` tries each account and says what to do.")
        raise typer.Exit(ExitCode.UNAVAILABLE)


def reconcile(config: Config = None, json: Json = False) -> None:
    """Write what is due to the marketplace, now, and look at the listings that need a look.

    Handles waiting deliveries and fetches first, then reads the change feed to its head, as the service does. Safe
    beside running workers. Ends when nothing is due any more; what waits for evidence or stock is due later.
    """
    with opened(config, register=True) as services:
        with progress("taking in") as move:
            _drain(services.inbox.drain, move)
            _drain(services.fetcher.drain, move)
            services.feed.follow()
        before = services.overview.now()
        with progress("reconciling", sum(pending.listings for pending in before.pending)) as move:
            _drain(services.reconciler.drain, move)
        with progress("looking at listings") as move:
            _drain(services.keeper.drain, move)
            services.feed.follow()
            services.recovery.drain()
            _drain(services.reconciler.drain, move)
        after = services.overview.now()
        counts = services.reconciler.counts
        held = next((hold for hold in after.holds if hold.scope.value == "marketplace"), None)
    to_take, to_give_back = _pending(after.pending)
    if json:
        print_json(
            {
                "sent": counts.sent,
                "applied": counts.applied,
                "mismatches": counts.mismatches,
                "unknown": counts.unknown,
                "pending": [asdict(pending) for pending in after.pending],
                "held": None if held is None else held.reason,
            }
        )
    else:
        say(f"{counts.sent} writes sent, {counts.applied} applied, {counts.unknown} without an answer.")
        say(f"{to_take} units still wait to be taken and {to_give_back} to be given back (`trueup plan` says why).")
    if held is not None:
        note(f"Nothing is written: {held.reason.value} hold on the marketplace since {held.since:%Y-%m-%d %H:%M}Z.")
        raise typer.Exit(ExitCode.WRONG)


def sweep(config: Config = None, json: Json = False) -> None:
    """Read every listing of the marketplace, and note where it differs from what we hold.

    Makes listings known, so that SKUs can be linked to them. Costs one call per page of the catalogue.
    """
    with opened(config, register=True) as services:
        known = services.overview.count_listings()
        with progress("reading listings", known or None) as move:
            seen = services.sweeper.sweep(on_page=move)
        status = services.overview.now(count_listings=False)
        new = max(0, services.overview.count_listings() - known)
    if json:
        print_json({"listings": seen, "new": new, "last_swept_at": status.last_swept_at})
        return
    say(f"{seen} listings read, {new} of them new; swept {ago(status.last_swept_at, status.at)}.")


def _drain(drain: Callable[[], int], move: Callable[[int], None]) -> None:
    done = 0
    while handled := drain():
        done += handled
        move(done)


def _pending(pending: Iterable[PendingUnits]) -> tuple[int, int]:
    rows = list(pending)
    return sum(row.to_take for row in rows), sum(row.to_give_back for row in rows)
