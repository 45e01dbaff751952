"""Telling people: every change of an anomaly's state is a row first, and becomes part of one message.

    waiting --a destination took it--> sent
    waiting --none took it-----------> waiting, later --too often--> failed
    waiting --nobody to tell---------> sent, without a time

A row counts as told as soon as one destination took the message; only a message that nobody took is sent again, so that
no destination gets a change twice. One that fails while another works misses the message, and a log line says so.

What remains: a process that dies between sending and recording it repeats the message after the lease, and so does a
destination that took a message without saying so.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

import structlog
from pydantic import SecretStr

from connectors.clock import Clock
from worker.alerts import repository
from worker.alerts.destinations import Destination, prepare
from worker.alerts.message import Message, StateChange, compose
from worker.store import AnyRow, Store

log = structlog.get_logger(__name__)

MOST_CHANGES = 1000
"""In one message, which counts what it does not spell out."""
MOST_ATTEMPTS = 10
FIRST_RETRY = timedelta(seconds=30)
LONGEST_RETRY = timedelta(hours=1)
LEASE = timedelta(minutes=2)
"""Well beyond the time that one round of sending may take."""
NOBODY_TO_TELL = "nobody to tell: no alert address is configured"


class AlertSender:
    """Sends what is owed. Safe to call from several processes at once: a change is claimed by one of them."""

    def __init__(self, store: Store, clock: Clock, urls: Sequence[SecretStr], *, group: timedelta) -> None:
        """`group`: how long the first change waits for others, to be told in one message with them."""
        self._store = store
        self._clock = clock
        self._destinations = [Destination(url, place) for place, url in enumerate(urls, start=1)]
        self._group = group

    def send_due(self) -> int:
        """Send one message about everything that is due, if the first of it has waited long enough; returns how many
        changes were told. Takes bounded time. Raises `StorageUnavailable`.
        """
        now = self._clock.now()
        with self._store.read() as transaction:
            if not repository.alerts_are_due(transaction, now, gathered_before=now - self._group):
                return 0
        lease_until = now + LEASE
        with self._store.write() as transaction:
            rows = repository.claim_alerts(transaction, now=now, lease_until=lease_until, limit=MOST_CHANGES)
            if not self._destinations:
                # Kept, but not waiting: whoever adds an address later is not told of last year.
                repository.mark_alerts_sent(transaction, [row.id for row in rows], sent_at=None, remark=NOBODY_TO_TELL)
                return 0
        if not rows:
            return 0
        failures = self._send(compose(_change(row) for row in rows))
        if len(failures) == len(self._destinations):
            self._put_off(rows, failures, lease_until)
            return 0
        with self._store.write() as transaction:
            repository.mark_alerts_sent(
                transaction,
                [row.id for row in rows],
                sent_at=self._clock.now(),
                remark="; ".join(failures) or None,
            )
        return len(rows)

    def _send(self, message: Message) -> Sequence[str]:
        """Tell everybody at once; returns a sentence for each destination that failed."""
        prepare()
        with ThreadPoolExecutor(len(self._destinations), thread_name_prefix="alert") as pool:
            reasons = pool.map(lambda destination: destination.send(message), self._destinations)
        failures = []
        for destination, reason in zip(self._destinations, reasons, strict=True):
            if reason is not None:
                log.warning("alert_destination_failed", destination=destination.name, reason=reason)
                failures.append(f"destination {destination.name}: {reason}")
        return failures

    def _put_off(self, rows: Sequence[AnyRow], failures: Sequence[str], lease_until: datetime) -> None:
        error = "; ".join(failures)
        given_up = [row.id for row in rows if row.attempts >= MOST_ATTEMPTS]
        later: dict[int, list[int]] = {}
        for row in rows:
            if row.attempts < MOST_ATTEMPTS:
                later.setdefault(row.attempts, []).append(row.id)
        now = self._clock.now()
        with self._store.write() as transaction:
            repository.put_off_alerts(transaction, given_up, leased_until=lease_until, until=None, error=error)
            for attempts, ids in later.items():
                wait = min(FIRST_RETRY * 2 ** (attempts - 1), LONGEST_RETRY)
                repository.put_off_alerts(transaction, ids, leased_until=lease_until, until=now + wait, error=error)
        if given_up:
            log.error("alerts_given_up", count=len(given_up), attempts=MOST_ATTEMPTS, error=error)


def _change(row: AnyRow) -> StateChange:
    return StateChange(row.anomaly_id, row.transition, row.became, row.severity, row.message)
