from __future__ import annotations

import pytest

from connectors.errors import ConnectorError
from connectors.text import is_storable, legible


@pytest.mark.parametrize(
    ("text", "storable"),
    [("", True), ("x" * 255, True), ("x" * 256, False), ("a\x00", False), ("\ud800", False), ("Teddybär 🧸", True)],
)
def test_what_a_column_holds(text: str, *, storable: bool) -> None:
    assert is_storable(text) is storable


@pytest.mark.parametrize(
    ("text", "shown"), [("Teddybär 🧸", "Teddybär 🧸"), ("a\nb\x1b[2J\x00\u2028\u202e\ud800", "a�b�[2J����")]
)
def test_what_may_be_shown(text: str, shown: str) -> None:
    assert legible(text) == shown


def test_an_error_is_fit_for_a_row_whatever_a_vendor_said() -> None:
    error = ConnectorError("a\x00b" * 10_000, account="shop", code="c\x1b")
    assert str(error).isprintable()
    assert len(str(error)) < 2100
    assert error.args == (error.message,)
