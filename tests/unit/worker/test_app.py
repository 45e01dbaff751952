"""The Celery application: what its settings promise, and how a correlation id travels."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
import structlog
from celery import Celery, signals
from celery.utils.imports import symbol_by_name
from kombu.common import QoS
from kombu.exceptions import OperationalError
from structlog.contextvars import bind_contextvars, get_contextvars

from tests.receiving import settings
from tests.servers import free_port
from worker.app import QUEUES, RING, make_app


@pytest.fixture
def app() -> Celery:
    return make_app(settings())


@pytest.fixture(autouse=True)
def _no_context() -> Iterator[None]:
    structlog.contextvars.clear_contextvars()
    yield
    structlog.contextvars.clear_contextvars()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        # What a killed process had begun is delivered again; none hoards what another could do.
        ("task_acks_late", True),
        ("task_reject_on_worker_lost", True),
        ("worker_prefetch_multiplier", 1),
        ("worker_cancel_long_running_tasks_on_connection_loss", False),
        # A message is JSON, and nothing of it can run code or come back.
        ("accept_content", ["json"]),
        ("task_serializer", "json"),
        ("result_backend", None),
        ("task_ignore_result", True),
        # Whoever reaches the broker can neither command workers nor listen to them.
        ("worker_enable_remote_control", False),
        ("worker_send_task_events", False),
        # A queue that nobody reads is a mistake, not a queue.
        ("task_create_missing_queues", False),
        # Calls wait for the network, not for the processor.
        ("worker_pool", "threads"),
        # Work in hand is finished before the process ends, and our logging stays ours.
        ("worker_enable_soft_shutdown_on_idle", True),
        ("worker_soft_shutdown_timeout", 30),
        ("worker_hijack_root_logger", False),
        ("worker_redirect_stdouts", False),
        # A broker that comes later than its workers is waited for.
        ("broker_connection_retry_on_startup", True),
        ("timezone", "UTC"),
    ],
)
def test_the_settings_that_promises_rest_on(app: Celery, name: str, value: object) -> None:
    assert app.conf[name] == value


def test_bulk_work_has_a_queue_of_its_own(app: Celery) -> None:
    assert [queue.name for queue in app.conf.task_queues] == list(QUEUES)
    assert app.conf.task_default_queue == "upkeep"


def test_there_are_as_many_threads_as_configured() -> None:
    configured = settings()
    worker = configured.worker.model_copy(update={"threads": 3})
    assert make_app(configured.model_copy(update={"worker": worker})).conf.worker_concurrency == 3


def test_what_a_dead_process_had_begun_is_delivered_again_by_redis_after_two_minutes() -> None:
    options = make_app(settings(broker="redis://127.0.0.1:1/0")).conf.broker_transport_options
    assert options["visibility_timeout"] == 120


def test_a_message_carries_the_correlation_id_of_the_work_that_sends_it() -> None:
    headers: dict[str, Any] = {}
    signals.before_task_publish.send(sender="trueup.intake", headers=headers)
    assert headers == {}
    bind_contextvars(correlation_id="corr-7")
    signals.before_task_publish.send(sender="trueup.intake", headers=headers)
    assert headers == {"trueup_correlation_id": "corr-7"}


def begin(**request: object) -> dict[str, Any]:
    """The context of a task that begins by a message with these headers."""
    task = SimpleNamespace(name="trueup.intake", request=SimpleNamespace(**request))
    signals.task_prerun.send(sender=None, task_id="task-1", task=task)
    return dict(get_contextvars())


def test_a_task_works_under_the_correlation_id_of_its_message_until_it_ends() -> None:
    assert begin(trueup_correlation_id="corr-7") == {"correlation_id": "corr-7", "task": "trueup.intake"}
    signals.task_postrun.send(sender=None, task_id="task-1")
    assert get_contextvars() == {}


@pytest.mark.parametrize("sent", [None, 7, "", "two\nlines", "x" * 65, "é"])
def test_a_task_whose_message_brings_no_fit_correlation_id_works_under_its_own(sent: object) -> None:
    assert begin(trueup_correlation_id=sent)["correlation_id"] == "task-1"


@pytest.mark.parametrize("broker", ["redis://127.0.0.1:{}/0", "amqp://guest:guest@127.0.0.1:{}//"])
def test_a_ring_to_a_broker_that_is_down_fails_and_is_hardly_tried_again(broker: str) -> None:
    app = make_app(settings(broker=broker.format(free_port())))
    assert app.conf.broker_transport_options.items() >= RING.items()
    with pytest.raises(OperationalError):
        app.send_task("trueup.intake", queue="intake", retry=False)


def test_a_worker_tries_for_ever_to_reach_its_broker_again() -> None:
    conf = make_app(settings(broker="redis://127.0.0.1:1/0")).conf
    assert conf.broker_connection_retry_on_startup
    assert conf.broker_connection_max_retries is None


def test_a_task_that_ends_after_a_reconnection_asks_the_broker_nothing() -> None:
    app = make_app(settings(broker="amqp://guest:guest@127.0.0.1:1//"))
    consumer = object.__new__(symbol_by_name(app.conf.worker_consumer))
    asked: list[int] = []

    def ask(prefetch_count: int) -> None:
        asked.append(prefetch_count)

    consumer.app, consumer.qos, consumer.pool = app, QoS(ask, 1), SimpleNamespace(num_processes=8)
    consumer.restart_count, consumer.initial_prefetch_count, consumer.prefetch_multiplier = 1, 1, 1
    consumer._maximum_prefetch_restored = False
    consumer._restore_prefetch_count_after_connection_restart(None)
    assert asked == []
