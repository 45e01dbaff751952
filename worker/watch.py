"""Looks for what should have happened and has not, in what is known already: each look is a few reads of rows that an
index finds, whatever there is of everything else. Only the marketplace's pending reservations are asked for, with one
call an hour.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from connectors.contract import Closable, Polled, Reserving
from worker.alerts import Finding, Kind
from worker.alerts.anomalies import fingerprint
from worker.intake import arrivals
from worker.intake.boundary import handed_over
from worker.intake.findings import channel_silent, webhook_broken
from worker.intake.traffic import KEPT_HOURS, Quiet, is_still, quiet
from worker.status.overview import Reading
from worker.store import cursors
from worker.store.tables import HoldScope
from worker.upkeep import repository as upkeep
from worker.upkeep.findings import open_at_zero, reservation_pending
from worker.upkeep.repository import FEED
from worker.upkeep.unsold import is_anothers

if TYPE_CHECKING:
    from worker.services import Services

LATE_FOR = timedelta(minutes=10)
"""What is read so late is told: below that, a slow page or a restart is enough."""
MOST_UNTOLD = 10
"""Orders in a day that polling may find before their webhooks: vendors lose one now and then."""
STILL_OPEN_FOR = timedelta(minutes=30)
"""Beyond the time after which a listing at zero is closed."""
MOST_LISTINGS = 100
"""That are told at a time, the longest at zero first."""
COUNTED_AGAIN = 48
"""Hours of which orders are counted anew each time: what is polled late is placed earlier."""
HOUR = timedelta(hours=1)


class Watch:
    """What is looked at every minute, and every hour."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._anomalies = services.anomalies

    def look(self, readings: Sequence[Reading]) -> None:
        """`readings` say how far feed and channels have been read. Idempotent; calls nobody."""
        self._readings(readings)
        self._webhooks()
        self._open_at_zero()
        self._closed_with_stock()

    def look_seldom(self) -> None:
        """Idempotent. Raises what the marketplace's connector raises."""
        self._traffic()
        self._reservations()

    # --- every minute -----------------------------------------------------------------------------------------

    def _readings(self, readings: Sequence[Reading]) -> None:
        if self._services.clock.now() - self._services.started_at < LATE_FOR:
            # While we were down nothing was read: that is caught up with first.
            return
        late, undecided = [], []
        standing = self._services.accounts.standing()
        for reading in readings:
            finding = _late(None if reading.name == FEED else reading.name, reading.current_at)
            if reading.name == FEED:
                silent = not self._services.accounts.may_be_called(
                    HoldScope.MARKETPLACE, self._services.marketplace_name
                )
            else:
                silent = reading.name in standing.silent
            if silent:
                # Why it is not read is told already.
                undecided.append(finding.fingerprint)
            elif reading.late and reading.lag_seconds is not None and reading.lag_seconds >= LATE_FOR.total_seconds():
                late.append(finding)
        self._anomalies.keep(Kind.FEED_LATE, late, "it is read to its head again", undecided=undecided)

    def _webhooks(self) -> None:
        with self._services.store.read() as transaction:
            found = arrivals.untold(transaction, self._services.hooked, self._services.clock.now())
        missing = {view.channel for view in self._anomalies.list(kind=Kind.WEBHOOK_MISSING)}
        broken = [
            webhook_broken(channel, orders)
            for channel, orders in found.items()
            if orders > MOST_UNTOLD and channel not in missing
        ]
        self._anomalies.keep(Kind.WEBHOOK_BROKEN, broken, "polling found few orders first in the last day")

    def _open_at_zero(self) -> None:
        """Listings that should have been closed long ago, with why they are not."""
        policy = self._services.settings.policy
        found: Sequence[Finding] = ()
        if policy.close_listings and isinstance(self._services.marketplace, Closable):
            before = self._services.clock.now() - timedelta(seconds=policy.close_after_seconds) - STILL_OPEN_FOR
            with self._services.store.read() as transaction:
                held = self._services.holds.active_in(transaction)
                # Where nothing at all is written, or for one reason, that reason is told once and not for each listing.
                silent = held.marketplace is not None or held.all_in_shadow(upkeep.channel_names(transaction))
                rows = (
                    ()
                    if silent
                    else upkeep.open_at_zero(
                        transaction, before, MOST_LISTINGS, linked_only=policy.close_scope == "linked"
                    )
                )
            refused = {view.listing_id for view in self._anomalies.list(kind=Kind.CLOSE_REFUSED)} if rows else set()
            found = [
                open_at_zero(
                    row.listing_id,
                    row.total,
                    row.zero_since,
                    reopened=row.close_done,
                    held=None if hold is None else hold.reason.value,
                )
                for row in rows
                if row.listing_id not in refused
                for hold in [held.on_listing(row.listing_id)]
            ]
        self._anomalies.keep(Kind.OPEN_AT_ZERO, found, "it is closed, has stock, or is not to be closed any more")

    def _closed_with_stock(self) -> None:
        """A look at a listing opens these (`worker.upkeep.unsold`); the feed, or a sweep, may tell of their end."""
        open_ones = {view.listing_id: view for view in self._anomalies.list(kind=Kind.CLOSED_WITH_STOCK)}
        if not open_ones:
            return
        with self._services.store.read() as transaction:
            rows = upkeep.closed_with_stock(transaction, [name for name in open_ones if name is not None])
        still = {row.listing_id for row in rows if not is_anothers(row, open_ones[row.listing_id].last_seen_at)}
        over = [view.fingerprint for name, view in open_ones.items() if name not in still]
        self._anomalies.resolve(sorted(over), "it is on sale again, has no stock any more, or somebody else closed it")

    # --- every hour -------------------------------------------------------------------------------------------

    def _traffic(self) -> None:
        """Channels that have gone quiet. Of one that is not read, nothing can be told."""
        services = self._services
        now = services.clock.now()
        read_to = {name: self._read_to(name) for name in services.channels}
        known = {view.channel: view.detail for view in self._anomalies.list(kind=Kind.CHANNEL_SILENT)}
        found, undecided = [], []
        for name, moment in read_to.items():
            if moment is None or now - moment > HOUR:
                undecided.append(fingerprint(Kind.CHANNEL_SILENT, channel=name))
                continue
            counts = self._count(name, now)
            held = known.get(name)
            seen = None if held is None else Quiet(held["hours"], held["orders"], held["usual"])
            stays = seen is not None and is_still(counts, seen)
            now_quiet = seen if stays else quiet(counts)
            if now_quiet is not None:
                found.append(channel_silent(name, now_quiet))
        self._anomalies.keep(Kind.CHANNEL_SILENT, found, "it sells as usual again", undecided=undecided)

    def _read_to(self, channel: str) -> datetime | None:
        """Up to when we know what a channel sold; one that only sends is known up to now."""
        if not isinstance(self._services.channels[channel], Polled):
            return self._services.clock.now()
        with self._services.store.read() as transaction:
            return cursors.read_to(transaction, f"orders:{channel}")

    def _count(self, channel: str, now: datetime) -> Sequence[int]:
        """A channel's orders in each of the last hours that are over, as far back as is known."""
        end = now.replace(minute=0, second=0, microsecond=0)
        begin = end - COUNTED_AGAIN * HOUR
        name = f"traffic:{channel}"
        with self._services.store.write() as transaction:
            recent = arrivals.orders_by_hour(transaction, channel, begin, COUNTED_AGAIN)
            kept = json.loads(cursors.cursor(transaction, name) or "{}")
            known: Sequence[int] = kept.get("counts", ())
            known_until = datetime.fromisoformat(kept["until"]) if kept else begin
            overlap = int((known_until - begin) / HOUR)
            # After a longer pause what was known before says nothing of the hours in between.
            before = known[: len(known) - overlap] if 0 <= overlap <= len(known) else ()
            counts = [*before, *recent][-KEPT_HOURS:]
            value = json.dumps({"until": end.isoformat(), "counts": counts})
            cursors.move_cursor(transaction, name, value, now, current=False)
        return counts

    def _reservations(self) -> None:
        """Units that buyers hold without ever paying, or that sellers never accept."""
        services = self._services
        marketplace, name = services.marketplace, services.marketplace_name
        if not isinstance(marketplace, Reserving) or not services.accounts.may_be_called(HoldScope.MARKETPLACE, name):
            return
        before = services.clock.now() - timedelta(hours=services.settings.policy.reservations_pending_hours)
        with services.accounts.calling(HoldScope.MARKETPLACE, name), handed_over(name):
            pending = list(marketplace.pending_reservations(before=before))
        found = [reservation_pending(each) for each in pending]
        self._anomalies.keep(Kind.RESERVATION_PENDING, found, "it is not pending any more")


def _late(channel: str | None, read_to: datetime | None) -> Finding:
    what = "The marketplace's change feed" if channel is None else f"Channel {channel}"
    until = "never to its head" if read_to is None else f"only to {read_to:%Y-%m-%d %H:%M} UTC"
    return Finding(
        Kind.FEED_LATE,
        f"{what} has been read {until}: what happened there since is not in trueup's numbers. Look whether workers and"
        " beat run (`trueup status`, the log); they catch up by themselves.",
        channel=channel,
        key="feed" if channel is None else "",
    )
