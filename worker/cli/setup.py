"""`init`: a configuration file, and the database it names."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from worker.cli.context import Config, load_settings
from worker.cli.exits import CommandError
from worker.cli.output import note, say

if TYPE_CHECKING:
    from worker.cli.configuration import Answers

DEFAULT_FILE = Path("trueup.toml")


def init(
    marketplace: Annotated[str | None, typer.Option(help="Connector of the marketplace.")] = None,
    marketplace_option: Annotated[
        list[str] | None,
        typer.Option(
            help="A setting of that connector; repeatable. Secrets as env:NAME or file:PATH.", metavar="KEY=VALUE"
        ),
    ] = None,
    channel: Annotated[str | None, typer.Option(help="Name of the first channel, e.g. acme-shop.")] = None,
    channel_connector: Annotated[str | None, typer.Option(help="Connector of that channel.")] = None,
    channel_option: Annotated[
        list[str] | None, typer.Option(help="A setting of that connector; repeatable.", metavar="KEY=VALUE")
    ] = None,
    seller: Annotated[
        str | None, typer.Option(help="The marketplace's id of the seller whose listings the channel may move.")
    ] = None,
    any_seller: Annotated[
        bool, typer.Option("--any-seller", help="The channel may move every seller's listings.")
    ] = False,
    counted_from: Annotated[
        str | None, typer.Option(help="Orders placed earlier never count, e.g. 2026-11-01T00:00:00Z; else from now on.")
    ] = None,
    database: Annotated[str | None, typer.Option(help="Database URL (or env:NAME); else a SQLite file here.")] = None,
    broker: Annotated[str | None, typer.Option(help="Broker URL (or env:NAME); else none, for `trueup run`.")] = None,
    public_url: Annotated[str | None, typer.Option(help="The address under which vendors reach the receiver.")] = None,
    migrate_only: Annotated[
        bool, typer.Option("--migrate-only", help="Write no file: bring the database of an existing one up to date.")
    ] = False,
    after_deploy: Annotated[
        bool,
        typer.Option(
            "--after-deploy",
            help="With --migrate-only: also take away what only older versions need; when none of them runs any more.",
        ),
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing file.")] = False,
    config: Config = None,
) -> None:
    """Write a configuration and make its database. Asks for what is not given, where there is a terminal.

    Secrets are never written into the file, only where they are found: env:NAME or file:PATH. The file is readable for
    you alone. New channels start in shadow: `trueup plan` shows what would be done before anything is.
    """
    from worker.cli import configuration

    if migrate_only:
        _make_database(config, after_deploy=after_deploy)
        return
    if after_deploy:
        raise CommandError("--after-deploy is the second half of --migrate-only: give both.")
    path = config or Path(os.environ.get("TRUEUP_CONFIG", "") or DEFAULT_FILE)
    if path.exists() and not force:
        message = f"{path} exists. `trueup init --migrate-only` makes its database; --force replaces the file."
        raise CommandError(message)
    answers = configuration.Answers(
        marketplace=marketplace or _ask("Connector of the marketplace", "sharetribe"),
        marketplace_options=configuration.pairs(marketplace_option or (), "--marketplace-option"),
        channel=channel if channel is not None else _ask("Name of the first channel (empty: none yet)", ""),
        channel_options=configuration.pairs(channel_option or (), "--channel-option"),
        channel_connector=channel_connector or "",
        seller=seller or "",
        any_seller=any_seller,
        counted_from=counted_from or "",
        database=database or "sqlite:///trueup.db",
        broker=broker or "memory://",
        public_url=public_url or "",
    )
    if answers.channel:
        _complete_channel(answers)
    configuration.complete(answers, _ask)
    unset = configuration.write(answers, path)
    say(f"{path} is written.")
    _make_database(path, placeholders=unset)
    for name in unset:
        note(f"Set the variable {name} before you go on: the configuration refers to it.")
    say("Next: `trueup doctor` tries everything; `trueup sweep` reads the listings; `trueup links import` links SKUs.")


def _complete_channel(answers: Answers) -> None:
    if not answers.channel_connector:
        answers.channel_connector = _ask("Connector of that channel", "shopify")
    if not answers.seller and not answers.any_seller:
        answers.seller = _ask("The marketplace's id of its seller (empty: any seller's listings)", "")
        if not answers.seller:
            if not _interactive():
                raise CommandError("Say whose listings the channel may move: --seller ID, or --any-seller.")
            answers.any_seller = True


def _interactive() -> bool:
    import sys

    return sys.stdin.isatty()


def _ask(question: str, default: str) -> str:
    """The answer of a person, or the default where nobody can be asked."""
    if not _interactive():
        return default
    answer: str = typer.prompt(question, default=default, show_default=bool(default), err=True)
    return answer.strip()


def _make_database(config: Path | None, placeholders: tuple[str, ...] = (), *, after_deploy: bool = False) -> None:
    """Bring the schema up to date and make the channels known. Idempotent."""
    from worker.cli import configuration
    from worker.services import Services
    from worker.store.migrate import standing, upgrade

    settings = configuration.load_with_placeholders(config, placeholders) if placeholders else load_settings(config)
    services = Services(settings)
    try:
        upgrade(services.store, after_deploy=after_deploy)
        services.register_channels()
        waits = standing(services.store).remedy
    finally:
        services.close()
    say(f"The database is ready: {services.store.url.render_as_string(hide_password=True)}")
    if waits:
        note(f"Half of the upgrade is done: {waits}.")
