"""People, by Apprise: one instance for each address, so that a failing one never blocks another.

Apprise takes seconds to load and names addresses in its own log lines. So it is loaded when there is something to send,
and its lines are kept out of our log; what it says about a failure goes into our row, without the parts of the address.
"""

from __future__ import annotations

import logging
import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from types import ModuleType
from typing import TYPE_CHECKING

from pydantic import SecretStr

from connectors.text import legible
from worker.alerts.carrying import SEND_SECONDS, Carried
from worker.alerts.message import Message, StateChange, compose, trial
from worker.store.tables import Severity

if TYPE_CHECKING:
    from apprise import Apprise, AppriseResult

FURTHER_TRIES = 1
"""Within `SEND_SECONDS`, for a passing trouble."""
MOST_CHANGES = 1000
"""In one message, which counts what it does not spell out."""
NOT_UNDERSTOOD = "its address is not one that Apprise understands"


@dataclass(frozen=True, slots=True)
class Address:
    """One Apprise address. Its text never appears in logs, rows or errors: it is named by its kind alone."""

    url: SecretStr

    @property
    def kind(self) -> str:
        """See `Carrier`: `mailto`, `slack`, …; empty where the address names none."""
        kind = self.url.get_secret_value().partition("://")[0]
        return kind if re.fullmatch(r"[a-z][a-z0-9]{0,15}", kind) else ""

    @property
    def most(self) -> int:
        """See `Carrier`."""
        return MOST_CHANGES

    def prepare(self) -> None:
        """Load Apprise, once, before several threads want it."""
        _apprise()

    def problem(self) -> str | None:
        """See `Carrier`."""
        try:
            return None if len(_opened(self.url.get_secret_value())) else NOT_UNDERSTOOD
        except Exception as error:  # noqa: BLE001  whatever a plugin for some service does
            return f"unexpected {type(error).__name__}"

    def send(self, changes: Sequence[StateChange], now: datetime) -> Carried:
        """One message about all of them."""
        del now
        reason = self._send(compose(changes))
        return Carried(len(changes) if reason is None else 0, reason)

    def test(self, destination: str, now: datetime) -> str | None:
        """See `Carrier`."""
        del now
        return self._send(trial(destination))

    def _send(self, message: Message) -> str | None:
        """Send within `SEND_SECONDS`; returns None, or why it failed. Raises nothing.

        One that took the message and did not manage to say so is counted as failed.
        """
        try:
            address = _opened(self.url.get_secret_value())
            if len(address) == 0:
                return NOT_UNDERSTOOD
            result = address.notify(
                body=message.body,
                title=message.title,
                notify_type=_kind(message.worst),
                body_format=_apprise().NotifyFormat.TEXT,
                timeout=SEND_SECONDS,
            )
        except Exception as error:  # noqa: BLE001
            # Whatever a plugin for some service does: the others are told all the same.
            return f"unexpected {type(error).__name__}"
        return None if result else self._reason(result)

    def _reason(self, result: AppriseResult) -> str:
        said = [entry.message for entry in result.logs()]
        text = " ".join((said[-1] if said else result.status.name.lower()).split())
        # Longest first, so that no part hides within another.
        parts = {part for part in re.split(r"[/:@?&=+,;%]+", self.url.get_secret_value()) if len(part) >= 4}
        for part in sorted(parts, key=len, reverse=True):
            text = text.replace(part, "***")
        return legible(text[:200])


def _kind(worst: Severity | None) -> str:
    match worst:
        case None:
            return "success"
        case Severity.WARNING:
            return "warning"
        case _:
            return "failure"


@cache
def _apprise() -> ModuleType:
    import apprise  # noqa: PLC0415  takes two seconds and 40 MB: only for those who have somebody to tell

    log = logging.getLogger("apprise")
    log.addHandler(logging.NullHandler())
    log.propagate = False
    with warnings.catch_warnings():
        # It loads its plugins at the first address; what their imports are told does not concern who sends.
        warnings.simplefilter("ignore", DeprecationWarning)
        apprise.Apprise.instantiate("json://127.0.0.1")
    return apprise


def _opened(url: str) -> Apprise:
    apprise = _apprise()
    asset = apprise.AppriseAsset(
        app_id="trueup",
        app_desc="trueup",
        app_url="",
        # Where an address leads to was somebody else's decision; `?redirect=yes` in it makes it ours.
        http_redirects=False,
        default_service_retry=FURTHER_TRIES,
        # What we send is our own text, with ids from outside in it: it is neither a template nor a path.
        storage_mode=apprise.PersistentStoreMode.MEMORY,
    )
    address: Apprise = apprise.Apprise(asset=asset)
    address.add(url)
    if "overflow=" not in url:
        # One message stays one, where a service takes less text at a time than we send.
        for service in address:
            service.overflow_mode = apprise.OverflowMode.TRUNCATE
    return address
