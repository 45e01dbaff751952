"""What to do when a vendor account refuses us: stop it, tell the operators once, go on when it works again."""

from __future__ import annotations

from connectors.errors import Unauthorized
from worker.alerts import Anomalies, Finding, Kind
from worker.alerts.anomalies import fingerprint
from worker.holds.service import Holds
from worker.store import Store
from worker.store.tables import HoldReason, HoldScope


class Accounts:
    """Holds and anomalies about credentials, for channels and the marketplace alike."""

    def __init__(self, store: Store, holds: Holds, anomalies: Anomalies) -> None:
        self._store = store
        self._holds = holds
        self._anomalies = anomalies

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
                        " credentials in the configuration, then run `trueup doctor`.",
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
