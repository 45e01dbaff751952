"""What is in force, as people read it: where each value comes from, and no secret."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from config.effective import HIDDEN, Effective, effective, without_password
from config.loading import load
from config.origins import Origin, Source
from tests.unit.config.test_loading import CANARY, CHANNEL, ENVIRON, MINIMAL, REGISTRY

DEFAULT = Origin(Source.DEFAULT)


@pytest.fixture
def shown(tmp_path: Path) -> Mapping[str, Effective]:
    """A configuration of file and variables, by dotted key."""
    path = tmp_path / "trueup.toml"
    more = '\n[channels.two]\nconnector = "shop"\nany_seller = true\nshop = "two.example"\ntoken = "file:two.token"\n'
    rest = '\npoll_seconds = 30\n[schedule]\npoll_seconds = 120\n[policy]\nclose_scope = "linked"\n'
    path.write_text(MINIMAL + more + CHANNEL + rest)
    path.with_name("two.token").write_text(f"two-{CANARY}")
    environ = {
        **ENVIRON,
        "TRUEUP_DATABASE__URL": f"postgresql+psycopg://me:{CANARY}@db.example:5432/stock?connect_timeout=5",
        "TRUEUP_POLICY__CLOSE_SCOPE": "all",
        "TRUEUP_CHANNELS__TWO__PAGE_SIZE": "20",
        "TRUEUP_ALERTS__URLS": f'["json://{CANARY}"]',
    }
    tables = effective(load(path, environ, REGISTRY))
    assert [table.name for table in tables][:3] == ["marketplace", "channels.acme", "channels.two"]
    return {f"{table.name}.{entry.key}": entry for table in tables for entry in table.settings}


@pytest.mark.parametrize(
    ("key", "value", "origin"),
    [
        ("marketplace.client_id", "abc", Origin(Source.FILE)),
        ("marketplace.client_secret", HIDDEN, Origin(Source.FILE, "env:MARKET_SECRET")),
        ("marketplace.base_url", "https://market.example", DEFAULT),
        ("channels.acme.seller", "seller-1", Origin(Source.FILE)),
        ("channels.acme.poll_seconds", "30", Origin(Source.FILE)),
        ("channels.two.poll_seconds", "120", Origin(Source.FILE, "schedule.poll_seconds")),
        ("channels.two.token", HIDDEN, Origin(Source.FILE, "file:two.token")),
        ("channels.two.page_size", "20", Origin(Source.ENVIRONMENT, "TRUEUP_CHANNELS__TWO__PAGE_SIZE")),
        ("channels.two.any_seller", "true", Origin(Source.FILE)),
        ("channels.two.counted_from", "not set", DEFAULT),
        ("policy.close_scope", "all", Origin(Source.ENVIRONMENT, "TRUEUP_POLICY__CLOSE_SCOPE")),
        ("policy.lease_seconds", "60", DEFAULT),
        ("alerts.urls", HIDDEN, Origin(Source.ENVIRONMENT, "TRUEUP_ALERTS__URLS")),
        ("console.proxies", "127.0.0.1, ::1", DEFAULT),
    ],
)
def test_each_value_says_where_it_comes_from(
    shown: Mapping[str, Effective], key: str, value: str, origin: Origin
) -> None:
    assert (shown[key].value, shown[key].origin) == (value, origin)


def test_no_secret_is_shown(shown: Mapping[str, Effective]) -> None:
    assert CANARY not in repr(shown)
    assert shown["database.url"].value == "postgresql+psycopg://me:hidden@db.example:5432/stock?connect_timeout=5"


def test_what_a_setting_means_is_said(shown: Mapping[str, Effective]) -> None:
    assert shown["channels.acme.token"].meaning == "The access token."
    assert shown["policy.raw_kept_days"].meaning.startswith("days to keep")


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("sqlite:///trueup.db", "sqlite:///trueup.db"),
        ("no address at all: a@b", "no address at all: a@b"),
        ("https://shop.example/x?page=2", "https://shop.example/x?page=2"),
        ("redis://:p%40ss@host/1", "redis://:hidden@host/1"),
        ("https://me:a@b@host/", "https://me:hidden@host/"),
        ("redis://host/1?password=x", "redis://host/1?hidden"),
        ("http://[broken", HIDDEN),
    ],
)
def test_a_password_within_an_address_is_left_out(address: str, said: str) -> None:
    assert without_password(address) == said
