"""Each kind of anomaly is explained, and every page the console's help leads to is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from worker.alerts import Kind
from worker.alerts.explained import EXPLANATIONS, explain
from worker.console.pages.help import FOLDER, rendered

PAGES = sorted(FOLDER.glob("*.md"))


def test_every_kind_is_explained() -> None:
    assert set(EXPLANATIONS) == set(Kind)
    assert all(text.endswith(".") for told in EXPLANATIONS.values() for text in (told.means, told.trueup, told.you))


def test_a_kind_of_a_newer_version_is_no_error() -> None:
    assert explain("brand-new").title == "brand-new"


@pytest.mark.parametrize("kind", list(Kind))
def test_its_page_is_there_and_names_it(kind: Kind) -> None:
    page = FOLDER / f"{EXPLANATIONS[kind].page}.md"
    assert kind.value in page.read_text(encoding="utf-8")


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_every_link_of_the_help_leads_somewhere(path: Path) -> None:
    title, text = rendered(path)
    assert title
    for page, anchor in re.findall(r'href="(?:/help/([A-Za-z-]+))?(?:#([^"]*))?"', text):
        target = FOLDER / f"{page}.md" if page else path
        assert target in PAGES
        if anchor:
            assert f'id="{anchor}"' in rendered(target)[1]
    assert not re.search(r'href="(?!/help/|#)', text)
