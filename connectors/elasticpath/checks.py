"""What `doctor` tries at a store, in either role."""

from __future__ import annotations

from collections.abc import Callable

from connectors.contract import Check
from connectors.elasticpath.client import Client
from connectors.errors import ConnectorError, Unauthorized


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
