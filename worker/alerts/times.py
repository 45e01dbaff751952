"""When a destination is told: its quiet hours, digest, grouping and reminders. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta, tzinfo

from config.alerts import QuietHours
from worker.store.tables import Severity


@dataclass(frozen=True, slots=True)
class Times:
    """The hours of one destination."""

    zone: tzinfo = UTC
    group: timedelta = timedelta(0)
    """How long the first change waits for others, to be told in one message with them."""
    remind: timedelta | None = None
    """How long after a message about an open anomaly the destination is told again; None for never."""
    quiet: QuietHours | None = None
    passes: frozenset[Severity] = frozenset({Severity.CRITICAL})
    """What is told in quiet hours all the same."""
    digest_at: time | None = None
    digested: frozenset[Severity] = frozenset({Severity.WARNING})
    """What waits for the digest, where there is one."""

    def ready_before(self, now: datetime) -> Mapping[Severity, datetime]:
        """For each severity that may be told now: everything that happened up to that moment may be."""
        digested_at = None if self.digest_at is None else _last(self.digest_at, self.zone, now)
        return {
            severity: digested_at if digested_at is not None and severity in self.digested else now
            for severity in Severity
            if severity in self.passes or not self.is_quiet(now)
        }

    def __str__(self) -> str:
        """For people: the hours in which not everything is told at once."""
        said = []
        if self.quiet is not None:
            passes = ", ".join(sorted(self.passes)) or "nothing"
            said.append(f"quiet {self.quiet} but for {passes}")
        if self.digest_at is not None:
            said.append(f"{', '.join(sorted(self.digested))} at {self.digest_at:%H:%M}")
        return f"{'; '.join(said)} ({self.zone})" if said else "at once"

    def is_quiet(self, now: datetime) -> bool:
        """Whether it is within the quiet hours, by the clocks of the destination's time zone."""
        return self.quiet is not None and self.quiet.covers(now.astimezone(self.zone).time())


def _last(at: time, zone: tzinfo, now: datetime) -> datetime:
    """The last time that it was `at` there, in UTC. An hour that a day has twice counts once; one that it lacks comes
    when its clocks have gone on.
    """
    today = now.astimezone(zone).date()
    # In UTC: two times of one zone would be compared by what their clocks show.
    todays = datetime.combine(today, at, zone).astimezone(UTC)
    return todays if todays <= now else datetime.combine(today - timedelta(days=1), at, zone).astimezone(UTC)
