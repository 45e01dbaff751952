"""Files of orders: every line is taken, or told with its number."""

from __future__ import annotations

import codecs
import io
import json
import tracemalloc
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.contract import Order
from connectors.errors import Unreadable
from connectors.standard.files import MAX_LINE_BYTES, OrderFile, Start
from connectors.standard.orders import Rules
from connectors.standard.settings import StandardSettings
from tests.unit.connectors.standard.vendor import (
    HEADER,
    NOW,
    RULES,
    channel,
    committed,
    csv,
    entries,
    line,
    order,
    orders_in,
    row,
    troubles_in,
)

BY_TIME = Rules.of(StandardSettings(ordered_by="updated_at"))


def jsonl(*contents: Any) -> bytes:
    return "".join(f"{json.dumps(content)}\n" for content in contents).encode()


def reasons(content: bytes, **options: Any) -> list[tuple[int, str | None, str]]:
    return troubles_in(entries(content, **options))


# Right ones -------------------------------------------------------------------------------------------------------


def test_a_row_is_a_line_and_rows_that_stand_together_are_an_order() -> None:
    found = entries(csv(row("S-1", "1", "A", 3), row("S-1", "2", "B", 1), row("S-2", "1", "A", 2)))
    assert [(entry.line, entry.next_line) for entry in found] == [(2, 4), (4, 5)]
    first, second = orders_in(found)
    assert (first.order_id, first.revision, first.placed_at) == ("S-1", 7, datetime(2026, 11, 20, 9, 30, tzinfo=UTC))
    assert (first.fetched_at, first.revision_is_exact) == (NOW, True)
    assert (committed(first), committed(second)) == ({"1": 3, "2": 1}, {"1": 2})
    assert [one.sku for one in first.lines] == ["A", "B"]


def test_json_lines_are_orders() -> None:
    found = entries(b"\n" + jsonl(order("S-1"), order("S-2", line(cancelled=1))) + b"  \n")
    assert [(entry.line, committed(entry.content)) for entry in found] == [(2, {"1": 3}), (3, {"1": 2})]


@pytest.mark.parametrize("header", ["", csv().decode().strip()])
def test_a_file_without_orders_holds_none(header: str) -> None:
    assert entries(header.encode()) == []
    assert entries(b"\n\r\n  \n" + header.encode()) == []


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("bom", [b"", codecs.BOM_UTF8])
def test_what_spreadsheets_make_of_it_is_read(delimiter: str, end: str, bom: bytes) -> None:
    text = csv(row("S-1", sku='"a, b; c"'), row("S-2")).decode()
    if delimiter != ",":
        text = text.replace('"a, b; c"', "QUOTED").replace(",", delimiter).replace("QUOTED", '"a, b; c"')
    found = entries(bom + text.replace("\n", end).encode())
    assert [one.lines[0].sku for one in orders_in(found)] == ["a, b; c", "A"]
    assert troubles_in(found) == []


def test_the_last_line_may_lack_its_end_and_columns_may_stand_anywhere() -> None:
    content = b'Quantity, SKU ,customer,Placed At,VERSION,"order_id"\n2,A,Ada,2026-11-20T09:30:00Z,1,S-1'
    assert [committed(one) for one in orders_in(entries(content))] == [{"A": 2}]


def test_quoted_cells_may_hold_line_ends_and_quotes() -> None:
    content = csv('S-1,7,2026-11-20T09:30:00Z,1,A,3,"Teddy ""Bob""\nblue, 5"', row("S-2"), header=HEADER + ",name")
    found = entries(content)
    assert [(entry.line, entry.next_line) for entry in found] == [(2, 4), (4, 5)]
    assert len(orders_in(found)) == 2


def test_rows_without_a_line_id_are_one_line_for_each_sku() -> None:
    header = "order_id,version,placed_at,sku,quantity,restocked"
    rows = ["S-1,1,2026-11-20T09:30:00Z,A,2,1", "S-1,1,2026-11-20T09:30:00Z,B,1,", "S-1,1,2026-11-20T09:30:00Z,A,3,1"]
    (found,) = orders_in(entries(csv(*rows, header=header)))
    assert committed(found) == {"A": 3, "B": 1}


