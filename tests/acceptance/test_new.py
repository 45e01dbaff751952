"""What `trueup connectors new` writes lints and types as it is, and its tests fail where something is to be written."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

LONGEST = "a-name-of-20-letters"

pytestmark = pytest.mark.timeout(600)


class Project:
    """One that has just been written."""

    def __init__(self, folder: Path, name: str, *roles: str) -> None:
        options = [f"--{role}" for role in roles]
        ended = run(folder, "-c", "from worker.cli import main; main()", "connectors", "new", name, *options)
        assert ended.returncode == 0, ended.stdout + ended.stderr
        self.folder = folder / f"trueup-{name}"
        self._cache = folder.parent / "mypy"

    def tool(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return run(self.folder, "-m", *arguments)

    def mypy(self) -> subprocess.CompletedProcess[str]:
        """What it reads of trueup itself is read once for all projects."""
        return self.tool("mypy", "--cache-dir", str(self._cache))

    def failures(self) -> Iterator[str]:
        """What each failing test says."""
        self.tool("pytest", "-p", "no:cacheprovider", "--junit-xml=said.xml")
        for case in ET.parse(self.folder / "said.xml").iter("testcase"):
            for failure in (*case.iter("failure"), *case.iter("error")):
                yield f"{failure.get('message')}\n{failure.text}"


def run(cwd: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *arguments], cwd=cwd, capture_output=True, text=True, check=False)


@pytest.fixture(
    scope="module",
    params=[("acorn",), (LONGEST, "marketplace"), ("acorn-tills", "marketplace", "channel")],
    ids=["channel", "marketplace", "both"],
)
def project(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Project:
    return Project(tmp_path_factory.mktemp("new"), *request.param)


def test_it_lints_and_is_formatted(project: Project) -> None:
    for arguments in (("check", "--no-cache", "."), ("format", "--no-cache", "--check", ".")):
        ended = project.tool("ruff", *arguments)
        assert ended.returncode == 0, ended.stdout


def test_it_types(project: Project) -> None:
    ended = project.mypy()
    assert ended.returncode == 0, ended.stdout
    everything = sum(1 for _ in project.folder.rglob("*.py"))
    assert f"no issues found in {everything} source files" in ended.stdout


def test_each_failure_of_the_kit_says_what_to_write_where(project: Project) -> None:
    named = []
    for said in project.failures():
        found = re.search(r"(\w+\.\w+) in ([\w/]+\.py): \w+", said)
        assert found, said
        assert (project.folder / found[2]).is_file(), said
        named.append(found[1].partition(".")[2])
    for role, methods in {
        "channel": {"orders", "cursor_at", "recent", "order", "check", "tell"},
        "marketplace": {"listing", "adjust", "listings", "check"},
    }.items():
        if next(project.folder.glob(f"trueup_*/{role}.py"), None):
            assert methods <= set(named)
    assert len(named) > 50
