"""An upgrade while orders flow: old and new processes side by side between its halves, and every number is right."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from tests.acceptance.test_killed import CODE, ServiceScene, prove
from tests.integration.conftest import build_schema
from tests.newer import ADDS, REMOVES, add_migrations
from tests.servers import PostgresServer
from worker.demo.main import Options
from worker.store import Store
from worker.store.migrate import MIGRATIONS, present_revision

PACKAGES = ("config", "connectors", "worker")
WITHIN_SECONDS = 120.0

pytestmark = pytest.mark.timeout(400)


class UpgradedScene(ServiceScene):
    """Service mode, whose processes are replaced by those of a newer version, one after the other."""

    def __init__(self, options: Options, folder: Path, redis_url: str) -> None:
        super().__init__(options, folder, redis_url)
        self._newer = folder / "newer"
        for package in PACKAGES:
            shutil.copytree(CODE / package, self._newer / package, ignore=shutil.ignore_patterns("__pycache__"))
        self.adds, self.removes = add_migrations(self._newer / MIGRATIONS.relative_to(CODE), [ADDS, REMOVES])
        self.between: str | None = None

    def _kill(self) -> None:
        """Not killed: told to end, as whoever upgrades does. First one worker, then all the rest."""
        if not self.kills:
            self.newer("init", "--migrate-only")
            self._replace(self._workers.pop(0), "worker")
            self.between = self._revision()
            return
        for old, command in ((self._workers.pop(0), "worker"), (self.beat, "beat"), (self.web, "web")):
            self._replace(old, command)
        self.newer("init", "--migrate-only", "--after-deploy")
        assert self._revision() == self.removes
        assert self._old("status").returncode == 2

    def _revision(self) -> str | None:
        store = Store(self._options.database or "")
        try:
            return present_revision(store)
        finally:
            store.dispose()

    def _replace(self, old: subprocess.Popen[bytes], command: str) -> None:
        old.terminate()
        assert old.wait(WITHIN_SECONDS) == 0, command
        self._run(command, code=self._newer)

    def newer(self, *arguments: str) -> None:
        ended = self._command(self._newer, *arguments)
        assert ended.returncode == 0, ended.stderr

    def _old(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return self._command(CODE, *arguments)

    def _command(self, code: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", "from worker.cli import main; main()", *arguments, "--config", self._configuration],
            cwd=code,
            env=os.environ | {"PYTHONPATH": str(code)},
            capture_output=True,
            text=True,
            timeout=WITHIN_SECONDS,
            check=False,
        )


def test_processes_are_replaced_by_a_newer_version_and_every_number_is_right(
    tmp_path: Path, postgres_server: PostgresServer, redis_url: str
) -> None:
    options = Options(limit=500, seed=13, console=Console(quiet=True), database=postgres_server.fresh(build_schema))
    scene = UpgradedScene(options, tmp_path, redis_url)
    prove(scene)
    assert scene.between == scene.adds
