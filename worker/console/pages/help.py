"""What docs/operations and docs/anomalies say, where it is needed: the same pages, served by us."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.token import Token
from markupsafe import Markup
from starlette.exceptions import HTTPException
from starlette.responses import Response

from worker.alerts import Kind, pages
from worker.console.door import Visit
from worker.console.rendering import Rendering

_INSTALLED = Path(__file__).parents[1] / "operations"
FOLDER = _INSTALLED if _INSTALLED.is_dir() else Path(__file__).parents[3] / "docs" / "operations"
"""Beside the code where trueup is installed, where it is written where it is developed."""
PAGE = re.compile(r"[A-Za-z-]+")
LINK = re.compile(r"(?:\.\./(anomalies|operations)/)?([A-Za-z-]+)\.md(#.*)?")
ANOMALIES = "anomalies"
"""The page that leads to those about the kinds."""


class HelpPages:
    """`/help/PAGE`."""

    def __init__(self, rendering: Rendering) -> None:
        self._rendering = rendering

    def show(self, visit: Visit) -> Response:
        """`GET /help/PAGE`."""
        page: str = visit.request.path_params["page"]
        path = FOLDER / f"{page}.md"
        if page == ANOMALIES or page in list(Kind):
            title, text = rendered_kind(page)
        elif PAGE.fullmatch(page) is None or not path.is_file():
            raise HTTPException(404)
        else:
            title, text = rendered(path)
        return self._rendering.page("help.html", visit, {"title": title, "text": text})


@lru_cache(maxsize=64)
def rendered(path: Path) -> tuple[str, Markup]:
    """A page's title and its HTML. What stands in it as HTML is shown as text."""
    return _rendered(path.read_text(encoding="utf-8"), "operations")


@lru_cache(maxsize=64)
def rendered_kind(name: str) -> tuple[str, Markup]:
    """The same of the page about a kind of anomaly, or of the one that leads to these."""
    return _rendered(pages.index() if name == ANOMALIES else pages.page(Kind(name)), ANOMALIES)


def _rendered(source: str, folder: str) -> tuple[str, Markup]:
    markdown = MarkdownIt("commonmark", {"html": False}).enable("table").disable("image")
    tokens = markdown.parse(source)
    title = next(tokens[at + 1].content for at, token in enumerate(tokens) if token.type == "heading_open")
    _point_within(tokens, folder)
    markdown.add_render_rule("table_open", _table_open)
    markdown.add_render_rule("table_close", _table_close)
    text = markdown.renderer.render(tokens, markdown.options, {})
    return title, Markup(text)  # noqa: S704  # nosec B704  # ours, parsed with HTML switched off


def _point_within(tokens: Sequence[Token], folder: str) -> None:
    """Headings can be pointed at; links to other pages lead there, and links to what is not served are text."""
    for at, token in enumerate(tokens):
        if token.type == "heading_open":
            token.attrSet("id", re.sub(r"[^a-z0-9-]", "", tokens[at + 1].content.lower().replace(" ", "-")))
        for part in token.children or ():
            if part.type == "link_open":
                target = str(part.attrs.get("href", ""))
                if (other := LINK.fullmatch(target)) is not None:
                    leads_to_kinds = (other[1] or folder) == ANOMALIES and other[2] == pages.INDEX
                    part.attrSet("href", f"/help/{ANOMALIES if leads_to_kinds else other[2]}{other[3] or ''}")
                elif not target.startswith("#"):
                    part.tag = "span"
                    part.attrs = {}
            elif part.type == "link_close" and _opening(token.children or (), part).tag == "span":
                part.tag = "span"


def _opening(parts: Sequence[Token], closing: Token) -> Token:
    """The beginning of a link: links do not stand within links."""
    before = parts[: next(at for at, part in enumerate(parts) if part is closing)]
    return next(part for part in reversed(before) if part.type == "link_open")


def _table_open(_renderer: Any, tokens: Sequence[Token], at: int, *_: Any) -> str:
    columns = sum(token.type == "th_open" for token in tokens[at : at + 40])
    return (
        '<div class="scroll" tabindex="0" role="group" aria-label="Table">'
        f"<table{' class=wide' if columns > 2 else ''}>"
    )


def _table_close(*_: Any) -> str:
    return "</table></div>"
