"""The trace of a sale at a collector: from the shop's signed webhook to the marketplace's answer, by whichever
processes; and what becomes of the sale where no collector takes anything.
"""

from __future__ import annotations

import gzip
import json
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Status
from sqlalchemy import select

from config import loading
from connectors.contract import Hooks
from connectors.woocommerce.sandbox.payloads import BUYER
from tests.acceptance.test_secrets import listening
from tests.acceptance.test_serving import Process
from tests.integration.conftest import build_schema
from tests.servers import PostgresServer, free_port
from worker.demo.control import Control
from worker.demo.processes import ServerProcess
from worker.housekeeping import hook_address
from worker.links import Links
from worker.services import Services
from worker.store.migrate import upgrade
from worker.store.tables import Delivery

WITHIN_SECONDS = 60.0
STOPS_WITHIN_SECONDS = 25.0
"""With a collector that takes nothing. Left alone, OpenTelemetry would wait for 30."""
NEVER = str(3600 * 1000)
"""Milliseconds between two batches, where only the end of a process is left to send them."""

CLIENT_ID = "d3300000-0000-4000-8000-000000000001"
COLLECTOR_TOKEN = "canary-collector"
SECRETS = {
    "ST_SECRET": "canary-marketplace",
    "SHOP_KEY": "ck_canary",
    "SHOP_SECRET": "cs_canary",
    "SHOP_HOOKS": "canary-hooks-secret",
}
KEPT_HEADERS = ("content-type", "x-wp-total", "x-wp-totalpages")
PERSONAL = (*(BUYER[name] for name in ("last_name", "address_1", "email", "phone")), "192.0.2.7", "Please ring twice")

CONFIGURATION = """
[database]
url = "{database}"
[broker]
url = "{broker}"
[marketplace]
connector = "sharetribe"
client_id = "{client_id}"
client_secret = "env:ST_SECRET"
base_url = "{marketplace}"
[channels.corner]
connector = "woocommerce"
any_seller = true
counted_from = 2026-01-01T00:00:00Z
poll_seconds = 86400
site = "https://corner.example"
base_url = "{shop}"
consumer_key = "env:SHOP_KEY"
consumer_secret = "env:SHOP_SECRET"
webhook_secrets = ["env:SHOP_HOOKS"]
[policy]
confirm_new_channels = false
[web]
port = 0
[console]
enabled = false
[log]
level = "debug"
format = "json"
[tracing]
enabled = true
service = "stock"
"""


@dataclass(frozen=True)
class Step:
    """A span as the collector has it."""

    service: str
    name: str
    trace: str
    id: bytes
    parent: bytes
    facts: dict[str, Any]
    failed: bool


