"""The `trueup` command against the vendors' sandboxes, over real HTTP: from nothing to stock that is true."""

from __future__ import annotations

import json
import logging
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
import structlog
from starlette.applications import Starlette
from typer.testing import CliRunner

from connectors.clock import Clock, SystemClock
from connectors.marketplacer import sandbox as marketplacer
from connectors.sandbox.clock import OffsetClock
from connectors.sandbox.serve import serve
from connectors.sharetribe import sandbox as sharetribe
from connectors.shopify import sandbox as shopify
from connectors.standard import sandbox as standard
from connectors.woocommerce import sandbox as woocommerce
from worker.cli.entry import app

MARKETPLACES = {
    "sharetribe": {"client_id": sharetribe.Options().client_id, "client_secret": "env:ST_SECRET"},
    "marketplacer": {"api_key": "env:MP_KEY"},
}

CHANNELS = {
    "shopify": {
        "shop": "sandbox-shop.myshopify.com",
        "access_token": "env:SHOP_TOKEN",
        "webhook_secrets": "env:SHOP_SECRET",
    },
    "woocommerce": {
        "site": "https://sandbox-shop.example",
        "consumer_key": "env:WOO_KEY",
        "consumer_secret": "env:WOO_SECRET",
        "webhook_secrets": "env:SHOP_SECRET",
    },
    "sharetribe": {
        "client_id": sharetribe.Options().client_id,
        "client_secret": "env:ST_SECRET",
        "sku_key": "publicData.sku",
    },
    "standard": {
        "orders_token": "env:STANDARD_TOKEN",
        "webhook_secrets": "env:STANDARD_SECRET",
    },
    "marketplacer": {"api_key": "env:MP_KEY", "webhook_secrets": "env:MP_HOOK_SECRET", "refunded": "kept"},
}
ADDRESSES = {"standard": ("orders_url", "/orders")}
"""The setting that holds the shop's address and what follows the host, where that is not `base_url` and nothing."""


def a_marketplace(connector: str) -> Starlette:
    if connector == "marketplacer":
        return marketplacer.create_app(marketplacer.Options())
    return sharetribe.create_app(sharetribe.Options())


def a_shop(connector: str, clock: Clock) -> Starlette:
    if connector == "marketplacer":
        return marketplacer.create_app(marketplacer.Options(), clock)
    if connector == "woocommerce":
        return woocommerce.create_app(woocommerce.Options(), clock)
    if connector == "sharetribe":
        return sharetribe.create_app(sharetribe.Options(seed=1), clock)
    if connector == "standard":
        return standard.create_app(standard.Options(), clock)
    return shopify.create_app(shopify.Options(), clock)


