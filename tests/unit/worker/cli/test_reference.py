"""The page about the commands is the commands' own word, and every command helps."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.unit.worker.cli.conftest import Command
from worker.cli.reference import commands, markdown

PAGE = Path(__file__).parents[4] / "docs" / "commands.md"
COMMANDS = dict(commands())


def test_the_page_is_as_the_commands_are() -> None:
    assert PAGE.read_text(encoding="utf-8") == markdown(), "make it again: python -m worker.cli.reference"


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_and_option_is_on_the_page(name: str) -> None:
    section = PAGE.read_text(encoding="utf-8").split(f"## {name}\n")[1].split("\n## ")[0]
    for parameter in COMMANDS[name].params:
        written = (
            parameter.opts[0] if parameter.param_type_name == "option" else parameter.metavar or parameter.name.upper()
        )
        assert written in section


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_says_what_it_does_with_examples(name: str, trueup: Command) -> None:
    ended = trueup.bare(*name.split()[1:], "--help")
    assert ended.code == 0
    assert "Examples" in ended.out
    assert name in ended.out
    assert all(parameter.help for parameter in COMMANDS[name].params)


def test_every_command_that_prints_data_can_print_json() -> None:
    silent = {"trueup init", "trueup run", "trueup worker", "trueup beat", "trueup web", "trueup sandbox"}

    def takes_json(command: Any) -> bool:
        return any("--json" in parameter.opts for parameter in command.params)

    assert {name for name, command in COMMANDS.items() if not takes_json(command)} == silent


def test_help_needs_none_of_the_heavy_rooms() -> None:
    """What makes `trueup --help` slow is imported by those commands alone that need it."""
    code = (
        "import sys, worker.cli\n"
        "heavy = {'sqlalchemy', 'celery', 'httpx', 'pydantic', 'alembic', 'apprise', 'starlette'} & set(sys.modules)\n"
        "print(*sorted(heavy))"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (ended.stdout, ended.stderr) == ("\n", "")
