"""The worker's end of the broker: it survives every loss of its connection, and every message.

Apart from the other rooms because Celery loads it by name, and only in processes that work.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import structlog
from celery.worker.consumer import Consumer

NONSENSE = (LookupError, TypeError, ValueError)
"""What reading a message ends in. Some transports count a missing key as a lost connection, and would try for ever."""

log = structlog.get_logger(__name__)
_standard_log = logging.getLogger(__name__)


class SteadfastConsumer(Consumer):  # type: ignore[misc]  # Celery ships no types
    """Reconnects also when the broken connection cannot be put away, and drops messages that make no sense.

    To put a Redis connection away, kombu gives back what was not acknowledged; when the server dies at the wrong moment
    it looks for the address on what it has let go of a line before, and the AttributeError ends the whole worker.
    Nothing is owed to a connection that is gone: whatever was not acknowledged is delivered again, or lost, and either
    costs time only (P2).

    Some messages that Celery cannot read end the worker too, and the next one that gets them again. Anybody at the
    broker can send one; nothing is lost with it.
    """

    def on_connection_error_after_connected(self, exc: Exception) -> None:
        try:
            super().on_connection_error_after_connected(exc)
        except Exception as error:  # noqa: BLE001  whatever it is, the next thing to do is to connect again
            log.warning("broken_connection_not_put_away", error=f"{type(error).__name__}: {error}"[:200])

    def create_task_handler(self, *arguments: Any, **named: Any) -> Callable[[Any], None]:
        handle = super().create_task_handler(*arguments, **named)

        def survived(message: Any) -> None:
            try:
                handle(message)
            except Exception as error:
                lost = isinstance(error, (*self.connection_errors, *self.channel_errors))
                if lost and not isinstance(error, NONSENSE):
                    raise
                log.warning("message_dropped", kind=type(error).__name__, bytes=len(message.body or b""))
                message.reject_log_error(_standard_log, self.connection_errors)

        return survived
