"""The Celery application."""

from __future__ import annotations

import pytest
from kombu.exceptions import OperationalError

from tests.receiving import settings
from tests.servers import free_port
from worker.app import RING, make_app


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
