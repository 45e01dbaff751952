"""Whom to tell of anomalies, of which, and when."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import time
from typing import Annotated, Literal
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, ValidationInfo, field_validator

from config.section import Seconds, Section
from connectors.addresses import safe_base_url
from connectors.signing import key_of

DESTINATION_NAME = r"^[a-z][a-z0-9-]{0,62}$"
"""A letter first: destinations of `urls` are named by their place."""

_TIME = r"([01]?[0-9]|2[0-3]):([0-5][0-9])"

SeverityName = Literal["critical", "error", "warning"]


@dataclass(frozen=True, slots=True)
class QuietHours:
    """Every day from one time of day to another, over midnight where `end` is the earlier one."""

    start: time
    end: time

    def __str__(self) -> str:
        return f"{self.start:%H:%M}-{self.end:%H:%M}"

    def covers(self, moment: time) -> bool:
        """Whether this time of day is quiet; the end is not."""
        if self.start < self.end:
            return self.start <= moment < self.end
        return moment >= self.start or moment < self.end


def _quiet_hours(value: object) -> object:
    if isinstance(value, QuietHours):
        return value
    found = re.fullmatch(rf"{_TIME} ?- ?{_TIME}", value) if isinstance(value, str) else None
    if found is None:
        message = 'must be two times of day from "00:00" to "23:59", such as "22:00-07:00"'
        raise ValueError(message)
    start, end = time(int(found[1]), int(found[2])), time(int(found[3]), int(found[4]))
    if start == end:
        message = 'must be two different times of day, such as "22:00-07:00"'
        raise ValueError(message)
    return QuietHours(start, end)


def _time_of_day(value: object) -> object:
    # Pydantic itself would take 8 for eight seconds past midnight.
    if isinstance(value, time) and value.tzinfo is None:
        return value
    found = re.fullmatch(_TIME, value) if isinstance(value, str) else None
    if found is None:
        message = 'must be a time of day from "00:00" to "23:59", such as "08:00"'
        raise ValueError(message)
    return time(int(found[1]), int(found[2]))


def _time_zone(name: str) -> str:
    try:
        return ZoneInfo(name).key
    except (KeyError, ValueError, OSError) as error:
        message = "must be the name of a time zone, such as Europe/Berlin"
        raise ValueError(message) from error


def _some(severities: tuple[SeverityName, ...]) -> tuple[SeverityName, ...]:
    if not severities:
        message = "must name one at least"
        raise ValueError(message)
    return severities


TimeZone = Annotated[str, AfterValidator(_time_zone)]
Severities = Annotated[tuple[SeverityName, ...], AfterValidator(_some)]


class DestinationSettings(Section):
    """Somebody, or something, that is told of anomalies. What is absent here is as in [alerts]."""

    url: SecretStr | None = Field(None, description="one Apprise URL, as env:NAME or file:PATH; or set webhook instead")
    webhook: SecretStr | None = Field(
        None, description="an address that takes signed JSON (Standard Webhooks), as env:NAME or file:PATH"
    )
    webhook_secrets: tuple[SecretStr, ...] = Field(
        (), description="what its messages are signed with (whsec_…), several while one is replaced"
    )
    severities: Severities = Field(
        ("critical", "error", "warning"), description='a list of "critical", "error", "warning": what is told there'
    )
    kinds: tuple[str, ...] = Field((), description="the kinds of anomalies that are told there; all, when it is empty")
    except_kinds: tuple[str, ...] = Field((), description="kinds of anomalies that are not told there")
    time_zone: TimeZone | None = Field(
        None, description="the time zone of its quiet hours and digest; alerts.time_zone when absent"
    )
    quiet_hours: Annotated[QuietHours, BeforeValidator(_quiet_hours)] | None = Field(
        None, description='when nothing is told there, every day, such as "22:00-07:00"'
    )
    quiet_passes: tuple[SeverityName, ...] = Field(
        ("critical",), description="severities that are told there even then"
    )
    digest_at: Annotated[time, BeforeValidator(_time_of_day)] | None = Field(
        None, description='when digest_severities are told there, once a day, such as "08:00"'
    )
    digest_severities: Severities = Field(("warning",), description="severities that wait for digest_at")
    group_seconds: Seconds | None = Field(
        None,
        description="seconds to gather anomalies into one message; alerts.group_seconds when absent, 0 for a webhook",
    )
    remind_hours: Seconds | None = Field(
        None,
        description="hours after which an open anomaly is told again, 0 for never; alerts.remind_hours when absent",
    )

    @field_validator("webhook")
    @classmethod
    def _one_address(cls, webhook: SecretStr | None, fields: ValidationInfo) -> SecretStr | None:
        if "url" in fields.data and (fields.data["url"] is None) == (webhook is None):
            message = "set either url to an Apprise URL, or webhook to an address of your own, and not both"
            raise ValueError(message)
        if webhook is not None:
            safe_base_url(webhook.get_secret_value())
        return webhook

    @field_validator("webhook_secrets")
    @classmethod
    def _signed(cls, secrets: tuple[SecretStr, ...], fields: ValidationInfo) -> tuple[SecretStr, ...]:
        for secret in secrets:
            key_of(secret)
        if "webhook" in fields.data and (fields.data["webhook"] is not None) != bool(secrets):
            message = "must be set together with webhook: its messages are always signed, and no others are"
            raise ValueError(message)
        return secrets


class AlertSettings(Section):
    """Whom to tell."""

    urls: tuple[SecretStr, ...] = Field(
        (), description="a list of Apprise URLs that are told of everything, each as env:NAME or file:PATH"
    )
    group_seconds: Seconds = Field(60, description="seconds to gather anomalies into one message")
    remind_hours: Seconds = Field(
        24, description="hours after which an anomaly that nobody acknowledged is told again; 0 for never"
    )
    time_zone: TimeZone = Field("UTC", description="the time zone of quiet hours and digests, such as Europe/Berlin")
    destinations: dict[Annotated[str, Field(pattern=DESTINATION_NAME)], DestinationSettings] = Field(
        {}, description="a table for each destination, [alerts.destinations.NAME]"
    )

    @property
    def anybody(self) -> bool:
        """Whether there is somebody to tell."""
        return bool(self.urls or self.destinations)
