"""Trying everything that has to work, in order: what fails says what to do about it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from kombu import Connection

from connectors.contract import Channel, Check, Hooks, Located, Polled
from connectors.errors import ConnectorError
from connectors.registry import passed_over
from worker.housekeeping import hook_address
from worker.store import StorageUnavailable
from worker.store.migrate import standing
from worker.store.tables import HoldScope
from worker.store.ticks import claim_tick

if TYPE_CHECKING:
    from worker.services import Services

BROKER_SECONDS = 5
WEBHOOK = "webhook"
"""How connectors name what they try of webhooks."""


@dataclass(frozen=True, slots=True)
class Examined:
    """One thing that was tried, and of what."""

    subject: str
    """`database`, `broker`, `alerts`, or the name of the marketplace or channel."""
    check: Check


class Doctor:
    """Tries the whole of one configuration. Writes a mark into the database; registers webhooks that are missing."""

    def __init__(self, services: Services) -> None:
        self._services = services

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
        yield from self._account(HoldScope.MARKETPLACE, name, self._checks(services.marketplace.check), stored=stored)
        if not services.channels:
            remedy = "add a [channels.NAME] table to the configuration"
            yield Examined("channels", Check("channels", False, "none is configured", remedy))
        for name, channel in services.channels.items():
            # Registered first, so that the channel's own look at its webhooks finds what is missing for good.
            registered = self._webhooks(name)
            yield from self._account(HoldScope.CHANNEL, name, self._of_channel(name, channel), stored=stored)
            yield Examined(name, registered)
            if (apart := self._apart(name, channel)) is not None:
                yield Examined(name, apart)
        yield Examined("alerts", self._alerts())

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

    def _alerts(self) -> Check:
        urls = self._services.settings.alerts.urls
        if not urls:
            return Check("alerts", True, "note: nobody is told of anomalies (alerts.urls is empty)")
        return Check("alerts", True, f"{len(urls)} addresses")

    # --- vendors ----------------------------------------------------------------------------------------------

    def _of_channel(self, name: str, channel: Channel) -> Sequence[Check]:
        checks = self._checks(channel.check)
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
            same = channel.system_id() == marketplace.system_id()
        except ConnectorError as error:
            return Check("apart", False, str(error), "until both can be asked, see that they are not one and the same")
        if not same:
            return Check("apart", True, "another system than the marketplace")
        detail = "this channel is the marketplace itself: its sales have left the stock there already"
        return Check("apart", False, detail, f"take [channels.{name}] out of the configuration; lift no hold of it")

    def _checks(self, check: Callable[[], Sequence[Check]]) -> Sequence[Check]:
        try:
            return check()
        except ConnectorError as error:
            return [Check("access", False, str(error), "check the account's settings, then run `trueup doctor` again")]

    def _account(self, scope: HoldScope, name: str, checks: Sequence[Check], *, stored: bool) -> Iterator[Examined]:
        for found in checks:
            yield Examined(name, found)
        # Webhooks that are missing say nothing about credentials.
        if stored and checks and all(found.ok or found.name.startswith(WEBHOOK) for found in checks):
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
            found = channel.subscribe(address)
        except ConnectorError as error:
            return Check("registrations", False, str(error), "without them sales are found by polling only")
        problems = [f"{entry.topic}: {entry.problem}" for entry in found if entry.problem]
        if problems:
            remedy = "mend them at the vendor; until then sales are found by polling"
            return Check("registrations", False, "; ".join(problems), remedy)
        if not found:
            return Check("registrations", True, f"there is nothing to register: whoever sends is told {address}")
        return Check("registrations", True, f"{len(found)} topics to {address}")
