"""A real browser, and a console on a small world for it to look at."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from tests.operating import PASSWORD, TOLD, Console, tell_a_story
from tests.world import World
from worker.store import Store
from worker.store.migrate import upgrade

HOME = Path(__file__).parents[2] / ".venv" / "browser"
AXE = HOME / "axe" / "axe.min.js"
WIDE, PHONE = (1440, 900), (390, 844)
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--force-color-profile=srgb"]
"""Tests run as root in containers, where Chromium's own sandbox cannot be made; it looks at pages of ours alone."""
PATIENCE_MS = 60_000
"""How long anything on a page is waited for, on a machine that does much else."""

expect.set_options(timeout=PATIENCE_MS)

Visit = Callable[..., Page]


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """One for all tests of this process."""
    chosen = os.environ.get("TRUEUP_TEST_BROWSER")
    chromium = HOME / "chromium"
    executable = Path(chosen) if chosen else chromium / "chromium"
    if not executable.exists() or not AXE.exists():
        pytest.fail("There is no browser: run `requirements/set-up-browser`, or name one with TRUEUP_TEST_BROWSER.")
    own = {} if chosen else {"LD_LIBRARY_PATH": str(chromium / "lib"), "FONTCONFIG_PATH": str(chromium)}
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(
            executable_path=executable, args=ARGUMENTS, env={**os.environ, **own}, timeout=PATIENCE_MS
        )
        yield launched
        launched.close()


def listening(folder: Path) -> Iterator[Console]:
    """Something of everything has happened."""
    store = Store(f"sqlite:///{folder / 'trueup.db'}")
    upgrade(store)
    world = World(store, alerts=TOLD)
    tell_a_story(world)
    with Console(world) as console:
        yield console
    store.dispose()


@pytest.fixture(scope="session")
def console(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Console]:
    """For looking: no test of this one changes anything."""
    yield from listening(tmp_path_factory.mktemp("console"))


@pytest.fixture
def own_console(tmp_path: Path) -> Iterator[Console]:
    """For one test alone, which may do what it likes."""
    yield from listening(tmp_path)


@pytest.fixture
def visit(browser: Browser) -> Iterator[Visit]:
    """Opens a page of a console in a browser of its own, signed in unless told otherwise."""
    opened: list[BrowserContext] = []

    def open_page(
        console: Console,
        path: str = "/",
        *,
        size: tuple[int, int] = WIDE,
        script: bool = True,
        dark: bool = False,
        name: str | None = "ada",
    ) -> Page:
        context = browser.new_context(
            base_url=console.url,
            viewport={"width": size[0], "height": size[1]},
            java_script_enabled=script,
            color_scheme="dark" if dark else "light",
            locale="en-GB",
        )
        opened.append(context)
        page = context.new_page()
        page.set_default_timeout(PATIENCE_MS)
        if name is not None:
            page.goto("/sign-in")
            page.get_by_label("Name").fill(name)
            page.get_by_label("Password").fill(PASSWORD)
            page.get_by_role("button", name="Sign in").click()
            page.wait_for_url(f"{console.url}/")
        if name is None or path != "/":
            page.goto(path)
        return page

    yield open_page
    for context in opened:
        context.close()
