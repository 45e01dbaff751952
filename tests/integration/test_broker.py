"""P2 from the other side: what somebody at the broker can read is nothing, and what they can do is to cause a look."""

from __future__ import annotations

import os
import pickle
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest
import structlog
from celery import Celery
from kombu import Connection, Exchange, Producer
from redis import Redis
from structlog.testing import capture_logs

from config.settings import BrokerSettings, Settings
from connectors.budget import Priority, Scope
from connectors.clock import SystemClock
from connectors.redis_budget import RedisBudgets
from tests import receiving
from worker import schedule
from worker.app import make_app
from worker.doorbell import Doorbell
from worker.embedded import WorkerThread
from worker.tasks import register

WITHIN_SECONDS = 30.0
PASSWORD = "canary-redis-password"


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WITHIN_SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.fixture
def locked_redis(redis_url: str) -> Iterator[str]:
    """The same Redis, with a password."""
    with Redis.from_url(redis_url) as open_to_all:
        open_to_all.config_set("requirepass", PASSWORD)
    url = redis_url.replace("redis://", f"redis://:{PASSWORD}@")
    yield url
    with Redis.from_url(url) as client:
        client.config_set("requirepass", "")


def everything_in(url: str) -> bytes:
    """All keys and values, whatever their type."""
    with Redis.from_url(url) as client:
        found = [repr(client.info()).encode()]
        for key in client.scan_iter():
            found += [key, client.dump(key) or b""]
            if client.type(key) == b"list":
                found += client.lrange(key, 0, -1)
        return b"\n".join(found)


def test_p8_no_secret_is_in_the_broker(locked_redis: str) -> None:
    settings: Settings = receiving.settings(broker=locked_redis)
    app = make_app(settings)
    bell = Doorbell(app, schedule.QUEUE_OF)
    with structlog.contextvars.bound_contextvars(correlation_id=uuid.uuid4().hex):
        for task in schedule.QUEUE_OF:
            bell.ring(task)
    bell.close()
    budgets = RedisBudgets.from_url(locked_redis, SystemClock(), Random(1))
    with budgets.spend(Scope("shopify:toys", per_second=10.0, burst=10), priority=Priority.WRITE):
        held = everything_in(locked_redis)
    app.close()

    for task in schedule.QUEUE_OF:
        assert task.encode() in held
    assert b"shopify:toys" in held
    secrets = settings.secrets()
    assert len(secrets) >= 4
    assert [secret for secret in secrets if secret.encode() in held] == []
    assert PASSWORD.encode() not in held


@pytest.mark.parametrize("format_of", [repr, str, lambda settings: settings.model_dump_json()])
def test_p8_settings_do_not_show_their_secrets(format_of: Callable[[Settings], str]) -> None:
    settings: Settings = receiving.settings(broker=f"redis://:{PASSWORD}@127.0.0.1/0")
    assert settings.secrets() >= {PASSWORD, receiving.SECRET}
    assert [secret for secret in settings.secrets() if secret in format_of(settings)] == []


def test_p8_a_broker_that_refuses_does_not_show_its_password() -> None:
    app = make_app(receiving.settings(broker=f"redis://:{PASSWORD}@127.0.0.1:9/0"))
    with capture_logs() as lines:
        bell = Doorbell(app, schedule.QUEUE_OF)
        bell.ring(schedule.INTAKE)
        bell.close()
    assert [line["event"] for line in lines] == ["ring_failed"]
    assert PASSWORD not in str(lines)


# Forged messages --------------------------------------------------------------------------------------------------


class Looks:
    """Stands for the tasks: remembers what was looked at."""

    def __init__(self) -> None:
        self.at: list[str] = []
        self.correlations: list[str] = []

    def __getattr__(self, name: str) -> Callable[..., None]:
        def look() -> None:
            self.at.append(name)
            self.correlations.append(structlog.contextvars.get_contextvars()["correlation_id"])

        return look


class Exploded:
    """What unpickling would run."""

    def __init__(self, place: Path) -> None:
        self.place = place

    def __reduce__(self) -> Any:
        return (os.mkdir, (str(self.place),))


class Worker:
    """A real worker on a real broker, and somebody else who can write to that broker."""

    def __init__(self, app: Celery, url: str) -> None:
        self.looks = Looks()
        self._url = url
        register(app, self.looks)  # type: ignore[arg-type]
        self._app = app
        self._thread = WorkerThread(app)
        self._thread.start()
        assert self._thread.ready.wait(WITHIN_SECONDS)

    def forge(self, body: Any, *, queue: str = "intake", **options: Any) -> None:
        with Connection(self._url) as connection:
            Producer(connection).publish(body, exchange=Exchange(queue), routing_key=queue, retry=False, **options)

    def call(self, task: str, *args: Any, embed: dict[str, Any] | None = None, **headers: Any) -> None:
        """A message as Celery itself makes them."""
        told = {"lang": "py", "task": task, "id": str(uuid.uuid4()), "root_id": None, "parent_id": None, **headers}
        nothing = {"callbacks": None, "errbacks": None, "chain": None, "chord": None}
        self.forge([args, {}, nothing | (embed or {})], headers=told, serializer="json")

    def handles_the_next(self) -> None:
        """Whatever came before has been dealt with, and the worker goes on."""
        before = self.looks.at.count("feed")
        self._app.send_task(schedule.FEED, queue="intake")
        until(lambda: self.looks.at.count("feed") == before + 1)

    def end(self) -> None:
        self._thread.stop()
        self._app.close()


