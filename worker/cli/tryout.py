"""`demo`, `sandbox`, `version`: looking around and trying things out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from worker.cli.context import Json
from worker.cli.exits import CommandError, ExitCode
from worker.cli.output import print_json, say

EXTRA = "pip install 'trueup[sandbox]'"


def demo(
    orders: Annotated[
        Path | None,
        typer.Option(help="Order lines to replay, with the columns of the data that comes along.", metavar="FILE"),
    ] = None,
    limit: Annotated[int, typer.Option(help="Most order lines to replay; 0 is all.", min=0)] = 6000,
    marketplace: Annotated[str, typer.Option(help="Whose stock is kept true.", metavar="NAME")] = "sharetribe",
    channel: Annotated[str, typer.Option(help="Whose sales are taken.", metavar="NAME")] = "shopify",
    seed: Annotated[int, typer.Option(help="What is random is the same for the same seed.")] = 1,
    keep: Annotated[bool, typer.Option("--keep", help="Stay up and print the addresses, until Ctrl-C.")] = False,
    json: Annotated[Path | None, typer.Option(help="Write the figures there.", metavar="FILE")] = None,
) -> None:
    """Replay real order lines through local vendor servers, with faults and buyers, and prove every unit.

    Everything happens on this machine, in a temporary folder. Exits with 1 on any difference.
    """
    try:
        from worker.demo.main import Options
        from worker.demo.main import run as run_demo
        from worker.demo.vendors import CHANNELS, MARKETPLACES
    except ModuleNotFoundError as error:
        raise CommandError(f"The demo needs more than is installed ({error.name}): {EXTRA}") from None
    if orders is not None and not orders.is_file():
        raise CommandError(f"{orders} is no file. Leave --orders out to replay the data that comes along.")
    for name, asked, known in (("--marketplace", marketplace, MARKETPLACES), ("--channel", channel, CHANNELS)):
        if asked not in known:
            raise CommandError(f"{name} {asked}: no demo knows that. Known are {', '.join(known)}.")
    options = Options(
        orders=orders, limit=limit, marketplace=marketplace, channel=channel, seed=seed, keep=keep, json=json
    )
    raise typer.Exit(run_demo(options))


def sandbox(
    name: Annotated[str, typer.Argument(help="The connector whose vendor to imitate, e.g. sharetribe.")],
    host: Annotated[str, typer.Option(help="Address to listen on. The control surface has no password.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on; 0 takes a free one.", min=0, max=65535)] = 0,
    options: Annotated[str, typer.Option(help="The sandbox's options.", metavar="JSON")] = "{}",
) -> None:
    """Serve a local server that speaks a vendor's protocol, until Ctrl-C.

    Prints one JSON line with its address once it is listening. Its control surface is under /_control.
    """
    from connectors.registry import connector

    if connector(name).sandbox is None:
        raise CommandError(f"The connector {name} has no sandbox. `trueup connectors` lists those that have.")
    try:
        from connectors.sandbox.__main__ import main as serve
    except ModuleNotFoundError as error:
        raise CommandError(f"Sandboxes need more than is installed ({error.name}): {EXTRA}") from None
    try:
        code = serve([name, "--host", host, "--port", str(port), "--options", options])
    except ModuleNotFoundError as error:
        raise CommandError(f"This sandbox needs more than is installed ({error.name}): {EXTRA}") from None
    except OSError as error:
        message = f"Cannot listen on {host}:{port}: {error.strerror or error}. Choose another --port."
        raise CommandError(message, ExitCode.UNAVAILABLE) from None
    raise typer.Exit(code)


def version(json: Json = False) -> None:
    """The version of trueup, and of the database schema it works with."""
    import platform
    from importlib.metadata import version as installed

    from worker.store.migrate import newest_revision

    own, schema = installed("trueup"), newest_revision()
    if json:
        print_json({"trueup": own, "schema": schema, "python": platform.python_version()})
        return
    say(f"trueup {own} (schema {schema}, Python {platform.python_version()})")
