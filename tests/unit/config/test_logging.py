"""The log: one pipeline for every line, for people or for machines, and no secret in any of them."""

from __future__ import annotations

import io
import json
import logging
import threading
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import structlog
from pydantic import SecretStr

from config.logging import (
    MOST_CHARACTERS,
    bind_correlation,
    clear_correlation,
    configure,
    correlation,
    correlation_id,
    new_correlation_id,
    redaction,
)
from config.settings import LogSettings

CANARY = "canary-7f3a9c"

Lines = Callable[[], list[dict[str, Any]]]


class Terminal(io.StringIO):
    """A stream that people look at."""

    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    # Whoever set up logging before, in a test since undone, left it believing that it still captures warnings.
    logging.captureWarnings(False)
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(False)
    structlog.reset_defaults()
    clear_correlation()


@pytest.fixture
def stream() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def lines(stream: io.StringIO) -> Lines:
    return lambda: [json.loads(line) for line in stream.getvalue().splitlines()]


def test_machines_get_one_json_object_per_line(stream: io.StringIO, lines: Lines) -> None:
    configure(LogSettings(), stream=stream)

    structlog.get_logger("worker.intake").info("order_stored", channel="acme", lines=3)

    (line,) = lines()
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "event": "order_stored",
        "channel": "acme",
        "lines": 3,
        "level": "info",
        "logger": "worker.intake",
    }


def test_people_get_columns(stream: io.StringIO) -> None:
    terminal = Terminal()
    configure(LogSettings(), stream=terminal)
    structlog.get_logger("worker").info("order_stored", channel="acme")
    configure(LogSettings(format="console"), stream=stream)
    structlog.get_logger("worker").info("order_stored", channel="acme")

    assert "order_stored" in terminal.getvalue()
    assert "\x1b[" in terminal.getvalue()
    assert "channel=acme" in stream.getvalue()
    assert "\x1b[" not in stream.getvalue()


@pytest.mark.filterwarnings("always")
def test_lines_of_libraries_take_the_same_way(stream: io.StringIO, lines: Lines) -> None:
    configure(LogSettings(), stream=stream)

    logging.getLogger("celery.worker").warning("missed %s ticks", 3, extra={"queue": "intake"})
    logging.getLogger("httpx").info("HTTP Request: GET …")
    warnings.warn_explicit("old", UserWarning, "x.py", 1)

    missed, old = lines()
    assert (missed["event"], missed["queue"], missed["level"]) == ("missed 3 ticks", "intake", "warning")
    assert (old["logger"], old["level"]) == ("py.warnings", "warning")


def test_setting_up_again_replaces_the_former(stream: io.StringIO, lines: Lines) -> None:
    before = io.StringIO()
    configure(LogSettings(), stream=before)
    configure(LogSettings(), stream=stream)

    structlog.get_logger("worker").info("once")

    assert before.getvalue() == ""
    assert len(lines()) == 1


def test_the_level_holds_for_all(stream: io.StringIO, lines: Lines) -> None:
    configure(LogSettings.model_validate({"level": "ERROR"}), stream=stream)

    structlog.get_logger("worker").warning("quiet")
    logging.getLogger("kombu").warning("quiet")
    structlog.get_logger("worker").error("loud")

    assert [line["event"] for line in lines()] == ["loud"]


# ------------------------------------------------------------------------------------------------------------ redaction