@pytest.fixture
def worker(redis_url: str) -> Iterator[Worker]:
    made = Worker(make_app(Settings(**_with_broker(redis_url))), redis_url)
    yield made
    made.end()


def _with_broker(url: str) -> dict[str, Any]:
    base: Settings = receiving.settings(broker=url)
    return {"marketplace": base.marketplace, "channels": base.channels, "broker": BrokerSettings(url=base.broker.url)}


def test_p2_what_is_no_json_is_refused_unread(worker: Worker, tmp_path: Path) -> None:
    packed = pickle.dumps(Exploded(tmp_path / "exploded"))
    for content_type, encoding in (
        ("application/x-python-serialize", "binary"),
        ("application/data", "binary"),
        ("application/x-yaml", "utf-8"),
        ("application/x-msgpack", "binary"),
        ("text/plain", "utf-8"),
    ):
        worker.forge(packed, content_type=content_type, content_encoding=encoding, headers={"task": schedule.INTAKE})
    worker.forge(b"!!python/object/apply:os.abort []", content_type="application/x-yaml", content_encoding="utf-8")
    worker.forge(b"{", content_type="application/json", content_encoding="utf-8", headers={"task": schedule.INTAKE})
    worker.handles_the_next()
    assert not (tmp_path / "exploded").exists()
    assert worker.looks.at == ["feed"]


@pytest.mark.parametrize(
    "task",
    ["os.system", "celery.map", "celery.starmap", "celery.chunks", "celery.group", "celery.chord", "x" * 100_000],
)
def test_p2_a_task_that_is_not_ours_is_not_run(worker: Worker, task: str) -> None:
    worker.call(task, {"task": schedule.INTAKE}, [[]] * 5)
    worker.handles_the_next()
    assert worker.looks.at == ["feed"]


@pytest.mark.parametrize("arguments", [(1, 2, 3), ({"a": 1},), ("x" * 3_000_000,), ([[[]]],)])
def test_p2_wrong_arguments_end_that_task_alone(worker: Worker, arguments: tuple[Any, ...]) -> None:
    worker.call(schedule.INTAKE, *arguments)
    worker.call(schedule.POLL, 1)
    worker.handles_the_next()
    assert worker.looks.at == ["feed"]


def test_p2_a_forged_message_causes_a_look_and_no_more(worker: Worker) -> None:
    signature = {
        "task": schedule.POLL,
        "args": [],
        "kwargs": {},
        "options": {"queue": "intake"},
        "immutable": True,
    }
    worker.call(schedule.INTAKE, trueup_correlation_id="x\n" * 1000)
    worker.call(schedule.INTAKE, trueup_correlation_id={"a": 1})
    worker.call(schedule.INTAKE, embed={"callbacks": [{**signature, "immutable": True}]})
    worker.handles_the_next()
    until(lambda: "poll" in worker.looks.at)
    assert sorted(worker.looks.at) == ["feed", *["intake"] * 3, "poll"]
    assert all(len(given) <= 64 and given.isascii() and given.isprintable() for given in worker.looks.correlations)


@pytest.mark.parametrize(
    "message",
    [
        (b"5", {"content_type": "application/json"}),
        (b"[[], {}]", {"content_type": "application/json"}),
        (b"[[], {}, 5]", {"content_type": "application/json"}),
        (b"raw", {"content_type": "application/data"}),
        (b"[[], {}, {}]", {"content_type": "application/json", "headers": {"id": {}, "timelimit": "x", "eta": "soon"}}),
        (b"[[], {}, {}]", {"content_type": "application/json", "headers": {"id": "1", "expires": [], "retries": "x"}}),
        (b"[[], {}, {}]", {"content_type": "application/json", "compression": "zlib"}),
    ],
)
def test_p2_a_message_of_no_sense_ends_no_worker(worker: Worker, message: tuple[bytes, dict[str, Any]]) -> None:
    body, told = message
    headers = {"task": schedule.INTAKE, **told.get("headers", {})}
    worker.forge(body, content_encoding="utf-8", **{**told, "headers": headers})
    worker.handles_the_next()


def test_p2_nobody_ends_a_worker_by_command(worker: Worker, redis_url: str) -> None:
    somebody = Celery("somebody", broker=redis_url, set_as_current=False)
    for command in ("shutdown", "pool_shrink", "rate_limit", "cancel_consumer"):
        somebody.control.broadcast(
            command, arguments={"n": 8, "queue": "intake", "task_name": "x", "rate_limit": "0/h"}
        )
    somebody.close()
    for _ in range(3):
        worker.handles_the_next()
