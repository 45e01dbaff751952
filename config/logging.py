"""One log for our lines and everybody else's: columns for people on a terminal, one JSON object per line otherwise.

Rules for those who log: a constant event name, everything else as keywords, identifiers rather than objects. One
correlation id follows a sale from the webhook to the marketplace call: whoever starts a piece of work binds it, every
line within carries it, and whoever bound it clears it.
"""

from __future__ import annotations

import logging
import re
import sys
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TextIO

import structlog
from pydantic import SecretBytes, SecretStr
from structlog.contextvars import bind_contextvars, bound_contextvars, clear_contextvars, get_contextvars
from structlog.typing import EventDict, Processor, WrappedLogger

from config.settings import LogSettings

CORRELATION = "correlation_id"
MASK = "***"

SECRET_NAMES = re.compile(
    r"authorization|cookie|passw|secret|signature|hmac|token$|api_?key|private_?key|credential", re.IGNORECASE
)
"""Keys whose values are never written, whatever they are."""

SECRET_TEXTS: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"(?<=://)([^\s/:@]*):[^\s/@]+@"), rf"\1:{MASK}@"),
    (re.compile(r"\b(bearer|basic)\s+[\w.~+/=-]{8,}", re.IGNORECASE), rf"\1 {MASK}"),
    (
        re.compile(r"\b((?:access_|refresh_|client_)?(?:token|secret|password|key))=[^\s&\"']+", re.IGNORECASE),
        rf"\1={MASK}",
    ),
)
"""Shapes of secrets within texts, such as a password in an address, and what is written instead."""

QUIET = (
    "celery.app.trace",
    "celery.worker.strategy",
    "httpcore",
    "httpx",
    "urllib3",
    "apprise",
    "amqp",
    "kombu",
    "alembic",
    "markdown",
    "asyncio",
)
"""Libraries that tell every step at `info`; only their warnings are worth a line beside ours."""

MIN_SECRET_LENGTH = 4
"""Shorter values are not searched for: they would mask half of every line."""

MOST_CHARACTERS = 10_000
"""Of one text in a line: whoever can make us log a text must not fill the disk with it."""

TRACES = ("exception", "stack")
"""Keys whose texts have lines by right; so have their indented lines on a terminal."""


def configure(log: LogSettings, *, secrets: Iterable[str] = (), stream: TextIO | None = None) -> None:
    """Send everything this process logs, through structlog or the standard library, to `stream` (default: stderr).

    Replaces what was set up before, so it may be called again. `secrets` are values to mask wherever they turn up
    (`Settings.secrets`). Celery and uvicorn must be told not to set up logging of their own.
    """
    stream = stream or sys.stderr
    for_people = log.format == "console" or (log.format == "auto" and stream.isatty())
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
        structlog.processors.format_exc_info,
        structlog.processors.UnicodeDecoder(),
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.PositionalArgumentsFormatter(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.ExtraAdder()],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                # Last before rendering, so that texts of exceptions and of libraries pass them too.
                redaction(secrets),
                tame,
                _renderer(colours=stream.isatty()) if for_people else structlog.processors.JSONRenderer(default=str),
            ],
        )
    )
    root = logging.getLogger()
    for old in root.handlers[:]:
        if isinstance(old.formatter, structlog.stdlib.ProcessorFormatter):
            root.removeHandler(old)
    root.addHandler(handler)
    level = logging.getLevelNamesMapping()[log.level.upper()]
    root.setLevel(level)
    for name in QUIET:
        logging.getLogger(name).setLevel(max(level, logging.WARNING))
    logging.captureWarnings(True)


def _renderer(*, colours: bool) -> Processor:
    # Exceptions are text by now; the pretty formatter would print the values of local variables.
    return structlog.dev.ConsoleRenderer(colors=colours, exception_formatter=structlog.dev.plain_traceback)


def redaction(secrets: Iterable[str] = ()) -> Callable[[WrappedLogger, str, EventDict], EventDict]:
    """A structlog processor that masks secrets: by the name of a key, by the shape of a text, and by exact value."""
    known = sorted({secret for secret in secrets if len(secret) >= MIN_SECRET_LENGTH}, key=len, reverse=True)

    def clean_text(text: str) -> str:
        for secret in known:
            text = text.replace(secret, MASK)
        for pattern, instead in SECRET_TEXTS:
            text = pattern.sub(instead, text)
        return text

    def clean(value: Any) -> Any:
        match value:
            case str():
                return clean_text(value)
            case SecretStr() | SecretBytes():
                return MASK
            case bool() | int() | float() | None:
                return value
            case dict():
                return {key: MASK if _names_secret(key) else clean(item) for key, item in value.items()}
            case list() | tuple() | set() | frozenset():
                return [clean(item) for item in value]
            case _:
                return clean_text(str(value))

    def redact(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        return {key: MASK if _names_secret(key) else clean(value) for key, value in event.items()}

    return redact


def tame(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """A structlog processor: no text begins a line of its own, moves a cursor, or is longer than it may be.

    What others send us ends up in messages. Escaped as Python writes it, it is still there to be read.
    """
    return {_tame(key): _indented(value) if key in TRACES else _tame(value) for key, value in event.items()}


def _tame(value: Any) -> Any:
    match value:
        case str():
            return _plain(value if len(value) <= MOST_CHARACTERS else f"{value[:MOST_CHARACTERS]}…")
        case dict():
            return {_tame(key): _tame(item) for key, item in value.items()}
        case list():
            return [_tame(item) for item in value]
    return value


def _indented(trace: Any) -> Any:
    """A traceback whose every line but the first is indented, so that none can pass for an entry of the log."""
    if not isinstance(trace, str):
        return _tame(trace)
    if len(trace) > MOST_CHARACTERS:
        trace = f"…\n{trace[-MOST_CHARACTERS:]}"
    return "\n  ".join(_plain(line) for line in trace.split("\n"))


def _plain(text: str) -> str:
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode() for character in text
    )


def _names_secret(key: object) -> bool:
    return isinstance(key, str) and SECRET_NAMES.search(key) is not None


def new_correlation_id() -> str:
    """A fresh id for one piece of work."""
    return uuid.uuid4().hex


def bind_correlation(correlation_id: str | None = None, **context: object) -> str:
    """Give every log line of this thread the id (a fresh one by default) and the further context; returns the id.

    Undo it with `clear_correlation`, or use `correlation`, which does both.
    """
    correlation_id = correlation_id or new_correlation_id()
    bind_contextvars(**{CORRELATION: correlation_id}, **context)
    return correlation_id


def correlation_id() -> str | None:
    """The id bound in this thread, to hand on with a message; None outside any piece of work."""
    bound = get_contextvars().get(CORRELATION)
    return bound if isinstance(bound, str) else None


def clear_correlation() -> None:
    """Forget everything bound in this thread. A pooled thread that keeps it would blame the next sale."""
    clear_contextvars()


@contextmanager
def correlation(correlation_id: str | None = None, **context: object) -> Iterator[str]:
    """Bind within the block only; what was bound before is there again after it."""
    correlation_id = correlation_id or new_correlation_id()
    with bound_contextvars(**{CORRELATION: correlation_id}, **context):
        yield correlation_id
