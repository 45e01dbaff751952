from __future__ import annotations

import io
import logging
from collections.abc import Iterator
from types import SimpleNamespace
from typing import cast

import pytest
from apprise import AppriseResult
from pydantic import SecretStr

from worker.alerts.destinations import NOT_UNDERSTOOD, Address, _opened
from worker.alerts.message import trial


@pytest.fixture
def root_log() -> Iterator[io.StringIO]:
    """What reaches the root logger's handlers, where our log is written. pytest's own capture hears more than that."""
    stream = io.StringIO()
    handler, root = logging.StreamHandler(stream), logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield stream
    root.removeHandler(handler)
    root.setLevel(level)


@pytest.mark.parametrize(
    "url", ["nonsense-t0ps3cret", "foo://t0ps3cret/x", "slack://t0ps3cret", "mailto://me:t0ps3cret@"]
)
def test_an_address_that_apprise_does_not_know_fails_without_being_named(
    url: str, capfd: pytest.CaptureFixture[str], root_log: io.StringIO
) -> None:
    address = Address(SecretStr(url))

    assert address._send(trial("chat")) == address.problem() == NOT_UNDERSTOOD
    captured = capfd.readouterr()
    for text in (root_log.getvalue(), captured.out, captured.err, address.kind, repr(address)):
        assert "t0ps3cret" not in text


def test_what_a_service_says_about_a_failure_is_kept_without_the_address() -> None:
    address = Address(SecretStr("json://me:t0ps3cret@example.com/path/t0ken-of-mine?a=b"))
    said = SimpleNamespace(message="POST http://example.com/path/t0ken-of-mine\nas me:t0ps3cret gave error=503")
    result = SimpleNamespace(logs=lambda: [said], status=None)

    assert address._reason(cast("AppriseResult", result)) == "POST http://***/***/*** as me:*** gave error=503"


def test_a_destination_does_not_lead_to_another() -> None:
    (service,) = _opened("json://me:t0ps3cret@127.0.0.1/path")
    assert service.redirects is False
