"""The example file is the reference of all settings: it loads, it is complete, and what it says are the defaults."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from pydantic import BaseModel

import config
from config.alerts import DestinationSettings
from config.loading import load
from config.settings import ChannelSettings, MarketplaceSettings, Settings
from connectors.registry import connector

EXAMPLE = Path(config.__file__).parent / "trueup.example.toml"

ENVIRON = {
    "SHARETRIBE_CLIENT_ID": "an-id",
    "SHARETRIBE_CLIENT_SECRET": "a-secret",
    "ACME_SHOP_ACCESS_TOKEN": "a-token",
    "ACME_SHOP_WEBHOOK_SECRET": "a-webhook-secret",
}


def documented(table: str) -> set[str]:
    """The keys of one table of the example, those that are commented out included."""
    sections = re.split(r"(?m)^(?:# )?\[([a-z.-]+)\]$", EXAMPLE.read_text(encoding="utf-8"))
    text = dict(zip(sections[1::2], sections[2::2], strict=True))[table]
    return set(re.findall(r"(?m)^(?:# )?([a-z_]+) = ", text))


def expected() -> Iterator[tuple[str, set[str]]]:
    shopify, sharetribe = connector("shopify").channel_settings, connector("sharetribe").marketplace_settings
    assert shopify is not None
    assert sharetribe is not None
    yield "channels.acme-shop", {*ChannelSettings.model_fields, *shopify.model_fields} - {"name", "options"}
    yield "marketplace", {*MarketplaceSettings.model_fields, *sharetribe.model_fields} - {"options"}
    for name, field in Settings.model_fields.items():
        if name not in {"marketplace", "channels"}:
            assert isinstance(field.default, BaseModel)
            yield name, set(type(field.default).model_fields) - {"destinations"}


def test_the_example_loads() -> None:
    settings = load(EXAMPLE, ENVIRON)

    assert list(settings.channels) == ["acme-shop"]
    assert settings.marketplace.connector == "sharetribe"


def test_every_setting_is_documented_and_nothing_else() -> None:
    for table, keys in expected():
        assert documented(table) == keys, table


def test_the_destinations_that_are_commented_out_load_and_every_key_of_one_is_documented(tmp_path: Path) -> None:
    text = EXAMPLE.read_text(encoding="utf-8")
    before, tables = text.split("# [alerts.destinations.on-call]\n")
    tables, after = tables.split("\n[log]\n")
    path = tmp_path / "trueup.toml"
    spelt_out = re.sub(r"(?m)^# (?=[a-z_]+ = |\[)", "", f"# [alerts.destinations.on-call]\n{tables}")
    path.write_text(f"{before}{spelt_out}\n[log]\n{after}", encoding="utf-8")

    environ = {"ON_CALL_URL": "json://localhost", "STOCK_EVENTS_URL": "https://ops.example/hooks"}
    alerts = load(path, {**ENVIRON, **environ, "STOCK_EVENTS_SECRET": f"whsec_{'A' * 32}"}).alerts

    on_call, machine = alerts.destinations["on-call"], alerts.destinations["machine"]
    assert on_call.model_fields_set | machine.model_fields_set == set(DestinationSettings.model_fields)
    for key in ("severities", "kinds", "except_kinds", "quiet_passes", "digest_severities"):
        assert getattr(on_call, key) == DestinationSettings.model_fields[key].default, key
    assert (on_call.group_seconds, on_call.remind_hours) == (alerts.group_seconds, alerts.remind_hours)


def test_what_the_example_says_are_the_defaults() -> None:
    shown = load(EXAMPLE, ENVIRON)

    for name, field in Settings.model_fields.items():
        if name not in {"marketplace", "channels"}:
            assert getattr(shown, name) == field.default, name
    accounts: list[MarketplaceSettings | ChannelSettings] = [shown.marketplace, *shown.channels.values()]
    for model in (*accounts, *(account.options for account in accounts)):
        for name, field in type(model).model_fields.items():
            if not field.is_required() and name not in {"seller", "access_token", "webhook_secrets"}:
                assert getattr(model, name) == field.default, name


def test_every_setting_has_a_description() -> None:
    defaults = [field.default for field in Settings.model_fields.values()]
    sections: list[type[BaseModel]] = [MarketplaceSettings, ChannelSettings]
    sections += [DestinationSettings]
    sections += [type(default) for default in defaults if isinstance(default, BaseModel)]
    for section in sections:
        undescribed = {key for key, setting in section.model_fields.items() if not setting.description}
        assert undescribed <= {"name", "options"}, section
