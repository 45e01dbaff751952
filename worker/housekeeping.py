"""What nobody waits for: late looks at orders, webhook registrations, and forgetting what need not be kept (P8)."""

from __future__ import annotations

import math
from datetime import timedelta
from typing import TYPE_CHECKING

from connectors.contract import Clocked, Hooks
from connectors.errors import ConnectorError
from worker.alerts import Finding, Kind
from worker.alerts.anomalies import fingerprint
from worker.intake.boundary import handed_over
from worker.retention import Retention
from worker.store.tables import HoldScope
from worker.watch import Watch

if TYPE_CHECKING:
    from worker.services import Services

LARGEST_SKEW_SECONDS = 30.0
MOST_SAID = 1000
"""Characters of what a connector says of its webhooks."""


class Housekeeping:
    """Jobs that run every minute or every hour. Each may be repeated at any time."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._watch = Watch(services)

    def look_again(self) -> None:
        """Ask for the late looks (after 1, 7 and 30 days) at orders whose units we took."""
        while self._services.fetcher.look_again():
            pass

    def judge(self) -> None:
        """Keep since when stock is true, or is not; and see what should have happened and has not."""
        found = self._services.overview.now(count_listings=False)
        self._services.verdicts.note(stock_is_true=found.stock_is_true)
        self._services.anomalies.end_snoozes()
        self._watch.look(found.readings)

    def look_seldom(self) -> None:
        """What shows in hours. Raises what the marketplace's connector raises."""
        self._watch.look_seldom()

    def forget(self) -> None:
        """Drop what need not be kept any longer."""
        services = self._services
        services.sessions.forget()
        services.alerts.forget()
        services.verdicts.forget(services.clock.now() - timedelta(days=services.settings.policy.details_kept_days))
        Retention(services.store, services.clock, services.settings.policy, services.anomalies).forget()

    def check_clocks(self) -> None:
        """Compare our clock with the vendors', as their last answers showed it: no call."""
        market = self._services.marketplace_name
        for name, account in {market: self._services.marketplace, **self._services.channels}.items():
            skew = _skew(name, account)
            if skew is None:
                continue
            finding = Finding(
                Kind.CLOCK_SKEW,
                f"The clock of {name} and ours are {abs(skew):.0f} seconds apart. Set this machine's clock (NTP): until"
                " then, what happened when is told wrongly, though no unit is lost.",
                key=name,
                detail={"seconds": round(skew)},
            )
            if abs(skew) > LARGEST_SKEW_SECONDS:
                self._services.anomalies.open(finding)
            else:
                self._services.anomalies.resolve([finding.fingerprint], "the clocks agree")

    def check_subscriptions(self, name: str) -> None:
        """Register what is missing of a channel's webhooks; what stays broken becomes an anomaly. Raises what the
        connector raises.
        """
        channel = self._services.channels[name]
        address = hook_address(self._services.settings.web.public_url, name)
        if not address or not isinstance(channel, Hooks):
            return
        self._services.accounts.admit(HoldScope.CHANNEL, name)
        with self._services.accounts.calling(HoldScope.CHANNEL, name), handed_over(name):
            problems = [f"{entry.topic}: {entry.problem}" for entry in channel.subscribe(address) if entry.problem]
        if problems:
            self._services.anomalies.open(
                Finding(
                    Kind.WEBHOOK_MISSING,
                    f"Webhooks of channel {name} are not as they should be ({'; '.join(problems)[:MOST_SAID]}). Sales"
                    " are found by polling meanwhile; `trueup doctor` tries to mend it.",
                    channel=name,
                )
            )
        else:
            self._services.anomalies.resolve(
                [fingerprint(Kind.WEBHOOK_MISSING, channel=name)], "every webhook is registered"
            )


def _skew(name: str, account: object) -> float | None:
    try:
        with handed_over(name):
            skew = account.clock_skew_seconds if isinstance(account, Clocked) else None
    except ConnectorError:
        return None
    return skew if isinstance(skew, int | float) and math.isfinite(skew) else None


def hook_address(public_url: str, channel: str) -> str:
    """Where a vendor sends a channel's webhooks; empty when no public address is configured."""
    return f"{public_url.rstrip('/')}/hooks/{channel}" if public_url else ""