class Setting:
    """A marketplace and a shop, an empty folder, and the command."""

    def __init__(
        self, folder: Path, connector: str, marketplace_url: str, shop_url: str, *, marketplace: str = "sharetribe"
    ) -> None:
        self.folder = folder
        self.connector = connector
        self.marketplace_connector = marketplace
        self.marketplace = httpx.Client(base_url=marketplace_url)
        self.shop = httpx.Client(base_url=shop_url)

    def close(self) -> None:
        self.marketplace.close()
        self.shop.close()

    def run(self, *arguments: str, code: int = 0, stdin: str | None = None) -> str:
        result = CliRunner().invoke(app, [*arguments, "--config", str(self.folder / "trueup.toml")], input=stdin)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        assert result.exit_code == code, result.output
        return result.stdout

    def ask(self, *arguments: str, code: int = 0) -> Any:
        return json.loads(self.run(*arguments, "--json", code=code))

    def init(self) -> None:
        setting, place = ADDRESSES.get(self.connector, ("base_url", ""))
        options = {
            "--marketplace-option": {
                **MARKETPLACES[self.marketplace_connector],
                "base_url": str(self.marketplace.base_url).rstrip("/"),
            },
            "--channel-option": {
                **CHANNELS[self.connector],
                setting: str(self.shop.base_url).rstrip("/") + place,
            },
        }
        named = [text for flag, values in options.items() for k, v in values.items() for text in (flag, f"{k}={v}")]
        self.run(
            "init",
            *(
                "--marketplace",
                self.marketplace_connector,
                "--channel",
                "acme",
                "--channel-connector",
                self.connector,
                "--any-seller",
            ),
            *("--database", f"sqlite:///{self.folder}/trueup.db"),
            *named,
        )

    def listing(self, title: str, stock: int) -> str:
        if self.marketplace_connector == "marketplacer":
            _variant(self.marketplace, title, stock)
            return title
        body = {"listings": [{"title": title, "stock": stock}]}
        made = self.marketplace.post("/_control/listings", json=body).raise_for_status().json()
        return str(made["listings"][0]["id"])

    def stock(self, listing_id: str) -> int:
        if self.marketplace_connector == "marketplacer":
            variant = self.marketplace.get(f"/_control/variants/{listing_id}").raise_for_status().json()
            return int(variant["records"][0]["count_on_hand"])
        found = self.marketplace.get(f"/_control/listings/{listing_id}").raise_for_status().json()
        return sum(adjustment["quantity"] for adjustment in found["adjustments"])

    def sell(self, **units: int) -> None:
        lines = [{"sku": sku, "quantity": quantity} for sku, quantity in units.items()]
        # The shop stamps whole seconds: an order of the second in which it was set up would seem to be older.
        self._advance_shop(1)
        if self.connector == "sharetribe":
            for sku, quantity in units.items():
                self._buy(sku, quantity)
        elif self.connector == "marketplacer":
            for sku in units:
                _variant(self.shop, sku, 99)
            lines = [{"variant": sku, "quantity": quantity} for sku, quantity in units.items()]
            self.shop.post("/_control/purchases", json={"purchases": [{"lines": lines}]}).raise_for_status()
        else:
            self.shop.post("/_control/orders", json={"orders": [{"lines": lines}]}).raise_for_status()
        # The channel reads no second before it is over.
        self._advance_shop(5)

    def _buy(self, sku: str, quantity: int) -> None:
        """A marketplace that sells: one transaction for each listing."""
        body = {"listings": [{"title": sku, "stock": 100, "public_data": {"sku": sku}}]}
        (made,) = self.shop.post("/_control/listings", json=body).raise_for_status().json()["listings"]
        order = {"listing_id": made["id"], "quantity": quantity}
        bought = self.shop.post("/_control/purchases", json=order).raise_for_status().json()
        self.shop.post(f"/_control/purchases/{bought['id']}/pay").raise_for_status()

    def _advance_shop(self, seconds: float) -> None:
        self.shop.post("/_control/clock", json={"seconds": seconds}).raise_for_status()


def _variant(site: httpx.Client, name: str, stock: int) -> None:
    variant = {"external_id": name, "records": [{"count_on_hand": stock}]}
    site.post("/_control/adverts", json={"adverts": [{"variants": [variant]}]}).raise_for_status()


@pytest.fixture
def setting(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Setting]:
    kind, connector = getattr(request, "param", ("sharetribe", "shopify"))
    monkeypatch.setenv("ST_SECRET", "sandbox-secret")
    monkeypatch.setenv("SHOP_TOKEN", "shpat_sandbox")
    monkeypatch.setenv("WOO_KEY", "ck_sandbox")
    monkeypatch.setenv("WOO_SECRET", "cs_sandbox")
    monkeypatch.setenv("SHOP_SECRET", "sandbox-secret")
    monkeypatch.setenv("STANDARD_TOKEN", "sandbox-token")
    monkeypatch.setenv("STANDARD_SECRET", standard.Options().secret.get_secret_value())
    monkeypatch.setenv("MP_KEY", "sandbox-key")
    monkeypatch.setenv("MP_HOOK_SECRET", "a-secret-of-this-channel")
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    with ExitStack() as stack:
        marketplace = stack.enter_context(serve(a_marketplace(kind)))
        clock = OffsetClock(SystemClock())
        shop = stack.enter_context(serve(a_shop(connector, clock)))
        made = Setting(tmp_path, connector, marketplace, shop, marketplace=kind)
        stack.callback(made.close)
        yield made
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(False)
    structlog.reset_defaults()


