"""Everything a process needs, built once from the settings: the only place where rooms are put together.

Nothing here calls a vendor or starts a thread that works by itself; `worker.tasks` does the work, the command line and
the web room start it. Build it after a fork, one per process.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import Executor, ThreadPoolExecutor
from datetime import timedelta

import httpx
import structlog

from config.settings import ChannelSettings, Settings, Unusable, secrets_of
from connectors.budget import Budgets, LocalBudgets
from connectors.clock import Clock, SystemClock
from connectors.contract import Channel, Feed, Hooks, Marketplace, Polled
from connectors.http import CallRecord, Toolbox
from connectors.opening import open_channel, open_marketplace
from connectors.redis_budget import RedisBudgets
from connectors.registry import BrokenConnectorError
from worker.alerts import Anomalies
from worker.alerts.routing import destinations_of
from worker.alerts.sender import AlertSender
from worker.audit.service import Auditor
from worker.breaker import Breakers
from worker.calls import CallCounter
from worker.holds import Holds
from worker.holds.accounts import Accounts
from worker.intake import repository as intake_repository
from worker.intake.fetch import Fetcher
from worker.intake.importing import Importer
from worker.intake.inbox import Inbox
from worker.intake.poll import Poller
from worker.intake.service import Intake
from worker.lanes import Threads
from worker.links import Links
from worker.operators import ActionLog, Desk, Operators, Sessions
from worker.operators.passwords import Passwords
from worker.reconcile.decide import Decisions
from worker.reconcile.large import LargePlans
from worker.reconcile.service import Policy, Reconciler
from worker.reconcile.settle import Settler
from worker.reconcile.size import Limits
from worker.recovery.service import Recovery
from worker.recovery.signs import Signs
from worker.set_aside import SetAside
from worker.status import Overview
from worker.status.today import Verdicts
from worker.store import Store
from worker.store.tables import HoldReason, HoldScope
from worker.tracing import Tracing
from worker.upkeep.closing import ClosingPolicy
from worker.upkeep.feed import FeedFollower
from worker.upkeep.keeper import Keeper
from worker.upkeep.overwrites import Overwrites
from worker.upkeep.sweep import Sweeper

log = structlog.get_logger(__name__)


class Services:
    """The rooms of one process, ready to be called."""

    def __init__(
        self,
        settings: Settings,
        *,
        clock: Clock | None = None,
        store: Store | None = None,
        executor: Executor | None = None,
        randomness: random.Random | None = None,
        transport: httpx.BaseTransport | None = None,
        marketplace: Marketplace | None = None,
        channels: Mapping[str, Channel] | None = None,
        tracing: Tracing | None = None,
    ) -> None:
        """What is not handed in is made from the settings."""
        self.settings = settings
        self.clock: Clock = clock or SystemClock()
        self.started_at = self.clock.now()
        self.random = randomness or random.Random()  # noqa: S311  jitter, not secrets
        self.store = store or Store(
            settings.database.url.get_secret_value(),
            # A thread of work uses one connection at a time; the web room and the schedule need a few more.
            pool_size=max(settings.database.pool_size, settings.worker.threads + 4),
        )
        self.calls = CallCounter()
        self.tracing = tracing or (
            Tracing.from_environment(settings.tracing.service) if settings.tracing.enabled else Tracing()
        )
        self.budgets = self._budgets()
        toolbox = Toolbox(
            clock=self.clock,
            budgets=self.budgets,
            random=self.random,
            transport=transport,
            on_call=self._called,
        )
        self.executor = executor or ThreadPoolExecutor(settings.worker.in_flight, thread_name_prefix="call")
        self.visitors = executor or Threads()
        self.marketplace_name = settings.marketplace.name
        self.marketplace = marketplace or open_marketplace(
            settings.marketplace.connector, settings.marketplace.options, toolbox
        )
        self.channels: Mapping[str, Channel] = channels or {
            name: _open_channel(name, channel, toolbox) for name, channel in settings.channels.items()
        }
        self.poll_seconds: Mapping[str, float] = {
            name: channel.poll_seconds
            for name, channel in settings.channels.items()
            if isinstance(self.channels.get(name), Polled)
        }
        """How often each channel is polled that can be."""
        self.hooked = frozenset(
            name for name, channel in self.channels.items() if settings.web.public_url and isinstance(channel, Hooks)
        )
        """The channels whose webhooks are registered."""
        self._build()

    def _called(self, call: CallRecord) -> None:
        self.calls.record(call)
        self.tracing.call(call)

    def _budgets(self) -> Budgets:
        url = self.settings.broker.shared_budgets_url
        if url is None:
            return LocalBudgets(self.clock)
        return RedisBudgets.from_url(url.get_secret_value(), self.clock, self.random)

    def _build(self) -> None:
        policy = self.settings.policy
        store, clock = self.store, self.clock
        settle_after = timedelta(seconds=policy.settle_after_seconds)
        lease = timedelta(seconds=policy.lease_seconds)
        self.anomalies = Anomalies(store, clock)
        self.alerts = AlertSender(store, clock, self.anomalies, destinations_of(self.settings.alerts, clock))
        self.holds = Holds(store, clock)
        self.decisions = Decisions(store, clock, self.anomalies)
        self.breakers = Breakers(store, clock, self.anomalies, self.holds, probe=lease)
        self.accounts = Accounts(
            store,
            clock,
            self.holds,
            self.anomalies,
            self.breakers,
            call_seconds=self.settings.worker.call_seconds,
        )
        self.intake = Intake(clock, self.anomalies, park_older_than=timedelta(days=policy.park_orders_older_than_days))
        self.inbox = Inbox(
            store,
            clock,
            self.intake,
            self.anomalies,
            self.channels,
            sharing_a_secret=_sharing_a_secret(self.settings.channels),
            tracing=self.tracing,
        )
        self.importer = Importer(store, clock, self.intake)
        self.fetcher = Fetcher(
            store,
            clock,
            self.intake,
            self.anomalies,
            self.accounts,
            self.channels,
            lease=lease,
            tracing=self.tracing,
        )
        self.poller = Poller(
            store, clock, self.intake, self.anomalies, self.accounts, self.channels, hooked=self.hooked
        )
        self.settler = Settler(store, clock, self.marketplace, self.anomalies, self.holds, settle_after=settle_after)
        self.large_plans = LargePlans(
            clock, self.holds, self.anomalies, Limits(policy.large_plan_listings, policy.large_plan_share)
        )
        self.reconciler = Reconciler(
            store,
            clock,
            self.marketplace,
            self.settler,
            self.anomalies,
            self.holds,
            self.accounts,
            self.large_plans,
            self.executor,
            Policy(
                settle_after=settle_after,
                lease=lease,
                batch_listings=policy.batch_listings,
                write_attempts=policy.write_attempts,
            ),
            marketplace_name=self.marketplace_name,
            jitter=self.random.random,
            tracing=self.tracing,
        )
        self.feed = FeedFollower(
            store,
            clock,
            self.marketplace,
            self.settler,
            self.anomalies,
            self.holds,
            self.accounts,
            Signs(clock, self.holds, self.anomalies, lambda: self.started_at),
            marketplace_name=self.marketplace_name,
        )
        self.keeper = Keeper(
            store,
            clock,
            self.marketplace,
            self.anomalies,
            self.holds,
            self.accounts,
            self.executor,
            ClosingPolicy(
                enabled=policy.close_listings,
                close_after=timedelta(seconds=policy.close_after_seconds),
                linked_only=policy.close_scope == "linked",
            ),
            settle_after=settle_after,
            lease=lease,
            marketplace_name=self.marketplace_name,
        )
        self.recovery = Recovery(
            store,
            clock,
            self.marketplace,
            self.settler,
            self.anomalies,
            self.holds,
            self.accounts,
            self.channels,
            marketplace_name=self.marketplace_name,
        )
        self.overwrites = Overwrites(
            store, clock, self.marketplace, self.anomalies, self.accounts, marketplace_name=self.marketplace_name
        )
        self.sweeper = Sweeper(
            store, clock, self.marketplace, self.anomalies, self.accounts, marketplace_name=self.marketplace_name
        )
        self.auditor = Auditor(
            store,
            clock,
            self.marketplace,
            self.feed,
            self.anomalies,
            self.holds,
            self.accounts,
            self.executor,
            marketplace_name=self.marketplace_name,
        )
        self._build_people()

    def _build_people(self) -> None:
        console = self.settings.console
        store, clock, passwords = self.store, self.clock, Passwords()
        self.actions = ActionLog(store, clock)
        self.operators = Operators(store, clock, self.actions, passwords)
        self.sessions = Sessions(
            store,
            clock,
            self.actions,
            passwords,
            idle=timedelta(minutes=console.session_idle_minutes),
            absolute=timedelta(hours=console.session_hours),
        )
        self.verdicts = Verdicts(store, clock)
        self.overview = Overview(
            store,
            clock,
            self.holds,
            self.anomalies,
            feed_seconds=self.settings.schedule.feed_seconds if isinstance(self.marketplace, Feed) else None,
            poll_seconds=self.poll_seconds,
        )
        self.links = Links(store, clock, self.anomalies)
        self.desk = Desk(
            store,
            self.actions,
            self.decisions,
            self.anomalies,
            self.holds,
            self.large_plans,
            self.inbox,
            self.fetcher,
            self.alerts,
            self.links,
        )

    def register_channels(self) -> None:
        """Make the configured channels known to the database; a new one starts in shadow. Idempotent."""
        now = self.clock.now()
        channels = self.settings.channels
        with self.store.write() as transaction:
            known = intake_repository.known_channels(transaction)
            new = [channel for name, channel in channels.items() if name not in known]
            intake_repository.ensure_channels(
                transaction,
                [
                    {
                        "name": channel.name,
                        "seller_id": channel.seller,
                        # Vendors stamp whole seconds: an order of this very second must not seem older.
                        "counted_from": channel.counted_from or now.replace(microsecond=0),
                        "created_at": now,
                    }
                    for channel in new
                ],
            )
            if self.settings.policy.confirm_new_channels:
                for channel in new:
                    self.holds.place_in(
                        transaction,
                        HoldReason.SHADOW,
                        HoldScope.CHANNEL,
                        channel.name,
                        "a new channel: look at `trueup plan`, then confirm with"
                        f" `trueup holds lift channel {channel.name}`",
                    )
            self.holds.pause_as_configured_in(
                transaction, {name for name, channel in channels.items() if channel.paused}
            )

    def close(self) -> None:
        """Close connections and threads; what was leased is picked up again when its lease ends."""
        self.visitors.shutdown()
        self.executor.shutdown(wait=True, cancel_futures=True)
        # A marketplace's `close` closes a listing: what ends its connections is named otherwise.
        for end in (
            getattr(self.marketplace, "disconnect", None),
            *(getattr(channel, "close", None) for channel in self.channels.values()),
        ):
            if end is not None:
                end()
        self.tracing.close()
        self.store.dispose()


def _sharing_a_secret(channels: Mapping[str, ChannelSettings]) -> frozenset[str]:
    """The channels that hold a secret another one holds too, as shops of one app do."""
    held = {name: secrets_of(channel.options) for name, channel in channels.items()}
    times = Counter(secret for secrets in held.values() for secret in secrets)
    return frozenset(name for name, secrets in held.items() if any(times[secret] > 1 for secret in secrets))


def _open_channel(name: str, channel: ChannelSettings, toolbox: Toolbox) -> Channel:
    """A channel, or what stands for one: a broken package must not keep the other channels from being served."""
    if isinstance(channel.options, Unusable):
        reason = channel.options.reason
    else:
        try:
            return open_channel(channel.connector, name, channel.options, toolbox)
        except BrokenConnectorError as error:
            reason = str(error)
    log.error("channel_set_aside", channel=name, reason=reason)
    return SetAside(name, reason)
