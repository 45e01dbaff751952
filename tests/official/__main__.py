"""`python -m tests.official`: the vendors' own clients and descriptions against the sandboxes and the connectors.

Ends with 0 when every check passes, 1 when one does not, 3 when what is needed cannot be had.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from tests.official import shopify
from tests.official.clients import drive, set_up, version
from tests.official.openapi import answered, asked, files
from tests.official.openapi.vendor import descriptions
from tests.official.results import Result

PASSED, FAILED, MISSING = 0, 1, 3
"""Exit codes."""


_set_up = cache(set_up)


@dataclass(frozen=True, slots=True)
class Outsider:
    """Something nobody here wrote."""

    name: Callable[[], str]
    """With its version."""
    check: Callable[[], Sequence[Result]]
    lacks: Callable[[], str | None] = _set_up
    """Fetches what it needs; why that cannot be had, or None."""


def _outsiders(specs: Path | None) -> Mapping[str, Outsider]:
    return {
        "elasticpath": Outsider(partial(version, "@elasticpath/js-sdk"), partial(drive, "elasticpath")),
        "elasticpath-openapi": Outsider(
            lambda: ", ".join(f"{each.repository} {each.commit[:12]}" for each in files.SOURCES),
            partial(_described, specs),
            partial(files.lacking, specs),
        ),
        "sharetribe": Outsider(partial(version, "sharetribe-flex-integration-sdk"), partial(drive, "sharetribe")),
        "shopify": Outsider(lambda: shopify.PACKAGE.replace("mcp@", "mcp "), shopify.check),
    }


def _described(specs: Path | None) -> Sequence[Result]:
    described = descriptions(specs)
    return [*asked.check(described), *answered.check(described)]


def main() -> int:
    """Check those the arguments name; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.official", description="What vendors wrote, against what we wrote."
    )
    known = _outsiders(None)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(known)} (default: all)")
    parser.add_argument("--specs", type=Path, metavar="DIR", help="Elastic Path's OpenAPI files, where they are here")
    parser.add_argument("--where-possible", action="store_true", help="end with 0 where what is needed cannot be had")
    chosen = parser.parse_args()
    if unknown := set(chosen.names) - known.keys():
        parser.error(f"there is no {', '.join(sorted(unknown))}; known are {', '.join(known)}")
    console = Console(width=None if sys.stdout.isatty() else 120, highlight=False)
    failed = passed = 0
    missing: list[str] = []
    for name, outsider in _outsiders(chosen.specs).items():
        if chosen.names and name not in chosen.names:
            continue
        reason = outsider.lacks()
        if reason is not None:
            missing.append(name)
            *details, summary = reason.splitlines()
            console.print(escape("\n".join(details)), style="dim")
            console.print(f"NOT RUN, nothing was checked: {name}: {escape(summary)}\n", style="bold red")
            continue
        results = outsider.check()
        _show(console, f"{name}: {outsider.name()}", results)
        failed += sum(not result.passed for result in results)
        passed += sum(result.passed for result in results)
    if failed:
        console.print(f"{failed} checks failed")
        return FAILED
    if missing:
        console.print(f"Not run: {', '.join(missing)}. The other {passed} checks passed", style="bold red")
        return PASSED if chosen.where_possible and not chosen.names else MISSING
    console.print("All checks passed")
    return PASSED


def _show(console: Console, title: str, results: Sequence[Result]) -> None:
    table = Table(title=escape(title), title_justify="left", show_edge=False)
    table.add_column("check", ratio=1)
    table.add_column("passed")
    for result in results:
        detail = f"\n{result.detail}" if result.detail else ""
        table.add_row(escape(result.check + detail), "yes" if result.passed else "[bold red]NO")
    console.print(table)
    console.print(f"{sum(result.passed for result in results)} of {len(results)} passed\n")


if __name__ == "__main__":
    sys.exit(main())
