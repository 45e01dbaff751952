"""The worker's end of the broker."""

from __future__ import annotations

from typing import Any

import pytest
from celery.utils.imports import symbol_by_name
from structlog.testing import capture_logs

from tests.receiving import settings
from worker.app import make_app


class LostConnection:
    """As kombu leaves a Redis connection whose server died while something was not acknowledged."""

    connection_errors: tuple[type[Exception], ...] = (OSError,)
    channel_errors: tuple[type[Exception], ...] = ()

    def collect(self, **_options: Any) -> None:
        raise ConnectionRefusedError

    def close(self) -> None:
        raise AttributeError("'NoneType' object has no attribute 'hostname'")


@pytest.mark.filterwarnings("ignore::celery.exceptions.CPendingDeprecationWarning")
def test_a_worker_survives_a_connection_that_cannot_be_put_away() -> None:
    app = make_app(settings())
    consumer = object.__new__(symbol_by_name(app.conf.worker_consumer))
    consumer.app, consumer.connection = app, LostConnection()
    with capture_logs() as logs:
        consumer.on_connection_error_after_connected(ConnectionResetError())
    assert consumer.connection is None
    assert [entry["event"] for entry in logs] == ["broken_connection_not_put_away"]
