"""Ringing: telling a worker that there is something to look at.

A ring is one broker message whatever it stands for, and several within a moment are one. A ring that fails is logged
and forgotten: the schedule looks anyway, so it costs time, never data (P2).
"""

from __future__ import annotations

import threading

import structlog
from celery import Celery

log = structlog.get_logger(__name__)

QUIET_SECONDS = 0.05
"""After a ring, further ones wait this long and then go out as one."""
EXPIRES_SECONDS = 60


class Doorbell:
    """Rings tasks by name from a thread of its own, so that nobody who rings waits for the broker."""

    def __init__(self, app: Celery, queues: dict[str, str]) -> None:
        """`queues` names the queue of each task that may be rung."""
        self._app = app
        self._queues = queues
        self._rung: set[str] = set()
        self._changed = threading.Condition()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="doorbell", daemon=True)
        self._thread.start()

    def ring(self, task: str) -> None:
        """Ask for one run of `task`, soon. Returns at once; never raises."""
        with self._changed:
            self._rung.add(task)
            self._changed.notify()

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._rung and not self._stopping:
                    self._changed.wait()
                rung, self._rung = self._rung, set()
                if self._stopping and not rung:
                    return
            for task in sorted(rung):
                self._send(task)
            with self._changed:
                if not self._stopping:
                    self._changed.wait_for(lambda: self._stopping, timeout=QUIET_SECONDS)

    def _send(self, task: str) -> None:
        try:
            self._app.send_task(task, queue=self._queues[task], expires=EXPIRES_SECONDS, retry=False)
        except Exception as error:  # noqa: BLE001  whatever the broker's client raises, the schedule looks anyway
            log.warning("ring_failed", task=task, error=f"{type(error).__name__}: {error}"[:200])

    def close(self) -> None:
        """Send what was rung, then stop."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        self._thread.join(timeout=5)
