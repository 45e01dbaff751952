"""`run`, `worker`, `beat`, `web`: the service itself. Each runs until SIGTERM or Ctrl-C, and then ends with 0."""

from __future__ import annotations

import signal
import time
from typing import TYPE_CHECKING, Annotated

import typer

from worker.cli.context import Config, load_settings, opened
from worker.cli.exits import CommandError, ExitCode
from worker.cli.output import note

if TYPE_CHECKING:
    from config.settings import Settings
    from worker.services import Services
    from worker.web import CannotListenError, WebServer

NOTICES_SIGNALS_WITHIN_SECONDS = 0.5


def run(config: Config = None) -> None:
    """Everything in one process: receiver, worker and schedule, without any other service.

    For one machine. Makes or updates the database by itself.
    """
    settings = load_settings(config, serving=True)
    from worker.embedded import Embedded
    from worker.web import CannotListenError

    embedded = Embedded(settings)
    _end_on_sigterm()
    try:
        embedded.start()
        note(f"Receiving on {embedded.receiver_url}. Ctrl-C ends it.")
        if embedded.console_url:
            note(f"Console on {embedded.console_url}; `trueup operators add` lets somebody in.")
        _wait()
    except KeyboardInterrupt:
        note("Ending: running work is brought to its end.")
    except CannotListenError as error:
        raise _cannot_listen(error) from None
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
        metrics = _metrics_of(services)
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
            if metrics is not None:
                note(f"Metrics on {_started(metrics)}/metrics.")
            process.start()
        finally:
            if metrics is not None:
                metrics.stop()
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


def web(
    receiver_only: Annotated[bool, typer.Option("--receiver-only", help="Serve no console.")] = False,
    console_only: Annotated[bool, typer.Option("--console-only", help="Receive no webhooks.")] = False,
    config: Config = None,
) -> None:
    """Receive webhooks; serve health, readiness and metrics; and, on a port of its own, the console for operators.

    /healthz, /readyz and /metrics are beside the receiver's /hooks/CHANNEL. `trueup operators add` lets somebody into
    the console. One process may serve the receiver and another one the console, on another host.
    """
    if receiver_only and console_only:
        raise CommandError("--receiver-only and --console-only leave nothing to serve.")
    with opened(config, register=True, serving=True) as services:
        _require_shared_broker(services.settings)
        from worker.app import make_app
        from worker.console import MOST_CONNECTIONS, create_console
        from worker.doorbell import Doorbell
        from worker.schedule import QUEUE_OF
        from worker.web import WebServer, create_app

        settings = services.settings
        bell = Doorbell(make_app(settings), QUEUE_OF)
        receiver = WebServer(create_app(services, bell), settings.web.host, settings.web.port)
        console = WebServer(
            create_console(services, bell),
            settings.console.host,
            settings.console.port,
            most_connections=MOST_CONNECTIONS,
        )
        _end_on_sigterm()
        try:
            # Nothing is taken in before the rest stands: an address that is taken ends the start.
            if console_only or (settings.console.enabled and not receiver_only):
                note(f"Console on {_started(console)}.")
            if not console_only:
                note(f"Receiving on {_started(receiver)}. Ctrl-C ends it.")
            _wait()
        except KeyboardInterrupt:
            note("Ending: what was received is stored.")
        finally:
            receiver.stop()
            console.stop()
            bell.close()


def _metrics_of(services: Services) -> WebServer | None:
    """What shows a worker's own metrics; None where no port is set for them."""
    from worker.web import WebServer, create_worker_app

    settings = services.settings.worker
    if settings.metrics_port is None:
        return None
    return WebServer(create_worker_app(services), settings.metrics_host, settings.metrics_port)


def _started(server: WebServer) -> str:
    """Let it listen; returns its address."""
    from worker.web import CannotListenError

    try:
        return server.start()
    except CannotListenError as error:
        raise _cannot_listen(error) from None


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


def _cannot_listen(error: CannotListenError) -> CommandError:
    message = (
        f"Cannot listen on {error.where}: {error.strerror}. Set host and port in the section [web] or [console], for a"
        " worker metrics_port in [worker], or end what is there."
    )
    return CommandError(message, ExitCode.UNAVAILABLE)
