"""What is measured, and the page that shows it."""

from worker.web.metrics.deliveries import NO_CHANNEL, Meters, Outcome
from worker.web.metrics.endpoint import Metrics

__all__ = ["NO_CHANNEL", "Meters", "Metrics", "Outcome"]
