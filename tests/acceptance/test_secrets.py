"""P8: secrets planted in a configuration reach nobody but the vendor they are for, whatever goes wrong.

Everything listens on this machine: a vendor that refuses, fails, redirects and echoes whatever it was sent, and a
second address that must never hear of us.
"""

from __future__ import annotations

import base64
import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.receiving import order_body, signed
from worker.store import StorageUnavailable, Store

WITHIN_SECONDS = 90.0
CANARY = "canary"
"""Part of every secret: whoever finds it has found one."""
SECRETS = {
    "ST_SECRET": "canary-Marketplace/secret+1",
    "TOYS_TOKEN": "shpat_canary0123456789",
    "TOYS_HOOKS": "canary-hooks-secret",
    "BOOKS_SECRET": "canary-books-client-secret",
    "REDIS_URL": "redis://:canary-redis-password@127.0.0.1:9/0",
}
COMMANDS = (
    *("doctor --json", "status --json", "anomalies list --json", "holds list --json", "deliveries list --json"),
    *("poll toys", "sweep", "plan --fresh --json"),
)
TOKEN = "canary-granted-access-token"

CONFIGURATION = """
[database]
url = "sqlite:///{folder}/trueup.db"
[broker]
url = "memory://"
budgets_url = "env:REDIS_URL"
[marketplace]
connector = "sharetribe"
client_id = "id"
client_secret = "env:ST_SECRET"
base_url = "{vendor}"
[channels.toys]
connector = "shopify"
shop = "toys.myshopify.com"
base_url = "{vendor}"
access_token = "env:TOYS_TOKEN"
webhook_secrets = ["env:TOYS_HOOKS"]
any_seller = true
[channels.books]
connector = "shopify"
shop = "books.myshopify.com"
base_url = "{vendor}"
client_id = "app"
client_secret = "env:BOOKS_SECRET"
any_seller = true
[alerts]
urls = ["env:ALERT_URL"]
group_seconds = 0
[schedule]
poll_seconds = 1
feed_seconds = 1
upkeep_seconds = 1
sweep_seconds = 1
subscriptions_seconds = 1
alerts_seconds = 1
[web]
port = 0
public_url = "https://stock.example"
[console]
port = 0
[log]
level = "debug"
format = "{log_format}"
"""


class Vendor:
    """Answers every request in the next of its ways, each of which says back all that it was told."""

    def __init__(self, elsewhere: str) -> None:
        self.requests: list[str] = []
        self.ways = 0
        self._elsewhere = elsewhere
        self._lock = threading.Lock()

    def answer(self, method: str, path: str, headers: dict[str, str], body: bytes) -> tuple[int, dict[str, str], bytes]:
        with self._lock:
            self.requests.append(f"{method} {path}")
            number = len(self.requests)
        # A refused token stops its account too.
        if path.startswith(("/v1/auth/token", "/admin/oauth")) and (number <= 40 or number % 3):
            grant = {"access_token": TOKEN, "refresh_token": TOKEN + "-refresh", "expires_in": 3600}
            return 200, {}, json.dumps(grant).encode()
        echo = f"{' '.join(headers.values())} {body.decode('utf-8', 'replace')}"
        told = json.dumps({"errors": [{"message": echo, "title": echo, "code": "strange", "detail": echo}]}).encode()
        page = f"<html><body><td>{echo}</td> refused</body></html>".encode()
        address = self._elsewhere.replace("http://", "http://user:canary-in-location@")
        ways: list[tuple[int, dict[str, str], bytes]] = [
            (200, {}, page),
            (200, {}, told),
            (500, {}, page),
            (400, {}, told),
            (302, {"Location": f"{address}/302"}, b""),
            (307, {"Location": f"{address}/307"}, told),
            (308, {"Location": f"{address}/308"}, b""),
            (429, {"Retry-After": "0"}, told),
            (404, {}, told),
            (403, {}, page),
            (401, {}, told),
        ]
        self.ways = number
        # Refusals of credentials stop an account, so they come late.
        return ways[number % len(ways)] if number > 40 else ways[number % 9]


@contextmanager
def listening(answer: Any) -> Iterator[str]:
    """An HTTP server on this machine."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_one(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            status, headers, content = answer(self.command, self.path, dict(self.headers.items()), body)
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(content))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_PUT = handle_one  # noqa: N815  the library's names

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  as above
            """Says nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def until(condition: Any, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + WITHIN_SECONDS
    while not condition():
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.1)


