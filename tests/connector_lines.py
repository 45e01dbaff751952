"""`python -m tests.connector_lines`: how many lines of code each connector has without its sandbox, put into the docs.

Counted are the lines of Python that hold code: neither blank lines nor comments nor docstrings. The last are whatever
stands as a text by itself.
"""

from __future__ import annotations

import ast
import io
import re
import tokenize
from pathlib import Path

from connectors.registry import connectors

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "connectors.md"
HEADING = "| connector | lines of code | of which the largest modules |\n| --- | --- | --- |\n"
LARGEST = 4
_NO_CODE = {
    tokenize.COMMENT,
    tokenize.NL,
    tokenize.NEWLINE,
    tokenize.INDENT,
    tokenize.DEDENT,
    tokenize.ENDMARKER,
}


def code_lines(source: str) -> int:
    """How many lines of a module hold code."""
    held = {
        line
        for token in tokenize.generate_tokens(io.StringIO(source).readline)
        if token.type not in _NO_CODE
        for line in range(token.start[0], token.end[0] + 1)
    }
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            held -= set(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    return len(held)


def table() -> str:
    """The connectors of this repository with their lines."""
    rows = []
    for name in sorted(connectors()):
        home = ROOT / "connectors" / name
        lines = {module.name: code_lines(module.read_text(encoding="utf-8")) for module in home.glob("*.py")}
        largest = sorted(lines, key=lambda module: (-lines[module], module))[:LARGEST]
        shown = ", ".join(f"{module.removesuffix('.py')} {lines[module]}" for module in largest)
        rows.append(f"| {name} | {sum(lines.values()):,} | {shown} |\n")
    return HEADING + "".join(rows)


def renewed(page: str) -> str:
    """The page with the table as it is now."""
    found = re.compile(re.escape(HEADING) + r"(?:\|[^\n]*\n)*")
    assert found.search(page), "the page has no such table"
    return found.sub(lambda _: table(), page)


if __name__ == "__main__":
    PAGE.write_text(renewed(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
