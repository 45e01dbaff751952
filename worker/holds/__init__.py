"""Holds: the one mechanism for "do not write"."""

from worker.holds.service import ActiveHolds, Holds, HoldView

__all__ = ["ActiveHolds", "HoldView", "Holds"]
