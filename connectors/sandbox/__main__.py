"""`python -m connectors.sandbox NAME`: one vendor's sandbox in a process of its own.

Prints one JSON line, `{"ready": true, "url": "http://127.0.0.1:PORT"}`, once it is listening; ends on SIGTERM or
SIGINT with exit code 0.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import signal
import sys
import threading
from collections.abc import Sequence

from pydantic import ValidationError

from connectors.registry import UnknownConnectorError, connector, described

from .serve import serve

_PARENT_CHECK_SECONDS = 0.2


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve the sandbox the arguments name until told to stop; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m connectors.sandbox", description="Serve one vendor's sandbox.")
    parser.add_argument("name", help="the connector whose sandbox to serve, e.g. sharetribe")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: 127.0.0.1)")
    parser.add_argument("--port", type=int, default=0, help="port to listen on (default: a free one)")
    parser.add_argument("--options", default="{}", metavar="JSON", help="the sandbox's options")
    parser.add_argument(
        "--with-parent",
        type=int,
        nargs="?",
        const=os.getppid(),
        metavar="PID",
        help="end when the parent process is gone; its PID also covers a parent that dies during start-up",
    )
    chosen = parser.parse_args(arguments)
    try:
        module_name = connector(chosen.name).sandbox
    except UnknownConnectorError as error:
        parser.error(str(error))
    if module_name is None:
        parser.error(f"the connector {chosen.name} has no sandbox")
    try:
        sandbox = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        # Another's module that is missing is for the caller to explain: some sandboxes need more than is installed.
        if error.name != module_name:
            raise
        parser.error(f"{described(chosen.name)} names a sandbox that is not there: {module_name}")
    try:
        options = sandbox.Options.model_validate_json(chosen.options)
    except ValidationError as error:
        parser.error(f"--options: {error}")

    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    with serve(sandbox.create_app(options), host=chosen.host, port=chosen.port) as url:
        sys.stdout.write(json.dumps({"ready": True, "url": url}) + "\n")
        sys.stdout.flush()
        # A watched parent rather than a death signal: that one would also fire when the starting thread ends.
        while not stop.wait(_PARENT_CHECK_SECONDS):
            if chosen.with_parent is not None and os.getppid() != chosen.with_parent:
                break
    return 0


if __name__ == "__main__":
    sys.exit(main())
