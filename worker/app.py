"""The Celery application. A message says "look": it names a task, carries no facts, and may be lost or doubled (P2)."""

from __future__ import annotations

import re
from typing import Any

import structlog
from celery import Celery, signals
from kombu import Exchange, Queue

from config.logging import new_correlation_id
from config.settings import Settings

QUEUES = ("intake", "reconcile", "upkeep")
"""By urgency: bulk work never stands before a sale."""

MEMORY_POLLING_SECONDS = 0.02

RING = {"max_retries": 1, "interval_start": 0, "interval_max": 0.2}
"""How a ring is tried again: hardly, nobody waits for a broker that is down."""

CORRELATION_ID = re.compile(r"[\w-]{1,64}", re.ASCII)
"""What is taken from a message as one: it goes into rows and log lines, and anybody at the broker can send it."""


def make_app(settings: Settings) -> Celery:
    """Build the application for one process; tasks are added by `worker.tasks.register`."""
    url = settings.broker.url.get_secret_value()
    app = Celery("trueup", broker=url, backend=None, set_as_current=True)
    app.set_default()
    app.conf.update(
        accept_content=["json"],
        task_serializer="json",
        result_serializer="json",
        task_ignore_result=True,
        task_store_errors_even_if_ignored=False,
        # Late acknowledgement alone loses the task of a killed process; with the second line it is delivered again.
        # That is harmless: a task may run twice, at once, or never.
        task_acks_late=True,
        task_reject_on_worker_lost=True,
        worker_prefetch_multiplier=1,
        # After a reconnection Celery would raise it again step by step, from every thread that ends a task. RabbitMQ
        # answers each time, and threads that wait for the answer take it from one another: the worker stands still
        # until the connection breaks.
        worker_enable_prefetch_count_reduction=False,
        worker_pool="threads",
        worker_concurrency=settings.worker.threads,
        worker_consumer="worker.consumer:Consumer",
        worker_hijack_root_logger=False,
        worker_redirect_stdouts=False,
        worker_send_task_events=False,
        # Else whoever reaches the broker can shut workers down. What they do is told by rows, metrics and the log.
        worker_enable_remote_control=False,
        worker_soft_shutdown_timeout=30,
        worker_enable_soft_shutdown_on_idle=True,
        worker_cancel_long_running_tasks_on_connection_loss=False,
        task_queues=[Queue(name, Exchange(name), routing_key=name, durable=True) for name in QUEUES],
        task_default_queue="upkeep",
        task_create_missing_queues=False,
        broker_connection_retry_on_startup=True,
        # For ever: after a hundred tries, an hour perhaps, Celery would end the worker.
        broker_connection_max_retries=None,
        # RabbitMQ's own; a line that carries nothing any more is noticed within a minute.
        broker_heartbeat=30,
        broker_connection_timeout=5,
        broker_pool_limit=10,
        broker_transport_options=_transport_options(url),
        enable_utc=True,
        timezone="UTC",
    )
    return app


def _transport_options(url: str) -> dict[str, Any]:
    if url.startswith("memory://"):
        return {"polling_interval": MEMORY_POLLING_SECONDS}
    if url.startswith(("redis://", "rediss://")):
        return {
            # No task runs longer than a drain (seconds) but the sweep, whose tick makes a second run harmless.
            "visibility_timeout": 120,
            "unacked_restore_throttle": 1,
            "unacked_restore_interval": 2,
            "socket_timeout": 10,
            "socket_connect_timeout": 5,
            "socket_keepalive": True,
            "health_check_interval": 15,
            "retry_on_timeout": True,
            **RING,
        }
    return {**RING}


@signals.setup_logging.connect
def _keep_our_logging(**_ignored: Any) -> None:
    """Connecting this signal tells Celery to leave logging alone: `config.logging` has set it up."""


@signals.before_task_publish.connect
def _send_correlation(headers: dict[str, Any] | None = None, **_ignored: Any) -> None:
    correlation = structlog.contextvars.get_contextvars().get("correlation_id")
    if headers is not None and correlation is not None:
        headers["trueup_correlation_id"] = correlation


@signals.task_prerun.connect
def _bind_correlation(task_id: str | None = None, task: Any = None, **_ignored: Any) -> None:
    request = getattr(task, "request", None)
    ids = (getattr(request, "trueup_correlation_id", None), task_id)
    fit = (sent for sent in ids if isinstance(sent, str) and CORRELATION_ID.fullmatch(sent))
    correlation = next(fit, None) or new_correlation_id()
    structlog.contextvars.bind_contextvars(correlation_id=correlation, task=getattr(task, "name", None))


@signals.task_postrun.connect
def _clear_correlation(**_ignored: Any) -> None:
    structlog.contextvars.clear_contextvars()
