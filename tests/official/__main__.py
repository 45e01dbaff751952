"""`python -m tests.official`: the vendors' own clients and schemas against the sandboxes.

Ends with 0 when every check passes, 1 when one does not, 3 when what is needed cannot be had.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from tests.official import shopify
from tests.official.clients import drive, set_up, version
from tests.official.results import Result

PASSED, FAILED, MISSING = 0, 1, 3
"""Exit codes."""


@dataclass(frozen=True, slots=True)
class Outsider:
    """Something nobody here wrote."""

    name: Callable[[], str]
    """With its version."""
    check: Callable[[], Sequence[Result]]


OUTSIDERS: Mapping[str, Outsider] = {
    "elasticpath": Outsider(partial(version, "@elasticpath/js-sdk"), partial(drive, "elasticpath")),
    "sharetribe": Outsider(partial(version, "sharetribe-flex-integration-sdk"), partial(drive, "sharetribe")),
    "shopify": Outsider(lambda: shopify.PACKAGE.replace("mcp@", "mcp "), shopify.check),
}


def main() -> int:
    """Check those the arguments name; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.official", description="What vendors wrote, against our sandboxes."
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(OUTSIDERS)} (default: all)")
    parser.add_argument("--where-possible", action="store_true", help="end with 0 where what is needed cannot be had")
    chosen = parser.parse_args()
    if unknown := set(chosen.names) - OUTSIDERS.keys():
        parser.error(f"there is no {', '.join(sorted(unknown))}; known are {', '.join(OUTSIDERS)}")
    console = Console(width=None if sys.stdout.isatty() else 120, highlight=False)
    reason = set_up()
    if reason is not None:
        *details, summary = reason.splitlines()
        console.print(escape("\n".join(details)), style="dim")
        console.print(f"NOT RUN, nothing was checked: {escape(summary)}", style="bold red")
        return PASSED if chosen.where_possible and not chosen.names else MISSING
    failed = 0
    for name in chosen.names or OUTSIDERS:
        outsider = OUTSIDERS[name]
        results = outsider.check()
        _show(console, f"{name}: {outsider.name()}", results)
        failed += sum(not result.passed for result in results)
    console.print(f"{failed} checks failed" if failed else "All checks passed")
    return FAILED if failed else PASSED


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
