"""What a worker does with a message that makes no sense: it drops it.

Celery ends the worker for some of them, and the next one that gets the same message too. Anybody at the broker can
send one; nothing is lost with it (P2).
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
    """Celery's, which survives every message."""

    def create_task_handler(self, *arguments: Any, **named: Any) -> Callable[[Any], None]:
        """See Celery."""
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
