"""The receiver over real HTTP, with deliveries signed as Shopify signs them, on both databases."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import event, select, text
from structlog.testing import capture_logs

from connectors.sandbox.clock import VirtualClock
from connectors.sharetribe.marketplace import SharetribeMarketplace
from tests import servers
from tests.integration.conftest import build_schema
from tests.receiving import CHANNEL, order_body, services, signature, signed
from tests.servers import free_port
from worker import schedule
from worker.doorbell import Doorbell
from worker.intake.inbox import Incoming
from worker.intake.poll import cursor_name
from worker.store import AnyRow, Store
from worker.store.bulk import insert_missing
from worker.store.cursors import move_cursor
from worker.store.tables import Delivery, HoldReason, HoldScope, Tick
from worker.store.ticks import tick_is_due
from worker.upkeep.repository import FEED
from worker.web import WebServer, create_app, receiver, server

WITHIN_SECONDS = 30.0
LIMIT_BYTES = 4096


class Bell(Doorbell):
    """Remembers what was rung, instead of telling a broker."""

    def __init__(self) -> None:
        self.rung: list[str] = []

    def ring(self, task: str) -> None:
        self.rung.append(task)


class Site:
    """A deployment whose receiver listens."""

    def __init__(
        self, store: Store, *, broker: str = "memory://", most_waiting: int = 2000, limit: int = LIMIT_BYTES, **web: Any
    ) -> None:
        self.store = store
        self.clock = VirtualClock()
        self.services = services(store, self.clock, broker=broker, max_body_bytes=limit, **web)
        self.bell = Bell()
        self._server = WebServer(create_app(self.services, self.bell, most_waiting=most_waiting), "127.0.0.1", 0)
        self.url = self._server.start()
        self.client = httpx.Client(base_url=self.url, timeout=WITHIN_SECONDS, trust_env=False)

    def close(self) -> None:
        self.client.close()
        self._server.stop()
        for channel in self.services.channels.values():
            channel.close()  # type: ignore[attr-defined]
        assert isinstance(self.services.marketplace, SharetribeMarketplace)
        self.services.marketplace.disconnect()
        self.services.executor.shutdown()

    def post(self, body: Any, headers: Mapping[str, str] | None = None, channel: str = CHANNEL) -> httpx.Response:
        if headers is None:
            headers = signed(body)
        return self.client.post(f"/hooks/{channel}", content=body, headers=dict(headers))

    def raw(self, request: bytes) -> bytes:
        """What comes back for these bytes, until the connection ends or a whole answer is there."""
        host, port = self.url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), timeout=WITHIN_SECONDS) as connection:
            connection.sendall(request)
            answer = b""
            while b"\r\n\r\n" not in answer and (piece := connection.recv(65536)):
                answer += piece
            return answer

    def deliveries(self) -> list[AnyRow]:
        with self.store.read() as transaction:
            columns = (Delivery.delivery_id, Delivery.digest, Delivery.topic, Delivery.kept, Delivery.raw)
            return list(transaction.execute(select(*columns).order_by(Delivery.id)).all())

    def metric(self, name: str, **labels: str) -> float:
        self.clock.advance(5)
        inside = ",".join(f'{key}="{value}"' for key, value in labels.items())
        wanted = f"{name}{{{inside}}} " if labels else f"{name} "
        lines = self.client.get("/metrics").text.splitlines()
        (line,) = [line for line in lines if line.startswith(wanted)]
        return float(line.removeprefix(wanted))

    def readiness(self) -> tuple[int, dict[str, Any]]:
        self.clock.advance(5)
        answer = self.client.get("/readyz")
        return answer.status_code, answer.json()

    def everything_was_read(self) -> None:
        """The feed and the channel are read to their heads, now."""
        with self.store.write() as transaction:
            for name in (FEED, cursor_name(CHANNEL)):
                move_cursor(transaction, name, "1", self.clock.now(), current=True)


@pytest.fixture
def make(store: Store) -> Iterator[Callable[..., Site]]:
    with contextlib.ExitStack() as stack:

        def made(**options: Any) -> Site:
            site = Site(store, **options)
            stack.callback(site.close)
            return site

        yield made


@pytest.fixture
def site(make: Callable[..., Site]) -> Site:
    return make()


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WITHIN_SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


# Stored -----------------------------------------------------------------------------------------------------------


def test_a_delivery_is_stored_reduced_then_answered_and_rung(site: Site) -> None:
    body = order_body(42)
    answer = site.post(body, signed(body, delivery_id="d-1"))

    assert (answer.status_code, answer.content) == (200, b"")
    (row,) = site.deliveries()
    assert (row.delivery_id, row.topic, row.raw) == ("d-1", "orders/updated", False)
    assert row.digest == hashlib.sha256(body).hexdigest()
    assert json.loads(row.kept)["id"] == 42
    for private in (b"ada@example.com", b"Lovelace", b"Analytical Street"):
        assert private in body
        assert private not in row.kept
    assert site.bell.rung == [schedule.INTAKE]
    assert "server" not in answer.headers


def test_a_repeated_delivery_is_stored_once(site: Site) -> None:
    body = order_body()
    headers = signed(body, delivery_id="d-1")
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: site.post(body, headers).status_code, range(16)))

    assert answers == [200] * 16
    assert len(site.deliveries()) == 1


def test_another_body_under_the_same_id_is_another_delivery(site: Site) -> None:
    for quantity in (1, 2):
        body = order_body(quantity)
        site.post(body, signed(body, delivery_id="d-1"))

    assert len(site.deliveries()) == 2


@pytest.mark.parametrize("body", [b"", b"\xff\xfe not text", b"{", b"[" * 2000])
def test_a_signed_body_that_cannot_be_read_is_kept_as_it_is(site: Site, body: bytes) -> None:
    assert site.post(body).status_code == 200
    (row,) = site.deliveries()
    assert row.raw
    assert bytes(row.kept) == body


@pytest.mark.parametrize("topic", ["customers/data_request", "customers/redact", "shop/redact"])
def test_the_vendors_compliance_topics_are_acknowledged_and_nothing_of_them_is_kept(site: Site, topic: str) -> None:
    body = json.dumps({"shop_id": 1, "shop_domain": "toys.myshopify.com", "customer": {"email": "a@b.c"}}).encode()

    assert site.post(body, signed(body, topic=topic)).status_code == 200
    (row,) = site.deliveries()
    assert row.topic == topic
    assert b"a@b.c" not in row.kept


def test_a_body_in_pieces_is_verified_as_a_whole(site: Site) -> None:
    body = order_body()
    answer = site.post((body[at : at + 100] for at in range(0, len(body), 100)), signed(body))

    assert answer.status_code == 200
    assert len(site.deliveries()) == 1


# Refused ----------------------------------------------------------------------------------------------------------


def test_a_bad_signature_is_refused_and_leaves_one_warning_and_nothing_else(site: Site) -> None:
    body = order_body()
    with capture_logs() as lines:
        for _ in range(10):
            answer = site.post(body, {**signed(body), "X-Shopify-Hmac-Sha256": signature(body, "another secret")})
            assert (answer.status_code, answer.content) == (401, b"")

    assert site.deliveries() == []
    assert site.bell.rung == []
    assert [line["event"] for line in lines] == ["delivery_refused"]
    assert site.metric("trueup_deliveries_total", channel=CHANNEL, outcome="refused") == 10


def test_an_unsigned_delivery_is_refused(site: Site) -> None:
    assert site.post(order_body(), {}).status_code == 401
    assert site.deliveries() == []


def test_an_unknown_channel_is_not_there(site: Site) -> None:
    body = order_body()

    for name in ("nobody", "toys%2f..", "TOYS", "x" * 5000):
        assert site.post(body, signed(body), channel=name).status_code == 404
    assert site.deliveries() == []


@pytest.mark.parametrize(
    "path", ["/hooks/toys/", "//hooks/toys", "/hooks%2ftoys", "/hooks/%74oys", "/hooks/./toys", "/hooks/toys%00"]
)
def test_no_other_spelling_of_an_address_is_there_nor_leads_to_it(site: Site, path: str) -> None:
    body = order_body()
    head = "".join(f"{name}: {value}\r\n" for name, value in signed(body).items())
    request = f"POST {path} HTTP/1.1\r\nHost: evil.example\r\nContent-Length: {len(body)}\r\n{head}\r\n"

    answer = site.raw(request.encode() + body)

    assert answer.startswith(b"HTTP/1.1 404 ")
    assert b"evil" not in answer
    assert site.deliveries() == []


def test_a_body_that_says_it_is_packed_is_not_unpacked(site: Site) -> None:
    body = gzip.compress(order_body())
    answer = site.post(body, {**signed(body), "Content-Encoding": "gzip"})

    assert answer.status_code == 200
    (row,) = site.deliveries()
    assert (row.raw, bytes(row.kept)) == (True, body)


def test_slow_senders_of_large_bodies_keep_nobody_elses_delivery_out(
    make: Callable[..., Site], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(receiver, "MOST_BODY_BYTES", 200_000)
    monkeypatch.setattr(receiver, "UNCOUNTED_BYTES", 5_000)
    site = make(limit=100_000)
    large = b"POST /hooks/toys HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n" + b"x" * 99_999
    host, port = site.url.removeprefix("http://").split(":")
    with contextlib.ExitStack() as slow:
        refused = 0
        while not refused:
            connection = slow.enter_context(socket.create_connection((host, int(port)), timeout=WITHIN_SECONDS))
            connection.sendall(large)
            refused += site.metric("trueup_deliveries_total", channel=CHANNEL, outcome="overloaded") > 0
        body = order_body(lines=1)
        assert len(body) < 5_000
        assert site.post(body).status_code == 200


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "OPTIONS"])
def test_other_methods_are_not_allowed(site: Site, method: str) -> None:
    answer = site.client.request(method, f"/hooks/{CHANNEL}")

    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")


def test_an_announced_oversize_is_refused_before_it_is_sent_and_rings_a_poll(site: Site) -> None:
    with site.store.write() as transaction:
        later = site.clock.now() + timedelta(hours=1)
        insert_missing(transaction, Tick, [{"name": f"poll:{CHANNEL}", "next_at": later, "ran_at": None}])

    answer = site.raw(
        b"POST /hooks/toys HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\nExpect: 100-continue\r\n\r\n"
        % (LIMIT_BYTES + 1)
    )

    assert answer.startswith(b"HTTP/1.1 413 ")

    def poll_is_due() -> bool:
        with site.store.read() as transaction:
            return tick_is_due(transaction, f"poll:{CHANNEL}", site.clock.now())

    until(poll_is_due)
    until(lambda: site.bell.rung == [schedule.POLL])
    assert site.deliveries() == []


def test_an_oversize_in_pieces_is_counted_while_it_comes(site: Site) -> None:
    piece = b"x" * 1000
    chunk = b"%x\r\n%s\r\n" % (len(piece), piece)
    answer = site.raw(b"POST /hooks/toys HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk * 5)

    # There is no last chunk: it is refused without waiting for one.
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert site.deliveries() == []


def test_control_characters_in_headers_reach_neither_rows_nor_log(site: Site) -> None:
    body = order_body()
    with capture_logs() as lines:
        answer = site.raw(
            b"POST /hooks/toys HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\nX-Shopify-Hmac-Sha256: %s\r\n"
            b"X-Shopify-Topic: orders\x9b/\x85updated\xff\r\nX-Shopify-Webhook-Id: a\tb\x90\r\n\r\n%s"
            % (len(body), signature(body).encode(), body)
        )

    assert answer.startswith(b"HTTP/1.1 200 ")
    (row,) = site.deliveries()
    assert row.topic.isprintable()
    assert row.delivery_id.isprintable()
    assert all(str(value).isprintable() for line in lines for value in line.values())


def test_a_head_without_end_is_cut_off(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "HEAD_BYTES", 10_000)
    host, port = site.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=WITHIN_SECONDS) as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nX: ")
        with contextlib.suppress(ConnectionError):
            for _ in range(5_000):
                connection.sendall(b"x" * 1000)
            pytest.fail("5 MB of headers were taken")


def test_a_request_that_stops_coming_is_cut_off(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "REQUEST_SECONDS", 0.05)

    for request in (
        b"",
        b"POST /hooks/toys HTTP/1.1\r\nHost: x",
        b"POST /hooks/toys HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n12345",
    ):
        assert site.raw(request) == b""
    assert site.client.get("/healthz").status_code == 200


def test_a_connection_serves_many_requests_whatever_the_pieces(site: Site) -> None:
    host, port = site.url.removeprefix("http://").split(":")
    body = order_body()
    head = "".join(f"{name}: {value}\r\n" for name, value in signed(body).items()).encode()
    request = b"POST /hooks/toys HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n%s\r\n%s" % (len(body), head, body)
    with socket.create_connection((host, int(port)), timeout=WITHIN_SECONDS) as connection:
        together = request * 20
        for at in range(0, len(together), 777):
            connection.sendall(together[at : at + 777])
        answers = b""
        while answers.count(b"\r\n\r\n") < 20:
            answers += connection.recv(65536)

    assert answers.count(b"HTTP/1.1 200 OK") == 20


# Cannot be stored -------------------------------------------------------------------------------------------------


def test_while_the_database_cannot_write_the_sender_is_asked_to_come_again(site: Site) -> None:
    read_only = "PRAGMA query_only=ON" if site.store.is_sqlite else "SET default_transaction_read_only = on"

    def make_read_only(connection: Any, _record: Any, _proxy: Any) -> None:
        with contextlib.closing(connection.cursor()) as cursor:
            cursor.execute(read_only)
        connection.commit()

    def make_writable(connection: Any, _record: Any, _proxy: Any) -> None:
        with contextlib.closing(connection.cursor()) as cursor:
            cursor.execute(read_only.replace("=ON", "=OFF").replace("= on", "= off"))
        connection.commit()

    body = order_body()
    event.listen(site.store.engine, "checkout", make_read_only)
    answer = site.post(body)
    event.remove(site.store.engine, "checkout", make_read_only)

    assert answer.status_code == 503
    assert int(answer.headers["retry-after"]) > 0
    event.listen(site.store.engine, "checkout", make_writable)
    assert site.deliveries() == []
    assert site.post(body).status_code == 200
    assert site.metric("trueup_deliveries_total", channel=CHANNEL, outcome="not_stored") == 1


def test_while_postgresql_is_stopped_the_sender_is_asked_to_come_again() -> None:
    with contextlib.ExitStack() as stopped, contextlib.ExitStack() as last:
        url = stopped.enter_context(servers.postgres()).fresh()
        build_schema(url)
        store = Store(url)
        last.callback(store.dispose)
        site = Site(store)
        last.callback(site.close)
        body = order_body()
        assert site.post(body).status_code == 200
        stopped.close()

        answer = site.post(body)
        assert (answer.status_code, "retry-after" in answer.headers) == (503, True)
        status, said = site.readiness()
        assert (status, said["failing"]) == (503, ["database"])
        assert "trueup_database_up 0.0" in site.client.get("/metrics").text
        assert site.client.get("/healthz").status_code == 200


def test_a_full_queue_refuses_at_once_and_stores_what_it_took(make: Callable[..., Site]) -> None:
    site = make(most_waiting=1)
    bodies = [order_body(number) for number in range(1, 21)]
    statuses: list[int] = []
    refused = threading.Event()

    def send(body: bytes) -> None:
        statuses.append(site.post(body).status_code)
        if statuses.count(503) == 18:
            refused.set()

    with ThreadPoolExecutor(20) as pool:
        with site.store.write() as transaction:
            if not site.store.is_sqlite:
                transaction.execute(text("LOCK TABLE deliveries IN ACCESS EXCLUSIVE MODE"))
            sent = [pool.submit(send, body) for body in bodies]
            # One is being written and one waits; nobody else does.
            assert refused.wait(WITHIN_SECONDS), statuses
        for sending in sent:
            sending.result(WITHIN_SECONDS)

    assert sorted(statuses) == [200] * 2 + [503] * 18
    assert len(site.deliveries()) == 2


def test_stopping_answers_what_was_received(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    site = Site(store)
    body = order_body()
    answers: list[int] = []
    received, put = threading.Event(), site.services.inbox.put

    def put_later(deliveries: Sequence[Incoming]) -> int:
        received.set()
        return put(deliveries)

    monkeypatch.setattr(site.services.inbox, "put", put_later)
    with ThreadPoolExecutor(1) as pool:
        with store.write() as transaction:
            if not store.is_sqlite:
                transaction.execute(text("LOCK TABLE deliveries IN ACCESS EXCLUSIVE MODE"))
            sending = pool.submit(lambda: answers.append(site.post(body).status_code))
            assert received.wait(WITHIN_SECONDS)
            stopping = threading.Thread(target=site._server.stop)
            stopping.start()
        sending.result(WITHIN_SECONDS)
        stopping.join(WITHIN_SECONDS)
    stored = len(site.deliveries())
    site.close()

    assert (answers, stored) == ([200], 1)


# Health and metrics -----------------------------------------------------------------------------------------------


def test_ready_when_everything_was_read_lately(site: Site) -> None:
    site.everything_was_read()
    status, said = site.readiness()

    assert status == 200, said
    assert said["ready"] is True
    assert set(said["checks"]) == {"database", "schema", "deliveries", "feed", f"poll:{CHANNEL}", "broker"}


def test_not_ready_names_what_is_behind(site: Site) -> None:
    site.everything_was_read()
    site.post(order_body())
    site.clock.advance(400)
    status, said = site.readiness()

    assert status == 503
    assert said["failing"] == ["deliveries", "feed"]
    assert said["checks"]["deliveries"]["age_seconds"] == 405
    site.clock.advance(600)
    assert site.readiness()[1]["failing"] == ["deliveries", "feed", f"poll:{CHANNEL}"]


def test_a_channel_that_refuses_us_does_not_hide_the_others(site: Site) -> None:
    site.everything_was_read()
    site.services.holds.place(HoldReason.REAUTHORISATION, HoldScope.CHANNEL, CHANNEL, "the token was revoked")
    site.clock.advance(2000)
    _, said = site.readiness()

    assert f"poll:{CHANNEL}" not in said["failing"]


def test_not_ready_without_its_schema(site: Site) -> None:
    with site.store.write() as transaction:
        transaction.execute(text("UPDATE alembic_version SET version_num = 'older'"))
    status, said = site.readiness()

    assert (status, said["failing"]) == (503, ["schema"])


def test_ready_while_a_newer_version_has_added_to_the_schema(site: Site) -> None:
    site.everything_was_read()
    with site.store.write() as transaction:
        transaction.execute(text("UPDATE alembic_version SET version_num = '9998'"))
    status, said = site.readiness()

    assert (status, said["checks"]["schema"]["revision"]) == (200, "9998")


def test_not_ready_once_a_newer_version_has_taken_away_from_the_schema(site: Site) -> None:
    with site.store.write() as transaction:
        transaction.execute(text("UPDATE alembic_version SET version_num = '9999_after_9998'"))
    status, said = site.readiness()

    assert (status, said["failing"]) == (503, ["schema"])


def test_not_ready_without_its_broker(make: Callable[..., Site]) -> None:
    site = make(broker=f"redis://:t0ps3cret@127.0.0.1:{free_port()}/0")
    site.everything_was_read()
    status, said = site.readiness()

    assert (status, said["failing"]) == (503, ["broker"])
    assert "t0ps3cret" not in str(said)
    assert site.post(order_body()).status_code == 200


def test_ready_with_a_real_broker(make: Callable[..., Site], redis_url: str) -> None:
    site = make(broker=redis_url)
    site.everything_was_read()

    assert site.readiness()[0] == 200


def test_it_is_said_once_when_something_fails_and_once_when_it_works_again(site: Site) -> None:
    site.everything_was_read()
    site.clock.advance(400)
    with capture_logs() as lines:
        for _ in range(3):
            site.readiness()
        site.everything_was_read()
        for _ in range(3):
            site.readiness()

    assert [(line["event"], line["check"]) for line in lines] == [("not_ready", "feed"), ("ready_again", "feed")]


def test_metrics_show_what_waits(site: Site) -> None:
    site.everything_was_read()
    for number in (1, 2, 3):
        site.post(order_body(number))

    assert site.metric("trueup_deliveries_total", channel=CHANNEL, outcome="stored") == 3
    assert site.metric("trueup_deliveries_waiting") == 3
    assert site.metric("trueup_delivery_oldest_seconds") == 15
    assert site.metric("trueup_feed_lag_seconds") == 20
    assert site.metric("trueup_poll_lag_seconds", channel=CHANNEL) == 25
    assert site.metric("trueup_anomalies_unresolved", kind="oversold") == 0
    assert site.metric("trueup_operations_unsettled", state="unknown") == 0
    assert site.metric("trueup_holds", reason="shadow", scope="channel") == 1
    assert site.metric("trueup_database_up") == 1


def test_metrics_count_repeated_deliveries(site: Site) -> None:
    body = order_body()
    for _ in range(3):
        site.post(body, signed(body, delivery_id="d-1"))

    assert site.metric("trueup_deliveries_repeated_total") == 2


def test_unknown_channels_make_no_metrics_of_their_own(site: Site) -> None:
    for number in range(5):
        site.post(b"", {}, channel=f"guess-{number}")

    assert site.metric("trueup_deliveries_total", channel="", outcome="unknown_channel") == 5
    assert "guess" not in site.client.get("/metrics").text


def test_metrics_can_be_switched_off(make: Callable[..., Site]) -> None:
    assert make(metrics=False).client.get("/metrics").status_code == 404
