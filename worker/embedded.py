"""Everything in one process: worker, schedule, receiver and console as threads, SQLite, no other service.

The same tasks on the same tables as in service mode, with Celery's in-memory broker between them. Since the database is
the truth (P2), nothing is lost when the process dies.
"""

from __future__ import annotations

import threading
from typing import Any

import structlog
from celery import Celery
from celery.beat import Service as Beat

from config.settings import Settings
from worker import schedule
from worker.app import QUEUES, make_app
from worker.console import MOST_CONNECTIONS, create_console
from worker.doorbell import Doorbell
from worker.services import Services
from worker.store.migrate import upgrade
from worker.tasks import Tasks, register
from worker.web.app import create_app
from worker.web.server import WebServer

log = structlog.get_logger(__name__)

STOP_SECONDS = 30.0


class WorkerThread:
    """A Celery worker of this process's application, in a thread."""

    def __init__(self, app: Celery) -> None:
        ready = self.ready = threading.Event()
        self._worker: Any = app.WorkController(
            app=app,
            pool_cls="threads",
            concurrency=app.conf.worker_concurrency,
            queues=",".join(QUEUES),
            without_gossip=True,
            without_mingle=True,
            without_heartbeat=True,
            loglevel="WARNING",
            ready_callback=lambda _consumer: ready.set(),
        )
        self._thread = threading.Thread(target=self._worker.start, name="worker", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Let running tasks finish, then stop. Never started, there is nothing to stop."""
        if self._thread.ident is None:
            return
        self._worker.stop()
        self._thread.join(timeout=STOP_SECONDS)


class Embedded:
    """The whole service in this process."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.services = Services(settings)
        self.app = make_app(settings)
        schedule.put_on_schedule(self.app, settings)
        self.bell = Doorbell(self.app, schedule.QUEUE_OF)
        register(self.app, Tasks(self.services, self.bell))
        self._worker = WorkerThread(self.app)
        self._beat = Beat(self.app, max_interval=1, scheduler_cls=schedule.MemoryScheduler)
        self._beat_thread = threading.Thread(target=self._beat.start, name="beat", daemon=True)
        self._web = WebServer(create_app(self.services, self.bell), settings.web.host, settings.web.port)
        console = settings.console
        self._console = (
            WebServer(
                create_console(self.services, self.bell), console.host, console.port, most_connections=MOST_CONNECTIONS
            )
            if console.enabled
            else None
        )
        self._stopped = threading.Event()
        self.receiver_url = ""
        self.console_url = ""
        """Empty where the console is not served."""

    def start(self) -> None:
        """Migrate, make the channels known, and start every thread. Returns when the receiver listens."""
        upgrade(self.services.store)
        self.services.register_channels()
        # Nothing is taken in before the rest stands: an address that is taken ends the start.
        if self._console is not None:
            self.console_url = self._console.start()
        self._worker.start()
        self._beat_thread.start()
        self.receiver_url = self._web.start()
        for ring in schedule.rings(self.settings):
            self.bell.ring(ring.task)
        log.info("embedded_started", receiver=self.receiver_url, console=self.console_url)

    def wait(self) -> None:
        """Wait until somebody calls `stop`."""
        # In turns: a signal that arrives right before a wait without end would not be seen until another.
        while not self._stopped.wait(0.5):
            pass

    def stop(self) -> None:
        """Stop taking things in, let running work finish, close everything. Idempotent."""
        if self._stopped.is_set():
            return
        self._stopped.set()
        self._web.stop()
        if self._console is not None:
            self._console.stop()
        self._beat.stop(wait=False)
        self._worker.stop()
        self.bell.close()
        self.services.close()
        log.info("embedded_stopped")
