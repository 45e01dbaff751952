"""The worker's end of the broker: it survives every loss of its connection.

Apart from the other rooms because Celery loads it by name, and only in processes that work.
"""

from __future__ import annotations

import structlog
from celery.worker.consumer import Consumer

log = structlog.get_logger(__name__)


class SteadfastConsumer(Consumer):  # type: ignore[misc]  # Celery ships no types
    """Reconnects also when the broken connection cannot be put away.

    To put a Redis connection away, kombu gives back what was not acknowledged; when the server dies at the wrong moment
    it looks for the address on what it has let go of a line before, and the AttributeError ends the whole worker.
    Nothing is owed to a connection that is gone: whatever was not acknowledged is delivered again, or lost, and either
    costs time only (P2).
    """

    def on_connection_error_after_connected(self, exc: Exception) -> None:
        try:
            super().on_connection_error_after_connected(exc)
        except Exception as error:  # noqa: BLE001  whatever it is, the next thing to do is to connect again
            log.warning("broken_connection_not_put_away", error=f"{type(error).__name__}: {error}"[:200])
