"""`connectors`: what is installed, and beginning a new one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from worker.cli.context import Json, examples
from worker.cli.exits import CommandError, ExitCode
from worker.cli.output import note, print_json, print_table, say

connectors = typer.Typer(
    epilog=examples("trueup connectors", "trueup connectors --json"),
    invoke_without_command=True,
)


@connectors.callback()
def installed(context: typer.Context, json: Json = False) -> None:
    """The installed connectors: of which package each is, and what it offers.

    Exits with 1 if one of them cannot be used; the others can.
    """
    if context.invoked_subcommand is not None:
        return
    from connectors import registry

    found = [_described(name) for name in registry.connectors()]
    passed_over = registry.passed_over()
    if json:
        print_json({"connectors": found, "passed_over": passed_over})
    else:
        columns = ("Connector", "Package", "Marketplace", "Channel", "Sandbox", "Problem")
        print_table(columns, [tuple(row.values()) for row in found])
        for sentence in passed_over:
            note(sentence)
    if passed_over or any(row["problem"] for row in found):
        raise typer.Exit(ExitCode.WRONG)


def _described(name: str) -> dict[str, str | bool]:
    from connectors import registry

    offered = {"name": name, "package": registry.package_of(name)}
    try:
        entry = registry.connector(name)
    except registry.BrokenConnectorError as error:
        return {**offered, "marketplace": False, "channel": False, "sandbox": False, "problem": str(error)}
    return {
        **offered,
        "marketplace": entry.open_marketplace is not None,
        "channel": entry.open_channel is not None,
        "sandbox": entry.sandbox is not None,
        "problem": "",
    }


@connectors.command(
    epilog=examples(
        "trueup connectors new acorn-tills",
        "trueup connectors new acorn-tills --marketplace --channel --to ~/src",
    )
)
def new(
    name: Annotated[
        str, typer.Argument(help="What the configuration will call it: small letters, digits, hyphens.", metavar="NAME")
    ],
    marketplace: Annotated[bool, typer.Option("--marketplace", help="It keeps stock that can be kept true.")] = False,
    channel: Annotated[bool, typer.Option("--channel", help="Sales happen there; without either, this.")] = False,
    to: Annotated[
        Path | None, typer.Option(help="Where to make the project's folder; else in the present one.", metavar="DIR")
    ] = None,
    json: Json = False,
) -> None:
    """Write the project of a new connector: a package, its sandbox, and tests that run the whole contract.

    It lints and types as it is. Its tests fail, and each failure says what to write where: docs/connectors/writing.md
    is the way from here to a running channel.
    """
    from connectors.new import NewConnectorError, Role, write

    roles: list[Role] = ["channel"] if channel or not marketplace else []
    if marketplace:
        roles.append("marketplace")
    try:
        folder, files = write(name, roles, to or Path())
    except NewConnectorError as error:
        raise CommandError(f"{error}.") from None
    if json:
        print_json({"folder": str(folder), "files": [str(path.relative_to(folder)) for path in files]})
        return
    say(f"{len(files)} files in {folder}.")
    say("Next: cd there; pip install --editable '.[dev]'; pytest. Its failures say what to write.")
