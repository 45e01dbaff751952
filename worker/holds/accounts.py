"""Whether a vendor account may be called, and what follows from how a call ends.

Two things keep an account from being called: it refuses our credentials (stopped until `doctor` finds it well), or it
does not answer (left alone for a while, `worker.breaker`). Either way its work waits in its rows.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from connectors.clock import Clock
from connectors.deadline import within
from connectors.errors import NotFound, Rejected, Unauthorized, Unavailable, Unreadable
from worker.alerts import Anomalies, Finding, Kind
from worker.alerts.anomalies import fingerprint
from worker.breaker import Breakers, account_key
from worker.breaker.rules import State
from worker.holds.service import Holds
from worker.store import Store
from worker.store.tables import HoldReason, HoldScope

CALL_SECONDS = 120.0
"""How long one call may take in all, unless told otherwise."""
STUCK_AFTER = 2.0
"""Once a call has taken so many times what it may, its connector keeps to no bound."""


@dataclass(frozen=True, slots=True)
class Standing:
    """How the channels' accounts are at one moment, by name."""

    silent: frozenset[str]
    """Nobody calls these now: they refuse our credentials, or rest."""
    troubled: frozenset[str]
    """These did not answer the last time."""


class Accounts:
    """The marketplace's account and the channels', alike."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        holds: Holds,
        anomalies: Anomalies,
        breakers: Breakers,
        *,
        call_seconds: float = CALL_SECONDS,
    ) -> None:
        """`call_seconds`: what one call may take in all, with its repetitions, however steadily its answer drips."""
        self._call_seconds = call_seconds
        self._under_way: dict[object, tuple[HoldScope, str, float]] = {}
        self._stuck: set[object] = set()
        self._lock = threading.Lock()
        self._store = store
        self._clock = clock
        self._holds = holds
        self._anomalies = anomalies
        self._breakers = breakers

    # --- before a call ----------------------------------------------------------------------------------------

    def grant(self, scope: HoldScope, name: str, wanted: int = 1) -> int:
        """How many of `wanted` calls the account may get now, by this caller; see `Breakers.grant`."""
        return 0 if self._is_refused(scope, name) else self._breakers.grant(scope, name, wanted)

    def may_be_called(self, scope: HoldScope, name: str) -> bool:
        """Whether asking for a grant makes sense now. A read: nothing is granted by it."""
        return not self._is_refused(scope, name) and self._breakers.rests_until(scope, name) is None

    def standing(self) -> Standing:
        """Which channels may not be called now, and which are in trouble: one look for all of them."""
        now = self._clock.now()
        with self._store.read() as transaction:
            refused = self._holds.active_in(transaction).unauthorised_channels()
            breakers = self._breakers.held_in(transaction)
        prefix = account_key(HoldScope.CHANNEL, "")
        held = {key.removeprefix(prefix): breaker for key, breaker in breakers.items() if key.startswith(prefix)}
        resting = {name for name, breaker in held.items() if breaker.state(now) is State.OPEN}
        troubled = {name for name, breaker in held.items() if breaker.is_in_trouble(now)}
        return Standing(silent=refused | resting, troubled=frozenset(troubled))

    def admit(self, scope: HoldScope, name: str) -> None:
        """`grant` one call, or a run of calls one after the other. Raises `Unauthorized` or `Unavailable`, calling
        nobody, when the account is stopped or rests.
        """
        if self._is_refused(scope, name):
            message = f"not called: {name} refused our credentials; renew them, then run `trueup doctor`"
            raise Unauthorized(message, account=name, code="stopped")
        if not self._breakers.grant(scope, name):
            raise Unavailable(f"not called: {name} does not answer, and rests", account=name, code="resting")

    def _is_refused(self, scope: HoldScope, name: str) -> bool:
        with self._store.read() as transaction:
            return self._holds.active_in(transaction).has(HoldReason.REAUTHORISATION, scope, name)

    # --- around a call ----------------------------------------------------------------------------------------

    @contextmanager
    def calling(self, scope: HoldScope, name: str) -> Iterator[None]:
        """Around one call, which ends in a bounded time: its account is stopped when it refuses our credentials, and
        its breaker learns from how it ends. What the connector raises is raised on.
        """
        with self._breakers.watching(scope, name), within(self._call_seconds), self._watched(scope, name):
            try:
                yield
            except Unauthorized as error:
                self.refused(scope, name, error)
                raise

    @contextmanager
    def _watched(self, scope: HoldScope, name: str) -> Iterator[None]:
        call = object()
        with self._lock:
            self._under_way[call] = (scope, name, time.monotonic())
        try:
            yield
        finally:
            with self._lock:
                del self._under_way[call]
                self._stuck.discard(call)

    def stuck(self) -> frozenset[str]:
        """The channels of calls that have not come back long after they had to be over: their connector keeps the
        thread, and nothing can take it back. Operators are told, once for each such call.
        """
        overdue = time.monotonic() - self._call_seconds * STUCK_AFTER
        with self._lock:
            late = {call: (scope, name) for call, (scope, name, since) in self._under_way.items() if since < overdue}
            news = [account for call, account in late.items() if call not in self._stuck]
            self._stuck.update(late)
        if news:
            self._anomalies.open(*(_hanging(scope, name) for scope, name in dict.fromkeys(news)))
        return frozenset(name for scope, name in late.values() if scope is HoldScope.CHANNEL)

    @contextmanager
    def reading(self, scope: HoldScope, name: str) -> Iterator[None]:
        """`calling`, around a call that asks for what is new on the whole account. An answer that cannot be used keeps
        everything waiting that comes after it, so operators are told; the next good one resolves it.
        """
        channel = name if scope is HoldScope.CHANNEL else None
        try:
            with self.calling(scope, name):
                yield
        except (NotFound, Rejected, Unreadable) as error:
            self._anomalies.open(
                Finding(
                    Kind.UNUSABLE_ANSWER,
                    f"What is new on the {scope.value} {name} cannot be read: {error}. It is asked again from time to"
                    " time, and goes on by itself; look at its settings, the vendor's status page and whether an"
                    " upgrade of trueup knows this answer.",
                    channel=channel,
                    key=name,
                )
            )
            raise
        told = (Kind.UNUSABLE_ANSWER, Kind.NOT_ANSWERING)
        self._anomalies.resolve([fingerprint(kind, channel=channel, key=name) for kind in told], "it can be read again")

    def refused(self, scope: HoldScope, name: str, error: Unauthorized) -> None:
        """The account's credentials were refused: hold it until `doctor` finds it well. Idempotent."""
        with self._store.write() as transaction:
            self._holds.place_in(transaction, HoldReason.REAUTHORISATION, scope, name, str(error))
            self._anomalies.open_in(
                transaction,
                [
                    Finding(
                        Kind.NEEDS_REAUTHORISATION,
                        f"The {scope.value} {name} refuses our credentials ({error}). Its work waits: renew the"
                        " credentials in the configuration, restart trueup, then run `trueup doctor`.",
                        channel=name if scope is HoldScope.CHANNEL else None,
                        key=name,
                    )
                ],
            )

    def suspected(self) -> frozenset[tuple[HoldScope, str]]:
        """The accounts that something is held against: those that `works` would change anything for."""
        with self._store.read() as transaction:
            holds = self._holds.active_in(transaction).refused_accounts()
            breakers = self._breakers.held_in(transaction)
        found = {(HoldScope(scope), name) for scope, _, name in (key.partition(":") for key in breakers)}
        return frozenset(holds | found)

    def works(self, scope: HoldScope, name: str) -> None:
        """The account answers again: lift the hold, wake what waited, resolve the anomaly. Idempotent."""
        with self._store.write() as transaction:
            self._holds.lift_in(transaction, scope, name, by="doctor", reason=HoldReason.REAUTHORISATION)
            channel = name if scope is HoldScope.CHANNEL else None
            self._anomalies.resolve_in(
                transaction,
                [fingerprint(Kind.NEEDS_REAUTHORISATION, channel=channel, key=name)],
                "the credentials are accepted again",
            )
            self._breakers.works_in(transaction, scope, name)


def _hanging(scope: HoldScope, name: str) -> Finding:
    return Finding(
        Kind.NOT_ANSWERING,
        f"A call to the {scope.value} {name} has not come back, long after every call ends: its connector hangs. This"
        " process leaves the account alone until it comes back, and everything else goes on; restart trueup to have it"
        " tried anew, and tell the connector's author.",
        channel=name if scope is HoldScope.CHANNEL else None,
        key=name,
    )
