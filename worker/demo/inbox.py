"""Where the demo's alerts arrive: the operators' chat or pager, on the terminal.

A machine that takes signed webhooks, as docs/operations/alerts.md describes it: it believes what is signed, and takes a
message that comes twice once.
"""

from __future__ import annotations

import json
import secrets
import threading
from base64 import b64encode
from collections.abc import Callable
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from pydantic import SecretStr

from connectors.errors import InvalidSignature
from connectors.signing import PREFIX, key_of, verify

MOST_BYTES = 64 * 1024

Told = Callable[[str, str], None]
"""Is called with a message's type, such as `anomaly.opened`, and its words."""


class Inbox:
    """Listens on a free port of this machine while it is entered. Safe for use from several threads."""

    def __init__(self) -> None:
        self.secret = PREFIX + b64encode(secrets.token_bytes(32)).decode()
        self._key = key_of(SecretStr(self.secret))
        self._lock = threading.Lock()
        self._seen: set[str] = set()
        self._told: Told | None = None
        inbox = self

        class Handler(BaseHTTPRequestHandler):
            timeout = 10

            def do_POST(self) -> None:
                self.send_response(inbox.take(self))
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_arguments: Any) -> None:
                """The terminal is for the messages."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, name="alerts", daemon=True).start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def url(self) -> str:
        """Where to send alerts."""
        return f"http://127.0.0.1:{self._server.server_port}/alerts"

    def tell(self, told: Told) -> int:
        """Hand on what comes from now on; returns how many messages came before."""
        with self._lock:
            self._told = told
            return len(self._seen)

    def take(self, request: BaseHTTPRequestHandler) -> int:
        """Take one message; returns the status to answer with."""
        length = request.headers.get("Content-Length", "")
        if not length.isdecimal() or int(length) > MOST_BYTES:
            return 413
        body = request.rfile.read(int(length))
        headers = {name.lower(): value for name, value in request.headers.items()}
        try:
            message_id = verify(headers, body, [self._key], datetime.now(UTC))
        except InvalidSignature:
            return 401
        event = json.loads(body)
        with self._lock:
            if message_id not in self._seen and self._told is not None:
                self._told(event["type"], event["data"]["message"])
            self._seen.add(message_id)
        return 204
