"""What operators must know: anomalies, and the messages that tell them."""

from worker.alerts.anomalies import Anomalies, Finding, Kind

__all__ = ["Anomalies", "Finding", "Kind"]
