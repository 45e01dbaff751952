"""The page about the commands, made from the commands: `python -m worker.cli.reference > docs/commands.md`."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from typing import Any, Literal, get_args, get_origin

import typer.main

from worker.cli.entry import app
from worker.cli.exits import MEANINGS

HEAD = """# The trueup command

Made from the command itself by `python -m worker.cli.reference`; `trueup COMMAND --help` says the same.

Every command that prints data takes `--json`: then standard output is one JSON document and nothing else, and whatever
is for people goes to standard error, as the log always does. Every command that works on an installation takes
`--config FILE`; without it the variable `TRUEUP_CONFIG` names the file, else it is `trueup.toml` in the present folder.

| exit code | meaning |
| --- | --- |
"""


def markdown() -> str:
    """The whole page."""
    codes = "".join(f"| {code.value} | {meaning} |\n" for code, meaning in MEANINGS.items())
    sections = [_section(name, command) for name, command in commands()]
    return HEAD + codes + "\n" + "\n".join(sections)


def commands() -> Iterator[tuple[str, Any]]:
    """Every command with its full name, in the order of the help."""
    yield from _within("trueup", typer.main.get_command(app))


def _within(name: str, command: Any) -> Iterator[tuple[str, Any]]:
    inner = getattr(command, "commands", None)
    if inner is None or command.invoke_without_command:
        yield name, command
    if inner is None:
        return
    for part, each in inner.items():
        yield from _within(f"{name} {part}", each)


def parameters(command: Any) -> Iterator[tuple[str, str]]:
    """Each argument and option as one writes it, with what it means."""
    for parameter in command.params:
        if parameter.param_type_name == "argument":
            name = parameter.metavar or parameter.name.upper()
            yield f"`{name}`", _meaning(parameter)
        else:
            value = "" if parameter.is_flag else f" {_value(parameter)}"
            yield f"`{', '.join(sorted(parameter.opts, key=len, reverse=True))}{value}`", _meaning(parameter)


def _value(parameter: Any) -> str:
    number = parameter.type_descriptor.annotation is int
    # A bar would end the table's cell.
    return "\\|".join(_choices(parameter)) or parameter.metavar or ("NUMBER" if number else "TEXT")


def _choices(parameter: Any) -> tuple[str, ...]:
    annotation = parameter.type_descriptor.annotation
    return get_args(annotation) if get_origin(annotation) is Literal else ()


def _meaning(parameter: Any) -> str:
    words = parameter.help or ""
    choices = _choices(parameter)
    if choices and parameter.param_type_name == "argument":
        words = f"{words} One of: {', '.join(choices)}."
    if parameter.required and parameter.param_type_name == "option":
        return f"{words} Required."
    default = parameter.default
    return words if parameter.required or default in {None, False, ""} else f"{words} Default: {default}."


def _section(name: str, command: Any) -> str:
    about = "\n\n".join(" ".join(part.split()) for part in (command.help or "").split("\n\n"))
    rows = "".join(f"| {written} | {meaning} |\n" for written, meaning in parameters(command))
    table = f"\n| | |\n| --- | --- |\n{rows}" if rows else ""
    lines = [line.strip() for line in re.sub(r"\[/?bold\]", "", command.epilog or "").split("\n\n")]
    shown = "\n".join(line for line in lines if line.startswith("trueup"))
    return f"## {name}\n\n{about}\n{table}\n```sh\n{shown}\n```\n"


if __name__ == "__main__":
    sys.stdout.write(markdown())
