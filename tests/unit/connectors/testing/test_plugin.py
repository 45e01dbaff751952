"""What the plugin tells of cases that could not be shown."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import connectors.testing as kit
from connectors.testing import ChannelKit, ContractBroken, MarketplaceKit

pytest_plugins = ["pytester"]

LITTLE = """
from contextlib import contextmanager
from connectors.testing import ChannelKit
from tests.unit.connectors.testing.toy_channel import ToySandbox

class Little:
    '''A sandbox of an author who has just begun: nothing but what is needed.'''

    def __init__(self):
        whole = ToySandbox()
        for name in ("clock", "page_size", "missing_order", "transport", "open", "place", "committed"):
            setattr(self, name, getattr(whole, name))

class TestLittle(ChannelKit):
    not_shown = {not_shown}

    @contextmanager
    def sandbox(self):
        yield Little()
"""
CASES = ("-k", "deleted or cancelled or told_with or forged")


def run(pytester: pytest.Pytester, not_shown: object) -> pytest.RunResult:
    pytester.makepyfile(test_little=LITTLE.format(not_shown=not_shown))
    return pytester.runpytest_inprocess("-p", "no:randomly", "-p", "no:cacheprovider", "--no-header", *CASES)


def test_what_cannot_be_shown_is_told_by_name_under_what_is_missing(pytester: pytest.Pytester) -> None:
    result = run(pytester, None)

    result.stdout.fnmatch_lines(
        [
            "*not shown*",
            "test_little.py::TestLittle",
            "  the sandbox has no cancel(order_id): see CanCancel in connectors.testing:",
            "    test_a_cancelled_order_commits_nothing",
            "  the sandbox has no delete(order_id): see CanDelete in connectors.testing:",
            "    test_a_deleted_order_is_gone",
            "  the sandbox has no tell() and told(): see CanTell in connectors.testing:",
            "    test_a_forged_signature_is_refused",
            "*1 passed, * deselected, 3 not shown*",
        ]
    )
    assert result.ret == pytest.ExitCode.OK


def test_what_is_not_shown_beyond_what_is_known_fails(pytester: pytest.Pytester) -> None:
    result = run(pytester, ("CanTell", "test_a_cancelled_order_commits_nothing"))

    result.stdout.fnmatch_lines(
        ["*is not shown: the sandbox has no delete(order_id)*name CanDelete or test_a_deleted_order_is_gone in*"]
    )
    result.stdout.fnmatch_lines(["*1 failed, 1 passed, * deselected, 2 not shown*"])


def test_what_is_shown_after_all_is_to_be_taken_out(pytester: pytest.Pytester) -> None:
    result = run(pytester, ("CanTell", "CanCancel", "CanDelete", "test_an_order_is_told_with_its_units"))

    result.stdout.fnmatch_lines(["test_an_order_is_told_with_its_units is shown: take it out of `not_shown`*"])
    result.stdout.fnmatch_lines(["*1 failed, * deselected, 3 not shown*"])


def test_a_kit_without_a_sandbox_says_what_to_write() -> None:
    for role in (ChannelKit, MarketplaceKit):
        with pytest.raises(NotImplementedError, match=r"write sandbox\(\)"):
            role().sandbox()


def test_a_verdict_says_promise_sight_and_remedy() -> None:
    text = str(ContractBroken("it holds", seen="it broke", mend="glue it"))
    assert text.split("\n")[1:] == ["  promise: it holds", "  seen:    it broke", "  mend:    glue it"]


def test_everything_an_author_needs_is_exported() -> None:
    from connectors.testing import sandboxes  # noqa: PLC0415

    named = {name for name, found in vars(sandboxes).items() if name.startswith("Can") and isinstance(found, type)}
    assert named < set(kit.__all__)
    assert all(hasattr(kit, name) for name in kit.__all__)


def test_the_page_about_the_kit_lists_every_case() -> None:
    page = (Path(__file__).parents[4] / "docs" / "connectors" / "kit.md").read_text(encoding="utf-8")
    listed = re.findall(r"(?m)^\| `(test_\w+)` \|", page)
    cases = {name for role in (ChannelKit, MarketplaceKit) for name in dir(role) if name.startswith("test_")}

    assert sorted(listed) == sorted(cases)
