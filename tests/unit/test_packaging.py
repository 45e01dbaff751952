"""What is declared, what is locked and what is imported are the same, and the locks work anywhere."""

from __future__ import annotations

import ast
import json
import re
import sys
import tomllib
from importlib.metadata import PackageNotFoundError, packages_distributions, requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
ROOMS = ("config", "connectors", "worker")
LOCKS = ("runtime", "dev", "build", "redis", "fuzz", "node")


def pinned(name: str) -> list[Requirement]:
    text = (ROOT / "requirements" / f"{name}.txt").read_text(encoding="utf-8")
    return [Requirement(pin) for pin in re.findall(r"(?m)^([\w.-]+(?:\[[\w, -]+\])?==[^\s;]+)", text)]


def locked(name: str) -> dict[str, str]:
    return {canonicalize_name(pin.name): next(iter(pin.specifier)).version for pin in pinned(name)}


def declared(*extras: str) -> list[Requirement]:
    texts = [*PROJECT["dependencies"], *(text for extra in extras for text in PROJECT["optional-dependencies"][extra])]
    return [requirement for requirement in map(Requirement, texts) if requirement.name != PROJECT["name"]]


@pytest.mark.parametrize(("lock", "extras"), [("runtime", ["sandbox"]), ("dev", ["sandbox", "testing", "dev"])])
def test_the_lock_has_what_is_declared(lock: str, extras: list[str]) -> None:
    pins = locked(lock)

    for requirement in declared(*extras):
        assert requirement.specifier.contains(pins[canonicalize_name(requirement.name)]), requirement


@pytest.mark.parametrize(("lock", "extras"), [("runtime", ["sandbox"]), ("dev", ["sandbox", "testing", "dev"])])
def test_pins_name_the_extras_asked_for(lock: str, extras: list[str]) -> None:
    """Otherwise pip 23 takes the newest release for the extra, finds no hash for it, and installs nothing."""
    pins = {canonicalize_name(pin.name): pin for pin in pinned(lock)}
    asked = [*declared(*extras), *(Requirement(text) for name in pins for text in required_by(name))]

    for requirement in asked:
        if canonicalize_name(requirement.name) in pins and (
            requirement.marker is None or requirement.marker.evaluate()
        ):
            assert requirement.extras <= pins[canonicalize_name(requirement.name)].extras, requirement


def test_tests_and_image_use_the_same_versions() -> None:
    assert locked("runtime").items() <= locked("dev").items()
    assert locked("build").items() <= locked("dev").items()


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_has_hashes_and_names_no_place(lock: str) -> None:
    text = (ROOT / "requirements" / f"{lock}.txt").read_text(encoding="utf-8")

    for block in re.split(r"\n(?=\S)", text):
        assert block.startswith("#") or "--hash=sha256:" in block, block
    assert not re.search(r"://|\B/\w+/|index-url|find-links", text)


def test_the_vendors_clients_are_locked_with_hashes_and_without_a_place() -> None:
    folder = ROOT / "tests" / "official"
    wanted = json.loads((folder / "package.json").read_text(encoding="utf-8"))["dependencies"]
    packages = json.loads((folder / "package-lock.json").read_text(encoding="utf-8"))["packages"]
    own = packages.pop("")

    assert own["dependencies"] == wanted
    assert {name: packages[f"node_modules/{name}"]["version"] for name in wanted} == wanted
    for name, package in packages.items():
        assert package["integrity"].startswith("sha512-"), name
        assert not {"resolved", "hasInstallScript"} & package.keys(), name


def test_every_import_is_declared() -> None:
    distributions = packages_distributions()
    known = {canonicalize_name(requirement.name) for requirement in declared("sandbox", "testing", "tracing")}
    undeclared = {
        f"{path.relative_to(ROOT)}: {module}"
        for room in ROOMS
        for path in (ROOT / room).rglob("*.py")
        # A project of its own: what it needs, its own file says.
        if not path.is_relative_to(ROOT / "connectors" / "template")
        for module in imported(path)
        if module not in {*sys.stdlib_module_names, *ROOMS}
        and not known & {canonicalize_name(name) for name in distributions.get(module, [])}
    }

    assert undeclared <= {
        # A part of pydantic's own interface, always of the version pydantic asks for.
        "config/problems.py: pydantic_core"
    }


def test_only_the_kit_needs_pytest() -> None:
    users = {path for room in ROOMS for path in (ROOT / room).rglob("*.py") if "pytest" in imported(path)}

    assert {path.parent for path in users} == {ROOT / "connectors" / "testing"}


def required_by(name: str) -> list[str]:
    try:
        return requires(name) or []
    except PackageNotFoundError:  # Pinned for another platform or Python.
        return []


def imported(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        match node:
            case ast.Import():
                names |= {alias.name.split(".")[0] for alias in node.names}
            case ast.ImportFrom(module=str(module), level=0):
                names.add(module.split(".")[0])
    return names
