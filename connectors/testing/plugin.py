"""The pytest side of the kit: cases that could not be shown are told by name at the end of the run."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Generator
from typing import Any

import pytest

from connectors.testing.verdict import ANOTHER_GUARD, NotShown

NOT_SHOWN = "not shown"
_REASON = "trueup_not_shown"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[Any]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Keep the reason with the report, which may travel from another process; hold a class to its `not_shown`."""
    report = yield
    known = getattr(getattr(item, "cls", None), "not_shown", None)
    case = getattr(item, "originalname", item.name)
    if call.excinfo is not None and isinstance(call.excinfo.value, NotShown):
        reason, lacks = call.excinfo.value.reason, call.excinfo.value.lacks
        if known is None or {case, lacks} & {*known, ANOTHER_GUARD}:
            report.user_properties.append((_REASON, reason))
        else:
            name = f"{lacks} or {case}" if lacks else case
            report.outcome = "failed"
            report.longrepr = f"{case} is not shown: {reason}. Give what is lacking, or name {name} in `not_shown`"
    elif known is not None and case in known and report.when == "call" and report.passed and not _reason(report):
        report.outcome = "failed"
        report.longrepr = f"{case} is shown: take it out of `not_shown`, so that it stays so"
    return report


def pytest_report_teststatus(report: pytest.CollectReport | pytest.TestReport) -> tuple[str, str, str] | None:
    """Count them apart from skipped tests."""
    return None if _reason(report) is None else (NOT_SHOWN, "n", "NOT SHOWN")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """List them, each connector's under the reason they share."""
    shown: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for report in terminalreporter.stats.get(NOT_SHOWN, []):
        where, _, case = report.nodeid.rpartition("::")
        shown[where][_reason(report) or ""].append(case)
    if not shown:
        return
    terminalreporter.section(NOT_SHOWN)
    for where, by_reason in sorted(shown.items()):
        terminalreporter.write_line(where)
        for reason, cases in sorted(by_reason.items()):
            terminalreporter.write_line(f"  {reason}:")
            for case in sorted(cases):
                terminalreporter.write_line(f"    {case}")


def _reason(report: pytest.CollectReport | pytest.TestReport) -> str | None:
    for name, content in getattr(report, "user_properties", ()):
        if name == _REASON:
            return str(content)
    return None
