"""What listens: the receiver of webhooks, health, metrics."""

from worker.web.app import create_app
from worker.web.server import WebServer

__all__ = ["WebServer", "create_app"]
