"""The CSV form of links: every problem with its line and what to do."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from worker.links.table import LinkRow, LinkTableError, RowProblem, parse, written

HEADER = "channel,sku,listing_id,units,from"


def rows(*lines: str, header: str = HEADER) -> list[LinkRow]:
    found, problems = parse("\n".join([header, *lines]))
    assert problems == []
    return list(found)


def problems(*lines: str, header: str = HEADER) -> list[tuple[int, str]]:
    _, found = parse("\n".join([header, *lines]))
    return [(problem.line, str(problem)) for problem in found]


def test_a_row_with_everything() -> None:
    assert rows("shop,A,L,6,2026-11-01T02:00:00+02:00") == [
        LinkRow(2, "shop", "A", "L", 6, datetime(2026, 11, 1, tzinfo=UTC))
    ]


def test_units_and_start_may_be_left_out_empty_or_as_columns() -> None:
    assert (
        rows("shop,A,L,,")
        == rows("shop,A,L", header="channel,sku,listing_id")
        == [LinkRow(2, "shop", "A", "L", 1, None)]
    )


def test_columns_may_stand_in_any_order_and_case() -> None:
    assert rows("L,2,A,shop", header="Listing_ID, units ,SKU,channel") == [LinkRow(2, "shop", "A", "L", 2, None)]


def test_a_byte_order_mark_and_windows_line_ends_are_no_matter() -> None:
    found, wrong = parse("\ufeff" + HEADER + "\r\nshop,A,L,1,\r\n")
    assert (len(found), wrong) == (1, [])


def test_a_sku_is_taken_as_the_channel_spells_it() -> None:
    assert [row.sku for row in rows('shop," a,B ",L,1,', "shop,A,L,1,", "shop,a,L,1,")] == [" a,B ", "A", "a"]


def test_empty_lines_are_skipped_and_lines_still_count_as_an_editor_counts() -> None:
    assert [row.line for row in rows("", "shop,A,L,1,", ",,,,", "shop,B,L,1,")] == [3, 5]


def test_a_quoted_line_break_does_not_shift_the_line_numbers() -> None:
    assert [row.line for row in rows('shop,"A\nB",L,1,', "shop,C,L,1,")] == [2, 4]


@pytest.mark.parametrize(
    "units", ["0", "-1", "1.5", "six", "9223372036854775808", "1e3", "٣", "99999999999999999999999"]
)
def test_units_that_are_no_whole_number_from_1_on_are_refused(units: str) -> None:
    ((line, said),) = problems(f"shop,A,L,{units},")
    assert line == 2
    assert "Write a whole number from 1 on" in said


@pytest.mark.parametrize("moment", ["yesterday", "2026-13-01T00:00:00Z", "2026-11-01T00:00:00", "2026-11-01"])
def test_a_start_that_is_no_time_with_an_offset_is_refused(moment: str) -> None:
    ((line, said),) = problems(f"shop,A,L,1,{moment}")
    assert line == 2
    assert "Write it like 2026-11-01T00:00:00Z" in said


def test_a_link_that_stands_there_twice_names_both_lines() -> None:
    ((line, said),) = problems("shop,A,L,1,", "shop,A,M,1,", "shop,A,L,2,")
    assert line == 4
    assert "in line 2 already" in said


def test_every_problem_of_every_line_is_listed() -> None:
    assert [line for line, _ in problems("shop,,L,0,never", "shop,A,L", ",A,L,1,")] == [2, 2, 2, 3, 4]


def test_an_id_longer_than_the_store_holds_is_refused() -> None:
    assert problems(f"shop,{'A' * 256},L,1,")[0][0] == 2


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "the header lacks channel, sku, listing_id"),
        ("sku,listing_id\nA,L", "the header lacks channel"),
        ("channel,sku,listing_id,unit\nshop,A,L,1", "unknown columns: unit"),
        ("channel,sku,listing_id,sku\nshop,A,L,A", "twice: sku"),
        ('channel,sku,listing_id\nshop,"A,L', "is not CSV"),
    ],
)
def test_a_file_of_another_form_is_refused_as_a_whole(text: str, said: str) -> None:
    found, wrong = parse(text)
    assert (list(found), len(wrong)) == ([], 1)
    assert said in str(wrong[0])


def test_the_error_lists_the_problems_in_the_order_of_their_lines() -> None:
    error = LinkTableError([RowProblem(7, "b", "Mend b"), RowProblem(2, "a", "Mend a")])
    assert str(error).splitlines()[1:] == ["  - line 2: a. Mend a", "  - line 7: b. Mend b"]


def test_what_is_written_is_read_as_the_same_links() -> None:
    start = datetime(2026, 11, 1, 12, 30, tzinfo=UTC)
    text = written([("shop", ' "A", b', "L", 6, start)])
    found, wrong = parse(text)
    assert ([(row.sku, row.units, row.from_at) for row in found], wrong) == ([(' "A", b', 6, start)], [])
