"""What most commands begin with: the options they share, and the services of a configuration."""

from __future__ import annotations

import getpass
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from worker.cli.exits import CommandError

if TYPE_CHECKING:
    from config.settings import Settings
    from worker.operators import Actor
    from worker.services import Services
    from worker.store import Store

Config = Annotated[
    Path | None,
    typer.Option(
        "--config",
        "-c",
        metavar="FILE",
        help="The configuration; else TRUEUP_CONFIG, else ./trueup.toml.",
        dir_okay=False,
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, and nothing else, on standard output.")]


def examples(*lines: str) -> str:
    """The end of a command's help. An empty line between two keeps each on a line of its own."""
    return "\n\n".join(("[bold]Examples[/bold]", *(f"  {line}" for line in lines)))


def load_settings(config: Path | None, *, serving: bool = False) -> Settings:
    """The configuration, with the log set up for it. Raises ConfigurationError.

    A command that ends by itself logs warnings only (unless the level is debug): what it did, it prints. One that
    serves keeps its memory together, and logs what is configured.
    """
    from config import loading, logging

    if serving:
        from worker.memory import share_one_arena

        share_one_arena()
    settings = loading.load(config)
    log = settings.log
    if not serving and log.level == "info":
        log = log.model_copy(update={"level": "warning"})
    logging.configure(log, secrets=settings.secrets())
    if serving:
        _tell_passed_over()
    return settings


def _tell_passed_over() -> None:
    import structlog

    from connectors.registry import passed_over

    for sentence in passed_over():
        structlog.get_logger(__name__).warning("connector_passed_over", detail=sentence)


@contextmanager
def opened(config: Path | None, *, register: bool = False, serving: bool = False) -> Iterator[Services]:
    """The services of a configuration, closed at the end; nothing is called by opening them.

    `register` makes configured channels known to the database, for commands that work with them.
    """
    from worker.services import Services

    services = Services(load_settings(config, serving=serving))
    try:
        require_schema(services.store)
        if register:
            services.register_channels()
        yield services
    finally:
        services.close()


def require_schema(store: Store) -> None:
    """Refuse a database that this version of trueup does not work with."""
    from worker.store.migrate import standing

    found = standing(store)
    if not found.usable:
        raise CommandError(str(found))


def channel_named(services: Services, name: str) -> str:
    """`name`, if it is a configured channel."""
    if name not in services.channels:
        known = ", ".join(sorted(services.channels)) or "none"
        raise CommandError(f"There is no channel {name!r} in the configuration. Known are: {known}.")
    return name


def polled_channel_named(services: Services, name: str) -> str:
    """`name`, if it is a configured channel that can be read."""
    if channel_named(services, name) not in services.poll_seconds:
        raise CommandError(f"The channel {name!r} cannot be polled: its orders are sent here, or imported from files.")
    return name


def caller() -> Actor:
    """Who runs this command, for the records of decisions."""
    from worker.operators import Actor, Via

    try:
        name = getpass.getuser()[:64]
    except (OSError, KeyError):
        name = "unknown user"
    return Actor(name, Via.COMMAND)
