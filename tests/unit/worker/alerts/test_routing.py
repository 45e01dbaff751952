from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest
from pydantic import SecretStr

from config.alerts import AlertSettings
from config.problems import ConfigurationError
from connectors.clock import SystemClock
from worker.alerts import Kind
from worker.alerts.routing import Destination, destinations_of
from worker.store.tables import Severity

CLOCK = SystemClock()
URL = SecretStr("json://127.0.0.1/t0ps3cret")


def named(**settings: Any) -> Destination:
    (made,) = destinations_of(AlertSettings.model_validate({"destinations": {"ops": {"url": URL, **settings}}}), CLOCK)
    return made


def test_a_destination_of_the_list_is_named_by_its_place_and_kind_and_told_of_everything() -> None:
    urls = (SecretStr("mailto://me:t0ps3cret@example.com"), SecretStr("t0ps3cret without a scheme"))
    first, second = destinations_of(AlertSettings(urls=urls, remind_hours=0, group_seconds=5), CLOCK)

    assert (first.name, second.name) == ("1 (mailto)", "2")
    assert all(first.wants(kind, severity, {}) for kind in Kind for severity in Severity)
    assert (first.times.group, first.times.remind) == (timedelta(seconds=5), None)
    assert "t0ps3cret" not in repr([first, second])


@pytest.mark.parametrize(
    ("settings", "kind", "severity", "expected"),
    [
        ({}, Kind.OVERSOLD, Severity.CRITICAL, True),
        ({"severities": ["critical"]}, Kind.OVERSOLD, Severity.CRITICAL, True),
        ({"severities": ["critical"]}, Kind.UNLINKED_SKU, Severity.WARNING, False),
        ({"kinds": ["oversold"]}, Kind.OVERSOLD, Severity.CRITICAL, True),
        ({"kinds": ["oversold"]}, Kind.ORPHAN, Severity.CRITICAL, False),
        ({"kinds": ["oversold"], "severities": ["error"]}, Kind.OVERSOLD, Severity.CRITICAL, False),
        ({"except_kinds": ["oversold"]}, Kind.OVERSOLD, Severity.CRITICAL, False),
        ({"except_kinds": ["oversold"]}, Kind.ORPHAN, Severity.CRITICAL, True),
    ],
)
def test_severities_and_kinds_decide_what_is_told(
    settings: Mapping[str, Any], kind: Kind, severity: Severity, expected: bool
) -> None:
    assert named(**settings).wants(kind, severity, {}) is expected


def test_a_kind_of_a_newer_version_is_told_where_nobody_chose_among_kinds() -> None:
    assert named().wants("from-tomorrow", Severity.ERROR, {})
    assert not named(kinds=["oversold"]).wants("from-tomorrow", Severity.ERROR, {})


def test_that_one_fails_is_told_to_all_others_and_never_to_itself() -> None:
    narrow = named(severities=["critical"], kinds=["oversold"])

    assert narrow.wants(Kind.ALERTS_NOT_TAKEN, Severity.WARNING, {"destination": "another"})
    assert not narrow.wants(Kind.ALERTS_NOT_TAKEN, Severity.WARNING, {"destination": "ops"})


def test_an_unknown_kind_is_a_problem_that_names_its_key() -> None:
    with pytest.raises(ConfigurationError) as caught:
        named(kinds=["oversold", "oversolt"], except_kinds=["nonsense"])

    first, second = map(str, caught.value.problems)
    assert first == "alerts.destinations.ops.kinds.1: 'oversolt' is no kind of anomaly. Did you mean oversold?"
    assert second.startswith("alerts.destinations.ops.except_kinds.0: 'nonsense' is no kind of anomaly. Known here: ")
    assert str(caught.value).startswith("The configuration that was read has 2 problems:")


def test_a_webhook_is_told_at_once_unless_told_otherwise() -> None:
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    hook = {"webhook": "https://ops.example/hooks", "webhook_secrets": [secret]}
    settings = AlertSettings.model_validate({"destinations": {"a": hook, "b": {**hook, "group_seconds": 7}}})

    assert [each.times.group.total_seconds() for each in destinations_of(settings, CLOCK)] == [0, 7]
    assert "ops.example" not in repr(destinations_of(settings, CLOCK))
