"""What rings when. Beat only rings; whether something runs is decided by its tick in the database."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from celery import Celery
from celery.beat import Scheduler
from celery.schedules import schedule

from config.settings import Settings

INTAKE = "trueup.intake"
POLL = "trueup.poll"
RECONCILE = "trueup.reconcile"
FEED = "trueup.feed"
UPKEEP = "trueup.upkeep"
SWEEP = "trueup.sweep"
HOUSEKEEPING = "trueup.housekeeping"
ALERTS = "trueup.alerts"
AUDIT = "trueup.audit"

QUEUE_OF = {
    INTAKE: "intake",
    POLL: "intake",
    RECONCILE: "reconcile",
    FEED: "upkeep",
    UPKEEP: "upkeep",
    SWEEP: "upkeep",
    HOUSEKEEPING: "upkeep",
    ALERTS: "upkeep",
    AUDIT: "upkeep",
}

LOOK_SECONDS = 15.0
"""How often beat asks whether something that runs seldom is due: the answer is one small read."""

EARLY = 0.9
"""A tick may be claimed this much early: beat's own jitter must not make every second one miss."""


@dataclass(frozen=True, slots=True)
class Ring:
    """One line of the schedule."""

    task: str
    every_seconds: float


def rings(settings: Settings) -> tuple[Ring, ...]:
    """How often beat rings each task."""
    times = settings.schedule
    polls = [channel.poll_seconds for channel in settings.channels.values()] or [times.poll_seconds]
    return (
        Ring(INTAKE, times.intake_seconds),
        Ring(RECONCILE, times.reconcile_seconds),
        Ring(POLL, min(LOOK_SECONDS, *polls)),
        Ring(FEED, times.feed_seconds),
        Ring(UPKEEP, times.upkeep_seconds),
        Ring(SWEEP, min(LOOK_SECONDS, times.sweep_seconds or LOOK_SECONDS)),
        Ring(HOUSEKEEPING, min(LOOK_SECONDS * 4, times.subscriptions_seconds)),
        Ring(ALERTS, times.alerts_seconds),
        Ring(AUDIT, min(LOOK_SECONDS * 4, times.audit_seconds)),
    )


def put_on_schedule(app: Celery, settings: Settings) -> None:
    """Give beat its schedule."""
    app.conf.beat_schedule = {
        ring.task: {
            "task": ring.task,
            "schedule": schedule(ring.every_seconds, app=app),
            # A ring that nobody answered before the next one is worth nothing.
            "options": {"queue": QUEUE_OF[ring.task], "expires": max(1.0, ring.every_seconds)},
        }
        for ring in rings(settings)
    }
    app.conf.beat_scheduler = "worker.schedule:MemoryScheduler"


class MemoryScheduler(Scheduler):  # type: ignore[misc]  # Celery ships no types
    """Beat's schedule without a file: when something last ran is in our database."""

    def setup_schedule(self) -> None:
        self.install_default_entries({})
        self.merge_inplace(self.app.conf.beat_schedule)

    @property
    def info(self) -> Any:
        return "in memory"
