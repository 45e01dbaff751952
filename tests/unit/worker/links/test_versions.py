"""What a change of links does to their versions."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from worker.links.table import LinkRow
from worker.links.versions import Version, VersionChanges, compared, shifted

START = datetime(2026, 11, 1, tzinfo=UTC)
NOW = START + timedelta(days=20)


def day(number: int) -> datetime:
    return START + timedelta(days=number)


def row(sku: str = "A", listing: str = "L", units: int = 1, from_at: datetime | None = None) -> LinkRow:
    return LinkRow(2, "shop", sku, listing, units, from_at)


def version(
    listing: str = "L", units: int = 1, from_at: datetime = START, until_at: datetime | None = None, id_: int = 1
) -> Version:
    return Version("shop", "A", listing, units, from_at, until_at, id_)


def changes(rows: list[LinkRow], versions: list[Version], *, end_missing: bool = False) -> VersionChanges:
    return compared(rows, versions, {"shop": START}, NOW, end_missing=end_missing)


def spans(versions: object) -> list[tuple[str, int, datetime, datetime | None]]:
    return [(v.listing_id, v.units, v.from_at, v.until_at) for v in versions]  # type: ignore[attr-defined]


def test_a_new_link_begins_where_it_says_else_with_the_channel() -> None:
    assert spans(changes([row(from_at=day(3))], []).begun) == [("L", 1, day(3), None)]
    assert spans(changes([row()], []).begun) == [("L", 1, START, None)]


def test_a_link_begun_anew_does_not_reach_into_its_former_version() -> None:
    held = [version(until_at=day(5))]
    assert spans(changes([row()], held).begun) == [("L", 1, day(5), None)]
    assert spans(changes([row(from_at=day(2))], held).begun) == [("L", 1, day(5), None)]


def test_a_sku_linked_to_another_listing_does_not_reach_into_the_former_one() -> None:
    held = [version("L", until_at=day(5))]
    assert spans(changes([row(listing="M")], held).begun) == [("M", 1, day(5), None)]


def test_a_further_listing_of_a_kit_begins_with_the_channel() -> None:
    assert spans(changes([row(), row(listing="M")], [version("L")]).begun) == [("M", 1, START, None)]


def test_a_further_listing_of_a_kit_begins_with_the_skus_links_if_those_began_later() -> None:
    rows = [row(), row(listing="M"), row(listing="N")]
    held = [version("L", from_at=day(3)), version("M", from_at=day(7), id_=2)]
    assert spans(changes(rows, held).begun) == [("N", 1, day(3), None)]
    assert spans(changes([row(), row(listing="N", from_at=day(1))], held[:1]).begun) == [("N", 1, day(1), None)]


def test_an_explicit_start_may_reach_into_another_listings_time() -> None:
    held = [version("L", until_at=day(5))]
    assert spans(changes([row(listing="M", from_at=day(2))], held).begun) == [("M", 1, day(2), None)]


def test_changed_units_begin_a_new_version_where_the_old_one_ends() -> None:
    found = changes([row(units=6)], [version()])
    assert spans(found.ended) == [("L", 1, START, NOW)]
    assert spans(found.begun) == [("L", 6, NOW, None)]


def test_changed_units_may_wait_for_a_later_moment() -> None:
    found = changes([row(units=6, from_at=day(30))], [version()])
    assert spans(found.ended) == [("L", 1, START, day(30))]
    assert spans(found.begun) == [("L", 6, day(30), None)]


def test_changed_units_of_a_link_that_has_not_begun_replace_it() -> None:
    found = changes([row(units=6)], [version(from_at=day(30))])
    assert (spans(found.ended), [v.id for v in found.forgotten]) == ([], [1])
    assert spans(found.begun) == [("L", 6, day(30), None)]


def test_only_channels_in_the_file_lose_what_it_does_not_name() -> None:
    other = Version("other", "B", "L", 1, START, None, 9)
    found = changes([row(sku="B")], [version(), other], end_missing=True)
    assert [v.id for v in found.ended] == [1]


def test_a_correction_moves_the_whole_time_of_a_link() -> None:
    moved = shifted([version()], "L", "M", units=None, since=None)
    assert ([v.id for v in moved.removed], spans(moved.inserted)) == ([1], [("M", 1, START, None)])


def test_a_correction_since_a_moment_cuts_the_version_there() -> None:
    moved = shifted([version(until_at=day(9))], "L", "M", units=None, since=day(4))
    assert spans(moved.shortened) == [("L", 1, START, day(4))]
    assert spans(moved.inserted) == [("M", 1, day(4), day(9))]


def test_a_correction_leaves_versions_that_ended_before_alone() -> None:
    moved = shifted([version(until_at=day(3))], "L", "M", units=None, since=day(4))
    assert (moved.removed, moved.shortened, moved.inserted) == ([], [], [])


def test_where_the_other_listing_is_linked_already_its_version_stands() -> None:
    moved = shifted([version(), version("M", from_at=day(5), until_at=day(7), id_=2)], "L", "M", units=3, since=None)
    assert spans(moved.inserted) == [("M", 3, START, day(5)), ("M", 3, day(7), None)]


def test_where_the_other_listing_has_the_whole_time_nothing_is_inserted() -> None:
    assert shifted([version(), version("M", id_=2)], "L", "M", units=None, since=None).inserted == []


def test_correcting_units_alone_replaces_the_version() -> None:
    moved = shifted([version()], "L", "L", units=6, since=None)
    assert ([v.id for v in moved.removed], spans(moved.inserted)) == ([1], [("L", 6, START, None)])
