"""What the pages claim to list is listed, and the code they show is the code that runs."""

from __future__ import annotations

import ast
import io
import re
from pathlib import Path
from tokenize import COMMENT, DEDENT, ENDMARKER, INDENT, NEWLINE, NL, generate_tokens

import pytest

from config import reference
from worker.alerts import Kind
from worker.alerts.pages import INDEX, pages

OPERATIONS = Path(__file__).parents[2] / "docs" / "operations" / "README.md"


DOCS = Path(__file__).parents[2] / "docs"


def test_the_pages_about_anomalies_are_those_that_the_code_makes() -> None:
    """Else: `python -m worker.alerts.pages docs/anomalies`."""
    written = {path.stem: path.read_text(encoding="utf-8") for path in (DOCS / "anomalies").glob("*.md")}
    assert written == pages()


def test_the_page_about_settings_is_the_one_that_the_settings_make() -> None:
    """Else: `python -m config.reference > docs/settings.md`."""
    assert (DOCS / "settings.md").read_text(encoding="utf-8") == reference.markdown()


def test_every_page_can_be_reached_from_the_first() -> None:
    reached, found = set[Path](), [DOCS / "README.md"]
    while found:
        page = found.pop()
        reached.add(page)
        links = re.findall(r"\]\(([^)#:]+\.md)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
        found += {(page.parent / link).resolve() for link in links} - reached
    decisions, examples = DOCS / "decisions", DOCS / "examples"
    pages = {page for page in DOCS.rglob("*.md") if not page.is_relative_to(decisions) and examples not in page.parents}
    assert pages - reached == set()


@pytest.mark.parametrize("kind", list(Kind))
def test_every_kind_of_anomaly_is_in_their_index(kind: Kind) -> None:
    assert f"| [`{kind.value}`]({kind.value}.md) |" in pages()[INDEX]


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


# --- the walk through a connector's code ------------------------------------------------------------------------------

WALK = DOCS / "connectors" / "writing.md"
ACORN = DOCS / "examples" / "acorn"
SHOWN = re.findall(r"(?ms)^\*([\w./]+)\*\n\n```\w+\n(.*?)^```$", WALK.read_text(encoding="utf-8"))


@pytest.mark.parametrize(("file", "code"), SHOWN, ids=[f"{file}-{place}" for place, (file, _) in enumerate(SHOWN)])
def test_the_code_that_is_shown_is_the_examples(file: str, code: str) -> None:
    assert code in (ACORN / file).read_text(encoding="utf-8")


def test_all_code_that_is_shown_says_of_which_file_it_is() -> None:
    assert WALK.read_text(encoding="utf-8").count("```python") == sum(file.endswith(".py") for file, _ in SHOWN) > 10


def test_the_example_is_as_small_as_the_page_says() -> None:
    files = [path for path in (ACORN / "trueup_acorn").glob("*.py") if path.name != "sandbox.py"]
    lines = sum(map(lines_of_code, files))
    assert "less than 300 lines of code" in " ".join(WALK.read_text(encoding="utf-8").split())
    assert 200 < lines < 300


def lines_of_code(path: Path) -> int:
    """Without empty lines, comments and docstrings."""
    text = path.read_text(encoding="utf-8")
    inert = {NL, NEWLINE, COMMENT, INDENT, DEDENT, ENDMARKER}
    tokens = [token for token in generate_tokens(io.StringIO(text).readline) if token.type not in inert]
    found = {line for token in tokens for line in range(token.start[0], token.end[0] + 1)}
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            found -= set(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    return len(found)
