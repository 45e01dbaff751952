"""What is so right now, for people: read-only views over every room's tables."""

from worker.status.overview import Overview, Status
from worker.status.preview import ListingPreview, Preview

__all__ = ["ListingPreview", "Overview", "Preview", "Status"]
