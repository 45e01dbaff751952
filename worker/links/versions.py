"""What a change of links does to their versions. Pure.

A link is a sequence of versions, each in force [from, until). Nothing that was in force is rewritten here: changing or
removing a link ends its version, and lines placed before keep their pair. (A correction does rewrite; see `shifted`.)
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from worker.links.table import LinkRow


@dataclass(frozen=True, slots=True)
class Version:
    """One version of a link; `id` is None before it is stored."""

    channel: str
    sku: str
    listing_id: str
    units: int
    from_at: datetime
    until_at: datetime | None = None
    id: int | None = None

    @property
    def key(self) -> tuple[str, str, str]:
        return (self.channel, self.sku, self.listing_id)


@dataclass(frozen=True, slots=True)
class VersionChanges:
    """What to write."""

    begun: Sequence[Version]
    ended: Sequence[Version]
    """With the `until_at` they get."""
    forgotten: Sequence[Version]
    """Never in force, and not to be: they go without a trace."""
    unchanged: int
    kept_starts: Sequence[tuple[LinkRow, Version]]
    """Rows that name another start than the link in force has: it keeps its own."""


def compared(
    rows: Iterable[LinkRow],
    versions: Sequence[Version],
    counted_from: Mapping[str, datetime],
    now: datetime,
    *,
    end_missing: bool,
) -> VersionChanges:
    """What makes the links be as `rows` say.

    `versions` are all there are, past ones too, of the SKUs in `rows` (with `end_missing`: of their channels). A link
    in force with the same units stays as it is, whatever start its row names; with other units, its version ends now
    and a new one begins. With `end_missing`, links of the rows' channels that no row names end now.
    """
    rows = list(rows)
    in_force = {version.key: version for version in versions if version.until_at is None}
    ended: list[Version] = []
    forgotten: list[Version] = []
    begun: list[Version] = []
    kept_starts: list[tuple[LinkRow, Version]] = []
    unchanged = 0

    def end(version: Version, at: datetime) -> None:
        if version.from_at >= at:
            forgotten.append(version)
        else:
            ended.append(replace(version, until_at=at))

    if end_missing:
        named, channels = {row.key for row in rows}, {row.channel for row in rows}
        for key, version in in_force.items():
            if key not in named and version.channel in channels:
                end(version, now)
    new: list[LinkRow] = []
    for row in rows:
        held = in_force.get(row.key)
        if held is None:
            new.append(row)
        elif held.units != row.units:
            start = max(now, row.from_at or held.from_at)
            end(held, start)
            begun.append(Version(*row.key, row.units, start))
        else:
            unchanged += 1
            starts = {version.from_at for version in versions if version.key == row.key} if row.from_at else set()
            if row.from_at is not None and row.from_at not in starts:
                kept_starts.append((row, held))
    gone = {version.id for version in (*ended, *forgotten)}
    staying = [version for version in in_force.values() if version.id not in gone]
    begun += _new_versions(new, [*(v for v in versions if v.until_at is not None), *ended], staying, counted_from)
    return VersionChanges(begun, ended, forgotten, unchanged, kept_starts)


def _new_versions(
    rows: Sequence[LinkRow], ended: Iterable[Version], staying: Iterable[Version], counted_from: Mapping[str, datetime]
) -> list[Version]:
    """Links that are not in force begin where they say, else at the channel's counted-from time.

    But not before an earlier version of the same link ended; and by default not before a link of the SKU last ended, so
    that no line that has its pair with a former listing gets one with the new listing as well, nor before the SKU's
    links in force begin: lines that were not to count do not begin to count because the SKU becomes a kit.
    """
    link_ended: dict[tuple[str, str, str], datetime] = {}
    sku_ended: dict[tuple[str, str], datetime] = {}
    for version in ended:
        assert version.until_at is not None  # noqa: S101  handed in as ended
        link_ended[version.key] = max(version.until_at, link_ended.get(version.key, version.until_at))
        sku = version.key[:2]
        sku_ended[sku] = max(version.until_at, sku_ended.get(sku, version.until_at))
    sku_began: dict[tuple[str, str], datetime] = {}
    for version in staying:
        sku = version.key[:2]
        sku_began[sku] = min(version.from_at, sku_began.get(sku, version.from_at))
    begun = []
    for row in rows:
        wanted = row.from_at
        if wanted is None:
            default = counted_from[row.channel]
            sku = row.key[:2]
            wanted = max(default, sku_ended.get(sku, default), sku_began.get(sku, default))
        begun.append(Version(*row.key, row.units, max(wanted, link_ended.get(row.key, wanted))))
    return begun


@dataclass(frozen=True, slots=True)
class Shift:
    """How a correction rewrites versions."""

    removed: Sequence[Version]
    shortened: Sequence[Version]
    """With the `until_at` they get."""
    inserted: Sequence[Version]


def shifted(
    versions: Sequence[Version], from_listing: str, to_listing: str, *, units: int | None, since: datetime | None
) -> Shift:
    """Let one SKU's link to `from_listing`, as far as it was in force at or after `since`, have been to `to_listing`.

    Where the SKU was linked to `to_listing` already, that version stands. Orders that are first seen later thereby
    count as the corrected ones do.
    """
    removed: list[Version] = []
    shortened: list[Version] = []
    pieces: list[Version] = []
    for version in versions:
        if version.listing_id != from_listing:
            continue
        if since is not None and version.until_at is not None and version.until_at <= since:
            continue
        start = version.from_at if since is None else max(version.from_at, since)
        if start == version.from_at:
            removed.append(version)
        else:
            shortened.append(replace(version, until_at=start))
        piece = replace(version, listing_id=to_listing, from_at=start, units=units or version.units, id=None)
        pieces.append(piece)
    if from_listing != to_listing:
        for held in versions:
            if held.listing_id == to_listing:
                pieces = [rest for piece in pieces for rest in _without(piece, held)]
    return Shift(removed, shortened, pieces)


def _without(piece: Version, held: Version) -> list[Version]:
    """What is left of `piece` outside the time of `held`."""
    left = []
    if piece.from_at < held.from_at:
        ends = held.from_at if piece.until_at is None else min(piece.until_at, held.from_at)
        left.append(replace(piece, until_at=ends))
    if held.until_at is not None and (piece.until_at is None or held.until_at < piece.until_at):
        left.append(replace(piece, from_at=max(piece.from_at, held.until_at)))
    return left


def by_sku(versions: Iterable[Version]) -> dict[str, list[Version]]:
    """The versions of each SKU of one channel."""
    grouped: dict[str, list[Version]] = defaultdict(list)
    for version in versions:
        grouped[version.sku].append(version)
    return grouped
