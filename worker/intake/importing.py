"""Files of orders, on a person's word: each ends in the same upsert as deliveries and polls."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import BinaryIO

import structlog

from connectors.clock import Clock
from connectors.contract import FileEntry, Order, OrderFiles
from worker.intake import repository
from worker.intake.boundary import problem_of
from worker.intake.findings import failure_reason
from worker.intake.poll import LONGEST_PUT_OFF
from worker.intake.service import Intake, TakenIn
from worker.store import StorageUnavailable, Store

log = structlog.get_logger(__name__)

BATCH_ORDERS = 500
MOST_PROBLEMS = 1000
"""Of one file, that are told one by one; the rest is counted."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One stretch of a file that was not taken in."""

    line: int
    order_id: str | None
    problem: str


@dataclass(slots=True)
class Imported:
    """What became of a file."""

    dry_run: bool
    orders: int = 0
    """Whole orders in it."""
    taken: int = 0
    """Orders that were new, or newer than what was held."""
    unchanged: int = 0
    """Orders that were held already, in this state or a newer one."""
    not_taken: int = 0
    problems: list[Problem] = field(default_factory=list)
    """What was not taken, the first `MOST_PROBLEMS` of it."""

    def tell(self, line: int, order_id: str | None, problem: str) -> None:
        self.not_taken += 1
        if len(self.problems) < MOST_PROBLEMS:
            self.problems.append(Problem(line, order_id, problem))


class Importer:
    """Takes files of orders in."""

    def __init__(self, store: Store, clock: Clock, intake: Intake) -> None:
        self._store = store
        self._clock = clock
        self._intake = intake

    def import_orders(
        self,
        channel: str,
        source: OrderFiles,
        file: BinaryIO,
        *,
        dry_run: bool = False,
        on_line: Callable[[int], None] = lambda _line: None,
    ) -> Imported:
        """Take in every order of a file that can be read, in commits of `BATCH_ORDERS`. Idempotent: the same file again
        changes nothing, and one that was cut short goes on where it must.

        What cannot be taken is told, and nothing of it is kept: the file is where it is kept. Listings are due when the
        whole file is in, so that each is written once. Raises `Unreadable` when it is no file of orders.
        """
        result = Imported(dry_run)
        correlation = f"import-{uuid.uuid4().hex[:16]}"
        batch: list[FileEntry] = []
        try:
            for entry in source.read_file(file):
                on_line(entry.line)
                if not isinstance(entry.content, Order):
                    result.tell(entry.line, entry.content.order_id, entry.content.reason)
                    continue
                if (problem := problem_of(entry.content)) is not None:
                    result.tell(entry.line, entry.content.order_id, problem)
                    continue
                batch.append(entry)
                if len(batch) >= BATCH_ORDERS:
                    self._take(channel, batch, correlation, result)
                    batch = []
            self._take(channel, batch, correlation, result)
        finally:
            if not dry_run:
                with self._store.write() as transaction:
                    repository.end_putting_off(transaction, channel, self._clock.now())
        log.info("orders_imported", channel=channel, taken=result.taken, not_taken=result.not_taken, dry_run=dry_run)
        return result

    def _take(self, channel: str, batch: Sequence[FileEntry], correlation: str, result: Imported) -> None:
        result.orders += len(batch)
        try:
            self._count(batch, self._taken(channel, batch, correlation, dry_run=result.dry_run), result)
        except StorageUnavailable:
            raise
        except Exception as error:
            if not isinstance(error, OverflowError):
                log.exception("order_batch_failed", channel=channel)
            self._take_one_by_one(channel, batch, correlation, result)

    def _take_one_by_one(self, channel: str, batch: Sequence[FileEntry], correlation: str, result: Imported) -> None:
        """A batch that cannot be taken in: let its neighbours through and tell of the order that is to blame."""
        for entry in batch:
            try:
                taken = self._taken(channel, [entry], correlation, dry_run=result.dry_run)
            except StorageUnavailable:
                raise
            except Exception as error:  # noqa: BLE001  logged with its batch
                reason = str(error) if isinstance(error, OverflowError) else failure_reason(error)
                result.tell(entry.line, entry.content.order_id, reason)
            else:
                self._count([entry], taken, result)

    def _taken(self, channel: str, batch: Sequence[FileEntry], correlation: str, *, dry_run: bool) -> TakenIn:
        orders = [entry.content for entry in batch if isinstance(entry.content, Order)]
        with self._store.write() as transaction:
            if dry_run:
                foreseen = self._intake.foresee(transaction, channel, orders)
                transaction.rollback()
                return foreseen
            return self._intake.take_in(transaction, channel, orders, correlation, put_off=LONGEST_PUT_OFF)

    def _count(self, batch: Sequence[FileEntry], taken: TakenIn, result: Imported) -> None:
        conflicting = {*taken.conflicting}
        result.taken += taken.taken
        result.unchanged += taken.kept
        for entry in batch:
            if entry.content.order_id in conflicting:
                conflicting.discard(entry.content.order_id)
                result.tell(
                    entry.line,
                    entry.content.order_id,
                    "it came before under the same revision, with another content; give it a higher one",
                )
