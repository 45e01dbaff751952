"""Holds: the one mechanism for "do not write"."""

from worker.holds.service import CONFIRMED_BY_A_PERSON, ActiveHolds, Holds, HoldView

__all__ = ["CONFIRMED_BY_A_PERSON", "ActiveHolds", "HoldView", "Holds"]
