from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from worker.demo import sales
from worker.demo.sales import SalesFileError, SalesLine

HEADER = "invoice,stock_code,quantity,invoice_date,unit_price"
GOOD = "573744,85123A,6,2011-11-01 08:16:00,2.55"


def parsed(*rows: str, header: str = HEADER) -> list[SalesLine]:
    return list(sales.parse(f"{row}\n" for row in (header, *rows)))


def problems(*rows: str, header: str = HEADER) -> list[str]:
    with pytest.raises(SalesFileError) as caught:
        parsed(*rows, header=header)
    return list(caught.value.problems)


def test_the_packaged_data_are_whole() -> None:
    lines = sales.read()

    assert len(lines) == 84_711
    assert len({line.invoice for line in lines}) == 3_462
    assert len({line.stock_code for line in lines}) == 2_963
    assert sum(line.is_cancellation for line in lines) == 1_076
    assert sum(line.quantity for line in lines if line.quantity > 0) == 771_598


def test_a_line_is_read_as_it_stands() -> None:
    assert parsed(GOOD) == [SalesLine("573744", "85123A", 6)]


def test_columns_may_stand_in_any_order_among_others() -> None:
    header = "note,quantity,unit_price,invoice_date,stock_code,invoice"
    assert parsed("x,6,2.55,2011-11-01 08:16:00,85123A,573744", header=header) == [SalesLine("573744", "85123A", 6)]


def test_identical_lines_are_separate_lines() -> None:
    assert len(parsed(GOOD, GOOD)) == 2


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("573744,85123A,6.5,2011-11-01 08:16:00,2.55", "quantity '6.5' is not a whole number"),
        ("573744,85123A,,2011-11-01 08:16:00,2.55", "quantity '' is not a whole number"),
        ("573744,85123A,0,2011-11-01 08:16:00,2.55", "quantity is 0"),
        ("573744,85123A,9223372036854775808,2011-11-01 08:16:00,2.55", "is larger than 2147483647"),
        ("C573744,85123A,6,2011-11-01 08:16:00,2.55", "of a cancellation (C573744) is not below zero"),
        (",85123A,6,2011-11-01 08:16:00,2.55", "there is no invoice number"),
        ("573744,,6,2011-11-01 08:16:00,2.55", "there is no stock_code"),
        ("573744,85123A,6,yesterday,2.55", "invoice_date 'yesterday' is not a time"),
        ("573744,85123A,6,2011-11-01 08:16:00,cheap", "unit_price 'cheap' is not a number"),
        ("573744,85123A,6,2011-11-01 08:16:00,nan", "unit_price 'nan' is not a number"),
        ("573744,85123A,6", "3 fields instead of 5"),
    ],
)
def test_a_wrong_line_is_named_with_its_number(row: str, said: str) -> None:
    (problem,) = problems(GOOD, row)

    assert problem.startswith("line 3: ")
    assert said in problem


def test_every_wrong_line_is_told_at_once() -> None:
    found = problems("1,A,x,2011-11-01,1", GOOD, "2,,0,2011-11-01,1")

    assert [problem.split(":")[0] for problem in found] == ["line 2", "line 4", "line 4"]


def test_a_long_list_of_problems_is_cut_in_words_only() -> None:
    with pytest.raises(SalesFileError) as caught:
        parsed(*["1,A,x,2011-11-01,1"] * 50)

    assert len(caught.value.problems) == 50
    assert str(caught.value).endswith("and 30 more")


def test_a_header_without_a_column_is_refused() -> None:
    (problem,) = problems(GOOD, header="invoice,stock_code,units,invoice_date,unit_price")

    assert "line 1" in problem
    assert "no quantity" in problem


@pytest.mark.parametrize("content", [b"", f"{HEADER}\n".encode(), b"\xff\xfe\x00"])
def test_a_file_without_sales_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "sales.csv"
    path.write_bytes(content)

    with pytest.raises(SalesFileError, match=r"sales\.csv cannot be replayed"):
        sales.read(path)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SalesFileError, match="cannot be read"):
        sales.read(tmp_path / "nowhere.csv")


@pytest.fixture(params=["sales.csv", "sales.csv.gz"])
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    path: Path = tmp_path / request.param
    content = f"{HEADER}\n{GOOD}\n".encode()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path


def test_a_file_of_ones_own_is_read_compressed_or_not(path: Path) -> None:
    assert list(sales.read(path)) == [SalesLine("573744", "85123A", 6)]


def test_a_damaged_compressed_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "sales.csv.gz"
    path.write_bytes(gzip.compress(f"{HEADER}\n{GOOD}\n".encode())[:-12])

    with pytest.raises(SalesFileError, match="cannot be read"):
        sales.read(path)
