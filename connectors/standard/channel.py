"""What every standard channel can do: take messages, and read files of orders."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import BinaryIO

from connectors.contract import Check, FileEntry, Notice, Receipt, Subscription
from connectors.http import Toolbox
from connectors.standard.files import OrderFile
from connectors.standard.hooks import StandardHooks
from connectors.standard.orders import Rules
from connectors.standard.settings import StandardSettings


class StandardChannel:
    """Implements `Hooks` and `OrderFiles`. By itself it cannot be asked for anything: what is not sent is not known."""

    refusal_status = StandardHooks.refusal_status

    def __init__(self, name: str, settings: StandardSettings, toolbox: Toolbox) -> None:
        self._name = name
        self._settings = settings
        self._clock = toolbox.clock
        self._rules = Rules.of(settings)
        self._hooks = StandardHooks(settings, toolbox.clock, account=name)

    def check(self) -> Sequence[Check]:
        """See `Channel.check`."""
        return [self._signing(), self._exclusions()]

    # Hooks ------------------------------------------------------------------------------------------------------

    def receive(self, headers: Mapping[str, str], body: bytes) -> Receipt:
        """See `Hooks.receive`."""
        return self._hooks.receive(headers, body)

    def read(self, topic: str, kept: bytes) -> Sequence[Notice]:
        """See `Hooks.read`."""
        return self._hooks.read(topic, kept)

    def subscriptions(self, address: str) -> Sequence[Subscription]:
        """Nothing is registered by us: whoever sends is told the address and a secret."""
        return ()

    def subscribe(self, address: str) -> Sequence[Subscription]:
        """As `subscriptions`."""
        return ()

    # OrderFiles -------------------------------------------------------------------------------------------------

    def read_file(self, file: BinaryIO) -> Iterator[FileEntry]:
        """See `OrderFiles.read_file`: CSV or JSON lines, told apart by their first character."""
        return self._file(file).entries()

    def _file(self, file: BinaryIO) -> OrderFile:
        return OrderFile(file, self._rules, time_zone=self._settings.time_zone, fetched_at=self._clock.now())

    # ------------------------------------------------------------------------------------------------------------

    def _signing(self) -> Check:
        name = "webhook secret"
        if self._settings.webhook_secrets:
            return Check(name, True, f"{len(self._settings.webhook_secrets)} set")
        detail = "webhook_secrets is not set: every message is refused"
        if self._settings.orders_url or self._settings.orders_directory:
            return Check(name, True, f"note: {detail}, and orders come by polling alone")
        remedy = (
            "set webhook_secrets, orders_url or orders_directory; until then `trueup import orders` is the only way"
        )
        return Check(name, False, detail, remedy)

    def _exclusions(self) -> Check:
        sources = ", ".join(self._settings.exclude_sources)
        if sources:
            return Check("exclusion rules", True, f"orders do not count when their source is one of {sources}")
        detail = (
            "none. If orders of the marketplace come with this channel's, exclude them by their source: their units "
            "are reserved on the marketplace already and would be taken twice"
        )
        return Check("exclusion rules", True, detail)
