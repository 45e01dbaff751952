"""SKU links: this channel's SKU is that listing, so many units per sale, from then until then."""

from worker.links.correction import Correction, CorrectionPlan, CorrectionRefusedError, Corrections
from worker.links.service import ImportResult, Links
from worker.links.table import LinkTableError
from worker.links.unlinked import Unlinked, UnlinkedSku

__all__ = [
    "Correction",
    "CorrectionPlan",
    "CorrectionRefusedError",
    "Corrections",
    "ImportResult",
    "LinkTableError",
    "Links",
    "Unlinked",
    "UnlinkedSku",
]
