"""One request whose caller is known, and what became of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from .errors import bad_request
from .integrations import Integrations
from .inventory import Inventory
from .orders import Orders
from .store import Store

MULTI_LOCATION = "ep-inventories-multi-location"


@dataclass(frozen=True, slots=True)
class Call:
    """One request."""

    store: Store
    inventory: Inventory
    orders: Orders
    integrations: Integrations
    path: Mapping[str, str]
    query: Mapping[str, str]
    body: Any
    multi_location: bool
    """Whether the header asks for the multi-location flavour."""

    @property
    def data(self) -> dict[str, Any]:
        """The `data` of the body. Raises `ApiError`."""
        data = self.body.get("data") if isinstance(self.body, dict) else None
        if not isinstance(data, dict):
            raise bad_request("data is missing")
        return data


@dataclass(frozen=True, slots=True)
class Reply:
    """What is answered; `outcome` is one word for the counts."""

    status: int
    body: Any = None
    outcome: str = "ok"


Endpoint = Callable[[Call], Reply]


def natural(value: Any, name: str) -> int:
    """A whole number of at least 0. Raises `ApiError`."""
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise bad_request(f"{name} must be a whole number of at least 0")
    return value
