"""What the demo needs of a vendor: its sandbox in a process of its own, reached by its control surface alone.

Nothing here goes through a connector: the demo's people and its proof stand beside trueup, not on its shoulders.
"""

from __future__ import annotations

import json
import os
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from random import Random
from typing import Any

from worker.demo.catalogue import Stocked
from worker.demo.control import Control
from worker.demo.processes import ServerProcess
from worker.demo.proof import ListingNumbers
from worker.demo.replay import PlaceOrder

DUPLICATED = REORDERED = 0.05
DROPPED = 0.03
LOST_AFTER = LOST_BEFORE = 0.01

BATCH_LISTINGS = 500


@dataclass(frozen=True, slots=True)
class Secret:
    """A value that the configuration refers to by the name of a file."""

    value: str


Option = str | int | bool | Secret | Sequence[Secret]


@dataclass(frozen=True, slots=True)
class Writes:
    """Of trueup's stock writes and changes of state, as the marketplace counted them."""

    sent: int
    applied: int
    refused: int
    """Met another number than was seen, and changed nothing."""
    lost_after: int
    """Executed, and their answer lost."""
    lost_before: int
    """Never arrived."""
    closings: int
    openings: int


class Vendor(ABC):
    """One sandbox. `start` before everything else."""

    connector: str

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.control: Control
        self.process: ServerProcess

    @property
    @abstractmethod
    def options(self) -> Mapping[str, Any]:
        """What the sandbox is set up with."""

    @abstractmethod
    def account(self, url: str) -> Mapping[str, Option]:
        """What trueup needs to get in, at that address."""

    def start(self, folder: Path) -> ServerProcess:
        """Start the sandbox; its log goes to that folder."""
        name = f"{self.connector}-{type(self).__name__.lower()}"
        options = ("--options", json.dumps(self.options), "--with-parent", str(os.getpid()))
        self.process = ServerProcess(name, ("connectors.sandbox", self.connector, *options), folder)
        return self.process

    def connect(self) -> Control:
        """Wait until it is ready. Raises `ProcessFailureError`."""
        self.control = Control(self.process.wait_until_ready()["url"])
        return self.control

    def counts(self) -> Mapping[str, Any]:
        """The sandbox's own counts of calls and outcomes."""
        counted: Mapping[str, Any] = self.control.get("/counts")
        return counted

    def calls(self, counts: Mapping[str, Any]) -> int:
        """Requests that trueup made, of `counts`."""
        return int(sum(counts["calls"].values()))

    def secret(self, name: str) -> str:
        """A made-up credential; it opens nothing but a sandbox on this machine."""
        return f"demo-{name}-{Random(f'{name} {self.seed}').getrandbits(64):016x}"


class Marketplace(Vendor):
    """The marketplace of the demo."""

    closes: bool
    """Whether trueup closes listings there."""
    feed: bool
    """Whether it tells what changed; else sweeps find it."""
    overwrites: bool = False
    """Whether a write may overwrite a sale."""

    def listing_id(self, article: str) -> str:
        """What the marketplace calls the listing of that article."""
        return article

    @abstractmethod
    def seller(self) -> str | None:
        """The seller of every listing; None where the marketplace knows no sellers."""

    @abstractmethod
    def put_on_sale(self, listings: Sequence[Stocked], made_at: datetime) -> None:
        """Create listings with their opening stock, as a seller did some time ago."""

    @abstractmethod
    def begin(self, listing_id: str, units: int) -> str:
        """A buyer takes units for the time being; returns the purchase. Raises `RefusedError` when too few are left."""

    @abstractmethod
    def pay(self, purchase: str) -> None:
        """The units stay taken."""

    @abstractmethod
    def expire(self, purchase: str) -> None:
        """Never paid: the units come back."""

    @abstractmethod
    def cancel(self, purchase: str) -> None:
        """Paid, then cancelled: the units come back."""

    @abstractmethod
    def listings(self) -> Mapping[str, ListingNumbers]:
        """Every listing by the marketplace's own knowledge: totals, reservations, and who made which adjustment."""

    def changes(self) -> int:
        """A number that grows whenever stock or a listing changes."""
        return int(self.counts()["last_sequence"])

    @abstractmethod
    def writes(self, counts: Mapping[str, Any]) -> Writes:
        """What `counts` says of trueup's writes."""


@dataclass(frozen=True, slots=True)
class Webhooks:
    """How they went wrong on their way."""

    dropped: int
    duplicated: int
    reordered: int


class Channel(Vendor):
    """The shop of the demo."""

    returns_units: bool = True
    """Whether a part of an order can be given back; else only all of it."""
    lines_per_order: int | None = None
    """The most that an order can have; None is any number."""

    def stock(self, skus: Sequence[str]) -> None:
        """Put what is sold into the shop's own catalogue, where it needs one."""

    def send_to(self, address: str) -> None:
        """Whoever runs the shop has it send there, where trueup cannot register that by itself."""

    @abstractmethod
    def place(self, orders: Sequence[PlaceOrder]) -> Sequence[tuple[str, Sequence[str]]]:
        """Place orders; returns the shop's id of each, and of its lines in their order."""

    @abstractmethod
    def give_back(self, order_id: str, parts: Mapping[str, int]) -> None:
        """Units of lines go back on sale. Of the whole order, where `returns_units` is False."""

    @abstractmethod
    def committed(self) -> Mapping[str, int]:
        """Committed units of every line of every order, as the shop shows them now, by the shop's id of the line."""

    def pending(self) -> Mapping[str, int]:
        """Webhooks not sent yet, by why."""
        return {name: count for name, count in self.control.get("/quiet").items() if name != "quiet"}

    def webhooks(self, counts: Mapping[str, Any]) -> Webhooks:
        """What `counts` says of webhooks."""
        sent = counts["deliveries"]
        return Webhooks(sent.get("dropped", 0), sent.get("duplicated", 0), sent.get("reordered", 0))
