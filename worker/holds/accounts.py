"""Whether a vendor account may be called, and what follows from how a call ends.

Two things keep an account from being called: it refuses our credentials (stopped until `doctor` finds it well), or it
does not answer (left alone for a while, `worker.breaker`). Either way its work waits in its rows.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from connectors.errors import NotFound, Rejected, Unauthorized, Unavailable, Unreadable
from worker.alerts import Anomalies, Finding, Kind
from worker.alerts.anomalies import fingerprint
from worker.breaker import Breakers
from worker.holds.service import Holds
from worker.store import Store
from worker.store.tables import HoldReason, HoldScope


class Accounts:
    """The marketplace's account and the channels', alike."""

    def __init__(self, store: Store, holds: Holds, anomalies: Anomalies, breakers: Breakers) -> None:
        self._store = store
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
        """Around one call: its account is stopped when it refuses our credentials, and its breaker learns from how it
        ends. What the connector raises is raised on.
        """
        with self._breakers.watching(scope, name):
            try:
                yield
            except Unauthorized as error:
                self.refused(scope, name, error)
                raise

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
        self._anomalies.resolve([fingerprint(Kind.UNUSABLE_ANSWER, channel=channel, key=name)], "it can be read again")

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
