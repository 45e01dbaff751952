"""Importing and exporting SKU links: all of a file or nothing of it, and what waited for a link becomes due."""

from __future__ import annotations

import hashlib
import uuid
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import structlog

from connectors.clock import Clock
from connectors.contract import ListingState
from worker.alerts import Anomalies
from worker.intake import repository as intake
from worker.intake.findings import unlinked_fingerprint
from worker.intake.snapshots import LinkVersion, in_listing_units, pairs_for
from worker.intake.waivers import waiver
from worker.links import repository
from worker.links.doubles import judge_doubles
from worker.links.table import LinkRow, LinkTableError, RowProblem, parse, written
from worker.links.versions import Version, VersionChanges, by_sku, compared
from worker.store import Store, Transaction
from worker.store.bulk import in_chunks
from worker.store.tables import WaiveReason

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class KeptStart:
    """A row that names another start than the link in force has."""

    line: int
    channel: str
    sku: str
    listing_id: str
    wanted: datetime
    kept: datetime


@dataclass(frozen=True, slots=True)
class ImportResult:
    """What an import did, or would do."""

    dry_run: bool
    begun: Sequence[Version]
    ended: Sequence[Version]
    """With the moment they ended. Their lines keep their pairs."""
    unchanged: int
    kept_starts: Sequence[KeptStart]
    lines_linked: int
    """Order lines that had waited for a link."""
    due_units: int
    """Listing units that became due by it."""
    waived_units: int
    """Listing units of lines placed before their link's start."""
    listings_due: int
    due_listings: Sequence[str]
    """Which these are."""
    kits: Sequence[tuple[str, str, int]]
    """SKUs of links that begin which take from several listings then: channel, SKU, how many."""

    @property
    def digest(self) -> str:
        """Of the links that begin and end, whenever it is done: two imports of one digest change the same."""
        changes = [("begun", *version.key, version.units) for version in self.begun]
        changes += [("ended", *version.key, version.units) for version in self.ended]
        return hashlib.sha256(repr(sorted(changes)).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class LinkView:
    """One link in force."""

    channel: str
    sku: str
    listing_id: str
    units: int
    from_at: datetime
    listing_title: str


@dataclass(frozen=True, slots=True)
class FoundLink(LinkView):
    """One link in force, in a list."""

    listings_of_sku: int
    """How many listings the SKU is linked to: more than one is a kit."""


class Links:
    """The rules of links."""

    def __init__(self, store: Store, clock: Clock, anomalies: Anomalies) -> None:
        self._store = store
        self._clock = clock
        self._anomalies = anomalies

    def in_force(self, channel: str | None = None) -> Sequence[LinkView]:
        """The links in force."""
        with self._store.read() as transaction:
            return [LinkView(*row) for row in repository.in_force(transaction, channel)]

    def find(
        self,
        channels: Collection[str],
        words: str = "",
        *,
        after: tuple[str, str, str] | None = None,
        limit: int,
    ) -> Sequence[FoundLink]:
        """Links in force of these channels, in the order of channel, SKU and listing, from `after` on; where `words`
        name a SKU or a listing, letter by letter, only its own.
        """
        with self._store.read() as transaction:
            return [FoundLink(*row) for row in repository.found(transaction, channels, words, after, limit)]

    def export_csv(self, channel: str | None = None) -> str:
        """The links in force, in the form that `import_csv` takes."""
        return written((v.channel, v.sku, v.listing_id, v.units, v.from_at) for v in self.in_force(channel))

    def import_csv(self, text: str, *, replace: bool = False, dry_run: bool = False) -> ImportResult:
        """Make the links be as the file says, in one transaction; with `replace`, links of the file's channels that it
        does not name end now. Idempotent: the same file again changes nothing.

        A changed row ends the version in force and begins a new one. Lines that waited for a link get their pairs and
        their listings are due when this returns. Locks the channels, then the listings, each in order; intake of these
        channels waits meanwhile. Raises `LinkTableError` with every problem of the file, having changed nothing.
        """
        with self._store.write() as transaction:
            result = self.import_in(transaction, text, replace=replace, dry_run=dry_run)
            if dry_run:
                transaction.rollback()
        return result

    def import_in(
        self, transaction: Transaction, text: str, *, replace: bool = False, dry_run: bool = False
    ) -> ImportResult:
        """`import_csv`, inside the caller's transaction; who asks for a `dry_run` rolls it back."""
        rows, problems = parse(text)
        result = self._import(transaction, rows, problems, replace=replace, dry_run=dry_run)
        if not dry_run:
            log.info(
                "links_imported", begun=len(result.begun), ended=len(result.ended), lines_linked=result.lines_linked
            )
        return result

    def _import(
        self,
        transaction: Transaction,
        rows: Sequence[LinkRow],
        problems: Sequence[RowProblem],
        *,
        replace: bool,
        dry_run: bool,
    ) -> ImportResult:
        now = self._clock.now()
        channels = repository.lock_channels(transaction, {row.channel for row in rows})
        problems = [*problems, *self._problems(transaction, rows, channels)]
        if problems:
            raise LinkTableError(problems)
        changes = self._compare(transaction, rows, channels, now, replace=replace)
        # Before any link is written: a link refers to its listing, and that reference is half a lock.
        versions = self._versions_of(transaction, changes.begun)
        concerned = {v.listing_id for of_channel in versions.values() for of_sku in of_channel.values() for v in of_sku}
        intake.lock_listings(transaction, concerned | {version.listing_id for version in changes.begun})
        repository.end(transaction, changes.ended)
        repository.forget(transaction, changes.forgotten)
        repository.begin(transaction, changes.begun, now)
        made = self._make_pairs(transaction, changes.begun, rows, now)
        for channel in sorted(channels):
            judge_doubles(transaction, self._anomalies, channel)
        return ImportResult(
            dry_run=dry_run,
            begun=changes.begun,
            ended=[*changes.ended, *changes.forgotten],
            unchanged=changes.unchanged,
            kept_starts=[
                KeptStart(row.line, *row.key, wanted=row.from_at, kept=version.from_at)
                for row, version in changes.kept_starts
                if row.from_at is not None
            ],
            lines_linked=made.lines_linked,
            due_units=made.due_units,
            waived_units=made.waived_units,
            listings_due=len(made.due),
            due_listings=sorted(made.due),
            kits=made.kits,
        )

    def _problems(
        self, transaction: Transaction, rows: Sequence[LinkRow], channels: Mapping[str, Any]
    ) -> list[RowProblem]:
        known = repository.listings(transaction, {row.listing_id for row in rows})
        names = ", ".join(repository.channel_names(transaction)) or "none"
        found = []
        for row in rows:
            channel, listing = channels.get(row.channel), known.get(row.listing_id)
            if channel is None:
                found.append(
                    RowProblem(
                        row.line,
                        f"there is no channel {row.channel!r}",
                        f"Known are: {names}. Put a new one into the configuration first",
                    )
                )
            problem = listing_problem(row.listing_id, listing, "" if channel is None else channel.seller_id)
            if problem is not None:
                found.append(RowProblem(row.line, *problem))
        return found

    def _compare(
        self,
        transaction: Transaction,
        rows: Sequence[LinkRow],
        channels: Mapping[str, Any],
        now: datetime,
        *,
        replace: bool,
    ) -> VersionChanges:
        skus: dict[str, set[str]] = defaultdict(set)
        for row in rows:
            skus[row.channel].add(row.sku)
        versions = [
            version
            for channel, named in skus.items()
            for version in repository.versions(transaction, channel, None if replace else named)
        ]
        counted_from = {name: row.counted_from for name, row in channels.items()}
        return compared(rows, versions, counted_from, now, end_missing=replace)

    def _versions_of(
        self, transaction: Transaction, begun: Sequence[Version]
    ) -> dict[str, Mapping[str, Sequence[Version]]]:
        """Every version of the SKUs of these, by channel and SKU."""
        skus: dict[str, set[str]] = defaultdict(set)
        for version in begun:
            skus[version.channel].add(version.sku)
        return {name: by_sku(repository.versions(transaction, name, skus[name])) for name in sorted(skus)}

    def _make_pairs(
        self, transaction: Transaction, begun: Sequence[Version], rows: Sequence[LinkRow], now: datetime
    ) -> _Made:
        """Give every line of the SKUs with a new version the pairs it must have. Their listings are locked."""
        versions = self._versions_of(transaction, begun)
        made = _Made(set())
        for channel, of_channel in versions.items():
            in_force = {sku: sum(version.until_at is None for version in of_sku) for sku, of_sku in of_channel.items()}
            made.kits += [(channel, sku, count) for sku, count in sorted(in_force.items()) if count > 1]
        line_of = {row.key: row.line for row in rows}
        for channel, of_channel in versions.items():
            for chunk in in_chunks(sorted(of_channel)):
                self._pair_lines(transaction, channel, {sku: of_channel[sku] for sku in chunk}, line_of, made, now)
                made.lines_linked += repository.note_linked(transaction, channel, chunk)
            waiting = intake.unlinked_skus(transaction, channel, of_channel)
            self._anomalies.resolve_in(
                transaction,
                [unlinked_fingerprint(channel, sku) for sku in sorted(of_channel) if not waiting.get(sku)],
                "it is linked",
            )
        intake.make_due(transaction, made.due, now, f"links-{uuid.uuid4().hex[:16]}")
        return made

    def _pair_lines(
        self,
        transaction: Transaction,
        channel: str,
        versions: Mapping[str, Sequence[Version]],
        line_of: Mapping[tuple[str, str, str], int],
        made: _Made,
        now: datetime,
    ) -> None:
        rules = {
            sku: [LinkVersion(v.listing_id, v.units, v.from_at, v.until_at) for v in of_sku]
            for sku, of_sku in versions.items()
        }
        held = repository.paired(transaction, channel, list(versions))
        pairs: list[dict[str, Any]] = []
        again: list[dict[str, int]] = []
        journal: list[dict[str, Any]] = []
        too_large: dict[int, RowProblem] = {}
        for line in repository.lines(transaction, channel, list(versions)):
            for wanted in pairs_for(line.placed_at, rules[line.sku]):
                pair = held.get((line.id, wanted.listing_id))
                if pair is not None and pair.units > 0:
                    continue
                try:
                    committed = in_listing_units(line.committed, wanted.units)
                except OverflowError as error:
                    at = line_of.get((channel, line.sku, wanted.listing_id), 1)
                    too_large[at] = RowProblem(at, f"SKU {line.sku!r}: {error}", "Correct units")
                    continue
                # Committed as first known is waived; what the channel has added since counts.
                waived = min(committed, line.first_committed * wanted.units) if wanted.before_start else 0
                if pair is not None:
                    # A correction had taken the line from this listing; now it is linked to it again.
                    again.append(
                        {
                            "row": pair.id,
                            "new_units": wanted.units,
                            "new_committed": committed,
                            "new_waived": pair.waived + waived,
                        }
                    )
                    entry = waiver(wanted.listing_id, pair.id, waived, WaiveReason.BEFORE_START, now)
                    journal.append({**entry, "note": "linked again"})
                    made.note(wanted.listing_id, committed - pair.waived - waived - pair.applied, waived)
                    continue
                pairs.append(
                    {
                        "line_row": line.id,
                        "listing_id": wanted.listing_id,
                        "channel": channel,
                        "units": wanted.units,
                        "committed": committed,
                        "applied": 0,
                        "waived": waived,
                        "placed_at": line.placed_at,
                    }
                )
        if too_large:
            raise LinkTableError(too_large.values())
        intake.insert_pairs(transaction, pairs)
        journal_waived(transaction, pairs, now)
        repository.set_corrected(transaction, again)
        intake.write_journal(transaction, journal)
        for new in pairs:
            made.note(new["listing_id"], new["committed"] - new["waived"], new["waived"])


@dataclass(slots=True)
class _Made:
    """What making pairs brought."""

    due: set[str]
    kits: list[tuple[str, str, int]] = field(default_factory=list)
    lines_linked: int = 0
    due_units: int = 0
    waived_units: int = 0

    def note(self, listing_id: str, due_units: int, waived_units: int) -> None:
        """A pair was made that has these units due."""
        self.waived_units += waived_units
        self.due_units += due_units
        if due_units:
            self.due.add(listing_id)


def journal_waived(transaction: Transaction, pairs: Iterable[Mapping[str, Any]], now: datetime) -> None:
    """Journal what new pairs waive because their line was placed before the link's start."""
    waived = [pair for pair in pairs if pair["waived"]]
    ids = repository.pair_ids(transaction, {pair["line_row"] for pair in waived})
    intake.write_journal(
        transaction,
        [
            waiver(
                pair["listing_id"],
                ids[pair["line_row"], pair["listing_id"]],
                pair["waived"],
                WaiveReason.BEFORE_START,
                now,
            )
            for pair in waived
        ],
    )


def listing_problem(listing_id: str, listing: Any, seller_id: str) -> tuple[str, str] | None:
    """Why a channel of this seller (empty: any) may not be linked to this listing, and what to do; None if it may."""
    if listing is None:
        return f"there is no listing {listing_id!r}", "Run `trueup sweep` first if it is new on the marketplace"
    if listing.state is ListingState.DELETED:
        return f"listing {listing_id} was deleted on the marketplace", "Name the listing that took its place"
    if seller_id and not listing.seller_id:
        return (
            f"the seller of listing {listing_id} is not known yet",
            "Run `trueup reconcile`, which looks at it; then import again",
        )
    if seller_id and listing.seller_id != seller_id:
        return (
            f"listing {listing_id} belongs to seller {listing.seller_id}, the channel to {seller_id}",
            "Correct the listing, or set any_seller for the channel if it sells for several",
        )
    return None
