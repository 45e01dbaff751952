"""The lines of code that the docs give for each connector are those there are."""

from __future__ import annotations

from tests.connector_lines import PAGE, code_lines, renewed

MODULE = '''"""What it is for."""

import os  # used below

# A comment.
def where(
    name: str,
) -> str:
    """Two lines
    of text."""
    text = """one
two"""
    return os.path.join(name, text)
'''


def test_what_counts_is_code() -> None:
    assert code_lines(MODULE) == 7


def test_the_page_gives_the_lines_there_are() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert page == renewed(page), "count again: make connector-lines"