class Collector:
    """Takes traces by OTLP over HTTP."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        self.asked: set[tuple[str, str | None, str | None]] = set()
        """Paths, each with how the body was packed and what was shown to get in."""
        self.waiting = 0
        self.answers = threading.Event()
        self.answers.set()

    def answer(
        self, _method: str, path: str, headers: dict[str, str], body: bytes
    ) -> tuple[int, dict[str, str], bytes]:
        self.waiting += 1
        self.answers.wait()
        self.waiting -= 1
        given = {name.lower(): value for name, value in headers.items()}
        packed = given.get("content-encoding")
        self.asked.add((path, packed, given.get("authorization")))
        self.bodies.append(gzip.decompress(body) if packed == "gzip" else body)
        return 200, {"Content-Type": "application/x-protobuf"}, b""

    @property
    def steps(self) -> list[Step]:
        return [
            Step(
                facts_of(group.resource)["service.name"],
                span.name,
                span.trace_id.hex(),
                span.span_id,
                span.parent_span_id,
                facts_of(span),
                span.status.code == Status.STATUS_CODE_ERROR,
            )
            for body in self.bodies
            for group in ExportTraceServiceRequest.FromString(body).resource_spans
            for scope in group.scope_spans
            for span in scope.spans
        ]


def facts_of(described: Any) -> dict[str, Any]:
    return {fact.key: getattr(fact.value, fact.value.WhichOneof("value")) for fact in described.attributes}


class Wire:
    """Stands before somebody, and keeps what is sent there and how one gets in."""

    def __init__(self, url: str) -> None:
        self.shown: set[str] = set()
        self.sent = b""
        self.answered: list[str] = []
        self._client = httpx.Client(base_url=url, trust_env=False)

    def answer(self, method: str, path: str, headers: dict[str, str], body: bytes) -> tuple[int, dict[str, str], bytes]:
        given = {name.lower(): value for name, value in headers.items()}
        if "authorization" in given:
            self.shown.add(given["authorization"].rpartition(" ")[2])
        self.sent += body
        passed_on = {name: value for name, value in given.items() if name not in {"host", "connection"}}
        answer = self._client.request(method, path, headers=passed_on, content=body)
        self.answered.append(f"{method} {path}")
        said = {name: answer.headers[name] for name in KEPT_HEADERS if name in answer.headers}
        return answer.status_code, said, answer.content

    def close(self) -> None:
        self._client.close()


class Shopping:
    """A marketplace with ten mugs, a shop that sells them too, and trueup between them."""

    def __init__(self, folder: Path, running: ExitStack) -> None:
        self._folder, self._running = folder, running
        self.collector = Collector()
        self._endpoint = running.enter_context(listening(self.collector.answer))
        running.callback(self.collector.answers.set)
        self._wires: list[Wire] = []
        options = {"client_id": CLIENT_ID, "client_secret": SECRETS["ST_SECRET"]}
        self._marketplace, self._marketplace_url = self._vendor("sharetribe", options)
        self._shop, self._shop_url = self._vendor(
            "woocommerce",
            {
                "site": "https://corner.example",
                "consumer_key": SECRETS["SHOP_KEY"],
                "consumer_secret": SECRETS["SHOP_SECRET"],
                # So that a refund makes trueup ask for the order.
                "switches": {"reduced_stock_shown": False},
            },
        )
        offered = self._marketplace.post("/listings", {"listings": [{"title": "Mug", "stock": 10}]})
        self.listing_id = str(offered["listings"][0]["id"])

    def _vendor(self, name: str, options: dict[str, Any]) -> tuple[Control, str]:
        """A sandbox: its control surface, and where trueup reaches it."""
        arguments = ("connectors.sandbox", name, "--options", json.dumps(options), "--with-parent", str(os.getpid()))
        process = self._running.enter_context(ServerProcess(name, arguments, self._folder))
        url = str(process.wait_until_ready()["url"])
        return self._running.enter_context(Control(url)), self._wired(url)

    def _wired(self, url: str) -> str:
        wire = self._running.enter_context(closing(Wire(url)))
        self._wires.append(wire)
        return self._running.enter_context(listening(wire.answer))

    def configure(self, database: str, broker: str = "memory://") -> None:
        """What `trueup init`, `trueup sweep` and `trueup links import` do."""
        text = CONFIGURATION.format(
            database=database,
            broker=broker,
            client_id=CLIENT_ID,
            marketplace=self._marketplace_url,
            shop=self._shop_url,
        )
        (self._folder / "trueup.toml").write_text(text)
        with self.services() as services:
            upgrade(services.store)
            services.register_channels()
            services.sweeper.sweep()
            links = Links(services.store, services.clock, services.anomalies)
            links.import_csv(f"channel,sku,listing_id\ncorner,MUG,{self.listing_id}\n")

    def services(self) -> closing[Services]:
        return closing(Services(loading.load(self._folder / "trueup.toml", SECRETS)))

    def start(self, command: str, endpoint: str | None = None, **variables: str) -> Process:
        """`trueup COMMAND`, told of a collector as the documentation says."""
        telling = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint or self._endpoint,
            "OTEL_EXPORTER_OTLP_HEADERS": f"authorization=Bearer {COLLECTOR_TOKEN}",
        }
        process = Process(self._folder, command, **SECRETS, **telling, **variables)
        self._running.callback(process.kill)
        return process

    def subscribe(self, receiver: Process) -> None:
        """Have the shop tell it of orders; one that looks for orders itself when it starts has done so."""
        url = self._wired(receiver.until(r"Receiving on (http://\S+)\. "))
        with self.services() as services:
            channel = services.channels["corner"]
            assert isinstance(channel, Hooks)
            channel.subscribe(hook_address(url, "corner"))
        if "embedded_started" in receiver.log:
            until(lambda: any("/orders?" in path for wire in self._wires for path in wire.answered), receiver)

    def sell(self, units: int) -> Any:
        return self._shop.post("/orders", {"orders": [{"lines": [{"sku": "MUG", "quantity": units}]}]})["orders"][0]

    def refund(self, order: Any, units: int) -> None:
        lines = [{"line_id": order["lines"][0], "quantity": units}]
        self._shop.post(f"/orders/{order['id']}/refund", {"lines": lines})

    @property
    def stock(self) -> int:
        """By the marketplace's own ledger."""
        listing = self._marketplace.get(f"/listings/{self.listing_id}")
        return sum(int(adjustment["quantity"]) for adjustment in listing["adjustments"])

    def assert_discreet(self) -> None:
        """No attribute, resource or anything else that the collector got holds what is nobody's business there."""
        got = b"".join(self.collector.bodies)
        assert self.listing_id.encode() in got
        sent = b"".join(wire.sent for wire in self._wires)
        assert all(json.dumps(personal).encode() in sent for personal in PERSONAL)
        tokens = set[str]().union(*(wire.shown for wire in self._wires))
        assert len(tokens) >= 2
        for hidden in (*SECRETS.values(), *tokens, COLLECTOR_TOKEN, *PERSONAL):
            assert hidden.encode() not in got, hidden


