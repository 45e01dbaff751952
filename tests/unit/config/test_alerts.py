"""Destinations of alerts: what is taken, and what is refused by name of its key."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping
from datetime import time
from pathlib import Path

import pytest
from pydantic import BaseModel

from config.alerts import QuietHours
from config.loading import ConfigurationError, load
from config.settings import Settings
from connectors.registry import Connector


class NoOptions(BaseModel):
    """Nothing to set."""


REGISTRY = {"market": Connector("market", marketplace_settings=NoOptions)}
CANARY = "canary-7f3a9c"
ENVIRON = {
    "URL": f"json://localhost/{CANARY}",
    "HOOK": f"https://ops.example/{CANARY}",
    "SECRET": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
}
BASE = '[marketplace]\nconnector = "market"\n[alerts.destinations.on-call]\n'
URL = 'url = "env:URL"\n'
Read = Callable[..., Settings]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    def read(text: str, environ: Mapping[str, str] | None = None) -> Settings:
        path = tmp_path / "trueup.toml"
        path.write_text(BASE + text)
        return load(path, {**ENVIRON, **(environ or {})}, REGISTRY)

    return read


def test_hours_are_times_of_day(read: Read) -> None:
    text = 'quiet_hours = "22:00 - 7:00"\ndigest_at = "8:30"\ntime_zone = "Europe/Berlin"\n'
    destination = read(URL + text).alerts.destinations["on-call"]

    assert destination.quiet_hours == QuietHours(time(22), time(7))
    assert str(destination.quiet_hours) == "22:00-07:00"
    assert destination.digest_at == time(8, 30)
    assert read(URL + "digest_at = 08:30:00\n").alerts.destinations["on-call"].digest_at == time(8, 30)
    assert tomllib.loads("at = 08:30:00") == {"at": time(8, 30)}


def test_the_environment_adds_to_a_destination_with_a_hyphen_in_its_name(read: Read) -> None:
    settings = read("quiet_hours = '22:00-07:00'\n", {"TRUEUP_ALERTS__DESTINATIONS__ON_CALL__URL": "json://localhost"})

    assert list(settings.alerts.destinations) == ["on-call"]
    assert settings.alerts.destinations["on-call"].url is not None


@pytest.mark.parametrize(
    ("text", "key", "said"),
    [
        (URL + 'severities = ["critical", "bad"]', "severities.1", "should be 'critical', 'error' or 'warning'"),
        (URL + "severities = []", "severities", "must name one at least"),
        (URL + 'quiet_passes = ["all"]', "quiet_passes.0", "should be 'critical', 'error' or 'warning'"),
        (URL + 'digest_severities = ["info"]', "digest_severities.0", "should be 'critical'"),
        (URL + 'digest_at = "24:00"', "digest_at", 'must be a time of day from "00:00" to "23:59"'),
        (URL + "digest_at = 8", "digest_at", "must be a time of day"),
        (URL + 'quiet_hours = "22-7"', "quiet_hours", "must be two times of day"),
        (URL + 'quiet_hours = "22:00-25:00"', "quiet_hours", "must be two times of day"),
        (URL + 'quiet_hours = "07:00-7:00"', "quiet_hours", "two different times"),
        (URL + 'time_zone = "Berlin"', "time_zone", "must be the name of a time zone"),
        (URL + "remind_hours = -1", "remind_hours", "greater than or equal to 0"),
        (URL + "group_seconds = 'a minute'", "group_seconds", "valid number"),
        (URL + "quiet_hour = '22:00-07:00'", "quiet_hour", "Did you mean quiet_hours?"),
        ("", "webhook", "set either url"),
        (URL + 'webhook = "env:HOOK"\nwebhook_secrets = ["env:SECRET"]', "webhook", "set either url"),
        ('webhook = "env:HOOK"', "webhook_secrets", "must be set together with webhook"),
        (URL + 'webhook_secrets = ["env:SECRET"]', "webhook_secrets", "must be set together with webhook"),
        ('webhook = "env:HOOK"\nwebhook_secrets = ["env:URL"]', "webhook_secrets", "base64 of 24 to 64 random bytes"),
        ('webhook = "env:PLAIN"\nwebhook_secrets = ["env:SECRET"]', "webhook", "must use https"),
        (f'url = "json://localhost/{CANARY}"', "url", "is a secret in plain text"),
    ],
)
def test_what_is_refused_names_its_key(read: Read, text: str, key: str, said: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        read(text + "\n", {"PLAIN": f"http://ops.example/{CANARY}"})

    (problem,) = caught.value.problems
    assert problem.key == f"alerts.destinations.on-call.{key}"
    assert said in str(problem)
    assert CANARY not in str(caught.value)


def test_the_name_is_held_to_its_form(read: Read) -> None:
    with pytest.raises(ConfigurationError) as caught:
        read(URL + '[alerts.destinations."1 (json)"]\nurl = "env:URL"\n')

    (problem,) = caught.value.problems
    assert problem.key == "alerts.destinations.1 (json)"
    assert "beginning with a letter" in problem.remedy
