"""`alerts`: who is told of anomalies, and whether it works."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from worker.cli.context import Config, Json, caller, examples, opened
from worker.cli.exits import CommandError, ExitCode
from worker.cli.output import note, print_json, print_table

if TYPE_CHECKING:
    from worker.alerts.sender import DestinationView

alerts = typer.Typer(help="Who is told of anomalies, and whether that works.", no_args_is_help=True)


@alerts.command("list", epilog=examples("trueup alerts list", "trueup alerts list --json"))
def alerts_list(config: Config = None, json: Json = False) -> None:
    """Every destination: what it is told of and when, what waits for it, whether it took what it was sent last."""
    with opened(config) as services:
        found = services.alerts.destinations()
    if json:
        print_json({"destinations": [_told(view) for view in found]})
        return
    print_table(
        ("Destination", "To", "Of", "Hours", "Waiting", "Took", "Failed", "Why"),
        [
            (
                view.name,
                view.kind,
                view.told_of,
                view.hours,
                view.standing.waiting,
                view.standing.succeeded_at,
                view.standing.failed_at,
                view.standing.error or "",
            )
            for view in found
        ],
        empty="Nobody is told: set alerts.urls, or a table [alerts.destinations.NAME].",
    )


def _told(view: DestinationView) -> dict[str, Any]:
    about = {"name": view.name, "kind": view.kind, "told_of": view.told_of, "hours": view.hours}
    return {**about, **asdict(view.standing)}


@alerts.command(
    "test", epilog=examples("trueup alerts test", "trueup alerts test on-call", "trueup alerts test --json")
)
def alerts_test(
    names: Annotated[
        list[str] | None,
        typer.Argument(help="Destinations, as `trueup alerts list` names them; else all.", metavar="[NAME...]"),
    ] = None,
    config: Config = None,
    json: Json = False,
) -> None:
    """Send a test message, at once and whatever the hour, and say which destinations took it.

    Exits with 1 if any did not. What a destination has missed is sent as soon as it takes a test.
    """
    with opened(config) as services:
        known = [view.name for view in services.alerts.destinations()]
        if not known:
            raise CommandError(
                "Nobody is told: set alerts.urls, or a table [alerts.destinations.NAME].", ExitCode.WRONG
            )
        chosen = list(dict.fromkeys(names or known))
        if strange := [name for name in chosen if name not in known]:
            raise CommandError(f"There is no destination {strange[0]!r}. Known are: {', '.join(known)}.")
        outcomes = {name: services.desk.test_alerts(name, by=caller()) for name in chosen}
    if json:
        tested = [{"name": name, "taken": reason is None, "reason": reason} for name, reason in outcomes.items()]
        print_json({"tested": tested})
    else:
        rows = [(name, "FAILED" if reason else "taken", reason or "") for name, reason in outcomes.items()]
        print_table(("Destination", "", "Why"), rows)
    failed = sum(reason is not None for reason in outcomes.values())
    if failed:
        note(f"{failed} of {len(outcomes)} destinations did not take it.")
        raise typer.Exit(ExitCode.WRONG)