def until(condition: Callable[[], bool], process: Process) -> None:
    deadline = time.monotonic() + WITHIN_SECONDS
    while not condition():
        assert time.monotonic() < deadline, process.log
        time.sleep(0.05)


@pytest.fixture
def shopping(tmp_path: Path) -> Iterator[Shopping]:
    with ExitStack() as running:
        yield Shopping(tmp_path, running)


SALE = {
    ("receive webhook", None),
    ("read webhook", "receive webhook"),
    ("write stock", "receive webhook"),
    ("POST sharetribe", "write stock"),
}
"""Steps, and what each is a part of."""
ASKING = {("read order", "receive webhook"), ("GET corner", "read order")}


def trace_of(steps: Sequence[Step], *, operation: int) -> str | None:
    """The trace in which this write is."""
    return next((step.trace for step in steps if step.facts.get("operation") == operation), None)


def shape_of(steps: Sequence[Step], trace: str | None) -> set[tuple[str, str | None]]:
    names = {step.id: step.name for step in steps if step.trace == trace}
    return {(step.name, names[step.parent] if step.parent else None) for step in steps if step.trace == trace}


def test_processes_tell_one_trace_of_a_sale_before_they_end(
    shopping: Shopping, postgres_server: PostgresServer, redis_url: str
) -> None:
    shopping.configure(postgres_server.fresh(build_schema), redis_url)
    web, worker = (shopping.start(name, OTEL_BSP_SCHEDULE_DELAY=NEVER) for name in ("web", "worker"))
    shopping.subscribe(web)
    shopping.sell(3)
    until(lambda: shopping.stock == 7, worker)
    assert shopping.collector.bodies == []
    for process in (web, worker):
        assert process.end() == 0, process.log
        assert "Traceback" not in process.log
    steps = shopping.collector.steps
    trace = trace_of(steps, operation=1)
    assert shape_of(steps, trace) == SALE
    assert {step.service for step in steps} == {"stock"}
    assert not any(step.failed for step in steps)
    shopping.assert_discreet()
    # By the same name the receiver logged the delivery and kept it.
    lines = [json.loads(line) for line in web.log.splitlines() if '"delivery_stored"' in line]
    assert [line["topic"] for line in lines if line["correlation_id"] == trace] == ["order.created"]
    with shopping.services() as services, services.store.read() as transaction:
        kept = transaction.execute(select(Delivery.topic).where(Delivery.correlation_id == trace)).all()
    assert [row.topic for row in kept] == ["order.created"]


def test_a_running_process_tells_which_order_it_read_and_ends_though_its_collector_hangs(
    shopping: Shopping, tmp_path: Path
) -> None:
    shopping.configure(f"sqlite:///{tmp_path}/trueup.db")
    patient = {"OTEL_EXPORTER_OTLP_COMPRESSION": "gzip", "OTEL_EXPORTER_OTLP_TIMEOUT": "600"}
    process = shopping.start("run", OTEL_BSP_SCHEDULE_DELAY="500", **patient)
    shopping.subscribe(process)
    order = shopping.sell(3)
    until(lambda: shopping.stock == 7, process)
    shopping.refund(order, 1)

    def told() -> set[tuple[str, str | None]]:
        steps = shopping.collector.steps
        return shape_of(steps, trace_of(steps, operation=2))

    until(lambda: shopping.stock == 8, process)
    # In batches: a part of a trace can come before what it is a part of.
    until(lambda: told() == SALE | ASKING, process)
    shopping.assert_discreet()
    assert shopping.collector.asked == {("/v1/traces", "gzip", f"Bearer {COLLECTOR_TOKEN}")}

    shopping.collector.answers.clear()
    shopping.sell(1)
    until(lambda: shopping.stock == 7, process)
    until(lambda: shopping.collector.waiting > 0, process)
    assert process.end(STOPS_WITHIN_SECONDS) == 0, process.log


def test_a_sale_is_taken_where_there_is_no_collector(shopping: Shopping, tmp_path: Path) -> None:
    shopping.configure(f"sqlite:///{tmp_path}/trueup.db")
    process = shopping.start("run", f"http://127.0.0.1:{free_port()}", OTEL_BSP_SCHEDULE_DELAY="100")
    shopping.subscribe(process)
    shopping.sell(3)
    until(lambda: shopping.stock == 7, process)
    process.until("exporting spans batch")
    assert process.end(STOPS_WITHIN_SECONDS) == 0, process.log
    assert "Traceback" not in process.log
    assert COLLECTOR_TOKEN not in process.log
