"""What `doctor` tries at a marketplace, in either role."""

from __future__ import annotations

from collections.abc import Callable

from connectors.contract import Check
from connectors.errors import ConnectorError, Unauthorized


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
