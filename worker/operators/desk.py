"""What people decide, whichever way they say it: the deed and its record in one transaction.

The rules are those of the rooms that are called; the command line and the console both come here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime

from worker.alerts import Anomalies
from worker.alerts.sender import AlertSender
from worker.holds import CONFIRMED_BY_A_PERSON, Holds
from worker.intake.fetch import Fetcher
from worker.intake.inbox import Inbox
from worker.links import ImportResult, Links
from worker.operators.actions import ActionLog, Actor, Verb
from worker.reconcile.decide import Decision, DecisionRefusedError, Decisions, OperationView
from worker.reconcile.large import LargePlans
from worker.reconcile.size import PlanSize
from worker.store import Store, Transaction
from worker.store.tables import AnomalyState, HoldReason, HoldScope, OperationState

MOST_LINKS_TOLD = 50
"""Changed links that get a line each in the log."""


class LinksChangedError(Exception):
    """What was asked for would not do any more what was shown; nothing was changed."""


class Desk:
    """Every deed of a person that changes what trueup does."""

    def __init__(
        self,
        store: Store,
        actions: ActionLog,
        decisions: Decisions,
        anomalies: Anomalies,
        holds: Holds,
        large_plans: LargePlans,
        inbox: Inbox,
        fetcher: Fetcher,
        alerts: AlertSender,
        links: Links,
    ) -> None:
        self._store = store
        self._actions = actions
        self._decisions = decisions
        self._anomalies = anomalies
        self._holds = holds
        self._large_plans = large_plans
        self._inbox = inbox
        self._fetcher = fetcher
        self._alerts = alerts
        self._links = links

    # --- listings ---------------------------------------------------------------------------------------------

    def settle(self, operation_id: int, decision: Decision, *, by: Actor, reason: str) -> OperationView:
        """See `Decisions.settle`."""
        with self._store.write() as transaction:
            settled = self._decisions.settle_in(transaction, operation_id, decision, by=by.name, reason=reason)
            self._actions.record_in(
                transaction,
                by,
                Verb.OPERATION_SETTLED,
                "operation",
                str(operation_id),
                listing_id=settled.listing_id,
                reason=reason,
                before={"state": OperationState.UNKNOWN.value},
                after={"state": decision},
            )
            return settled

    def accept_number(self, listing_id: str, *, by: Actor, reason: str) -> int:
        """See `Decisions.accept_total`."""
        with self._store.write() as transaction:
            units = self._decisions.accept_total_in(transaction, listing_id, by=by.name, reason=reason)
            self._actions.record_in(
                transaction,
                by,
                Verb.NUMBER_ACCEPTED,
                "listing",
                listing_id,
                listing_id=listing_id,
                reason=reason,
                before={"pending_units": units},
                after={"pending_units": 0},
            )
            return units

    def retry(self, listing_id: str, *, by: Actor) -> None:
        """See `Decisions.retry_in`."""
        with self._store.write() as transaction:
            self._decisions.retry_in(transaction, listing_id)
            self._actions.record_in(transaction, by, Verb.LISTING_RETRIED, "listing", listing_id, listing_id=listing_id)

    # --- anomalies --------------------------------------------------------------------------------------------

    def acknowledge(self, anomaly_id: int, *, by: Actor) -> bool:
        """Mark one as seen. Returns False when there is no such open anomaly; one that is acknowledged stays so."""
        with self._store.write() as transaction:
            held = self._anomalies.held_in(transaction, anomaly_id)
            if held is None or not self._anomalies.acknowledge_in(transaction, anomaly_id, by.name):
                return False
            self._actions.record_in(
                transaction,
                by,
                Verb.ANOMALY_ACKNOWLEDGED,
                "anomaly",
                str(anomaly_id),
                listing_id=held.listing_id,
                before={"state": held.state.value},
                after={"state": AnomalyState.ACKNOWLEDGED.value},
            )
            return True

    def resolve(self, anomaly_id: int, *, by: Actor, reason: str) -> bool:
        """Close one on a person's word; it opens again if its cause is seen again. False when it is not open."""
        with self._store.write() as transaction:
            held = self._anomalies.held_in(transaction, anomaly_id)
            if held is None or not self._anomalies.resolve_in(
                transaction, [held.fingerprint], f"by {by.name}: {reason}"
            ):
                return False
            self._actions.record_in(
                transaction,
                by,
                Verb.ANOMALY_RESOLVED,
                "anomaly",
                str(anomaly_id),
                listing_id=held.listing_id,
                reason=reason,
                before={"state": held.state.value},
                after={"state": AnomalyState.RESOLVED.value},
            )
            return True

    def snooze(self, anomaly_id: int, until: datetime, *, by: Actor, reason: str) -> bool:
        """See `Anomalies.snooze_in`. False when there is no such anomaly that is not resolved."""
        with self._store.write() as transaction:
            held = self._anomalies.held_in(transaction, anomaly_id)
            if held is None or not self._anomalies.snooze_in(transaction, held, until):
                return False
            self._actions.record_in(
                transaction,
                by,
                Verb.ANOMALY_SNOOZED,
                "anomaly",
                str(anomaly_id),
                listing_id=held.listing_id,
                reason=reason,
                before=_snoozed(held.snoozed_until),
                after=_snoozed(until),
            )
            return True

    def unsnooze(self, anomaly_id: int, *, by: Actor) -> bool:
        """End a snooze early: operators are told of what comes next. False when the anomaly is not snoozed."""
        with self._store.write() as transaction:
            held = self._anomalies.held_in(transaction, anomaly_id)
            if held is None or not self._anomalies.unsnooze_in(transaction, held):
                return False
            self._actions.record_in(
                transaction,
                by,
                Verb.SNOOZE_ENDED,
                "anomaly",
                str(anomaly_id),
                listing_id=held.listing_id,
                before=_snoozed(held.snoozed_until),
            )
            return True

    # --- holds ------------------------------------------------------------------------------------------------

    def pause(self, scope: HoldScope, subject: str, *, by: Actor, reason: str) -> None:
        """Write nothing for it until somebody lifts the hold; it is read on. Idempotent."""
        with self._store.write() as transaction:
            before = self._reasons(transaction, scope, subject)
            self._holds.pause_in(transaction, scope, subject, reason, by=by.name)
            self._actions.record_in(
                transaction,
                by,
                Verb.PAUSED,
                scope.value,
                subject,
                listing_id=subject if scope is HoldScope.LISTING else None,
                reason=reason,
                before={"held": before},
                after={"held": sorted({*before, HoldReason.PAUSED.value})},
            )

    def lift(
        self, scope: HoldScope, subject: str, *, by: Actor, only: HoldReason | None = None, reason: str | None = None
    ) -> int:
        """Lift the holds on a subject, all or `only` those of one reason. Returns how many."""
        with self._store.write() as transaction:
            before = self._reasons(transaction, scope, subject)
            lifted = self._holds.lift_in(transaction, scope, subject, by=by.name, reason=only)
            if lifted:
                kept = [] if only is None else [held for held in before if held != only.value]
                self._actions.record_in(
                    transaction,
                    by,
                    Verb.HOLD_LIFTED,
                    scope.value,
                    subject,
                    listing_id=subject if scope is HoldScope.LISTING else None,
                    reason=reason,
                    before={"held": before},
                    after={"held": kept},
                )
            return lifted

    def confirm_plan(self, channel: str, shown: PlanSize, *, by: Actor) -> int:
        """Let the plan of a channel through that somebody was shown in this size: lift what holds it until then (it is
        new, or its plan is too large), and nothing else. Returns how many holds that were.

        Raises `DecisionRefusedError` when the plan has outgrown what was shown.
        """
        with self._store.write() as transaction:
            before = self._reasons(transaction, HoldScope.CHANNEL, channel)
            now = self._large_plans.size_in(transaction, channel)
            if not now.is_as_shown(shown):
                message = f"The plan of {channel} has grown since it was shown: {now}. Look at it again."
                raise DecisionRefusedError(message)
            lifted = sum(
                self._holds.lift_in(transaction, HoldScope.CHANNEL, channel, by=by.name, reason=reason)
                for reason in CONFIRMED_BY_A_PERSON
            )
            if lifted:
                left = [held for held in before if held not in [reason.value for reason in CONFIRMED_BY_A_PERSON]]
                self._actions.record_in(
                    transaction,
                    by,
                    Verb.PLAN_CONFIRMED,
                    HoldScope.CHANNEL.value,
                    channel,
                    before={"held": before},
                    after={"held": left, **asdict(now)},
                )
            return lifted

    def _reasons(self, transaction: Transaction, scope: HoldScope, subject: str) -> list[str]:
        return [reason.value for reason in self._holds.active_in(transaction).reasons_on(scope, subject)]

    # --- parked work ------------------------------------------------------------------------------------------

    def replay(self, deliveries: Sequence[int], *, by: Actor) -> Sequence[int]:
        """See `Inbox.replay`."""
        with self._store.write() as transaction:
            replayed = self._inbox.replay_in(transaction, deliveries)
            for delivery in replayed:
                self._actions.record_in(transaction, by, Verb.DELIVERY_REPLAYED, "delivery", str(delivery))
            return replayed

    def accept_order(self, channel: str, order_id: str, *, by: Actor) -> bool:
        """See `Fetcher.accept`."""
        with self._store.write() as transaction:
            accepted = self._fetcher.accept_in(transaction, channel, order_id, by.name)
            if accepted:
                self._actions.record_in(transaction, by, Verb.ORDER_ACCEPTED, "order", f"{channel}/{order_id}")
            return accepted

    def fetch_order(self, channel: str, order_id: str, *, by: Actor) -> bool:
        """See `Fetcher.ask_again_in`."""
        with self._store.write() as transaction:
            asked = self._fetcher.ask_again_in(transaction, channel, order_id)
            if asked:
                self._actions.record_in(transaction, by, Verb.ORDER_ASKED_FOR, "order", f"{channel}/{order_id}")
            return asked

    # --- alerts -----------------------------------------------------------------------------------------------

    def test_alerts(self, destination: str, *, by: Actor) -> str | None:
        """Send a test to a destination; returns None, or why it failed. Raises `KeyError` where there is none of this
        name. A test that was sent by a process that died at once is not in the log.
        """
        reason = self._alerts.test(destination)
        with self._store.write() as transaction:
            self._alerts.note_test_in(transaction, destination, reason)
            self._actions.record_in(
                transaction,
                by,
                Verb.ALERTS_TESTED,
                "destination",
                destination,
                after={"outcome": "taken" if reason is None else reason},
            )
        return reason

    # --- links ------------------------------------------------------------------------------------------------

    def import_links(self, table: str, *, by: Actor, replace: bool = False, shown: str | None = None) -> ImportResult:
        """See `Links.import_csv`. Raises `LinksChangedError` when it would change other links than those `shown`
        (`ImportResult.digest` of the plan somebody looked at).
        """
        with self._store.write() as transaction:
            result = self._links.import_in(transaction, table, replace=replace)
            if shown is not None and result.digest != shown:
                message = "The links have been changed by somebody meanwhile: this is what it would do now."
                raise LinksChangedError(message)
            if len(result.begun) + len(result.ended) > MOST_LINKS_TOLD:
                channels = ", ".join(sorted({version.channel for version in (*result.begun, *result.ended)}))
                after = {"begun": len(result.begun), "ended": len(result.ended), "due_units": result.due_units}
                self._actions.record_in(transaction, by, Verb.LINKS_IMPORTED, "links", channels, after=after)
                return result
            for verb, versions in ((Verb.LINK_ENDED, result.ended), (Verb.SKU_LINKED, result.begun)):
                for version in versions:
                    self._actions.record_in(
                        transaction,
                        by,
                        verb,
                        "SKU",
                        f"{version.channel}/{version.sku}",
                        listing_id=version.listing_id,
                        after={"listing": version.listing_id, "units": version.units},
                    )
            return result


def _snoozed(until: datetime | None) -> dict[str, str]:
    return {} if until is None else {"snoozed_until": until.isoformat(timespec="seconds")}
