"""What `doctor` tries of every vendor alike."""

from __future__ import annotations

from connectors.contract import Check

LARGEST_SKEW_SECONDS = 30.0


def clocks(skew_seconds: float | None, whose: str) -> Check:
    """Whether a vendor's clock and ours agree, as far as an answer has told; `whose` it is: "the shop"."""
    if skew_seconds is None:
        return Check("clock", True, f"{whose} does not tell its time")
    detail = f"{whose}'s clock is {skew_seconds:+.0f} s from ours"
    if abs(skew_seconds) <= LARGEST_SKEW_SECONDS:
        return Check("clock", True, detail)
    return Check("clock", False, detail, "let this machine take its time from the network (NTP)")
