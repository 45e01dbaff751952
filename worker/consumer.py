"""The worker's end of the broker: it survives every message, and every loss of its connection.

Celery loads it by name, and only in processes that work. Nothing is lost with what it drops: a message says no more
than "look" (P2).
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import structlog
from celery.worker import consumer

log = structlog.get_logger(__name__)

NONSENSE = (LookupError, TypeError, ValueError)
"""What reading a message ends in. Some transports count a missing key as a lost connection, and would try for ever."""

_standard_log = logging.getLogger(__name__)


class Consumer(consumer.Consumer):  # type: ignore[misc]  # Celery ships no types
    """Celery's, which goes on."""

    def create_task_handler(self, *arguments: Any, **named: Any) -> Callable[[Any], None]:
        """A message that makes no sense is dropped: Celery ends the worker for some of them, and the next one that gets
        the same message too, and anybody at the broker can send one.
        """
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

    def on_connection_error_after_connected(self, exc: Exception) -> None:
        """Reconnects also when the broken connection cannot be put away.

        To put a Redis connection away, kombu gives back what was not acknowledged; when the server dies at the wrong
        moment it looks for the address on what it has let go of a line before, and the AttributeError ends the whole
        worker. Nothing is owed to a connection that is gone: what was not acknowledged is delivered again, or lost.
        """
        try:
            super().on_connection_error_after_connected(exc)
        except Exception as error:  # noqa: BLE001  whatever it is, the next thing to do is to connect again
            log.warning("broken_connection_not_put_away", error=f"{type(error).__name__}: {error}"[:200])
