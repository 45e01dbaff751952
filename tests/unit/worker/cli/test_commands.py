"""Each command on a database without vendors: what it prints, and how it exits."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import get_args

import pytest
from sqlalchemy import update

from connectors.clock import SystemClock
from connectors.contract import ListingState, StockKind
from connectors.registry import BUILT_IN
from tests.unit.worker.cli.conftest import Command
from worker.alerts import Anomalies, Finding, Kind
from worker.cli import decide
from worker.holds import Holds
from worker.store import Store
from worker.store.bulk import insert_rows
from worker.store.tables import (
    ChannelRow,
    Delivery,
    DeliveryState,
    HoldReason,
    HoldScope,
    ListingRow,
    Operation,
    OperationKind,
    OperationState,
    OrderLineRow,
    OrderRow,
    OrderState,
)

NOW = datetime.now(UTC)
GROUPS = ("links", "import", "channels", "holds", "anomalies", "alerts", "deliveries", "orders", "operations")
READS = (
    ("status",),
    ("plan",),
    ("audit", "--kept"),
    ("channels", "list"),
    ("holds", "list"),
    ("anomalies", "list"),
    ("alerts", "list"),
    ("deliveries", "list"),
    ("operations", "list"),
    ("links", "export"),
    ("links", "suggest"),
)


def add_listing(store: Store, listing_id: str = "L", total: int = 10) -> None:
    row = {
        "listing_id": listing_id,
        "seller_id": "s1",
        "title": "A mug",
        "state": ListingState.PUBLISHED,
        "stock_kind": StockKind.COUNTED,
        "first_seen_at": NOW,
        "total": total,
    }
    with store.write() as transaction:
        insert_rows(transaction, ListingRow, [row])


def add_channel(store: Store) -> None:
    row = {"name": "shop", "seller_id": "", "counted_from": NOW - timedelta(days=1), "created_at": NOW}
    with store.write() as transaction:
        insert_rows(transaction, ChannelRow, [row])


def add_order(store: Store, sku: str = "A", units: int = 2, state: OrderState = OrderState.OPEN) -> None:
    order = {
        "id": 1,
        "channel": "shop",
        "order_id": "5551234",
        "state": state,
        "revision": 1,
        "digest": "",
        "first_seen_at": NOW,
        "correlation_id": "c",
    }
    line = {
        "order_row": 1,
        "channel": "shop",
        "line_id": "1",
        "item_key": "i",
        "sku": sku,
        "committed": units,
        "first_committed": units,
        "placed_at": NOW,
        "linked": False,
    }
    with store.write() as transaction:
        insert_rows(transaction, OrderRow, [order])
        insert_rows(transaction, OrderLineRow, [line])


def add_operation(store: Store, state: OperationState = OperationState.UNKNOWN) -> None:
    row = {
        "id": 7,
        "listing_id": "L",
        "kind": OperationKind.STOCK,
        "state": state,
        "expected_total": 10,
        "new_total": 8,
        "prepared_at": NOW,
        "correlation_id": "c",
    }
    with store.write() as transaction:
        insert_rows(transaction, Operation, [row])


def add_delivery(store: Store, *, kept: bytes | None = b"{}") -> None:
    row = {
        "id": 41,
        "channel": "shop",
        "delivery_id": "d",
        "digest": "x",
        "topic": "orders/create",
        "kept": kept,
        "raw": True,
        "received_at": NOW,
        "correlation_id": "c",
        "state": DeliveryState.PARKED,
        "outcome": "not JSON",
    }
    with store.write() as transaction:
        insert_rows(transaction, Delivery, [row])


# --- for every command ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("arguments", READS)
def test_on_an_empty_database_every_look_succeeds(trueup: Command, arguments: tuple[str, ...]) -> None:
    ended = trueup(*arguments)
    assert (ended.code, ended.err) == (0, "")
    assert ended.out


@pytest.mark.parametrize("arguments", READS)
def test_json_is_one_document_and_nothing_else(trueup: Command, arguments: tuple[str, ...]) -> None:
    ended = trueup(*arguments, "--json")
    assert ended.code == 0
    assert isinstance(ended.json, dict)


@pytest.mark.parametrize("arguments", READS)
def test_a_database_without_tables_says_how_to_make_them(config: Path, arguments: tuple[str, ...]) -> None:
    ended = Command(config)(*arguments)
    assert ended.code == 2
    assert "has no tables yet. Run `trueup init --migrate-only`" in ended.err
    assert ended.out == ""


@pytest.mark.parametrize("arguments", READS)
def test_every_configuration_problem_is_listed_at_once(trueup: Command, arguments: tuple[str, ...]) -> None:
    trueup.config.write_text('[marketplace]\nconnector = "nobody"\n[web]\nport = "many"\n')
    ended = trueup(*arguments)
    assert ended.code == 2
    assert "marketplace.connector" in ended.err
    assert "web.port" in ended.err
    assert "Traceback" not in ended.err


def test_a_database_that_cannot_be_used_is_unavailable(trueup: Command, tmp_path: Path) -> None:
    text = trueup.config.read_text().replace(f"{tmp_path}/trueup.db", f"{tmp_path}/missing/trueup.db")
    trueup.config.write_text(text)
    ended = trueup("status")
    assert ended.code == 3
    assert "The database cannot be used" in ended.err


@pytest.mark.parametrize("group", GROUPS)
def test_a_group_without_a_command_shows_its_help(trueup: Command, group: str) -> None:
    ended = trueup.bare(group)
    assert ended.code == 2
    assert "Usage" in ended.out + ended.err


def test_an_unknown_command_is_a_usage_error(trueup: Command) -> None:
    assert trueup.bare("statsu").code == 2


# --- channels ---------------------------------------------------------------------------------------------------


def test_a_channel_is_paused_with_a_reason_and_resumed(trueup: Command) -> None:
    ended = trueup("channels", "pause", "shop", "--reason", "moving")
    assert "trueup channels resume shop" in ended.out
    (channel,) = trueup("channels", "list", "--json").json["channels"]
    assert (channel["name"], channel["condition"]) == ("shop", "paused")
    assert channel["why"].startswith("moving (paused by ")
    assert "1 paused" in trueup("channels", "list").out
    # Whatever registers the channels anew leaves it paused.
    trueup("channels", "resume", "nobody")
    assert trueup("channels", "list", "--wrong", "--json").json["channels"] != []
    assert trueup("channels", "resume", "shop", "--json").json == {"channel": "shop", "paused": False}
    ended = trueup("channels", "resume", "shop")
    assert (ended.code, "is not paused" in ended.err) == (1, True)


def test_what_the_configuration_pauses_the_configuration_resumes(trueup: Command) -> None:
    trueup.config.write_text(trueup.config.read_text(encoding="utf-8") + "paused = true\n", encoding="utf-8")
    ended = trueup("channels", "resume", "shop")
    assert ended.code == 1
    assert "take `paused = true` out of [channels.shop]" in ended.err


@pytest.mark.parametrize("words", [("pause", "nobody", "--reason", "moving"), ("resume", "nobody")])
def test_only_a_configured_channel_is_paused_or_resumed(trueup: Command, words: tuple[str, ...]) -> None:
    ended = trueup("channels", *words)
    assert ended.code == 2
    assert "Known are: shop" in ended.err


def test_a_pause_needs_a_reason(trueup: Command) -> None:
    ended = trueup("channels", "pause", "shop", "--reason", " ")
    assert (ended.code, "say why" in ended.err) == (2, True)


# --- holds ------------------------------------------------------------------------------------------------------


def test_a_hold_is_listed_and_lifted(trueup: Command, store: Store) -> None:
    Holds(store, SystemClock()).place(HoldReason.SHADOW, HoldScope.CHANNEL, "shop", "a new channel")
    assert trueup("holds", "list", "--json").json["holds"][0]["subject"] == "shop"
    ended = trueup("holds", "lift", "channel", "shop")
    assert (ended.code, ended.out) == (0, "Lifted 1 on channel shop. What waited is due now.\n")
    assert trueup("holds", "list").out == "Nothing is held.\n"


def test_only_the_hold_of_that_reason_is_lifted(trueup: Command, store: Store) -> None:
    holds = Holds(store, SystemClock())
    holds.place(HoldReason.SHADOW, HoldScope.CHANNEL, "shop", "a new channel")
    holds.place(HoldReason.REAUTHORISATION, HoldScope.CHANNEL, "shop", "refused")
    assert trueup("holds", "lift", "channel", "shop", "--reason", "shadow").code == 0
    assert [hold.reason.value for hold in holds.list()] == ["re-authorisation"]


def test_lifting_what_is_not_held_exits_with_1(trueup: Command) -> None:
    ended = trueup("holds", "lift", "channel", "nobody")
    assert ended.code == 1
    assert "`trueup holds list`" in ended.err


@pytest.mark.parametrize("arguments", [("shop", "x"), ("channel",), ("channel", "x", "--reason", "mood")])
def test_a_scope_or_reason_that_does_not_exist_is_a_usage_error(trueup: Command, arguments: tuple[str, ...]) -> None:
    assert trueup("holds", "lift", *arguments).code == 2


def test_the_words_of_the_command_line_are_those_of_the_tables() -> None:
    assert get_args(decide.Scope) == tuple(scope.value for scope in HoldScope)
    assert get_args(decide.Reason) == tuple(reason.value for reason in HoldReason)
    assert get_args(decide.State) == tuple(state.value for state in DeliveryState)


# --- anomalies --------------------------------------------------------------------------------------------------


def test_an_anomaly_is_listed_and_acknowledged(trueup: Command, store: Store) -> None:
    Anomalies(store, SystemClock()).open(Finding(Kind.OVERSOLD, "Listing L is oversold.", listing_id="L"))
    listed = trueup("anomalies", "list", "--json").json["anomalies"]
    assert [(entry["kind"], entry["state"]) for entry in listed] == [("oversold", "open")]
    assert trueup("anomalies", "ack", str(listed[0]["id"])).out == f"Acknowledged: {listed[0]['id']}.\n"
    assert trueup("anomalies", "list", "--json").json["anomalies"][0]["state"] == "acknowledged"


def test_acknowledging_what_is_not_open_exits_with_1(trueup: Command) -> None:
    ended = trueup("anomalies", "ack", "99")
    assert ended.code == 1
    assert "Not open: 99" in ended.err


def test_an_unknown_kind_names_the_known_ones(trueup: Command) -> None:
    ended = trueup("anomalies", "list", "--kind", "sunspots")
    assert ended.code == 2
    assert "oversold" in ended.err


def test_a_vendors_text_cannot_write_on_the_terminal(trueup: Command, store: Store) -> None:
    Anomalies(store, SystemClock()).open(Finding(Kind.OVERSOLD, "A \x1b[2J mug [red]", listing_id="L"))
    out = trueup("anomalies", "list").out
    assert "\x1b" not in out
    assert "mug [red]" in out


# --- deliveries -------------------------------------------------------------------------------------------------


def test_a_parked_delivery_is_replayed(trueup: Command, store: Store) -> None:
    add_delivery(store)
    assert trueup("deliveries", "list", "--state", "parked", "--json").json["deliveries"][0]["id"] == 41
    assert trueup("deliveries", "replay", "41").out == "To be handled anew: 41.\n"
    assert trueup("deliveries", "list", "--json").json["deliveries"][0]["state"] == "new"


def test_a_delivery_whose_body_was_dropped_cannot_be_replayed(trueup: Command, store: Store) -> None:
    add_delivery(store, kept=None)
    ended = trueup("deliveries", "replay", "41", "42")
    assert ended.code == 1
    assert "Not replayed: 41, 42" in ended.err


def test_a_parked_order_is_let_in(trueup: Command, store: Store) -> None:
    add_order(store, state=OrderState.PARKED)
    assert trueup("deliveries", "list", "--json").json["parked_orders"][0]["order_id"] == "5551234"
    assert trueup("deliveries", "replay", "--order", "shop/5551234").out == "To be handled anew: shop/5551234.\n"
    assert trueup("deliveries", "replay", "--order", "shop/5551234").code == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "Name deliveries by id"),
        (("--order", "5551234"), "is not CHANNEL/ID"),
        (("--order", "nobody/1"), "Known are: shop"),
        (("first",), "ID..."),
    ],
)
def test_a_replay_of_nothing_that_exists_says_what_to_do(
    trueup: Command, arguments: tuple[str, ...], said: str
) -> None:
    ended = trueup("deliveries", "replay", *arguments)
    assert ended.code == 2
    assert said in ended.err


# --- operations -------------------------------------------------------------------------------------------------


def test_an_unknown_operation_is_settled_by_a_person(trueup: Command, store: Store) -> None:
    add_listing(store)
    add_operation(store)
    assert trueup("operations", "list", "--json").json["operations"][0]["state"] == "unknown"
    ended = trueup("operations", "settle", "7", "absent", "--reason", "support looked", "--json")
    assert (ended.code, ended.json["operation"]["state"]) == (0, "absent")
    assert trueup("operations", "list").out == "Every write is settled.\n"
    assert "support looked" in trueup("operations", "list", "--all").out


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("8", "absent", "--reason", "x"), 1, "no operation 8"),
        (("7", "applied", "--reason", " "), 2, "--reason is empty"),
        (("7", "applied"), 2, "--reason"),
        (("7", "perhaps", "--reason", "x"), 2, "perhaps"),
    ],
)
def test_a_decision_that_is_none_says_what_to_do(
    trueup: Command, store: Store, arguments: tuple[str, ...], code: int, said: str
) -> None:
    add_listing(store)
    add_operation(store)
    ended = trueup("operations", "settle", *arguments)
    assert ended.code == code
    assert said in ended.err


def test_an_operation_that_is_being_sent_is_not_for_a_person(trueup: Command, store: Store) -> None:
    add_listing(store)
    add_operation(store, OperationState.PREPARED)
    ended = trueup("operations", "settle", "7", "applied", "--reason", "x")
    assert ended.code == 1
    assert "is being sent" in ended.err


# --- links ------------------------------------------------------------------------------------------------------


def test_links_are_imported_planned_and_exported(trueup: Command, store: Store) -> None:
    add_channel(store)
    add_listing(store)
    add_order(store)
    text = "channel,sku,listing_id,units\nshop,A,L,2\n"

    dry = trueup("links", "import", "-", "--dry-run", "--json", stdin=text)
    assert (dry.code, dry.json["imported"], dry.json["due_units"]) == (0, False, 4)
    ended = trueup("links", "import", "-", stdin=text)
    assert (ended.code, ended.err) == (0, "")
    assert "1 order lines had waited; 4 units on 1 listings are due" in ended.out

    planned = trueup("plan", "--json").json["listings"]
    assert [(entry["total"], entry["new_total"], entry["step"]) for entry in planned] == [(10, 6, "write")]
    assert planned[0]["lines"][0]["order_id"] == "5551234"
    shown = trueup("plan").out
    assert "stock 10 -> 6" in shown
    assert "Nothing was sent." in shown
    assert trueup("links", "export").out.splitlines()[1].startswith("shop,A,L,2,")


def test_links_are_suggested_and_the_surest_imported(trueup: Command, store: Store) -> None:
    add_channel(store)
    add_listing(store)
    add_order(store)
    with store.write() as transaction:
        transaction.execute(update(ListingRow).values(sku="a"))

    (entry,) = trueup("links", "suggest", "--json").json["skus"]
    assert (entry["channel"], entry["sku"], entry["units"], entry["orders"]) == ("shop", "A", 2, 1)
    assert [(found["listing_id"], found["score"]) for found in entry["suggestions"]] == [("L", 95)]
    assert "differs in case" in trueup("links", "suggest").out
    assert trueup("links", "suggest", "--sku", "B", "--json").json == {"skus": []}

    none = trueup("links", "suggest", "--least", "96", "--csv").out
    surest = trueup("links", "suggest", "--csv").out
    assert (none, surest) == ("channel,sku,listing_id,units,from\n", f"{none}shop,A,L,1,\n")
    assert trueup("links", "import", "-", stdin=surest).code == 0
    assert "No sale waits for a link." in trueup("links", "suggest").out


def test_a_wrong_file_of_links_exits_with_2_and_lists_its_problems(trueup: Command, store: Store) -> None:
    add_channel(store)
    ended = trueup("links", "import", "-", "--json", stdin="channel,sku,listing_id\nshop,A,L\nnobody,B,L\n")
    assert ended.code == 2
    assert [problem["line"] for problem in ended.json["problems"]] == [2, 3, 3]
    assert "trueup sweep" in ended.err
    assert trueup("links", "export").out == "channel,sku,listing_id,units,from\n"


def test_a_file_that_cannot_be_read_is_a_usage_error(trueup: Command, tmp_path: Path) -> None:
    assert "cannot be read" in trueup("links", "import", str(tmp_path / "none.csv")).err
    (tmp_path / "latin.csv").write_bytes(b"channel,sku,listing_id\nshop,\xe9,L\n")
    ended = trueup("links", "import", str(tmp_path / "latin.csv"))
    assert ended.code == 2
    assert "not UTF-8" in ended.err


def test_a_correction_shows_its_plan_and_waits_for_yes(trueup: Command, store: Store) -> None:
    add_channel(store)
    add_listing(store)
    add_listing(store, "M")
    add_order(store)
    trueup("links", "import", "-", stdin="channel,sku,listing_id\nshop,A,L\n")
    arguments = ("links", "correct", "--channel", "shop", "--sku", "A", "--from", "L", "--to", "M")
    shown = trueup(*arguments)
    assert (shown.code, "Repeat with --yes" in shown.out) == (0, True)
    assert trueup("links", "export", "--json").json["links"][0]["listing_id"] == "L"
    done = trueup(*arguments, "--yes", "--json").json
    assert (done["done"], done["units_taken"]) == (True, 2)
    assert trueup("links", "export", "--json").json["links"][0]["listing_id"] == "M"


@pytest.mark.parametrize("since", ["monday", "2026-11-01T00:00:00"])
def test_a_correction_since_no_time_is_a_usage_error(trueup: Command, since: str) -> None:
    ended = trueup("links", "correct", "--channel", "shop", "--sku", "A", "--from", "L", "--to", "M", "--since", since)
    assert ended.code == 2
    assert "2026-11-01T00:00:00Z" in ended.err


# --- looking ----------------------------------------------------------------------------------------------------


def test_status_says_why_the_stock_is_not_known_to_be_true(trueup: Command, store: Store) -> None:
    add_listing(store)
    add_operation(store)
    add_order(store)
    found = trueup("status", "--json").json
    assert found["stock_is_true"] is False
    reasons = " / ".join(found["reasons"])
    for reason in ("1 write has an unknown outcome", "2 sold units have no link", "not read lately: feed, shop"):
        assert reason in reasons
    assert (trueup("status").code, trueup("status", "--check").code) == (0, 1)


def test_plan_of_a_channel_that_does_not_exist_names_the_known_ones(trueup: Command) -> None:
    ended = trueup("plan", "--channel", "nobody")
    assert (ended.code, "Known are: shop" in ended.err) == (2, True)


def test_doctor_names_what_failed_with_a_remedy_and_exits_with_1(trueup: Command) -> None:
    ended = trueup("doctor", "--json")
    assert ended.code == 1
    failed = [check for check in ended.json["checks"] if not check["ok"]]
    assert {check["subject"] for check in failed} == {"marketplace", "shop"}
    assert all(check["remedy"] for check in failed)
    assert [c["ok"] for c in ended.json["checks"] if c["subject"] == "database"] == [True, True, True]


def test_doctor_tells_what_a_database_without_tables_needs(config: Path) -> None:
    ended = Command(config)("doctor", "--json")
    schema = next(check for check in ended.json["checks"] if check["name"] == "schema")
    assert (schema["ok"], schema["remedy"]) == (False, "run `trueup init --migrate-only`")


# --- working ----------------------------------------------------------------------------------------------------


def test_a_vendor_that_does_not_answer_is_unavailable(trueup: Command) -> None:
    ended = trueup("sweep")
    assert ended.code == 3
    assert "trueup doctor" in ended.err
    assert "Traceback" not in ended.err


def test_a_poll_of_a_shop_that_does_not_answer_is_unavailable(trueup: Command) -> None:
    ended = trueup("poll", "--json")
    assert ended.code == 3
    assert ended.json["channels"][0]["at_head"] is False


def test_a_poll_of_a_channel_that_does_not_exist_is_a_usage_error(trueup: Command) -> None:
    assert trueup("poll", "nobody").code == 2


@pytest.mark.parametrize("command", ["worker", "beat", "web"])
def test_processes_that_share_no_broker_say_what_to_set(trueup: Command, command: str) -> None:
    ended = trueup(command)
    assert ended.code == 2
    assert "`trueup run`" in ended.err


# --- trying out -------------------------------------------------------------------------------------------------


def test_the_version(trueup: Command) -> None:
    assert trueup.bare("version", "--json").json["trueup"] == "0.1.0"
    assert trueup.bare("version").out.startswith("trueup 0.1.0")


def test_a_sandbox_of_nobody_names_the_connectors(trueup: Command) -> None:
    ended = trueup.bare("sandbox", "nobody")
    assert ended.code == 2
    assert all(name in ended.err for name in BUILT_IN)


def test_a_demo_of_a_missing_file_is_a_usage_error(trueup: Command, tmp_path: Path) -> None:
    ended = trueup.bare("demo", "--orders", str(tmp_path / "none.csv"))
    assert (ended.code, "is no file" in ended.err) == (2, True)
