"""Broken variants of the code, one rule taken away in each: a checker that cannot see them proves nothing.

Each is a context in which the code under test has that one fault. The simulation must catch every one of them; how many
seeds that takes is in docs/reliability/simulation.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, replace
from itertools import count
from typing import Any
from unittest import mock

from connectors.contract import Author, Listing, ListingState, Stock, StockKind
from connectors.errors import OutcomeUnknown
from connectors.shopify.channel import ShopifyChannel
from connectors.shopify.hooks import ShopifyHooks
from connectors.shopify.orders import from_node
from worker.intake import service as intake
from worker.intake import snapshots
from worker.intake.poll import Poller
from worker.intake.service import Intake
from worker.intake.snapshots import Judgement
from worker.reconcile import planning, repository
from worker.reconcile.answers import Answers
from worker.reconcile.evidence import Candidate
from worker.reconcile.plan import plan
from worker.reconcile.service import Reconciler
from worker.reconcile.settle import Settler
from worker.store.tables import OperationKind, OperationState
from worker.upkeep import keeper
from worker.upkeep.closing import Action, decide
from worker.upkeep.keeper import Keeper
from worker.upkeep.running import RunningTotals

Context = AbstractContextManager[object]


@dataclass(frozen=True, slots=True)
class Mutant:
    """One fault."""

    name: str
    rule: str
    """What the variant does instead of what it should, in a few words."""
    broken: Callable[[], Context]


# --- writing ------------------------------------------------------------------------------------------------------


def _resend_blindly() -> Context:
    adjust = Reconciler._adjust

    def twice(self: Any, item: Any) -> Any:
        try:
            return adjust(self, item)
        except OutcomeUnknown:
            return adjust(self, item)

    return mock.patch.object(Reconciler, "_adjust", twice)


@contextmanager
def _act_before_intent() -> Iterator[None]:
    prepare, record = repository.prepare, Answers.record
    held: dict[int, Any] = {}
    numbers = count(-1, -1)

    def only_think(transaction: Any, intents: Sequence[Any], now: Any) -> Mapping[str, int]:
        if any(intent.kind is not OperationKind.STOCK for intent in intents):
            return prepare(transaction, intents, now)
        thought = {next(numbers): intent for intent in intents}
        held.update(thought)
        return {intent.listing_id: number for number, intent in thought.items()}

    def write_down_late(self: Any, items: Sequence[Any], answers: Sequence[Any]) -> None:
        with self._store.write() as transaction:
            for item in items:
                intent = held.pop(item.operation_id)
                item.operation_id = prepare(transaction, [intent], self._clock.now()).get(item.listing_id, 0)
        record(self, items, answers)

    with (
        mock.patch.object(repository, "prepare", only_think),
        mock.patch.object(Answers, "record", write_down_late),
    ):
        yield


def _trust_the_lease() -> Context:
    def nobody_sent_it(transaction: Any, listing_ids: Sequence[str]) -> None:
        for operation in repository.unsettled(transaction, listing_ids).values():
            if operation.state is OperationState.PREPARED:
                repository.settle(
                    transaction,
                    [operation.id],
                    OperationState.REJECTED,
                    now=operation.prepared_at,
                    from_states=(OperationState.PREPARED,),
                )

    return mock.patch.object(repository, "doubt_prepared", nobody_sent_it)


def _lost_is_not_done() -> Context:
    record = Answers._record_failure

    def certain(self: Any, transaction: Any, item: Any, error: Exception, written: Any) -> None:
        if isinstance(error, OutcomeUnknown):
            repository.settle(
                transaction,
                [item.operation_id],
                OperationState.REJECTED,
                now=self._clock.now(),
                from_states=(OperationState.PREPARED, OperationState.UNKNOWN),
            )
            item.read = True
            return
        record(self, transaction, item, error, written)

    return mock.patch.object(Answers, "_record_failure", certain)


def _never_give_back() -> Context:
    def only_sales(total: int, pairs: Sequence[Any]) -> Any:
        return plan(total, [pair for pair in pairs if pair.due_units > 0])

    return mock.patch.object(planning, "plan", only_sales)


# --- settling -----------------------------------------------------------------------------------------------------


def _claim_by_size() -> Context:
    def same_size(self: Candidate, before: int, after: int) -> bool:
        return self.new_total - self.expected_total == after - before

    return mock.patch.object(Candidate, "fits", same_size)


@contextmanager
def _absent_is_final() -> Iterator[None]:
    unclaimed = repository.unclaimed

    def without_absent(transaction: Any, listing_ids: Sequence[str]) -> dict[str, list[Any]]:
        found = unclaimed(transaction, listing_ids)
        return {
            listing_id: [row for row in rows if row.state is not OperationState.ABSENT]
            for listing_id, rows in found.items()
        }

    with mock.patch.object(repository, "unclaimed", without_absent):
        yield


def _absent_at_once() -> Context:
    init = Settler.__init__

    def impatient(self: Any, *arguments: Any, settle_after: Any, **named: Any) -> None:
        init(self, *arguments, settle_after=settle_after * 0, **named)

    stack = ExitStack()
    stack.enter_context(mock.patch.object(Settler, "__init__", impatient))
    stack.enter_context(_absent_is_final())
    return stack


def _own_entries_twice() -> Context:
    take = RunningTotals.take

    def subtract(self: Any, transaction: Any, rows: Any, changes: Sequence[Any]) -> None:
        take(self, transaction, rows, changes)
        for change in changes:
            adjustment = change.adjustment
            if adjustment.author is Author.OURS:
                [held] = repository.facts(transaction, [adjustment.listing_id]).values()
                if held.total is not None:
                    row = {"row": adjustment.listing_id, "new_total": held.total + adjustment.quantity}
                    repository.update_listings(transaction, [row])

    return mock.patch.object(RunningTotals, "take", subtract)


# --- taking in ----------------------------------------------------------------------------------------------------


def _trust_the_webhooks_order() -> Context:
    judge = snapshots.judge

    def latest_wins(held: Any, snapshot: Any, digest: str) -> Judgement:
        return Judgement.TAKE if getattr(snapshot, "fetched_at", 1) is None else judge(held, snapshot, digest)

    return mock.patch.object(intake, "judge", latest_wins)


def _ignore_the_tombstone() -> Context:
    return mock.patch.object(snapshots, "_judge_after_tombstone", return_value=Judgement.TAKE)


def _forget_the_late_pass() -> Context:
    return mock.patch.object(Poller, "late_pass", return_value=0)


def _truncated_is_whole() -> Context:
    def first_page(self: Any, listed: Any, fetched_at: Any) -> Any:
        return from_node(listed, listed.line_items.nodes, (), self._rules, fetched_at=fetched_at)

    return mock.patch.object(ShopifyChannel, "_whole_of", first_page)


def _drop_the_unlinked() -> Context:
    insert = Intake._insert_lines

    def linked_only(self: Any, transaction: Any, channel: str, lines: Sequence[Any], *more: Any) -> Any:
        return insert(self, transaction, channel, [line for line in lines if line["pairs"]], *more)

    return mock.patch.object(Intake, "_insert_lines", linked_only)


def _believe_any_signature() -> Context:
    return mock.patch.object(ShopifyHooks, "_verify", return_value=None)


# --- upkeep -------------------------------------------------------------------------------------------------------


def _close_from_cache() -> Context:
    answered = Keeper._answered

    def as_cached(self: Any, look: Any, answer: Any) -> None:
        if isinstance(answer, Listing) and look.row.total is not None and answer.stock.kind is StockKind.COUNTED:
            answer = replace(answer, stock=Stock.counted(look.row.total))
        answered(self, look, answer)

    return mock.patch.object(Keeper, "_answered", as_cached)


def _reopen_what_others_closed() -> Context:
    def eager(state: ListingState, stock: Stock, episode: Any, policy: Any, now: Any) -> Action:
        if state is ListingState.CLOSED and stock.kind is StockKind.COUNTED and stock.total > 0:
            return Action.OPEN
        return decide(state, stock, episode, policy, now)

    return mock.patch.object(keeper, "decide", eager)


def _close_again_and_again() -> Context:
    def forgetful(state: ListingState, stock: Stock, episode: Any, policy: Any, now: Any) -> Action:
        return decide(state, stock, replace(episode, close_done=False), policy, now)

    return mock.patch.object(keeper, "decide", forgetful)


MUTANTS: Mapping[str, Mutant] = {
    mutant.name: mutant
    for mutant in (
        Mutant("resend-blindly", "sends a write again when its answer was lost", _resend_blindly),
        Mutant("act-before-intent", "writes an intent down when its answer has come", _act_before_intent),
        Mutant("trust-the-lease", "takes a write for unsent once the lease of its sender is over", _trust_the_lease),
        Mutant("lost-is-not-done", "takes a lost answer for a refusal", _lost_is_not_done),
        Mutant("never-give-back", "forgets that units come back", _never_give_back),
        Mutant("claim-by-size", "claims an adjustment by its size alone", _claim_by_size),
        Mutant("absent-is-final", "never takes an absence back", _absent_is_final),
        Mutant("absent-at-once", "believes an absence at once and for good", _absent_at_once),
        Mutant("own-entries-twice", "subtracts its own writes again when the feed shows them", _own_entries_twice),
        Mutant("webhook-order", "takes the webhook that comes last for the newest", _trust_the_webhooks_order),
        Mutant("no-tombstone", "lets an old webhook bring a deleted order back", _ignore_the_tombstone),
        Mutant("no-late-pass", "does not look behind the poll for late index entries", _forget_the_late_pass),
        Mutant("truncated-is-whole", "takes the first page of an order for all of it", _truncated_is_whole),
        Mutant("drop-the-unlinked", "forgets lines that no listing is known for", _drop_the_unlinked),
        Mutant("any-signature", "believes every signature", _believe_any_signature),
        Mutant("close-from-cache", "closes by the total it remembers", _close_from_cache),
        Mutant("reopen-others", "opens what others closed", _reopen_what_others_closed),
        Mutant("close-again", "closes again what somebody reopened", _close_again_and_again),
    )
}