def test_every_column_is_read() -> None:
    header = (
        "order_id,version,updated_at,placed_at,status,source,line_id,sku,item_id,quantity,cancelled,restocked,engraving"
    )
    text = "S-1,7,2026-11-21T11:00:00Z,2026-11-20T09:30:00Z,{status},web,1,A,i-1,9.00,2,3,For Bob"
    (found,) = orders_in(entries(csv(text.format(status="Open"), header=header)))
    assert [(one.line_id, one.sku, one.item_key, one.committed) for one in found.lines] == [("1", "A", "i-1", 4)]
    (found,) = orders_in(entries(csv(text.format(status="cancelled"), header=header)))
    assert committed(found) == {"1": 0}
    (found,) = orders_in(entries(csv(text.format(status=""), header=header), rules=BY_TIME))
    assert (found.revision, found.revision_is_exact) == (1795258800_000000, False)
    (found,) = orders_in(
        entries(csv(text.format(status=""), header=header), rules=Rules("version", frozenset(["web"])))
    )
    assert found.excluded == "source web"


@pytest.mark.parametrize(
    ("text", "zone", "expected"),
    [
        ("2026-07-01 12:00", "Europe/Berlin", "2026-07-01T10:00:00+00:00"),
        ("2026-01-01T12:00:30", "Europe/Berlin", "2026-01-01T11:00:30+00:00"),
        ("2026-01-01 12:00:30.25", "America/New_York", "2026-01-01T17:00:30.250000+00:00"),
        ("2026-01-01 12:00+05:30", "Europe/Berlin", "2026-01-01T06:30:00+00:00"),
        ("2026-01-01T12:00:00Z", None, "2026-01-01T12:00:00+00:00"),
    ],
)
def test_a_time_without_an_offset_is_of_the_channels_zone(text: str, zone: str | None, expected: str) -> None:
    content = csv(f"S-1,1,{text},1,A,1")
    (found,) = orders_in(entries(content, time_zone=zone))
    assert found.placed_at.isoformat() == expected


def test_two_states_of_an_order_are_two_orders_wherever_they_stand() -> None:
    found = entries(csv(row(version=1), row(version=2, quantity=5), row("S-2"), row(version=3, quantity=6)))
    assert [(one.order_id, one.revision) for one in orders_in(found)] == [
        ("S-1", 1),
        ("S-1", 2),
        ("S-2", 7),
        ("S-1", 3),
    ]


def test_a_channel_reads_files_as_it_is_set_up() -> None:
    till = channel(time_zone="Europe/Berlin", exclude_sources=["market"])
    content = csv("S-1,1,2026-07-01 12:00,1,A,1,market", header=HEADER + ",source")
    (found,) = orders_in(list(till.read_file(io.BytesIO(content))))
    assert (found.placed_at.hour, found.excluded) == (10, "source market")


# Wrong ones -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"hello", "has no column order_id, placed_at, sku, quantity"),
        (b"order_id,sku,quantity\n", "has no column placed_at"),
        (b"order_id,placed_at,sku,quantity,SKU\n", "names sku twice"),
        ("order_id,placed_at,sku,quantity\n".encode("utf-16"), "UTF-16"),
        ("order_id".encode("utf-16-le"), "UTF-16"),
        (b"[]", "one order a line"),
        (b'"order_id', "has no column"),
        (b"x" * (MAX_LINE_BYTES + 1), "longer than 1 MiB"),
        (b"\x1b[2J,\n", "has no column"),
    ],
)
def test_what_is_no_file_of_orders_is_refused_whole(content: bytes, why: str) -> None:
    with pytest.raises(Unreadable, match=why) as caught:
        entries(content)
    assert caught.value.message.isprintable()


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("S-1,7,2026-11-20T09:30:00Z,1,A,x", "line 3: quantity is not a whole number"),
        ("S-1,7,2026-11-20T09:30:00Z,1,A,", "line 3: quantity is not a whole number"),
        ('S-1,7,2026-11-20T09:30:00Z,1,A,"1,5"', "line 3: quantity is not a whole number"),
        ("S-1,7,2026-11-20T09:30:00Z,1,A,-1", "told by restocked"),
        ("S-1,7,2026-11-20T09:30:00Z,1,A,9223372036854775808", "line 3: quantity is not a whole number"),
        ("S-1,7,20.11.2026 09:30,1,A,1", "line 3: placed_at is no moment"),
        ("S-1,7,2026-11-20 09:30,1,A,1", "set time_zone"),
        ("S-1,7,2026-02-30T09:30:00Z,1,A,1", "does not exist"),
        ("S-1,x,2026-11-20T09:30:00Z,1,A,1", "line 3: version is not a whole number"),
        ("S-1,,2026-11-20T09:30:00Z,1,A,1", "has no version"),
        ("S-1,7,2026-11-20T09:30:00Z,,,1", "neither a sku nor a line_id"),
        ("S-1,7,2026-11-20T09:30:00Z,1," + "x" * 256 + ",1", "the sku of line 1"),
        ("S-1", "line 3: placed_at is no moment"),
    ],
)
def test_a_wrong_row_is_told_and_its_neighbours_are_taken(text: str, why: str) -> None:
    found = entries(csv(row("S-0"), text, row("S-2")))
    ((number, order_id, reason),) = troubles_in(found)
    assert (number, order_id) == (3, "S-1")
    assert why in reason
    assert [one.order_id for one in orders_in(found)] == ["S-0", "S-2"]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("S-1,8,2026-11-20T09:30:01Z,2,B,1", None),
        ("S-1,7,2026-11-20T09:30:01Z,2,B,1", "line 3 says another placed_at than line 2"),
        ("S-1,7,2026-11-20T09:30:00Z,1,B,1", "line 3 has the line_id of another row"),
        ("S-1,7,2026-11-20T09:30:00Z,2,B,x", "line 3: quantity"),
    ],
)
def test_an_order_is_taken_whole_or_not_at_all(text: str, why: str | None) -> None:
    found = entries(csv(row(), text, row("S-2")))
    assert [reason for _, _, reason in troubles_in(found)] == ([] if why is None else [why + reason_end(found, why)])
    assert orders_in(found)[-1].order_id == "S-2"
    assert len(orders_in(found)) == (3 if why is None else 1)


