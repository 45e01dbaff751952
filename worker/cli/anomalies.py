"""`anomalies`: what an operator must know, and what he says of it."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from worker.cli.context import Config, Json, caller, examples, opened
from worker.cli.exits import CommandError, ExitCode
from worker.cli.output import Marked, mood_of, print_json, print_table, say, shown

if TYPE_CHECKING:
    from worker.alerts.anomalies import AnomalyView

anomalies = typer.Typer(help="What an operator must know.", no_args_is_help=True)

Ids = Annotated[list[int], typer.Argument(help="Ids, as `trueup anomalies list` shows them.", metavar="ID...")]


@anomalies.command("list", epilog=examples("trueup anomalies list", "trueup anomalies list --kind oversold --json"))
def anomalies_list(
    kind: Annotated[str | None, typer.Option(help="Only of this kind, e.g. oversold.")] = None,
    all_: Annotated[bool, typer.Option("--all", help="Resolved ones too.")] = False,
    snoozed: Annotated[bool, typer.Option("--snoozed", help="Only those that are snoozed.")] = False,
    config: Config = None,
    json: Json = False,
) -> None:
    """What is wrong, or was, newest first."""
    from worker.alerts import Kind

    if kind is not None and kind not in list(Kind):
        raise CommandError(f"There is no kind {kind!r}. Kinds are: {', '.join(sorted(Kind))}.")
    with opened(config) as services:
        found = services.anomalies.list(unresolved_only=not all_, kind=kind, snoozed=snoozed or None)
    if json:
        print_json({"anomalies": found})
        return
    print_table(
        ("Id", "Kind", "Severity", "State", "Times", "Last seen", "What, and what to do"),
        [
            (
                entry.id,
                entry.kind,
                Marked(entry.severity.value, mood_of(entry.kind)),
                _state(entry),
                entry.occurrences,
                entry.last_seen_at,
                entry.message,
            )
            for entry in found
        ],
        empty="None is snoozed." if snoozed else "Nothing is wrong.",
    )


def _state(entry: AnomalyView) -> str:
    came_back = " again" if entry.came_back and entry.state.value == "open" else ""
    until = "" if entry.snoozed_until is None else f", snoozed until {shown(entry.snoozed_until)}"
    return f"{entry.state.value}{came_back}{until}"


@anomalies.command("ack", epilog=examples("trueup anomalies ack 17", "trueup anomalies ack 17 18 19"))
def anomalies_ack(
    ids: Ids,
    config: Config = None,
    json: Json = False,
) -> None:
    """Mark anomalies as seen by a person. They resolve by themselves when their cause is gone."""
    with opened(config) as services:
        done = [entry for entry in dict.fromkeys(ids) if services.desk.acknowledge(entry, by=caller())]
    _report("acknowledged", "Acknowledged", ids, done, json=json)


@anomalies.command(
    "snooze",
    epilog=examples(
        'trueup anomalies snooze 17 --until 8h --reason "the seller counts tonight"',
        'trueup anomalies snooze 17 18 --until 2026-12-01T08:00:00Z --reason "the shop moves until then"',
    ),
)
def anomalies_snooze(
    ids: Ids,
    until: Annotated[str, typer.Option(help="For how long (30m, 8h, 3d), or a time with its offset from UTC.")],
    reason: Annotated[str, typer.Option(help="Why it can wait; kept in the log of actions.")],
    config: Config = None,
    json: Json = False,
) -> None:
    """Tell nobody of these anomalies for a while. They open again when it is over, and earlier when they get worse, or
    come back after they were resolved. What trueup does about them goes on.
    """
    from worker.alerts.anomalies import SnoozeRefusedError

    if not reason.strip():
        raise CommandError("--reason is empty: say why it can wait.")
    with opened(config) as services:
        moment = _moment(until, services.clock.now())
        try:
            done = [
                entry
                for entry in dict.fromkeys(ids)
                if services.desk.snooze(entry, moment, by=caller(), reason=reason.strip())
            ]
        except SnoozeRefusedError as error:
            raise CommandError(f"--until {until!r}: {error}.") from None
    _report("snoozed", f"Snoozed until {shown(moment)}", ids, done, json=json)


@anomalies.command("unsnooze", epilog=examples("trueup anomalies unsnooze 17"))
def anomalies_unsnooze(ids: Ids, config: Config = None, json: Json = False) -> None:
    """End a snooze before its time."""
    with opened(config) as services:
        done = [entry for entry in dict.fromkeys(ids) if services.desk.unsnooze(entry, by=caller())]
    _report("unsnoozed", "Not snoozed any more", ids, done, json=json, missed="Not snoozed")


def _report(name: str, told: str, ids: list[int], done: list[int], *, json: bool, missed: str = "Not open") -> None:
    missing = [entry for entry in dict.fromkeys(ids) if entry not in done]
    if json:
        print_json({name: done, missed.lower().replace(" ", "_"): missing})
    elif done:
        say(f"{told}: {', '.join(map(str, done))}.")
    if missing:
        message = f"{missed}: {', '.join(map(str, missing))}. `trueup anomalies list` shows those that are."
        raise CommandError(message, ExitCode.WRONG)


def _moment(text: str, now: datetime) -> datetime:
    """When something is over that somebody wrote as a length of time, or as a moment."""
    if (length := re.fullmatch(r"(\d{1,6})(m|h|d)", text)) is not None:
        unit = {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1)}[length[2]]
        return now + int(length[1]) * unit
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise CommandError(
            f"--until {text!r} is neither a length such as 8h or 3d nor a time such as 2026-12-01T08:00Z."
        )
    return moment.astimezone(UTC)
