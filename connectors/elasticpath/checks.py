"""What `doctor` tries at a store, in either role."""

from __future__ import annotations

from collections.abc import Callable

from connectors.contract import Check
from connectors.elasticpath.client import Client
from connectors.errors import ConnectorError, Unauthorized

LARGEST_SKEW_SECONDS = 30.0


def access(client: Client, path: str, what: str, base_url: str) -> Check:
    """Whether the key gets in, and may read that."""
    try:
        client.get(path, {"page[limit]": 1}, what=what)
    except Unauthorized as error:
        remedy = "set the client id and secret of an application key of this store (Commerce Manager, Application Keys)"
        return Check("access", ok=False, detail=str(error), remedy=remedy)
    except ConnectorError as error:
        remedy = f"see that {base_url} is the host of the store's region and can be reached; try again"
        return Check("access", ok=False, detail=str(error), remedy=remedy)
    return Check("access", ok=True, detail="the store accepts the credentials")


def attempt(name: str, act: Callable[[], object]) -> Check:
    """Whether something can be read."""
    try:
        act()
    except ConnectorError as error:
        return Check(name, ok=False, detail=str(error), remedy="the key must be one of client credentials; try again")
    return Check(name, ok=True, detail="readable")


def clock(client: Client) -> Check:
    """Whether both clocks agree, as far as an answer has told."""
    skew_seconds = client.http.clock_skew_seconds
    if skew_seconds is None:
        return Check("clock", ok=True, detail="the store does not tell its time")
    detail = f"the store's clock is {skew_seconds:+.0f} s from ours"
    if abs(skew_seconds) <= LARGEST_SKEW_SECONDS:
        return Check("clock", ok=True, detail=detail)
    return Check("clock", ok=False, detail=detail, remedy="let this machine take its time from the network (NTP)")
