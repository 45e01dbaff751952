"""SKU links: this channel's SKU is that listing, so many units per sale, from then until then."""

from worker.links.correction import Correction, CorrectionPlan, Corrections
from worker.links.service import ImportResult, Links
from worker.links.table import LinkTableRefused

__all__ = ["Correction", "CorrectionPlan", "Corrections", "ImportResult", "LinkTableRefused", "Links"]
