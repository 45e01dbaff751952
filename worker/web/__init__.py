"""What listens: the receiver of webhooks, health, metrics; and the server that the console listens by too."""

from worker.web.app import create_app, create_worker_app
from worker.web.server import CannotListenError, WebServer

__all__ = ["CannotListenError", "WebServer", "create_app", "create_worker_app"]
