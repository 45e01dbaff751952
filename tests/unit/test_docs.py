"""What the pages for operators claim to list is listed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from worker.alerts import Kind

OPERATIONS = Path(__file__).parents[2] / "docs" / "operations" / "README.md"


@pytest.mark.parametrize("kind", list(Kind))
def test_every_kind_of_anomaly_is_explained(kind: Kind) -> None:
    assert f"| `{kind.value}` |" in OPERATIONS.read_text(encoding="utf-8")


DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.parametrize("page", sorted(DOCS.rglob("*.md")), ids=lambda page: str(page.relative_to(DOCS)))
def test_every_link_between_pages_leads_somewhere(page: Path) -> None:
    prose = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    text = " ".join(prose.split())
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text):
        assert (page.parent / target).exists(), target


def test_every_page_for_operators_is_in_their_index() -> None:
    index = OPERATIONS.read_text(encoding="utf-8")
    for page in OPERATIONS.parent.glob("*.md"):
        assert page == OPERATIONS or f"({page.name})" in index, page.name
