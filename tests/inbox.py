"""Somebody who is told of anomalies: a real HTTP server that takes messages, refuses them, or takes its time."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from pydantic import SecretStr

TOKEN = "t0ps3cret"
"""Within its addresses."""


class Inbox:
    """Somebody who is told: takes messages while `status` is 200; answers once it may."""

    def __init__(self) -> None:
        self.messages: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.bodies_as_sent: list[bytes] = []
        self.tried = 0
        self.status = 200
        self.then: list[int] = []
        """What the next requests are answered, before `status` holds."""
        self.may_answer = threading.Event()
        self.may_answer.set()
        inbox = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                inbox.tried += 1
                status = inbox.then.pop(0) if inbox.then else inbox.status
                if status == 200:
                    inbox.bodies_as_sent.append(body)
                    inbox.headers.append({name.lower(): value for name, value in self.headers.items()})
                    inbox.messages.append(json.loads(body))
                inbox.may_answer.wait(30)
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_arguments: Any) -> None:
                """Quiet."""

            def log_error(self, *_arguments: Any) -> None:
                """Quiet, also about those who went away."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.handle_error = lambda *_arguments: None  # type: ignore[method-assign]  # who asked may be dead
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()

    @property
    def url(self) -> SecretStr:
        return SecretStr(f"json://127.0.0.1:{self._server.server_port}/{TOKEN}?rto=20&wait=0")

    @property
    def hook(self) -> SecretStr:
        return SecretStr(f"http://127.0.0.1:{self._server.server_port}/{TOKEN}")

    @property
    def bodies(self) -> list[str]:
        return [message["message"] for message in self.messages]

    @property
    def words(self) -> list[str]:
        return [body.split(":")[0] for body in self.bodies]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self.may_answer.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
