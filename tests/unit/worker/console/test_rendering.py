"""How values are said."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from worker.console.door import local_path, token_of
from worker.console.rendering import ago, duration, number, signed, told

NOON = datetime(2026, 11, 25, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(None, "\u2013"), (0, "0 s"), (1.44, "1.4 s"), (59, "59 s"), (60, "1 min"), (7199, "120 min"), (7200, "2 h"),
     (172_800, "2 d"), (-3, "0 s")],
)  # fmt: skip
def test_durations_are_said_in_the_largest_fitting_unit(seconds: float | None, said: str) -> None:
    assert duration(seconds) == said


def test_a_moment_is_said_by_its_distance_with_the_time_itself() -> None:
    assert ago(NOON, NOON + timedelta(minutes=3)) == (
        '<time datetime="2026-11-25T12:00:00+00:00" title="2026-11-25 12:00:00 UTC">3 min ago</time>'
    )
    assert ago(None, NOON) == "never"


def test_numbers_carry_their_signs_and_separators() -> None:
    assert [number(None), number(-1234), signed(5), signed(-5), signed(0)] == [
        "\u2013",
        "\u22121,234",
        "+5",
        "\u22125",
        "0",
    ]


def test_commands_in_sentences_are_marked_and_everything_is_escaped() -> None:
    assert told("Run `trueup <x>` & wait") == "Run <code>trueup &lt;x&gt;</code> &amp; wait"


@pytest.mark.parametrize(
    ("wanted", "led"),
    [
        ("/listing?id=a%2Fb", "/listing?id=a%2Fb"),
        ("//evil.example/", "/"),
        ("/\\evil.example/", "/"),
        ("https://evil.example/", "/"),
        ("javascript:alert(1)", "/"),
        ("", "/"),
        ("/\r\nSet-Cookie: x", "/"),
        ("/\t/evil.example", "/"),
    ],
)
def test_nobody_is_led_away(wanted: str, led: str) -> None:
    assert local_path(wanted) == led


def test_a_token_does_not_tell_its_secret() -> None:
    assert token_of("secret") == token_of("secret") != token_of("secret2")
    assert "secret" not in token_of("secret")
