"""`trueup status --watch` on a real terminal."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
from pathlib import Path

from tests.unit.worker.cli.conftest import CONFIGURATION
from worker.store import Store
from worker.store.migrate import upgrade


def test_a_live_view_looks_again_and_ends_with_ctrl_c(tmp_path: Path) -> None:
    config = tmp_path / "trueup.toml"
    config.write_text(CONFIGURATION.format(folder=tmp_path))
    store = Store(f"sqlite:///{tmp_path}/trueup.db")
    upgrade(store)
    store.dispose()
    ours, its = pty.openpty()
    code = "from worker.cli import main; main()"
    arguments = [sys.executable, "-c", code, "status", "--watch", "--every", "0.2", "--config", str(config)]
    environment = {**os.environ, "TERM": "xterm", "ST_SECRET": "st-secret", "SHOP_TOKEN": "shpat_token"}
    watching = subprocess.Popen(arguments, stdin=its, stdout=its, stderr=its, start_new_session=True, env=environment)
    os.close(its)
    said = b""
    try:
        while said.count(b"Ctrl-C ends this") < 3:
            said += os.read(ours, 4096)
        os.kill(watching.pid, signal.SIGINT)
        while True:
            try:
                said += os.read(ours, 4096)
            except OSError:  # it is closed
                break
        assert watching.wait(30) == 0
    finally:
        watching.kill()
        watching.wait()
        os.close(ours)
    assert b"The stock is" in said
    assert b"Traceback" not in said
    assert b"Aborted" not in said
