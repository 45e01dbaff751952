"""The vendors' clients, each driven by a script of plain JavaScript against a sandbox in this process."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from connectors.registry import connector
from connectors.sandbox.serve import serve
from tests.official.results import Result, told

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
HOME = ROOT / ".venv" / "official"
NODE = HOME / "bin" / "node"
SECONDS = 120
"""For a whole script; each takes a few."""


def set_up() -> str | None:
    """Fetch what is missing. Returns why that cannot be done, or None."""
    made = subprocess.run([ROOT / "requirements" / "set-up-official"], stderr=subprocess.PIPE, text=True, check=False)
    return None if made.returncode == 0 else made.stderr.strip() or f"the set-up ended with {made.returncode}"


def version(package: str) -> str:
    """The package with the version that is installed."""
    installed = json.loads((HOME / "node_modules" / package / "package.json").read_text(encoding="utf-8"))
    return f"{package} {installed['version']}"


def drive(name: str) -> Sequence[Result]:
    """Run the script of that name against a fresh sandbox of the connector of that name."""
    module = connector(name).sandbox
    assert module is not None
    sandbox = importlib.import_module(module)
    options = sandbox.Options()
    with serve(sandbox.create_app(options)) as url:
        environment = {
            **os.environ,
            "NODE_PATH": str(HOME / "node_modules"),
            "URL": url,
            "CLIENT_ID": options.client_id,
            "CLIENT_SECRET": options.client_secret.get_secret_value(),
        }
        try:
            ended = subprocess.run(
                [NODE, HERE / f"{name}.cjs"],
                env=environment,
                capture_output=True,
                text=True,
                timeout=SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return [Result("the script comes to its end", passed=False, detail=f"not within {SECONDS} s")]
    return list(told(ended.stdout.splitlines(), trouble=ended.stderr))
