"""`channels`: how each of them is, and pausing one."""

from __future__ import annotations

from typing import Annotated

import typer

from worker.cli.context import Config, Json, caller, channel_named, examples, opened
from worker.cli.exits import CommandError, ExitCode
from worker.cli.output import ago, print_json, print_table, say, summed_up

channels = typer.Typer(help="How each channel is, and pausing one.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="The channel's name.", metavar="NAME")]


@channels.command(
    "list", epilog=examples("trueup channels list", "trueup channels list --wrong", "trueup channels list --json")
)
def channels_list(
    wrong: Annotated[bool, typer.Option("--wrong", help="Only those that are not fine.")] = False,
    config: Config = None,
    json: Json = False,
) -> None:
    """The configured channels: whether each answers, is paused or in shadow, and how far it has been read.

    Asks the database alone: no vendor is called.
    """
    from worker.status.channels import Channels, Condition

    with opened(config) as services:
        found = Channels(
            services.store,
            services.clock,
            services.holds,
            services.breakers,
            services.settings.channels,
            services.poll_seconds,
        ).list()
        now = services.clock.now()
    if json:
        print_json({"channels": [entry for entry in found if not wrong or entry.condition is not Condition.FINE]})
        return
    rows = [
        (
            entry.name,
            entry.connector,
            entry.condition.value,
            "" if entry.since is None else ago(entry.since, now),
            "not polled" if entry.poll_seconds is None else ago(entry.read_at, now),
            entry.why,
        )
        for entry in found
        if not wrong or entry.condition is not Condition.FINE
    ]
    print_table(("Channel", "Connector", "Is", "Since", "Read", "Why"), rows, empty="None.")
    say(f"{len(found)} channels: {summed_up(entry.condition.value for entry in found)}.")


@channels.command("pause", epilog=examples('trueup channels pause acme-shop --reason "moving the shop"'))
def channels_pause(
    name: Name,
    reason: Annotated[str, typer.Option(help="Why; shown wherever the pause is.")],
    config: Config = None,
    json: Json = False,
) -> None:
    """Write nothing to the marketplace for this channel, until it is resumed. Every process heeds it within seconds.

    Its webhooks are received and its orders read meanwhile: its sales wait, and `trueup plan` shows them.
    """
    if not reason.strip():
        raise CommandError("--reason is empty: say why, for whoever finds the channel paused.")
    from worker.store.tables import HoldScope

    with opened(config, register=True) as services:
        services.desk.pause(HoldScope.CHANNEL, channel_named(services, name), by=caller(), reason=reason.strip())
    if json:
        print_json({"channel": name, "paused": True})
        return
    say(f"{name} is paused: its sales wait from now on. `trueup channels resume {name}` lets them count.")


@channels.command("resume", epilog=examples("trueup channels resume acme-shop"))
def channels_resume(name: Name, config: Config = None, json: Json = False) -> None:
    """End a pause: what waited is written at once."""
    from worker.store.tables import HoldReason, HoldScope

    with opened(config, register=True) as services:
        channel_named(services, name)
        if services.settings.channels[name].paused:
            message = (
                f"{name} is paused in the configuration: take `paused = true` out of [channels.{name}], and restart."
            )
            raise CommandError(message, ExitCode.WRONG)
        resumed = services.desk.lift(HoldScope.CHANNEL, name, by=caller(), only=HoldReason.PAUSED)
    if not resumed:
        raise CommandError(f"{name} is not paused. `trueup channels list` shows how it is.", ExitCode.WRONG)
    if json:
        print_json({"channel": name, "paused": False})
        return
    say(f"{name} goes on: what waited is due now.")