@pytest.mark.parametrize("form", ["json", "console"])
def test_no_secret_reaches_the_log(stream: io.StringIO, form: str) -> None:
    configure(LogSettings.model_validate({"format": form}), secrets=[f"known {CANARY}"], stream=stream)
    log = structlog.get_logger("worker")

    log.info("called", authorization=f"Bearer {CANARY}", headers={"Set-Cookie": CANARY, "Accept": "json"})
    log.info("called", access_token=CANARY, client_secret=CANARY, api_key=CANARY, **{"X-Shopify-Hmac-Sha256": CANARY})
    log.info("opened", url=f"postgresql+psycopg://trueup:{CANARY}@host/db", secret=SecretStr(CANARY))
    log.info("asked", path=f"/token?client_secret={CANARY}&scope=integ", seen=[f"basic {CANARY}", SecretStr(CANARY)])
    logging.getLogger("library").warning("a message with known %s", CANARY)
    logging.getLogger("library").warning("GET %s", f"redis://:{CANARY}@host")
    try:
        raise ValueError(f"refused: known {CANARY}")
    except ValueError:
        log.exception("failed")
        logging.getLogger("library").exception("failed")

    assert CANARY not in stream.getvalue()
    assert "postgresql+psycopg://trueup:***@host/db" in stream.getvalue()
    assert "scope=integ" in stream.getvalue()
    assert "Traceback" in stream.getvalue()


def test_what_is_no_secret_stays_readable() -> None:
    event = {"event": "stored", "listing": "l-1", "total": 5, "ok": True, "ids": ("a", "b"), "nothing": None}

    assert redaction(["abc"])(None, "info", dict(event)) == {**event, "ids": ["a", "b"]}


HOSTILE = "id\x1b[2J\r\n2026-01-01T00:00:00Z [error] forged\u2028\u202e\x00\x9b"


@pytest.mark.parametrize("form", ["json", "console"])
def test_what_others_send_begins_no_line_and_moves_no_cursor(stream: io.StringIO, form: str) -> None:
    configure(LogSettings.model_validate({"format": form}), stream=stream)
    log = structlog.get_logger("worker")

    log.info("stored", delivery_id=HOSTILE, topics=[HOSTILE], seen={HOSTILE: HOSTILE}, thing=Exception(HOSTILE))
    logging.getLogger("library").warning("about %s", HOSTILE, extra={HOSTILE: 1})
    try:
        raise ValueError(HOSTILE)
    except ValueError:
        log.exception("failed")

    text = stream.getvalue()
    assert all(character.isprintable() for line in text.split("\n") for character in line)
    assert [line for line in text.split("\n") if line.startswith("2026-01-01T00:00:00Z")] == []
    assert "forged" in text
    if form == "json":
        assert len(text.splitlines()) == 3


def test_a_text_is_not_longer_than_it_may_be(stream: io.StringIO, lines: Lines) -> None:
    configure(LogSettings(), stream=stream)
    logging.getLogger("library").warning("full contents: %s", "x" * 1_000_000)
    try:
        raise ValueError("y" * 1_000_000)
    except ValueError:
        structlog.get_logger("worker").exception("failed")

    for line in lines():
        assert all(len(value) < MOST_CHARACTERS + 10 for value in line.values())


# ---------------------------------------------------------------------------------------------------------- correlation


def test_every_line_within_carries_the_correlation(stream: io.StringIO, lines: Lines) -> None:
    configure(LogSettings(), stream=stream)

    bound = bind_correlation("abc", channel="acme")
    structlog.get_logger("worker").info("ours")
    logging.getLogger("library").warning("theirs")
    clear_correlation()
    structlog.get_logger("worker").info("after")

    assert bound == "abc"
    assert [line.get("correlation_id") for line in lines()] == ["abc", "abc", None]
    assert [line.get("channel") for line in lines()] == ["acme", "acme", None]


def test_a_block_gives_back_what_was_bound_before() -> None:
    bind_correlation("outer")
    with correlation("inner", channel="acme") as inner:
        assert (inner, correlation_id()) == ("inner", "inner")
    assert correlation_id() == "outer"
    clear_correlation()
    assert correlation_id() is None


def test_fresh_ids_differ() -> None:
    assert bind_correlation() == correlation_id()
    assert new_correlation_id() != new_correlation_id()


def test_a_correlation_stays_in_its_thread() -> None:
    seen: list[str | None] = []
    bind_correlation("mine")
    other = threading.Thread(target=lambda: seen.append(correlation_id()))
    other.start()
    other.join()

    assert seen == [None]
