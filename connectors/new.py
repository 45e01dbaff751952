"""The project of a new connector, made from the one in `connectors/template`.

The template is real code of a vendor Acme, so that it is linted and typed like everything else. What is only for one
role ends in `# new: ROLE`, or stands between `# new: ROLE` and `# new: end`.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path, PurePosixPath
from typing import Literal

from connectors.registry import connectors

Role = Literal["channel", "marketplace"]

MAX_NAME_CHARACTERS = 20
"""With a longer one, lines that hold it several times would not fit."""

_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_SUFFIXES = (".md", ".py", ".toml", ".typed")
_OF_A_ROLE = {"channel.py": "channel", "marketplace.py": "marketplace"}
_MARK = re.compile(r" *# new: (channel|marketplace|end)$")


class NewConnectorError(Exception):
    """The project cannot be written; nothing was. One sentence, with what to do."""


def write(name: str, roles: Collection[Role], parent: Path) -> tuple[Path, Sequence[Path]]:
    """Write the project `trueup-NAME` into `parent`, which need not exist; returns its folder and its files.

    Raises `NewConnectorError` for a name that is no name or taken, and for a folder that is there or cannot be made.
    """
    if not _NAME.fullmatch(name) or len(name) > MAX_NAME_CHARACTERS:
        message = (
            f"{name[:40]!r} is no name for a connector: up to {MAX_NAME_CHARACTERS} small letters and digits, with "
            "single hyphens between, beginning with a letter, like acorn-tills"
        )
        raise NewConnectorError(message)
    if name in connectors():
        message = f"A connector {name!r} is installed already: choose another name, or remove its package"
        raise NewConnectorError(message)
    folder = parent / f"trueup-{name}"
    try:
        parent.mkdir(parents=True, exist_ok=True)
        folder.mkdir()
        written = []
        for path, text in rendered(name, roles):
            target = folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text, encoding="utf-8")
            written.append(target)
    except FileExistsError:
        raise NewConnectorError(f"{folder} is there already: choose another --to, or remove it") from None
    except OSError as error:
        raise NewConnectorError(f"{folder} cannot be written: {error.strerror or error}") from error
    return folder, written


def rendered(name: str, roles: Collection[Role]) -> Iterator[tuple[PurePosixPath, str]]:
    """Every file of the project, with its path in it."""
    for path, file in _template(files("connectors") / "template", PurePosixPath()):
        role = _OF_A_ROLE.get(path.name.removeprefix("test_"))
        if role is None or role in roles:
            yield PurePosixPath(_renamed(str(path), name)), _renamed(_of_roles(file.read_text("utf-8"), roles), name)


def _template(folder: Traversable, at: PurePosixPath) -> Iterator[tuple[PurePosixPath, Traversable]]:
    # By suffix: what linters and the interpreter leave in an installed package is none of the project's.
    for entry in sorted(folder.iterdir(), key=lambda entry: entry.name):
        if entry.is_file() and entry.name.endswith(_SUFFIXES):
            yield at / entry.name, entry
        elif entry.is_dir() and not entry.name.startswith((".", "__")):
            yield from _template(entry, at / entry.name)


def _of_roles(text: str, roles: Collection[str]) -> str:
    kept: list[str] = []
    inside = "end"
    for line in text.splitlines():
        mark = _MARK.search(line)
        role = mark[1] if mark else inside
        if mark and not line[: mark.start()]:
            inside = role
        elif role == "end" or role in roles:
            kept.append(line[: mark.start()] if mark else line)
    # Where a section between two others was left out, the empty lines of both have met.
    return re.sub(r"\n{4,}", "\n\n\n", "".join(f"{line}\n" for line in kept))


def _renamed(text: str, name: str) -> str:
    """Acme's names as this connector's: of the package, the distribution, the classes, and the connector."""
    title = "".join(part.capitalize() for part in name.split("-"))
    package = f"trueup_{name.replace('-', '_')}"
    return text.replace("trueup_acme", package).replace("Acme", title).replace("acme", name)
