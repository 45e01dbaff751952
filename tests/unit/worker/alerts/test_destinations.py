from __future__ import annotations

import io
import logging
from collections.abc import Iterator
from types import SimpleNamespace
from typing import cast

import pytest
from apprise import AppriseResult
from pydantic import SecretStr

from worker.alerts.destinations import Destination, _opened
from worker.alerts.message import Message

MESSAGE = Message("trueup: 1 opened", "[error] opened: a listing is odd", None)


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
    destination = Destination(SecretStr(url), 2)

    assert destination.send(MESSAGE) == "its address is not one that Apprise understands"
    captured = capfd.readouterr()
    for text in (root_log.getvalue(), captured.out, captured.err, destination.name, repr(destination)):
        assert "t0ps3cret" not in text


def test_what_a_service_says_about_a_failure_is_kept_without_the_address() -> None:
    destination = Destination(SecretStr("json://me:t0ps3cret@example.com/path/t0ken-of-mine?a=b"), 1)
    said = SimpleNamespace(message="POST http://example.com/path/t0ken-of-mine\nas me:t0ps3cret gave error=503")
    result = SimpleNamespace(logs=lambda: [said], status=None)

    assert destination._reason(cast("AppriseResult", result)) == "POST http://***/***/*** as me:*** gave error=503"


def test_a_destination_is_named_by_its_place_and_kind() -> None:
    assert Destination(SecretStr("mailto://me:pass@example.com"), 1).name == "1 (mailto)"
    assert Destination(SecretStr("a secret without a scheme"), 3).name == "3"


def test_a_destination_does_not_lead_to_another() -> None:
    (service,) = _opened("json://me:t0ps3cret@127.0.0.1/path")
    assert service.redirects is False
