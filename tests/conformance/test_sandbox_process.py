"""A sandbox in a process of its own: it says when it is ready, and it leaves nothing behind."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

PARENT = """
import os, subprocess, sys
sandbox = subprocess.Popen(
    [sys.executable, "-m", "connectors.sandbox", "sharetribe", "--with-parent", str(os.getpid())],
    stdout=subprocess.PIPE, text=True)
print(sandbox.stdout.readline(), flush=True)
sys.stdin.read()
"""


def start(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "connectors.sandbox", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.fixture
def sandbox() -> Iterator[subprocess.Popen[str]]:
    with start("sharetribe", "--options", '{"client_id": "me", "seed": 4}') as process:
        yield process
        process.kill()


def ready(process: subprocess.Popen[str]) -> Any:
    assert process.stdout is not None
    return json.loads(process.stdout.readline())


def test_it_serves_with_its_options_and_ends_cleanly_when_told_to(sandbox: subprocess.Popen[str]) -> None:
    line = ready(sandbox)
    assert line["ready"] is True
    state = httpx.get(f"{line['url']}/_control/state").json()
    assert state["client_id"] == "me"
    sandbox.send_signal(signal.SIGTERM)
    _, errors = sandbox.communicate(timeout=10)
    assert (sandbox.returncode, errors) == (0, "")


def test_it_ends_when_its_parent_is_killed() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", PARENT], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        assert parent.stderr is not None
        url = ready(parent)["url"]
        assert httpx.get(f"{url}/_control/counts").status_code == 200
        parent.kill()
        # The sandbox holds the other end too, so this ends when both are gone, and not before.
        assert parent.stderr.read() == ""
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{url}/_control/counts")


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["nobody"], "nobody"),
        (["sharetribe", "--options", '{"sed": 1}'], "sed"),
    ],
)
def test_what_it_cannot_serve_is_said(arguments: list[str], reason: str) -> None:
    with start(*arguments) as process:
        _, errors = process.communicate(timeout=30)
    assert process.returncode == 2
    assert reason in errors
    assert "Traceback" not in errors