@pytest.mark.parametrize(
    "setting",
    [("sharetribe", channel) for channel in CHANNELS] + [("marketplacer", "shopify")],
    indirect=True,
    ids="-".join,
)
def test_from_nothing_to_stock_that_is_true(setting: Setting) -> None:
    mug, six = setting.listing("Mug", 10), setting.listing("Glass", 20)
    setting.init()

    assert setting.ask("doctor")["ok"]
    assert setting.ask("sweep") | {"last_swept_at": ""} == {"listings": 2, "new": 2, "last_swept_at": ""}

    setting.sell(MUG=3, SIX=2)
    assert setting.ask("poll")["channels"] == [{"channel": "acme", "at_head": True, "error": None}]
    assert setting.ask("status")["unlinked_units"] == 5

    links = f"channel,sku,listing_id,units\nacme,MUG,{mug},1\nacme,SIX,{six},6\n"
    setting.run("links", "import", "-", stdin=links)
    plan = {entry["listing_id"]: entry for entry in setting.ask("plan", "--fresh")["listings"]}
    assert {name: (entry["total"], entry["new_total"]) for name, entry in plan.items()} == {mug: (10, 7), six: (20, 8)}
    assert all(entry["held"] == "shadow: acme" and entry["fresh"] for entry in plan.values())

    setting.run("reconcile")
    assert (setting.stock(mug), setting.stock(six)) == (10, 20), "nothing is written for a channel in shadow"

    setting.run("holds", "lift", "channel", "acme")
    assert setting.ask("reconcile")["applied"] == 2
    assert (setting.stock(mug), setting.stock(six)) == (7, 8)
    assert setting.ask("plan")["listings"] == []
    setting.run("poll")
    assert setting.run("status", "--check").startswith("The stock is true.")


@pytest.mark.parametrize("setting", [("sharetribe", "sharetribe")], indirect=True)
@pytest.mark.parametrize("same", [False, True])
def test_doctor_tells_a_channel_that_is_the_marketplace_itself(setting: Setting, *, same: bool) -> None:
    if same:
        setting.shop.base_url = setting.marketplace.base_url
    setting.init()
    found = setting.ask("doctor", code=int(same))
    (apart,) = (check for check in found["checks"] if check["name"] == "apart")
    assert (apart["subject"], apart["ok"]) == ("acme", not same)
    assert ("lift no hold" in apart["remedy"]) is same


@pytest.mark.parametrize("setting", [("sharetribe", "standard")], indirect=True)
def test_sales_from_a_file_reach_the_marketplace(setting: Setting) -> None:
    mug = setting.listing("Mug", 10)
    setting.init()
    setting.run("sweep")
    setting.run("links", "import", "-", stdin=f"channel,sku,listing_id\nacme,MUG,{mug}\n")
    setting.run("holds", "lift", "channel", "acme")
    now = datetime.now(UTC).isoformat()
    sales = f"order_id,version,placed_at,sku,quantity\nT-1,1,{now},MUG,3\nT-2,1,{now},MUG,many\nT-3,1,{now},MUG,1\n"
    setting.run("import", "orders", "-", "--channel", "acme", "--dry-run", stdin=sales, code=1)
    setting.run("import", "orders", "-", "--channel", "acme", stdin=sales, code=1)
    setting.run("reconcile")
    assert setting.stock(mug) == 6
    mended = sales.replace("many", "2")
    for _ in range(2):
        setting.run("import", "orders", "-", "--channel", "acme", stdin=mended)
        setting.run("reconcile")
        assert setting.stock(mug) == 4
    setting.run("poll")
    assert setting.run("status", "--check").startswith("The stock is true.")


