"""The files by which trueup is run as a service: no password in them, and every process watched."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
COMPOSE = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
OURS = {"migrate", "web", "worker", "beat"}


@pytest.fixture
def services() -> dict[str, dict[str, Any]]:
    services: dict[str, dict[str, Any]] = yaml.safe_load(COMPOSE)["services"]
    return services


def test_the_service_is_complete(services: dict[str, dict[str, Any]]) -> None:
    assert services.keys() == {"postgres", "redis", *OURS}


def test_every_process_that_stays_is_watched(services: dict[str, dict[str, Any]]) -> None:
    for name, service in services.items():
        assert ("healthcheck" in service) == (name != "migrate"), name


def test_what_is_ours_runs_with_no_rights_to_spare(services: dict[str, dict[str, Any]]) -> None:
    for name in OURS:
        assert services[name]["read_only"] is True, name
        assert services[name]["cap_drop"] == ["ALL"], name
        assert services[name]["security_opt"] == ["no-new-privileges:true"], name
    assert re.search(r"(?m)^USER (?!root)", (ROOT / "Dockerfile").read_text(encoding="utf-8"))


def test_passwords_come_from_the_environment_and_have_no_default() -> None:
    for line in COMPOSE.splitlines():
        if re.search(r"password(?!s)|secret|requirepass|AUTH", line, re.IGNORECASE) and not line.lstrip().startswith(
            "#"
        ):
            assert "$$REDISCLI_AUTH" in line or re.search(r"\$\{\w+:\?", line), line
    for name in re.findall(r"\$\{(\w*(?:PASSWORD|SECRET)\w*):?-", COMPOSE):
        pytest.fail(f"{name} has a default")


def test_every_variable_is_explained() -> None:
    explained = set(re.findall(r"(?m)^(\w+)=", (ROOT / ".env.example").read_text(encoding="utf-8")))

    assert set(re.findall(r"(?<!\$)\$\{(\w+)", COMPOSE)) == explained


def test_the_image_installs_by_hash() -> None:
    for line in re.findall(r"pip install[^&\n]*", (ROOT / "Dockerfile").read_text(encoding="utf-8")):
        assert "--require-hashes" in line or "--no-deps" in line, line
