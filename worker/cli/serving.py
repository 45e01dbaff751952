"""`run`, `worker`, `beat`, `web`: the service itself. Each runs until SIGTERM or Ctrl-C, and then ends with 0."""

from __future__ import annotations

import signal
import time
from typing import TYPE_CHECKING

import typer

from worker.cli.context import Config, load_settings, opened
from worker.cli.exits import CommandError, ExitCode
from worker.cli.output import note

if TYPE_CHECKING:
    from config.settings import Settings

NOTICES_SIGNALS_WITHIN_SECONDS = 0.5


def run(config: Config = None) -> None:
    """Everything in one process: receiver, worker and schedule, without any other service.

    For one machine. Makes or updates the database by itself.
    """
    settings = load_settings(config, serving=True)
    from worker.embedded import Embedded

    embedded = Embedded(settings)
    _end_on_sigterm()
    try:
        embedded.start()
        note(f"Receiving on {embedded.receiver_url}. Ctrl-C ends it.")
        _wait()
    except KeyboardInterrupt:
        note("Ending: running work is brought to its end.")
    except OSError as error:
        raise _cannot_listen(settings, error) from None
    finally:
        embedded.stop()


def worker(config: Config = None) -> None:
    """Work: take in, reconcile, look after listings. Any number of these, on any number of hosts.

    Needs a broker that processes share (Redis or RabbitMQ) and a database they share.
    """
    with opened(config, register=True, serving=True) as services:
        _require_shared_broker(services.settings)
        from worker.app import QUEUES, make_app
        from worker.doorbell import Doorbell
        from worker.schedule import QUEUE_OF
        from worker.tasks import Tasks, register

        app = make_app(services.settings)
        bell = Doorbell(app, QUEUE_OF)
        register(app, Tasks(services, bell))
        process = app.Worker(
            pool_cls="threads",
            concurrency=services.settings.worker.threads,
            queues=",".join(QUEUES),
            loglevel="WARNING",
            quiet=True,
            without_gossip=True,
            without_mingle=True,
            without_heartbeat=True,
        )
        try:
            process.start()
        finally:
            bell.close()
        if process.exitcode:
            raise typer.Exit(ExitCode.UNAVAILABLE)


def beat(config: Config = None) -> None:
    """Ring the schedule. One is enough; several do no harm."""
    settings = load_settings(config, serving=True)
    _require_shared_broker(settings)
    from worker.app import make_app
    from worker.schedule import put_on_schedule

    app = make_app(settings)
    put_on_schedule(app, settings)
    _end_on_sigterm()
    try:
        app.Beat(max_interval=1, quiet=True, loglevel="WARNING", redirect_stdouts=False).run()
    except (KeyboardInterrupt, SystemExit):
        note("Ended.")


def web(config: Config = None) -> None:
    """Receive webhooks; serve health, readiness and metrics.

    /healthz, /readyz and /metrics are beside the receiver's /hooks/CHANNEL.
    """
    with opened(config, register=True, serving=True) as services:
        _require_shared_broker(services.settings)
        from worker.app import make_app
        from worker.doorbell import Doorbell
        from worker.schedule import QUEUE_OF
        from worker.web.app import create_app
        from worker.web.server import WebServer

        settings = services.settings
        bell = Doorbell(make_app(settings), QUEUE_OF)
        server = WebServer(create_app(services, bell), settings.web.host, settings.web.port)
        _end_on_sigterm()
        try:
            note(f"Receiving on {server.start()}. Ctrl-C ends it.")
            _wait()
        except KeyboardInterrupt:
            note("Ending: what was received is stored.")
        except OSError as error:
            raise _cannot_listen(settings, error) from None
        finally:
            server.stop()
            bell.close()


def _end_on_sigterm() -> None:
    """SIGTERM ends the process as Ctrl-C does: by an exception in the main thread, which then cleans up."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)


def _wait() -> None:
    """Let the other threads work until a signal raises here.

    In turns: one wait without an end would sleep through a signal that came in just before it.
    """
    while True:
        time.sleep(NOTICES_SIGNALS_WITHIN_SECONDS)


def _require_shared_broker(settings: Settings) -> None:
    if settings.broker.url.get_secret_value().startswith("memory://"):
        message = (
            "broker.url is memory://, which reaches no other process. Set it to a Redis or RabbitMQ that all of them"
            " share, or run everything in one process: `trueup run`."
        )
        raise CommandError(message)


def _cannot_listen(settings: Settings, error: OSError) -> CommandError:
    where = f"{settings.web.host}:{settings.web.port}"
    message = f"Cannot listen on {where}: {error.strerror or error}. Set web.host and web.port, or end what is there."
    return CommandError(message, ExitCode.UNAVAILABLE)