def reason_end(found: Any, why: str) -> str:
    ((_, _, reason),) = troubles_in(found)
    assert reason.startswith(why)
    return str(reason[len(why) :])


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (",7,2026-11-20T09:30:00Z,1,A,1", "names no order"),
        ('S-9,7,2026-11-20T09:30:00Z,1,"A"x,1', "is no CSV"),
        ("S-9,7,2026-11-20T09:30:00Z,1,A,1,Teddy, blue", "more cells than the first"),
        ("S-9," + "x" * (MAX_LINE_BYTES + 5), "longer than 1 MiB"),
        ("S-9," + "x" * 200_000, "field larger"),
    ],
)
def test_beside_a_row_of_nobody_no_order_is_believed(text: str, why: str) -> None:
    """It may be of the one before or the one behind it, which would then be taken with too few units."""
    found = entries(csv(row("S-0"), row("S-1"), text, row("S-2"), row("S-3")))
    told = troubles_in(found)
    assert [(number, order_id) for number, order_id, _ in told] == [(3, "S-1"), (4, None), (5, "S-2")]
    assert why in told[1][2]
    assert "line 4, behind it" in told[0][2]
    assert "line 4, before it" in told[2][2]
    assert [one.order_id for one in orders_in(found)] == ["S-0", "S-3"]


@pytest.mark.parametrize("order_id", ["a\x00b", "x" * 256, "\udcff", "\x1b[2J"])
def test_an_order_that_no_row_can_be_named_by_is_told_by_its_line(order_id: str) -> None:
    content = csv(row(), "", row("S-2")).replace(b"\n\n", f"\n{row(order_id)}\n".encode("utf-8", "surrogateescape"))
    found = entries(content)
    assert [(number, name) for number, name, _ in troubles_in(found)] == [(3, None)]
    assert troubles_in(found)[0][2].isprintable()
    assert [one.order_id for one in orders_in(found)] == ["S-1", "S-2"]


def test_a_quote_that_never_ends_swallows_no_more_than_it_must() -> None:
    rows = [row(f"S-{number}") for number in range(6000)]
    rows[10] = 'S-10,7,2026-11-20T09:30:00Z,1,"A,1'
    found = entries(csv(*rows))
    told = [reason for _, order_id, reason in troubles_in(found) if order_id is None]
    assert len(told) == 1
    assert told[0].startswith("line 12 to ")
    assert len(orders_in(found)) > 2000
    assert [one.order_id for one in orders_in(found)][:9] == [f"S-{number}" for number in range(9)]
    assert orders_in(found)[-1].order_id == "S-5999"


