"""Trying everything that has to work, in order: what fails says what to do about it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Container, Iterator, Sequence
from concurrent.futures import wait
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from kombu import Connection

from connectors.contract import Channel, Check, Hooks, Located, Polled
from connectors.deadline import within
from connectors.errors import ConnectorError
from connectors.registry import passed_over
from worker.housekeeping import hook_address
from worker.intake.boundary import handed_over
from worker.store import StorageUnavailable
from worker.store.migrate import standing
from worker.store.tables import HoldScope
from worker.store.ticks import claim_tick

if TYPE_CHECKING:
    from worker.services import Services

BROKER_SECONDS = 5
AT_ONCE = 32
"""Channels that are tried at once."""
MOST_CALLS = 3
"""For one channel: its webhooks, its own checks, whether it is the marketplace itself."""
WEBHOOK = "webhook"
"""How connectors name what they try of webhooks."""


@dataclass(frozen=True, slots=True)
class Examined:
    """One thing that was tried, and of what."""

    subject: str
    """`database`, `broker`, `alerts`, or the name of the marketplace or channel."""
    check: Check


@dataclass(slots=True)
class _Examination:
    """What is found of one channel."""

    name: str
    checks: Sequence[Check] = ()
    """Of the account itself."""
    others: Sequence[Check] = ()
    began_at: float | None = None

    def is_overdue(self, patience_seconds: float) -> bool:
        return self.began_at is not None and time.monotonic() - self.began_at > patience_seconds


_NEVER_CAME_BACK = Check(
    "access", False, "its connector does not come back from a call", "tell the connector's author; nothing bounds it"
)


class Doctor:
    """Tries the whole of one configuration. Writes a mark into the database; registers webhooks that are missing."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._suspected: Container[tuple[HoldScope, str]] | None = None
        """The accounts that something is held against: asked for once, not for each account."""

    def examine(self) -> Iterator[Examined]:
        """Each thing as it has been tried. Failures are checks; nothing is raised for them.

        An account that had been held because it refused our credentials is freed when it passes.
        """
        services = self._services
        stored = True
        for check in self._database():
            stored = stored and check.ok
            yield Examined("database", check)
        yield Examined("broker", self._broker())
        for sentence in passed_over():
            problem, _, remedy = sentence.partition("; ")
            yield Examined("connectors", Check("names", False, problem, remedy))
        name = services.marketplace_name
        yield from self._account(
            HoldScope.MARKETPLACE, name, self._checks(name, services.marketplace.check), stored=stored
        )
        if not services.channels:
            remedy = "add a [channels.NAME] table to the configuration"
            yield Examined("channels", Check("channels", False, "none is configured", remedy))
        for examination in self._side_by_side():
            yield from self._account(HoldScope.CHANNEL, examination.name, examination.checks, stored=stored)
            yield from (Examined(examination.name, check) for check in examination.others)
        yield from (Examined("alerts", check) for check in self._alerts(stored=stored))

    # --- our own ----------------------------------------------------------------------------------------------

    def _database(self) -> Iterator[Check]:
        store = self._services.store
        kind = "SQLite" if store.is_sqlite else "PostgreSQL"
        try:
            schema = standing(store)
        except StorageUnavailable as error:
            yield Check("reachable", False, str(error), "check database.url, and that the server runs and lets us in")
            return
        yield Check("reachable", True, kind)
        if not schema.usable:
            yield Check("schema", False, f"it {schema.said}", schema.remedy)
            return
        note = f"; note: {schema.remedy}" if schema.remedy else ""
        yield Check("schema", True, f"it {schema.said}{note}")
        try:
            with store.write() as transaction:
                claim_tick(transaction, "doctor", self._services.clock.now(), timedelta(0))
        except StorageUnavailable as error:
            yield Check("writable", False, str(error), "is the disk full, or the file or server read-only?")
            return
        yield Check("writable", True, "a mark was written")

    def _broker(self) -> Check:
        url = self._services.settings.broker.url.get_secret_value()
        if url.startswith("memory://"):
            return Check("broker", True, "in this process: for `trueup run`")
        try:
            with Connection(url, connect_timeout=BROKER_SECONDS) as connection:
                connection.ensure_connection(max_retries=1, timeout=BROKER_SECONDS)
        except Exception as error:  # noqa: BLE001  each transport has errors of its own
            # Not the error's text: some transports put the address, with its password, into it.
            said = f"{type(error).__name__} when connecting"
            return Check("broker", False, said, "check broker.url, and that the server runs and lets us in")
        return Check("broker", True, url.partition(":")[0])

    def _alerts(self, *, stored: bool) -> Iterator[Check]:
        """How each destination did last. Nobody is sent anything."""
        alerts = self._services.alerts
        if not self._services.settings.alerts.anybody:
            yield Check("alerts", True, "note: nobody is told of anomalies (alerts.urls is empty)")
        for view in alerts.destinations() if stored else ():
            tried = f'`trueup alerts test "{view.name}"`'
            if problem := alerts.problem(view.name):
                yield Check(view.name, False, problem, "correct its address in the configuration, then restart")
            elif view.is_failing:
                detail = f"{view.standing.waiting} alerts wait: {view.standing.error}"
                yield Check(view.name, False, detail, f"look at the service behind it, then run {tried}")
            elif view.standing.succeeded_at is None:
                yield Check(view.name, True, f"note: it was not sent anything yet; {tried} tries it")
            else:
                yield Check(view.name, True, "it took what it was sent last")

    # --- vendors ----------------------------------------------------------------------------------------------

    def _side_by_side(self) -> Iterator[_Examination]:
        """The channels in their order, several tried at once: one that does not answer keeps only itself waiting."""
        turns = threading.Semaphore(AT_ONCE)
        examinations = [_Examination(name) for name in self._services.channels]
        tried = [self._services.visitors.submit(self._try, each, turns) for each in examinations]
        # Its calls end in a bounded time, unless its connector keeps to none.
        patience_seconds = self._services.settings.worker.call_seconds * (MOST_CALLS + 1)
        for examination, ended in zip(examinations, tried, strict=True):
            while not ended.done():
                wait([ended], timeout=1.0)
                if examination.is_overdue(patience_seconds):
                    yield _Examination(examination.name, checks=[_NEVER_CAME_BACK])
                    break
            else:
                ended.result()
                yield examination

    def _try(self, examination: _Examination, turns: threading.Semaphore) -> None:
        with turns:
            examination.began_at = time.monotonic()
            name = examination.name
            channel = self._services.channels[name]
            # Registered first, so that the channel's own look at its webhooks finds what is missing for good.
            registered = self._webhooks(name)
            examination.checks = self._of_channel(name, channel)
            apart = self._apart(name, channel)
            examination.others = [registered] if apart is None else [registered, apart]

    def _of_channel(self, name: str, channel: Channel) -> Sequence[Check]:
        checks = self._checks(name, channel.check)
        if self._address(name):
            return checks
        # Without a public address the channel lives by polling, on purpose: its webhooks need not be there.
        return [found for found in checks if found.ok or not found.name.startswith(WEBHOOK)]

    def _apart(self, name: str, channel: Channel) -> Check | None:
        """Whether the channel is another system than the marketplace; None where one vendor cannot be both."""
        settings, marketplace = self._services.settings, self._services.marketplace
        configured = settings.channels.get(name)
        if configured is None or configured.connector != settings.marketplace.connector:
            return None
        if not isinstance(channel, Located) or not isinstance(marketplace, Located):
            return None
        try:
            with self._calling(name):
                same = channel.system_id() == marketplace.system_id()
        except ConnectorError as error:
            return Check("apart", False, str(error), "until both can be asked, see that they are not one and the same")
        if not same:
            return Check("apart", True, "another system than the marketplace")
        detail = "this channel is the marketplace itself: its sales have left the stock there already"
        return Check("apart", False, detail, f"take [channels.{name}] out of the configuration; lift no hold of it")

    @contextmanager
    def _calling(self, name: str) -> Iterator[None]:
        with within(self._services.settings.worker.call_seconds), handed_over(name):
            yield

    def _checks(self, name: str, check: Callable[[], Sequence[Check]]) -> Sequence[Check]:
        try:
            with self._calling(name):
                # So that whatever else it hands over fails in here.
                return [Check(found.name, found.ok, found.detail, found.remedy) for found in check()]
        except ConnectorError as error:
            return [Check("access", False, str(error), "check the account's settings, then run `trueup doctor` again")]

    def _account(self, scope: HoldScope, name: str, checks: Sequence[Check], *, stored: bool) -> Iterator[Examined]:
        for found in checks:
            yield Examined(name, found)
        if not stored or not checks:
            return
        if self._suspected is None:
            self._suspected = self._services.accounts.suspected()
        # Webhooks that are missing say nothing about credentials.
        if (scope, name) in self._suspected and all(found.ok or found.name.startswith(WEBHOOK) for found in checks):
            self._services.accounts.works(scope, name)

    def _address(self, name: str) -> str:
        return hook_address(self._services.settings.web.public_url, name)

    def _webhooks(self, name: str) -> Check:
        channel = self._services.channels[name]
        address = self._address(name)
        if not isinstance(channel, Hooks):
            return Check("registrations", True, "this connector has no webhooks: sales are found by polling")
        if not address and not isinstance(channel, Polled):
            return Check("registrations", True, "note: web.public_url is not set, so it is not known where to send to")
        if not address:
            return Check("registrations", True, "note: web.public_url is not set, so sales are found by polling only")
        try:
            with self._calling(name):
                found = list(channel.subscribe(address))
                problems = [f"{entry.topic}: {entry.problem}" for entry in found if entry.problem]
        except ConnectorError as error:
            return Check("registrations", False, str(error), "without them sales are found by polling only")
        if problems:
            remedy = "mend them at the vendor; until then sales are found by polling"
            return Check("registrations", False, "; ".join(problems), remedy)
        if not found:
            return Check("registrations", True, f"there is nothing to register: whoever sends is told {address}")
        return Check("registrations", True, f"{len(found)} topics to {address}")
