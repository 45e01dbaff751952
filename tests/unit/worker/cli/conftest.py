"""The command on a configuration and a database of its own."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import structlog
from typer.testing import CliRunner

from connectors.clock import SystemClock
from worker.cli.entry import app
from worker.store import Store
from worker.store.migrate import upgrade

CONFIGURATION = """
[database]
url = "sqlite:///{folder}/trueup.db"

[marketplace]
connector = "sharetribe"
client_id = "id"
client_secret = "env:ST_SECRET"
base_url = "http://127.0.0.1:9"

[channels.shop]
connector = "shopify"
any_seller = true
shop = "toys.myshopify.com"
access_token = "env:SHOP_TOKEN"
base_url = "http://127.0.0.1:9"
"""


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Standard output, which must be one JSON document and nothing else."""
        return json.loads(self.out)


class Command:
    """Calls `trueup`."""

    def __init__(self, config: Path) -> None:
        self.config = config

    def __call__(self, *arguments: str, stdin: str | bytes | None = None) -> Ended:
        """With the configuration, where a command takes one."""
        return self.bare(*arguments, "--config", str(self.config), stdin=stdin)

    def bare(self, *arguments: str, stdin: str | bytes | None = None) -> Ended:
        result = CliRunner().invoke(app, list(arguments), input=stdin, prog_name="trueup")
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return Ended(result.exit_code, result.stdout, result.stderr)


@pytest.fixture(autouse=True)
def _as_before(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Commands set up the log of their process; here that is the tests' own."""
    # The vendors of these tests never answer: waiting before the next try would change nothing.
    monkeypatch.setattr(SystemClock, "sleep", lambda self, seconds: None)
    monkeypatch.setenv("ST_SECRET", "st-secret")
    monkeypatch.setenv("SHOP_TOKEN", "shpat_token")
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(False)
    structlog.reset_defaults()


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "trueup.toml"
    path.write_text(CONFIGURATION.format(folder=tmp_path))
    return path


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """The migrated database that `config` names."""
    made = Store(f"sqlite:///{tmp_path}/trueup.db")
    upgrade(made)
    yield made
    made.dispose()


@pytest.fixture
def trueup(config: Path, store: Store) -> Command:
    """The command, on a configuration whose database is ready and whose vendors do not answer."""
    return Command(config)
