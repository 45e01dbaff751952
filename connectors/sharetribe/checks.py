"""What `doctor` tries at a marketplace, in either role."""

from __future__ import annotations

from collections.abc import Callable

from connectors.contract import Check
from connectors.errors import ConnectorError, Unauthorized
from connectors.sharetribe.client import Client

LARGEST_SKEW_SECONDS = 30.0


def attempt(name: str, act: Callable[[], object], base_url: str) -> Check:
    """Whether something can be read."""
    try:
        act()
    except Unauthorized as error:
        remedy = "Set the client id and secret of an Integration application (Console, Applications)."
        return Check(name, ok=False, detail=str(error), remedy=remedy)
    except ConnectorError as error:
        remedy = f"See that {base_url} is the Integration API's host and can be reached; try again."
        return Check(name, ok=False, detail=str(error), remedy=remedy)
    return Check(name, ok=True, detail="readable")


def clock(client: Client) -> Check:
    """Whether both clocks agree, as far as an answer has told."""
    skew_seconds = client.http.clock_skew_seconds
    if skew_seconds is None:
        return Check("clock", ok=True, detail="the marketplace does not tell its time")
    detail = f"the marketplace's clock differs from ours by {skew_seconds:+.0f} s"
    if abs(skew_seconds) <= LARGEST_SKEW_SECONDS:
        return Check("clock", ok=True, detail=detail)
    return Check("clock", ok=False, detail=detail, remedy="Synchronise this machine's clock (NTP).")
