"""Each kind of anomaly is explained, and every page the console's help leads to is there."""

from __future__ import annotations

import re

import pytest

from worker.alerts import Kind
from worker.alerts.explained import EXPLANATIONS, explain
from worker.console.pages.help import ANOMALIES, FOLDER, rendered, rendered_kind

HELP = {path.stem: rendered(path) for path in sorted(FOLDER.glob("*.md"))} | {
    name: rendered_kind(name) for name in (ANOMALIES, *Kind)
}


def test_every_kind_is_explained() -> None:
    assert set(EXPLANATIONS) == set(Kind)
    for told in EXPLANATIONS.values():
        assert all(text.endswith(".") for text in (told.means, told.trueup, told.you, told.ends))


def test_a_kind_of_a_newer_version_is_no_error() -> None:
    assert explain("brand-new").title == "brand-new"


@pytest.mark.parametrize("kind", list(Kind))
def test_its_page_is_there_and_names_it(kind: Kind) -> None:
    page = EXPLANATIONS[kind].page
    assert page is None or kind.value in (FOLDER / f"{page}.md").read_text(encoding="utf-8")
    title, text = rendered_kind(kind.value)
    assert title == EXPLANATIONS[kind].title
    assert kind.value in text


@pytest.mark.parametrize("name", [*HELP])
def test_every_link_of_the_help_leads_somewhere(name: str) -> None:
    title, text = HELP[name]
    assert title
    for page, anchor in re.findall(r'href="(?:/help/([A-Za-z-]+))?(?:#([^"]*))?"', text):
        target = page or name
        assert target in HELP
        if anchor:
            assert f'id="{anchor}"' in HELP[target][1]
    assert not re.search(r'href="(?!/help/|#)', text)
