"""`trueup init`: a file that is valid and holds no secret, and a database."""

from __future__ import annotations

import io
import stat
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import typer
from pydantic import BaseModel

from connectors import registry
from connectors.registry import Connector
from tests.newer import ADDS, TAKES_AWAY, newer_migrations
from tests.unit.worker.cli.conftest import Command
from worker.cli import configuration
from worker.cli.entry import app
from worker.store import Store, migrate
from worker.store.migrate import newest_revision, present_revision

ANSWERS = (
    "init",
    "--marketplace",
    "sharetribe",
    "--marketplace-option",
    "client_id=app-1",
    "--marketplace-option",
    "client_secret=env:ST_SECRET",
    "--channel",
    "acme-shop",
    "--channel-connector",
    "shopify",
    "--channel-option",
    "shop=acme.myshopify.com",
    "--channel-option",
    "access_token=env:SHOP_TOKEN",
    "--channel-option",
    "webhook_secrets=env:HOOK_1,env:HOOK_2",
    "--channel-option",
    "page_size=10",
)


@pytest.fixture
def trueup(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Command:
    """The command in an empty folder."""
    monkeypatch.chdir(tmp_path)
    return Command(tmp_path / "new.toml")


def test_flags_make_a_valid_file_and_a_database(trueup: Command, tmp_path: Path) -> None:
    ended = trueup(*ANSWERS, "--seller", "s-1", "--counted-from", "2026-11-01T00:00:00Z")

    assert ended.code == 0, ended.err
    assert "Set the variable HOOK_1" in ended.err
    written = tomllib.loads(trueup.config.read_text())
    assert written["marketplace"] == {
        "connector": "sharetribe",
        "client_id": "app-1",
        "client_secret": "env:ST_SECRET",
    }
    channel = written["channels"]["acme-shop"]
    assert (channel["seller"], channel["webhook_secrets"], channel["page_size"]) == (
        "s-1",
        ["env:HOOK_1", "env:HOOK_2"],
        10,
    )
    assert channel["counted_from"].isoformat() == "2026-11-01T00:00:00+00:00"
    store = Store(f"sqlite:///{tmp_path}/trueup.db")
    assert present_revision(store) == newest_revision()
    store.dispose()


def test_at_a_terminal_init_asks_how_mirrored_orders_are_told(tmp_path: Path) -> None:
    asked: list[str] = []

    def ask(question: str, default: str) -> str:
        asked.append(question)
        return "trueup-mirror, marketplace" if "exclude_tags" in question else default

    answers = configuration.Answers(
        marketplace="sharetribe",
        marketplace_options={"client_id": "env:ST_ID", "client_secret": "env:ST_SECRET"},
        channel="acme",
        channel_connector="shopify",
        channel_options={"shop": "acme.myshopify.com", "access_token": "env:TOKEN"},
        seller="",
        any_seller=True,
        counted_from="",
        database="sqlite:///trueup.db",
        broker="memory://",
        public_url="",
    )
    configuration.complete(answers, ask)
    assert [question for question in asked if "mirrored" in question and "exclude_" in question]
    configuration.write(answers, tmp_path / "trueup.toml")
    written = tomllib.loads((tmp_path / "trueup.toml").read_text())
    assert written["channels"]["acme"]["exclude_tags"] == ["trueup-mirror", "marketplace"]


class Terminal(io.StringIO):
    """Standard input with a person at it."""

    def isatty(self) -> bool:
        return True


def test_a_person_at_a_terminal_is_asked_for_what_is_not_given(
    trueup: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = {
        "Connector of the marketplace": "sharetribe",
        "client_id": "app-1",
        "Name of the first channel": "acme-shop",
        "The marketplace's id of its seller": "s-1",
        "shop": "acme.myshopify.com",
        "access_token": "env:SHOP_TOKEN",
    }

    def person(question: str, *, default: str, **_options: object) -> str:
        return next((answer for start, answer in said.items() if question.startswith(start)), default)

    monkeypatch.setattr(typer, "prompt", person)
    monkeypatch.setattr(sys, "stdin", Terminal())
    with pytest.raises(SystemExit) as ended:
        app(["init", "--config", str(trueup.config)], prog_name="trueup")
    assert ended.value.code == 0
    written = tomllib.loads(trueup.config.read_text())
    assert (written["marketplace"]["client_id"], written["marketplace"]["client_secret"]) == (
        "app-1",
        "env:SHARETRIBE_CLIENT_SECRET",
    )
    channel = written["channels"]["acme-shop"]
    assert (channel["connector"], channel["seller"], channel["shop"], channel["access_token"]) == (
        "shopify",
        "s-1",
        "acme.myshopify.com",
        "env:SHOP_TOKEN",
    )


def test_nobody_is_asked_where_there_is_no_terminal(trueup: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody(question: str, **_options: object) -> str:
        pytest.fail(f"asked for {question}")

    monkeypatch.setattr(typer, "prompt", nobody)
    assert trueup("init").code == 2


def test_a_new_channel_starts_in_shadow(trueup: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    trueup(*ANSWERS, "--any-seller")
    monkeypatch.setenv("HOOK_1", "one-secret")
    monkeypatch.setenv("HOOK_2", "two-secret")
    holds = trueup("holds", "list", "--json").json["holds"]
    assert [(hold["reason"], hold["subject"]) for hold in holds] == [("shadow", "acme-shop")]


def test_the_file_is_readable_for_its_owner_alone_and_holds_no_secret(trueup: Command) -> None:
    trueup(*ANSWERS, "--any-seller")
    assert stat.S_IMODE(trueup.config.stat().st_mode) == 0o600
    text = trueup.config.read_text()
    assert "st-secret" not in text
    assert "shpat_token" not in text


@pytest.mark.parametrize(
    "arguments",
    [
        ("--channel-option", "access_token=shpat_plain"),
        ("--marketplace-option", "client_secret=plain"),
        ("--database", "postgresql+psycopg://u:plain@host/db"),
        ("--broker", "redis://:plain@host"),
    ],
)
def test_a_secret_in_plain_text_is_refused_and_nothing_is_written(
    trueup: Command, tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    ended = trueup(*ANSWERS, "--any-seller", *arguments)
    assert ended.code == 2
    assert "never written into the file" in ended.err
    assert "plain" not in ended.err.replace("never", "")
    assert list(tmp_path.iterdir()) == []


def test_an_existing_file_is_not_replaced_unless_forced(trueup: Command) -> None:
    trueup.config.write_text("mine")
    ended = trueup(*ANSWERS, "--any-seller")
    assert (ended.code, trueup.config.read_text()) == (2, "mine")
    assert "--force" in ended.err
    assert trueup(*ANSWERS, "--any-seller", "--force").code == 0


def opened(*_: Any) -> Any:
    raise AssertionError("nobody opens it here")


MARKETPLACE_ONLY = Connector("market", marketplace_settings=BaseModel, open_marketplace=opened)


def test_a_connector_without_channels_is_none_for_a_channel(trueup: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(registry.BUILT_IN, "market", f"{__name__}:MARKETPLACE_ONLY")
    ended = trueup(*ANSWERS, "--any-seller", "--channel-connector", "market")
    assert ended.code == 2
    assert "The connector market offers no channel" in ended.err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "--seller ID, or --any-seller"),
        (("--any-seller", "--marketplace", "nobody"), "known are"),
        (("--any-seller", "--marketplace", "shopify"), "offers no marketplace"),
        (("--any-seller", "--channel-connector", "nobody"), "known are"),
        (("--any-seller", "--channel-option", "shop"), "is not KEY=VALUE"),
        (("--any-seller", "--channel-option", "shop=https://acme"), "channels.acme-shop.shop"),
        (("--any-seller", "--channel-option", "colour=red"), "channels.acme-shop.colour"),
        (("--any-seller", "--channel", "Not A Name"), "lower-case letters"),
        (("--any-seller", "--counted-from", "monday"), "counted_from"),
    ],
)
def test_a_wrong_answer_says_what_to_do_and_nothing_is_written(
    trueup: Command, tmp_path: Path, arguments: tuple[str, ...], said: str
) -> None:
    ended = trueup(*ANSWERS, *arguments)
    assert ended.code == 2
    assert said in ended.err
    assert list(tmp_path.iterdir()) == []


def test_migrate_only_needs_a_valid_file_and_may_be_repeated(trueup: Command) -> None:
    assert trueup("init", "--migrate-only").code == 2
    trueup(*ANSWERS, "--any-seller", "--channel-option", "webhook_secrets=env:SHOP_TOKEN")
    for _ in range(2):
        ended = trueup("init", "--migrate-only")
        assert (ended.code, ended.out.startswith("The database is ready")) == (0, True)


def test_the_second_half_of_an_upgrade_is_asked_for_separately(
    trueup: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert trueup(*ANSWERS, "--any-seller").code == 0
    monkeypatch.setenv("ST_SECRET", "s")
    monkeypatch.setenv("SHOP_TOKEN", "s")
    monkeypatch.setenv("HOOK_1", "s")
    monkeypatch.setenv("HOOK_2", "s")
    migrations, (adds, takes_away) = newer_migrations(tmp_path, ADDS, TAKES_AWAY)
    store = Store(f"sqlite:///{tmp_path}/trueup.db")
    with monkeypatch.context() as newer:
        newer.setattr(migrate, "MIGRATIONS", migrations)
        half = trueup("init", "--migrate-only")
        assert (half.code, present_revision(store)) == (0, adds), half.err
        assert "run `trueup init --migrate-only --after-deploy` once no older version runs" in half.err
        assert "--after-deploy" in trueup("doctor").out

    assert trueup("status").code == 0

    with monkeypatch.context() as newer:
        newer.setattr(migrate, "MIGRATIONS", migrations)
        whole = trueup("init", "--migrate-only", "--after-deploy")
        assert (whole.code, whole.err, present_revision(store)) == (0, "", takes_away)

    refused = trueup("status")
    assert (refused.code, "a newer version of trueup has taken" in refused.err) == (2, True)
    refused = trueup("init", "--migrate-only")
    assert (refused.code, "a newer version of trueup has taken" in refused.err) == (2, True)
    store.dispose()


def test_the_second_half_alone_is_refused(trueup: Command) -> None:
    assert trueup("init", "--after-deploy").code == 2