def test_a_correction_moves_what_was_taken(setting: Setting) -> None:
    mug, cup = setting.listing("Mug", 10), setting.listing("Cup", 10)
    setting.init()
    setting.run("sweep")
    setting.run("holds", "lift", "channel", "acme")
    setting.run("links", "import", "-", stdin=f"channel,sku,listing_id\nacme,MUG,{mug}\n")
    setting.sell(MUG=4)
    setting.run("poll")
    setting.run("reconcile")
    assert (setting.stock(mug), setting.stock(cup)) == (6, 10)

    correction = ("links", "correct", "--channel", "acme", "--sku", "MUG", "--from", mug, "--to", cup)
    assert "Repeat with --yes" in setting.run(*correction)
    setting.run(*correction, "--yes")
    setting.run("reconcile")
    assert (setting.stock(mug), setting.stock(cup)) == (10, 6)


def test_refused_credentials_hold_an_account_until_doctor_finds_it_well(
    setting: Setting, monkeypatch: pytest.MonkeyPatch
) -> None:
    setting.init()
    setting.run("sweep")
    with monkeypatch.context() as wrong:
        wrong.setenv("SHOP_TOKEN", "shpat_wrong")
        setting.run("poll", code=3)
        assert "re-authorisation" in {hold["reason"] for hold in setting.ask("holds", "list")["holds"]}
        failed = [check for check in setting.ask("doctor", code=1)["checks"] if not check["ok"]]
        assert failed
        assert all(check["remedy"] for check in failed)
    setting.run("doctor")
    assert {hold["reason"] for hold in setting.ask("holds", "list")["holds"]} == {"shadow"}
    assert "needs-reauthorisation" not in setting.ask("status")["anomalies"]
    setting.run("poll")


def test_a_database_restored_from_a_copy_is_recovered(setting: Setting) -> None:
    mug, cup = setting.listing("Mug", 20), setting.listing("Cup", 20)
    setting.init()
    setting.run("sweep")
    setting.run("links", "import", "-", stdin=f"channel,sku,listing_id\nacme,MUG,{mug}\nacme,CUP,{cup}\n")
    setting.run("holds", "lift", "channel", "acme")
    setting.sell(MUG=2)
    setting.run("poll")
    setting.run("reconcile")

    database, copy = setting.folder / "trueup.db", setting.folder / "copy.db"
    with closing(sqlite3.connect(database)) as source, closing(sqlite3.connect(copy)) as target:
        source.backup(target)
    setting.sell(MUG=3, CUP=1)
    setting.run("poll")
    assert setting.ask("reconcile")["applied"] == 2
    setting.sell(CUP=4)
    with closing(sqlite3.connect(copy)) as source, closing(sqlite3.connect(database)) as target:
        source.backup(target)

    setting.run("recover", code=1, stdin="n\n")
    assert [hold["reason"] for hold in setting.ask("holds", "list")["holds"]] == ["restored"] * 3
    found = {entry["listing_id"]: entry for entry in setting.ask("recover")["listings"]}
    assert {name: (entry["verdict"], entry["taken"], entry["due"]) for name, entry in found.items()} == {
        mug: ("booked", 3, 3),
        cup: ("booked", 1, 5),
    }
    assert setting.ask("reconcile")["applied"] == 1
    assert (setting.stock(mug), setting.stock(cup)) == (15, 15)
    assert setting.ask("anomalies", "list")["anomalies"] == []
    assert setting.ask("holds", "list")["holds"] == []


def test_recover_refuses_a_time_that_is_none(setting: Setting) -> None:
    setting.init()
    setting.run("recover", "--since", "yesterday", code=2)
    setting.run("recover", "--since", "2026-11-25T14:00", code=2)
