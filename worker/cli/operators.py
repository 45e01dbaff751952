"""`operators`: who may sign in to the console."""

from __future__ import annotations

import secrets
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Literal

import typer

from worker.cli.context import Config, Json, caller, examples, opened
from worker.cli.exits import CommandError, ExitCode
from worker.cli.output import note, print_json, print_table, say

operators = typer.Typer(help="Who may sign in to the console, and what they did.", no_args_is_help=True)

RoleName = Literal["viewer", "operator"]
Name = Annotated[str, typer.Argument(help="The operator's name.", metavar="NAME")]
Generate = Annotated[bool, typer.Option("--generate", help="Make a password and print it, once.")]
GENERATED_BYTES = 18


@contextmanager
def _refusals() -> Iterator[None]:
    from worker.operators import OperatorRefusedError

    try:
        yield
    except OperatorRefusedError as error:
        raise CommandError(str(error), ExitCode.WRONG) from None


@operators.command(
    "add",
    epilog=examples("trueup operators add ada --role operator", "trueup operators add grace --role viewer --generate"),
)
def operators_add(
    name: Name,
    role: Annotated[RoleName, typer.Option(help="viewer looks at everything, operator decides as well.")] = "viewer",
    generate: Generate = False,
    config: Config = None,
    json: Json = False,
) -> None:
    """Let somebody sign in to the console. Asks for a password, or reads one line from standard input."""
    from worker.store.tables import Role

    with opened(config) as services, _refusals():
        password = _new_password(name, generate=generate)
        services.operators.add(name, password, Role(role), by=caller())
    _tell(name, password if generate else None, json=json, said=f"{name} may sign in, as {role}.")


@operators.command("list", epilog=examples("trueup operators list", "trueup operators list --json"))
def operators_list(config: Config = None, json: Json = False) -> None:
    """Everybody who may sign in."""
    with opened(config) as services:
        found = services.operators.list()
    if json:
        print_json({"operators": found})
        return
    print_table(
        ("Name", "Role", "Since", "Password set", "Signed in"),
        [(entry.name, entry.role.value, entry.created_at, entry.password_set_at, entry.sessions) for entry in found],
        empty="Nobody may sign in. `trueup operators add NAME --role operator` lets somebody.",
    )


@operators.command("remove", epilog=examples("trueup operators remove ada"))
def operators_remove(name: Name, config: Config = None, json: Json = False) -> None:
    """Let somebody sign in no more, and sign them out. What they did stays in the log."""
    with opened(config) as services, _refusals():
        services.operators.remove(name, by=caller())
    _tell(name, None, json=json, said=f"{name} may not sign in any more.")


@operators.command(
    "password", epilog=examples("trueup operators password ada", "trueup operators password ada --generate")
)
def operators_password(name: Name, generate: Generate = False, config: Config = None, json: Json = False) -> None:
    """Set another password, and end what was signed in with the old one."""
    with opened(config) as services, _refusals():
        password = _new_password(name, generate=generate)
        services.operators.set_password(name, password, by=caller())
    _tell(name, password if generate else None, json=json, said=f"The password of {name} is set.")


@operators.command("role", epilog=examples("trueup operators role ada operator"))
def operators_role(
    name: Name,
    role: Annotated[RoleName, typer.Argument(help="viewer looks at everything, operator decides as well.")],
    config: Config = None,
    json: Json = False,
) -> None:
    """Change what somebody may do, from their next page on."""
    from worker.store.tables import Role

    with opened(config) as services, _refusals():
        services.operators.set_role(name, Role(role), by=caller())
    _tell(name, None, json=json, said=f"{name} is {role} now.")


@operators.command("log", epilog=examples("trueup operators log", "trueup operators log --listing 2fd8… --json"))
def operators_log(
    listing: Annotated[str | None, typer.Option(help="Only what was done to this listing.")] = None,
    limit: Annotated[int, typer.Option(help="Most entries to show.", min=1)] = 50,
    config: Config = None,
    json: Json = False,
) -> None:
    """What people did, here and in the console, newest first."""
    with opened(config) as services:
        found = services.actions.list(listing_id=listing, limit=limit)
    if json:
        print_json({"actions": found})
        return
    print_table(
        ("When", "Who", "By", "Did", "To", "Reason"),
        [
            (entry.at, entry.actor, entry.via, entry.verb, f"{entry.subject_kind} {entry.subject}", entry.reason)
            for entry in found
        ],
        empty="Nobody has done anything.",
    )


def _new_password(name: str, *, generate: bool) -> str:
    """Asked for twice at a terminal, else one line of standard input; or made."""
    if generate:
        return secrets.token_urlsafe(GENERATED_BYTES)
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\r\n")
    password: str = typer.prompt(f"Password of {name}", hide_input=True, confirmation_prompt=True, err=True)
    return password


def _tell(name: str, password: str | None, *, json: bool, said: str) -> None:
    if json:
        print_json({"operator": name, **({} if password is None else {"password": password})})
        return
    say(said)
    if password is not None:
        note("The password is shown this once:")
        say(password)
