"""What is so right now, for people: read-only views over every room's tables."""

from worker.status.held import HeldWork
from worker.status.overview import Overview, Status
from worker.status.preview import ListingPreview, Preview

__all__ = ["HeldWork", "ListingPreview", "Overview", "Preview", "Status"]
