"""One breaker for each vendor account, in the database: what one process learns, all of them heed.

An account that works costs a small read before a batch of calls, and no write at all. A failure is written, and so is
the first answer after one.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta

import structlog

from connectors.clock import Clock
from connectors.errors import ConnectorError, OutcomeUnknown, RateLimited, Unauthorized, Unavailable
from worker.alerts import Anomalies, Finding, Kind
from worker.alerts.anomalies import fingerprint
from worker.breaker import repository
from worker.breaker.rules import LONGEST_PAUSE, PROBE, Breaker, State, after_answer, after_failure, allowance
from worker.holds.service import Holds
from worker.store import StorageUnavailable, Store, Transaction
from worker.store.tables import HoldReason, HoldScope

log = structlog.get_logger(__name__)


def account_key(scope: HoldScope, name: str) -> str:
    """What identifies an account in `breakers`."""
    return f"{scope.value}:{name}"


class Breakers:
    """The breakers of all accounts, as one process sees them. Safe for use from several threads."""

    def __init__(
        self, store: Store, clock: Clock, anomalies: Anomalies, holds: Holds, *, probe: timedelta = PROBE
    ) -> None:
        """`probe` is for how long the process that tries an account is waited for: like a lease, should it die."""
        self._probe = probe
        self._store = store
        self._clock = clock
        self._anomalies = anomalies
        self._holds = holds
        self._lock = threading.Lock()
        self._troubled: dict[str, int] = {}
        """Accounts of which this process has written a failure, or that it tries: their next answer is news. Each time
        gets a number of its own.
        """
        self._times = 0
        self._open_until: dict[str, datetime] = {}
        self._heard: dict[str, datetime] = {}
        """When the latest call began that this process got an answer to."""

    def grant(self, scope: HoldScope, name: str, wanted: int = 1) -> int:
        """How many of `wanted` calls the account may get now, by this caller: all of them while it works, one for the
        process that tries it after a pause, a growing number once it answers, else none.
        """
        account = account_key(scope, name)
        now = self._clock.now()
        with self._store.read() as transaction:
            held = repository.breaker(transaction, account)
        if held is None:
            return wanted
        match held.state(now):
            case State.OPEN:
                return 0
            case State.HALF_OPEN:
                return self._grant_probe(account, now)
            case State.RAMP:
                return self._grant_ramping(account, now, wanted)
            case State.CLOSED:
                if held.ramp_from is not None:
                    with self._store.write() as transaction:
                        repository.forget(transaction, account)
                return wanted

    def _grant_probe(self, account: str, now: datetime) -> int:
        with self._store.write() as transaction:
            granted = repository.claim_probe(transaction, account, now, now + self._probe)
        if granted:
            self._await_news(account)
        return int(granted)

    def _grant_ramping(self, account: str, now: datetime, wanted: int) -> int:
        with self._store.write() as transaction:
            held = repository.breaker(transaction, account, lock=True)
            if held is None or held.state(now) is not State.RAMP:
                return 0
            granted = min(wanted, allowance(held, now))
            if granted:
                repository.write(transaction, account, replace(held, granted=held.granted + granted))
            return granted

    def rests_until(self, scope: HoldScope, name: str) -> datetime | None:
        """Until when nobody calls the account; None when somebody may. A read."""
        with self._store.read() as transaction:
            held = repository.breaker(transaction, account_key(scope, name))
        return held.open_until if held is not None and held.state(self._clock.now()) is State.OPEN else None

    def held_in(self, transaction: Transaction) -> Mapping[str, Breaker]:
        """What is kept of accounts that failed lately, by key."""
        return repository.all_breakers(transaction)

    def states(self) -> Mapping[str, State]:
        """Of the accounts that are not simply called, by key."""
        now = self._clock.now()
        with self._store.read() as transaction:
            held = self.held_in(transaction)
        return {account: state for account, row in held.items() if (state := row.state(now)) is not State.CLOSED}

    @contextmanager
    def watching(self, scope: HoldScope, name: str) -> Iterator[None]:
        """Around one call: learns from how it ends. Raises `Unavailable`, calling nobody, when this process has seen
        the account's breaker open a moment ago.
        """
        account = account_key(scope, name)
        asked_at = self._clock.now()
        open_until = self._open_until.get(account)
        if open_until is not None and asked_at < open_until:
            raise Unavailable(f"not called: {name} does not answer, and rests", account=name, code="resting")
        try:
            yield
        except (Unavailable, OutcomeUnknown) as error:
            self._failed(scope, name, asked_at, error)
            raise
        except (RateLimited, Unauthorized):
            # Whether the account works was not the question.
            raise
        except ConnectorError:
            self._answered(scope, name, asked_at)
            raise
        self._answered(scope, name, asked_at)

    def works_in(self, transaction: Transaction, scope: HoldScope, name: str) -> None:
        """Somebody tried the account and found it well: call it as ever."""
        repository.forget(transaction, account_key(scope, name))
        self._resolve(transaction, scope, name)

    def _failed(self, scope: HoldScope, name: str, asked_at: datetime, error: ConnectorError) -> None:
        account = account_key(scope, name)
        if self._was_lost_alone(account, asked_at):
            return
        now = self._clock.now()
        try:
            self._write_failure(scope, name, account, asked_at, now, error)
        finally:
            # Only now: an answer that was read before the failure was written says nothing about what comes after.
            self._await_news(account)

    def _was_lost_alone(self, account: str, asked_at: datetime) -> bool:
        """Whether a call that began later was answered: of many at once some may be lost, and they come to light
        together, because to lose an answer takes longer than to get one.
        """
        with self._lock:
            return asked_at < self._heard.get(account, asked_at)

    def _await_news(self, account: str) -> None:
        with self._lock:
            self._times += 1
            self._troubled[account] = self._times

    def _write_failure(
        self, scope: HoldScope, name: str, account: str, asked_at: datetime, now: datetime, error: ConnectorError
    ) -> None:
        with self._lock:
            if now < self._open_until.get(account, now):
                return
        try:
            with self._store.write() as transaction:
                # Others may have been answered while this one waited for its transaction, behind other failures.
                if self._was_lost_alone(account, asked_at):
                    return
                first = after_failure(None, asked_at, now)
                if repository.insert(transaction, account, first):
                    return
                held = repository.breaker(transaction, account, lock=True)
                after = after_failure(held, asked_at, now)
                if after != held:
                    repository.write(transaction, account, after)
                    if after.open_until is not None:
                        self._opened(transaction, scope, name, after, error)
        except StorageUnavailable as unavailable:
            log.warning("breaker_not_recorded", account=account, error=str(unavailable))
            return
        if after.open_until is not None:
            with self._lock:
                self._open_until[account] = after.open_until

    def _opened(
        self, transaction: Transaction, scope: HoldScope, name: str, held: Breaker, error: ConnectorError
    ) -> None:
        log.warning("breaker_opened", account=name, pauses=held.pauses, until=held.open_until, error=str(error))
        if scope is HoldScope.MARKETPLACE:
            note = f"the marketplace does not answer: {error}"
            self._holds.place_in(transaction, HoldReason.BREAKER, scope, name, note, until=held.open_until)
        if held.pause >= LONGEST_PAUSE:
            self._anomalies.open_in(transaction, [_not_answering(scope, name, error)])

    def _answered(self, scope: HoldScope, name: str, asked_at: datetime) -> None:
        account = account_key(scope, name)
        with self._lock:
            self._heard[account] = max(asked_at, self._heard.get(account, asked_at))
            troubled_since = self._troubled.get(account)
        if troubled_since is None:
            return
        try:
            with self._store.write() as transaction:
                held = repository.breaker(transaction, account, lock=True)
                after = None if held is None else after_answer(held, asked_at, self._clock.now())
                if held is not None and after is None:
                    repository.forget(transaction, account)
                elif after is not None and after != held:
                    repository.write(transaction, account, after)
                    if held is not None and held.open_until is not None:
                        self._resolve(transaction, scope, name)
                        log.info("breaker_ramps", account=name)
        except StorageUnavailable as unavailable:
            log.warning("breaker_not_recorded", account=account, error=str(unavailable))
            return
        if after is None or after.open_until is None:
            with self._lock:
                if self._troubled.get(account) == troubled_since:
                    del self._troubled[account]
                    self._open_until.pop(account, None)

    def _resolve(self, transaction: Transaction, scope: HoldScope, name: str) -> None:
        found = fingerprint(Kind.NOT_ANSWERING, channel=_channel(scope, name), key=name)
        self._anomalies.resolve_in(transaction, [found], "it answers again")


def _channel(scope: HoldScope, name: str) -> str | None:
    return name if scope is HoldScope.CHANNEL else None


def _not_answering(scope: HoldScope, name: str, error: ConnectorError) -> Finding:
    return Finding(
        Kind.NOT_ANSWERING,
        f"The {scope.value} {name} does not answer ({error}). Its work waits, it is tried once a minute, and everything"
        " goes on by itself when it answers; look at the vendor's status page and at this machine's network.",
        channel=_channel(scope, name),
        key=name,
    )