def contains(content: bytes) -> list[str]:
    """What of the secrets is in these bytes, in the clear or thinly wrapped."""
    wanted = [CANARY.encode()]
    for secret in [*SECRETS.values(), TOKEN]:
        for at in range(3):  # Base64 of a text depends on where it begins.
            wrapped = base64.b64encode(b"x" * at + secret.encode())
            wanted.append(wrapped[4:-4])
    return [word.decode() for word in wanted if word in content]


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_p8_no_secret_reaches_a_log_a_row_a_command_or_another_host(tmp_path: Path, log_format: str) -> None:
    strays: list[str] = []

    def stray(method: str, path: str, _headers: dict[str, str], _body: bytes) -> tuple[int, dict[str, str], bytes]:
        strays.append(f"{method} {path}")
        return 200, {}, b"{}"

    with listening(stray) as elsewhere:
        vendor = Vendor(elsewhere)
        with listening(vendor.answer) as address:
            (tmp_path / "trueup.toml").write_text(
                CONFIGURATION.format(folder=tmp_path, vendor=address, log_format=log_format)
            )
            host = address.removeprefix("http://")
            environment = {
                "PATH": os.environ["PATH"],
                "TRUEUP_CONFIG": str(tmp_path / "trueup.toml"),
                "ALERT_URL": f"json://user:canary-alert-password@{host}/canary-alert-token",
                **SECRETS,
            }
            # The log is what differs between the two; what commands say does not.
            outputs = said(tmp_path, environment, vendor, ask_commands=log_format == "json")

    assert len(vendor.requests) > 40
    assert strays == []
    for name, content in outputs.items():
        assert contains(content) == [], f"{name} shows {contains(content)}: {content[:3000]!r}"


def said(folder: Path, environment: dict[str, str], vendor: Vendor, *, ask_commands: bool) -> dict[str, bytes]:
    """Run the service through every kind of trouble; all that it and the commands left behind, by name."""
    command = [sys.executable, "-c", "from worker.cli import main; main()"]
    root = Path(__file__).parents[2]
    log = folder / "log"
    outputs: dict[str, bytes] = {}

    def ask(*arguments: str) -> None:
        done = subprocess.run([*command, *arguments], cwd=root, env=environment, capture_output=True, check=False)
        assert done.returncode in {0, 1, 3}, done.stderr
        outputs[" ".join(arguments)] = done.stdout + done.stderr

    with log.open("wb") as output:
        process = subprocess.Popen([*command, "run"], cwd=root, env=environment, stdout=output, stderr=output)
    try:
        until(lambda: "Receiving on" in log.read_text(), process, log)
        receiver = log.read_text().split("Receiving on ")[1].split(". Ctrl")[0]
        for number in range(3):
            body = order_body(number + 1)
            good = signed(body, secret=SECRETS["TOYS_HOOKS"])
            assert httpx.post(f"{receiver}/hooks/toys", content=body, headers=dict(good)).status_code == 200
            bad = {**good, "X-Shopify-Hmac-Sha256": SECRETS["TOYS_HOOKS"], "Cookie": SECRETS["ST_SECRET"]}
            assert httpx.post(f"{receiver}/hooks/toys", content=body, headers=bad).status_code == 401
        until(lambda: len(vendor.requests) > 60 or "re-authorisation" in log.read_text(), process, log)
        for page in ("readyz", "metrics", "healthz"):
            outputs[page] = httpx.get(f"{receiver}/{page}").content
        for words in COMMANDS if ask_commands else ():
            ask(*words.split())
        process.send_signal(signal.SIGTERM)
        assert process.wait(WITHIN_SECONDS) == 0, log.read_text()
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
    with closing(sqlite3.connect(folder / "trueup.db")) as database:
        outputs["database"] = "\n".join(database.iterdump()).encode()
    for path in folder.iterdir():
        if path.name != "trueup.toml":
            outputs[path.name] = path.read_bytes()
    return outputs


def test_p8_a_database_that_refuses_does_not_show_its_password() -> None:
    store = Store("postgresql+psycopg://trueup:canary-password@127.0.0.1:9/trueup")
    with pytest.raises(StorageUnavailable) as refused, store.read():
        pass
    store.dispose()
    shown: BaseException | None = refused.value
    while shown is not None:
        assert CANARY not in f"{shown} {shown!r}"
        shown = shown.__cause__
    assert CANARY not in repr(store.engine)
