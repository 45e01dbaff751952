"""Reading a configuration: what is taken from where, and how everything wrong is said at once."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import pytest
from pydantic import BaseModel, ConfigDict, Field, SecretStr, StringConstraints, field_validator

from config.loading import ConfigurationError, find_file, load
from config.settings import Settings, Unusable
from connectors.registry import BrokenConnectorError, Connector

CANARY = "canary-7f3a9c"


class MarketOptions(BaseModel):
    """A marketplace connector's own settings."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    client_id: str = Field(description="The application's client id.")
    client_secret: SecretStr = Field(description="The application's client secret.")
    base_url: str = Field("https://market.example", description="Where to call.")


class ShopOptions(BaseModel):
    """A channel connector's own settings."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    shop: str = Field(description="The shop's domain.")
    token: SecretStr = Field(description="The access token.")
    older_tokens: tuple[SecretStr, ...] = Field((), description="Tokens that are being replaced.")
    page_size: int = Field(50, description="Orders per page.")
    apps: tuple[Annotated[str, StringConstraints(pattern="^[0-9]+$")], ...] = Field((), description="Numeric app ids.")

    @field_validator("token")
    @classmethod
    def _echoes(cls, token: SecretStr) -> SecretStr:
        if token.get_secret_value().startswith("bad-"):
            raise ValueError(f"{token.get_secret_value()} does not look like a token")
        return token


REGISTRY = {
    "market": Connector("market", marketplace_settings=MarketOptions),
    "shop": Connector("shop", channel_settings=ShopOptions),
}

MINIMAL = """
[marketplace]
connector = "market"
client_id = "abc"
client_secret = "env:MARKET_SECRET"
"""

CHANNEL = """
[channels.acme]
connector = "shop"
seller = "seller-1"
shop = "acme.example"
token = "env:ACME_TOKEN"
"""

ENVIRON = {"MARKET_SECRET": "market-" + CANARY, "ACME_TOKEN": "acme-" + CANARY}

Read = Callable[..., Settings]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    def read(text: str, environ: Mapping[str, str] | None = None) -> Settings:
        path = tmp_path / "trueup.toml"
        path.write_text(text)
        return load(path, {**ENVIRON, **(environ or {})}, REGISTRY)

    return read


@pytest.fixture
def problems(read: Read) -> Callable[..., dict[str, str]]:
    def problems(text: str, environ: Mapping[str, str] | None = None) -> dict[str, str]:
        with pytest.raises(ConfigurationError) as caught:
            read(text, environ)
        assert caught.value.exit_code == 2
        assert all(problem.remedy for problem in caught.value.problems)
        return {problem.key: f"{problem.what}. {problem.remedy}" for problem in caught.value.problems}

    return problems


# ------------------------------------------------------------------------------------------------ where values are from


def test_defaults_fill_what_is_not_said(read: Read) -> None:
    settings = read(MINIMAL)

    assert settings.database.url.get_secret_value() == "sqlite:///trueup.db"
    assert settings.broker.url.get_secret_value() == "memory://"
    assert settings.marketplace.name == "marketplace"
    assert settings.channels == {}


def test_a_connectors_own_keys_become_its_options(read: Read) -> None:
    settings = read(MINIMAL + CHANNEL)

    options = settings.channels["acme"].options
    assert isinstance(options, ShopOptions)
    assert options.shop == "acme.example"
    assert options.token.get_secret_value() == ENVIRON["ACME_TOKEN"]
    assert isinstance(settings.marketplace.options, MarketOptions)
    assert (settings.channels["acme"].name, settings.channels["acme"].seller) == ("acme", "seller-1")


def test_the_environment_is_stronger_than_the_file(read: Read) -> None:
    settings = read(
        MINIMAL + CHANNEL + "[web]\nport = 1000\nhost = '0.0.0.0'\n",
        {
            "TRUEUP_WEB__PORT": "2000",
            "TRUEUP_CHANNELS__ACME__PAGE_SIZE": "7",
            "TRUEUP_MARKETPLACE__BASE_URL": "http://127.0.0.1:1",
            "TRUEUP_ALERTS__URLS": '["json://alerts.example"]',
        },
    )

    assert (settings.web.host, settings.web.port) == ("0.0.0.0", 2000)
    assert settings.channels["acme"].options == ShopOptions(
        shop="acme.example", token=SecretStr(ENVIRON["ACME_TOKEN"]), page_size=7
    )
    assert settings.marketplace.options.model_dump()["base_url"] == "http://127.0.0.1:1"
    assert [url.get_secret_value() for url in settings.alerts.urls] == ["json://alerts.example"]


def test_the_environment_alone_is_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    settings = load(
        environ={
            "TRUEUP_MARKETPLACE__CONNECTOR": "market",
            "TRUEUP_MARKETPLACE__CLIENT_ID": "007",
            "TRUEUP_MARKETPLACE__CLIENT_SECRET": "12345678",
            "TRUEUP_CHANNELS__MY_SHOP__CONNECTOR": "shop",
            "TRUEUP_CHANNELS__MY_SHOP__ANY_SELLER": "true",
            "TRUEUP_CHANNELS__MY_SHOP__SHOP": "my.example",
            "TRUEUP_CHANNELS__MY_SHOP__TOKEN": "1e5",
        },
        registry=REGISTRY,
    )

    assert settings.marketplace.options == MarketOptions(client_id="007", client_secret=SecretStr("12345678"))
    assert list(settings.channels) == ["my-shop"]
    assert settings.channels["my-shop"].options.model_dump()["token"] == SecretStr("1e5")


def test_a_file_reference_is_relative_to_the_configuration(read: Read, tmp_path: Path) -> None:
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "market").write_text("from-a-file\n")

    settings = read(MINIMAL.replace("env:MARKET_SECRET", "file:secrets/market"))

    assert settings.marketplace.options == MarketOptions(client_id="abc", client_secret=SecretStr("from-a-file"))


def test_a_reference_may_stand_for_any_text(read: Read) -> None:
    settings = read(MINIMAL.replace('"abc"', '"env:MARKET_ID"'), {"MARKET_ID": "from-the-environment"})

    assert settings.marketplace.options.model_dump()["client_id"] == "from-the-environment"


def test_references_within_a_list(read: Read) -> None:
    settings = read(
        MINIMAL + "[alerts]\nurls = ['env:CHAT', 'env:MAIL']\n", {"CHAT": "slack://a", "MAIL": "mailto://b"}
    )

    assert [url.get_secret_value() for url in settings.alerts.urls] == ["slack://a", "mailto://b"]


def test_a_channel_polls_as_scheduled_unless_it_says_otherwise(read: Read) -> None:
    scheduled = read(MINIMAL + CHANNEL + "[schedule]\npoll_seconds = 900\n")
    own = read(MINIMAL + CHANNEL + "poll_seconds = 30\n[schedule]\npoll_seconds = 900\n")

    assert scheduled.channels["acme"].poll_seconds == 900
    assert own.channels["acme"].poll_seconds == 30


def test_counted_from_is_held_in_utc(read: Read) -> None:
    settings = read(MINIMAL + CHANNEL + "counted_from = 2026-11-01T02:00:00+02:00\n")

    assert settings.channels["acme"].counted_from == datetime(2026, 11, 1, tzinfo=UTC)
    assert settings.channels["acme"].counted_from.tzinfo is UTC


def test_constructing_settings_reads_no_environment(monkeypatch: pytest.MonkeyPatch, read: Read) -> None:
    monkeypatch.setenv("TRUEUP_WEB__PORT", "1")

    assert read(MINIMAL).web.port == 8080


def test_shared_budgets_live_in_the_broker_when_that_is_redis(read: Read) -> None:
    def budgets(broker: str, own: str | None = None) -> str | None:
        extra = f"budgets_url = '{own}'\n" if own else ""
        url = read(MINIMAL + f"[broker]\nurl = '{broker}'\n{extra}").broker.shared_budgets_url
        return url.get_secret_value() if url else None

    assert budgets("memory://") is None
    assert budgets("redis://r/0") == "redis://r/0"
    assert budgets("amqp://q") is None
    assert budgets("amqp://q", "redis://r/1") == "redis://r/1"


# --------------------------------------------------------------------------------------------------- which file is read


def test_the_named_file_comes_before_the_variable_before_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert find_file(None, {}) is None
    (tmp_path / "trueup.toml").touch()
    assert find_file(None, {}) == Path("trueup.toml")
    assert find_file(None, {"TRUEUP_CONFIG": "/etc/a.toml"}) == Path("/etc/a.toml")
    assert find_file(Path("b.toml"), {"TRUEUP_CONFIG": "/etc/a.toml"}) == Path("b.toml")


def test_a_named_file_that_is_missing(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"nowhere\.toml: cannot be read \(No such file or directory\)"):
        load(tmp_path / "nowhere.toml", {}, REGISTRY)


def test_no_configuration_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(
        ConfigurationError, match=r"(?s)no file read.*--config or TRUEUP_CONFIG.*marketplace: is missing"
    ):
        load(environ={}, registry=REGISTRY)


def test_a_file_that_is_not_toml(problems: Callable[..., dict[str, str]]) -> None:
    (what,) = problems("[marketplace]\nconnector = market\n").values()

    assert "line 2" in what


def test_a_file_that_is_not_utf8(tmp_path: Path) -> None:
    path = tmp_path / "latin.toml"
    path.write_bytes("[marketplace]\nname = 'Müller'\n".encode("latin-1"))
    with pytest.raises(ConfigurationError, match="not UTF-8"):
        load(path, {}, REGISTRY)


# ---------------------------------------------------------------------------------------------------- what can be wrong


def test_all_problems_are_listed_at_once(problems: Callable[..., dict[str, str]]) -> None:
    found = problems(
        """
        [databse]
        [web]
        prot = 80
        port = "eighty"
        [marketplace]
        connector = "markt"
        [channels.acme]
        connector = "shop"
        counted_from = 2026-11-01
        tokn = "env:ACME_TOKEN"
        shop = 5
        [channels.Bad_Name]
        connector = "shop"
        seller = "s"
        shop = "x"
        token = "env:NOBODY"
        [policy]
        settle_after_seconds = -1
        close_scope = "some"
        lease_seconds = inf
        """
    )

    assert found.keys() == {
        "databse",
        "web.prot",
        "web.port",
        "marketplace.connector",
        "channels.acme.any_seller",
        "channels.acme.counted_from",
        "channels.acme.tokn",
        "channels.acme.token",
        "channels.acme.shop",
        "channels.Bad_Name",
        "channels.Bad_Name.token",
        "policy.settle_after_seconds",
        "policy.close_scope",
        "policy.lease_seconds",
    }
    assert found["databse"] == "is not a known setting. Did you mean database?"
    assert found["web.prot"] == "is not a known setting. Did you mean port?"
    assert (
        found["marketplace.connector"] == "'markt' is not an installed connector. Installed for a marketplace: market"
    )
    assert found["channels.acme.tokn"] == "is not a known setting. Did you mean token?"
    assert found["channels.acme.token"] == "is missing. It is: The access token"
    assert found["channels.Bad_Name.token"] == (
        "refers to the variable NOBODY, which is not set. Set NOBODY before starting"
    )
    assert "lower-case" in found["channels.Bad_Name"]
    assert "'all' or 'linked'" in found["policy.close_scope"]
    assert "offset" in found["channels.acme.counted_from"]


def test_the_text_of_the_error_is_a_list_for_people(read: Read) -> None:
    with pytest.raises(ConfigurationError) as caught:
        read(MINIMAL + "[web]\nport = []\nhots = ''\n")

    first, *lines = str(caught.value).splitlines()
    assert first.startswith("The configuration in ")
    assert first.endswith("trueup.toml has 2 problems:")
    assert [line.split(":")[0] for line in lines] == ["  - web.hots", "  - web.port"]


def test_a_secret_in_plain_text(problems: Callable[..., dict[str, str]]) -> None:
    found = problems(
        MINIMAL.replace("env:MARKET_SECRET", CANARY)
        + CHANNEL.replace("env:ACME_TOKEN", CANARY)
        + f'older_tokens = ["env:ACME_TOKEN", "{CANARY}"]\n'
        + f'[database]\nurl = "postgresql+psycopg://u:{CANARY}@h/d"\n'
        + f'[broker]\nurl = "redis://h/0?password={CANARY}"\n'
        + '[alerts]\nurls = ["json://alerts.example"]\n'
    )

    assert found.keys() == {
        "marketplace.client_secret",
        "channels.acme.token",
        "channels.acme.older_tokens.1",
        "database.url",
        "broker.url",
        "alerts.urls.0",
    }
    assert set(found.values()) == {
        "is a secret in plain text. Write env:NAME or file:PATH here, and put the secret into that variable or file"
    }


def test_an_address_without_a_password_is_no_secret(read: Read) -> None:
    settings = read(MINIMAL + '[database]\nurl = "postgresql+psycopg://host/trueup"\n[broker]\nurl = "redis://h/0"\n')

    assert settings.database.url.get_secret_value() == "postgresql+psycopg://host/trueup"


@pytest.mark.parametrize(
    ("content", "what"),
    [
        pytest.param(None, "cannot be read (No such file or directory)", id="missing"),
        pytest.param(b"  \n", "which is empty", id="empty"),
        pytest.param(b"\xff\xfe", "not UTF-8", id="binary"),
        pytest.param(b"x" * 65_537, "too large", id="large"),
    ],
)
def test_an_unreachable_file_reference(
    problems: Callable[..., dict[str, str]], tmp_path: Path, content: bytes | None, what: str
) -> None:
    if content is not None:
        (tmp_path / "secret").write_bytes(content)

    found = problems(MINIMAL.replace("env:MARKET_SECRET", "file:secret"))

    assert what in found["marketplace.client_secret"]
    assert len(found) == 1


def test_an_empty_variable_is_no_secret(problems: Callable[..., dict[str, str]]) -> None:
    assert "which is empty" in problems(MINIMAL, {"MARKET_SECRET": ""})["marketplace.client_secret"]


def test_a_connector_in_the_wrong_role(problems: Callable[..., dict[str, str]]) -> None:
    found = problems(MINIMAL.replace('"market"', '"shop"') + CHANNEL.replace('"shop"', '"market"'))

    assert found == {
        "marketplace.connector": "'shop' offers no marketplace. Installed for a marketplace: market",
        "channels.acme.connector": "'market' offers no channel. Installed for a channel: shop",
    }


def test_a_broken_connector_is_a_problem_only_where_nothing_goes_without_it(tmp_path: Path) -> None:
    class Registry(dict[str, Connector]):
        def __getitem__(self, name: str) -> Connector:
            if name == "broken":
                raise BrokenConnectorError("the connector 'broken' cannot be loaded: ImportError: no module acme")
            return super().__getitem__(name)

    registry = Registry(REGISTRY, broken=Connector("broken"))
    path = tmp_path / "trueup.toml"
    path.write_text(MINIMAL)
    assert load(path, ENVIRON, registry).marketplace.connector == "market"

    path.write_text(MINIMAL + CHANNEL.replace('"shop"', '"broken"', 1) + CHANNEL.replace("acme]", "other]"))
    channels = load(path, ENVIRON, registry).channels
    said = "the connector 'broken' cannot be loaded: ImportError: no module acme"
    assert channels["acme"].options == Unusable(reason=said)
    assert isinstance(channels["other"].options, ShopOptions)

    path.write_text(MINIMAL.replace('"market"', '"broken"'))
    with pytest.raises(ConfigurationError, match=r"marketplace\.connector: the connector 'broken' cannot be loaded"):
        load(path, ENVIRON, registry)


@pytest.mark.parametrize(
    ("text", "key"),
    [
        pytest.param("marketplace = 5", "marketplace", id="marketplace is a number"),
        pytest.param(MINIMAL + "[channels]\nacme = 'x'", "channels.acme", id="channel is text"),
        pytest.param("channels = []" + MINIMAL, "channels", id="channels is a list"),
        pytest.param("web = 'x'" + MINIMAL, "web", id="section is text"),
        pytest.param(MINIMAL.replace('"market"', "5"), "marketplace.connector", id="connector is a number"),
        pytest.param(MINIMAL + CHANNEL + "name = 'x'", "channels.acme.name", id="channel names itself"),
        pytest.param(MINIMAL + CHANNEL + "options = {}", "channels.acme.options", id="options spelt out"),
        pytest.param(MINIMAL + "[database]\nurl = 5", "database.url", id="secret is a number"),
    ],
)
def test_a_value_of_the_wrong_shape(problems: Callable[..., dict[str, str]], text: str, key: str) -> None:
    assert list(problems(text)) == [key]


@pytest.mark.parametrize(
    ("section", "text", "what"),
    [
        ("database", "url = 'mysql://h/d'", "must begin with sqlite:///"),
        ("database", "url = 'postgresql://h/d'", "must name the driver"),
        ("broker", "url = 'kafka://h'", "must begin with memory://"),
        ("broker", "budgets_url = 'amqp://h'", "must begin with redis://"),
        ("web", "public_url = 'stock.example.com'", "must begin with https://"),
        ("web", "port = 70000", "less than or equal to 65535"),
        ("log", "level = 'loud'", "'debug'"),
        ("schedule", "feed_seconds = 0", "greater than 0"),
    ],
)
def test_an_impossible_value(problems: Callable[..., dict[str, str]], section: str, text: str, what: str) -> None:
    (found,) = problems(MINIMAL + f"[{section}]\n{text}\n").values()

    assert what in found


def test_a_text_without_its_form_is_told_which_one_and_a_name_likewise(problems: Callable[..., dict[str, str]]) -> None:
    assert problems(MINIMAL + CHANNEL + "apps = ['1', 'x']\n") == {
        "channels.acme.apps.1": "does not have its form. It is: Numeric app ids"
    }
    (found,) = problems(MINIMAL + CHANNEL.replace("acme", "Acme_Shop")).values()
    assert "is not a valid name. Use lower-case letters" in found


def test_a_seller_and_any_seller_exclude_each_other(problems: Callable[..., dict[str, str]]) -> None:
    assert list(problems(MINIMAL + CHANNEL + "any_seller = true\n")) == ["channels.acme.any_seller"]


def test_a_misspelt_variable(problems: Callable[..., dict[str, str]]) -> None:
    found = problems(MINIMAL, {"TRUEUP_DATABSE__URL": "x", "TRUEUP_WEB__PROT": "1"})

    assert found["TRUEUP_DATABSE__URL"] == "is not a known variable. Did you mean TRUEUP_DATABASE__URL?"
    assert found["web.prot"] == "is not a known setting. Did you mean port?"


def test_variables_that_are_no_settings_are_left_alone(read: Read) -> None:
    read(MINIMAL, {"TRUEUP_CONFIG": "x", "TRUEUP_TEST_DATABASE_URL": "y", "PATH": "z"})


def test_malformed_json_in_a_variable(problems: Callable[..., dict[str, str]]) -> None:
    assert list(problems(MINIMAL, {"TRUEUP_ALERTS__URLS": f'["{CANARY}'})) == ["alerts.urls"]


# -------------------------------------------------------------------------------------------------------- nothing leaks


def test_no_secret_in_repr_text_or_json(read: Read) -> None:
    settings = read(
        MINIMAL + CHANNEL + '[alerts]\nurls = ["env:CHAT"]\n[database]\nurl = "env:DB"\n',
        {
            "CHAT": f"slack://{CANARY}",
            "DB": f"postgresql+psycopg://u:{CANARY}@h/d",
            "TRUEUP_BROKER__URL": f"redis://:{CANARY}@h",
        },
    )

    for shown in (repr(settings), str(settings), settings.model_dump_json(), str(settings.model_dump())):
        assert CANARY not in shown
    assert '"shop":"acme.example"' in settings.model_dump_json()


def test_the_settings_know_their_secrets_for_the_log(read: Read) -> None:
    settings = read(
        MINIMAL + CHANNEL + '[alerts]\nurls = ["env:CHAT"]\n[database]\nurl = "env:DB"\n',
        {"CHAT": "slack://abcdef", "DB": "postgresql+psycopg://u:sesame@h/d"},
    )

    assert settings.secrets() == {
        *ENVIRON.values(),
        "slack://abcdef",
        "sesame",
        "postgresql+psycopg://u:sesame@h/d",
    }


@pytest.mark.parametrize(
    ("text", "environ"),
    [
        pytest.param(MINIMAL + CHANNEL, {"ACME_TOKEN": f"bad-{CANARY}"}, id="a validator that echoes"),
        pytest.param(
            MINIMAL + CHANNEL, {"TRUEUP_CHANNELS__ACME__TOKEN": f"bad-{CANARY}"}, id="a validator that echoes, variable"
        ),
        pytest.param(MINIMAL + '[database]\nurl = "env:DB"\n', {"DB": f"mysql://u:{CANARY}@h/d"}, id="wrong scheme"),
        pytest.param(MINIMAL + CHANNEL.replace('"acme.example"', "5"), {}, id="another field is wrong"),
        pytest.param(MINIMAL + CHANNEL.replace('"env:ACME_TOKEN"', f'["{CANARY}"]'), {}, id="wrong type"),
        pytest.param(MINIMAL + CHANNEL.replace("env:ACME_TOKEN", CANARY), {}, id="plain text"),
        pytest.param(MINIMAL + f'[databse]\nurl = "{CANARY}"\n', {}, id="under a wrong key"),
        pytest.param(MINIMAL, {"TRUEUP_ALERTS__URLS": CANARY}, id="a list that is none"),
        pytest.param(MINIMAL, {"TRUEUP_DATABASE": CANARY}, id="a section that is none"),
        pytest.param(MINIMAL + f'secret = "{CANARY}', {}, id="broken TOML"),
    ],
)
def test_no_secret_in_an_error(read: Read, text: str, environ: Mapping[str, str]) -> None:
    with pytest.raises(ConfigurationError) as caught:
        read(text, environ)

    shown = "".join(traceback.format_exception(caught.value)) + repr(caught.value) + repr(caught.value.problems)
    assert CANARY not in shown.replace(__file__, "")
    assert "Traceback" not in str(caught.value)
