"""trueup as the demo runs it: embedded, in a process that does nothing else.

The demo places the orders and proves the outcome in another process, so that processor time and memory measured here
are trueup's alone. Prints one JSON line when it is ready; answers each line on standard input with one, what it has
used so far; ends on SIGTERM or when standard input ends, which it does with the process that started this one.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from config import loading, logging
from worker.embedded import Embedded
from worker.memory import share_one_arena

MIB = 2**20


def main(config: Path) -> int:
    """Run until told to stop; returns the exit code."""
    share_one_arena()
    settings = loading.load(config)
    logging.configure(settings.log, secrets=settings.secrets())
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    service = Embedded(settings)
    service.start()
    _print({"ready": True, "url": service.receiver_url, "console": service.console_url})
    threading.Thread(target=_answer, args=(stop,), name="questions", daemon=True).start()
    stop.wait()
    service.stop()
    return 0


def _answer(stop: threading.Event) -> None:
    for _ in sys.stdin:
        _print(usage())
    stop.set()


def usage() -> Mapping[str, Any]:
    """Processor time and memory of this process so far."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return {"cpu_seconds": used.ru_utime + used.ru_stime, "peak_rss_mb": peak_rss_bytes() / MIB}


def peak_rss_bytes() -> int:
    """The most memory this process ever had resident."""
    try:
        # Linux carries `ru_maxrss` over from the process that started this one; VmHWM is of this program alone.
        status = Path("/proc/self/status").read_text(encoding="ascii")
        kilobytes = next(line for line in status.splitlines() if line.startswith("VmHWM:")).split()[1]
        return int(kilobytes) * 1024
    except OSError:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024


def _print(answer: Mapping[str, Any]) -> None:
    os.write(sys.stdout.fileno(), json.dumps(answer).encode() + b"\n")


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