def test_rows_of_an_order_that_do_not_stand_together_are_told_each_time() -> None:
    found = entries(csv(row(), row("S-2"), row(line_id="2"), row("S-3")))
    assert [(number, order_id) for number, order_id, _ in troubles_in(found)] == [(2, "S-1"), (4, "S-1")]
    assert all("sort the file by order_id" in reason for _, _, reason in troubles_in(found))
    assert [one.order_id for one in orders_in(found)] == ["S-2", "S-3"]


def test_only_the_cells_that_count_must_be_utf_8() -> None:
    header = HEADER + ",name"
    content = csv(row() + ",M\xfcller", row("S-2", sku="M\xfctze") + ",x", header=header).decode().encode("latin-1")
    found = entries(content)
    assert [one.order_id for one in orders_in(found)] == ["S-1"]
    ((number, order_id, reason),) = troubles_in(found)
    assert (number, order_id) == (3, "S-2")
    assert "not UTF-8" in reason


@pytest.mark.parametrize(
    ("text", "order_id"),
    [
        ("{", None),
        ("null", None),
        ('{"order_id": "S-9"}', "S-9"),
        (json.dumps(order("S-9", version="x")), "S-9"),
        ("[" * 100_000, None),
        ('{"a": "' + "x" * MAX_LINE_BYTES + '"}', None),
        ('{"order_id": "\udcff"}', None),
    ],
)
def test_a_wrong_json_line_is_told_and_its_neighbours_are_taken(text: str, order_id: str | None) -> None:
    content = jsonl(order("S-1")) + text.encode("utf-8", "surrogateescape") + b"\n" + jsonl(order("S-2"))
    found = entries(content)
    assert [(number, name) for number, name, _ in troubles_in(found)] == [(2, order_id)]
    assert [one.order_id for one in orders_in(found)] == ["S-1", "S-2"]


# Parts ------------------------------------------------------------------------------------------------------------

mixed = st.lists(
    st.sampled_from(
        [
            row("S-1"),
            row("S-1", "2"),
            row("S-2"),
            row("S-2", quantity="x"),
            row("S-3", version=8),
            *(",,", "", "x,y,z,a,b,c,d", 'S-9,"a"b'),
            'S-4,7,2026-11-20T09:30:00Z,1,"a\nb",1',
            row("S-5", sku="é"),
        ]
    ),
    max_size=12,
)


@given(mixed, st.sampled_from(["", "\r"]), st.sampled_from([b"", codecs.BOM_UTF8]))
def test_reading_on_from_the_end_of_an_order_is_reading_it_all(rows: list[str], end: str, bom: bytes) -> None:
    content = bom + csv(*rows).replace(b"\n", f"{end}\n".encode())
    whole = entries(content)
    for place, entry in enumerate(whole):
        if entry.content.order_id is None:
            continue
        file = OrderFile(io.BytesIO(content), RULES, time_zone=None, fetched_at=NOW)
        assert list(file.entries(Start(entry.offset, entry.next_line))) == whole[place + 1 :]


@given(st.binary(max_size=200) | st.text(max_size=100).map(csv))
def test_whatever_is_in_a_file_it_is_orders_or_told(content: bytes) -> None:
    try:
        found = entries(content)
    except Unreadable:
        return
    for entry in found:
        assert isinstance(entry.content, Order) or entry.content.reason
        assert entry.offset <= len(content)


class Endless(io.RawIOBase):
    """A large file that is nowhere: rows made as they are read."""

    def __init__(self, orders: int) -> None:
        self._rows = [f"{HEADER}\n".encode(), *(f"{row(f'S-{number}')}\n".encode() for number in range(1000))]
        self._lines, self._at = orders + 1, 0

    def seek(self, offset: int, whence: int = 0) -> int:
        self._at = 0 if offset == 0 else 1
        return offset

    def read(self, size: int = -1) -> bytes:
        return self._rows[0][:size]

    def readline(self, size: int | None = -1) -> bytes:
        self._at += 1
        return b"" if self._at > self._lines else self._rows[(self._at - 1) % 1001 if self._at > 1 else 0]


def test_memory_does_not_grow_with_a_file() -> None:
    tracemalloc.start()
    try:
        file = OrderFile(Endless(8_000), RULES, time_zone=None, fetched_at=NOW)  # type: ignore[arg-type]
        tracemalloc.reset_peak()
        before, _ = tracemalloc.get_traced_memory()
        assert sum(1 for _ in file.entries()) >= 7_000
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak - before < 1_000_000
