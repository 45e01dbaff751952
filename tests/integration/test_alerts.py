"""Messages about anomalies, sent to real local HTTP servers through Apprise."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from pydantic import SecretStr
from sqlalchemy import select
from structlog.testing import capture_logs

from connectors.sandbox.clock import VirtualClock
from tests.servers import free_port
from worker.alerts import Anomalies, Finding, Kind
from worker.alerts.destinations import Destination
from worker.alerts.sender import MOST_ATTEMPTS, NOBODY_TO_TELL, AlertSender
from worker.store import AnyRow, Store
from worker.store.tables import Alert, AlertState

GROUP = timedelta(seconds=60)
TOKEN = "t0ps3cret"


class Inbox:
    """Somebody who is told: takes messages while `status` is 200."""

    def __init__(self) -> None:
        self.messages: list[dict[str, Any]] = []
        self.status = 200
        self.may_answer = threading.Event()
        self.may_answer.set()
        inbox = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                message = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                inbox.may_answer.wait(30)
                if inbox.status == 200:
                    inbox.messages.append(message)
                self.send_response(inbox.status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_arguments: Any) -> None:
                """Quiet."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()

    @property
    def url(self) -> SecretStr:
        return SecretStr(f"json://127.0.0.1:{self._server.server_port}/{TOKEN}?rto=20&wait=0")

    @property
    def bodies(self) -> list[str]:
        return [message["message"] for message in self.messages]

    def close(self) -> None:
        self.may_answer.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def people() -> Iterator[list[Inbox]]:
    with ExitStack() as stack:
        made = [Inbox(), Inbox()]
        for inbox in made:
            stack.callback(inbox.close)
        yield made


class Room:
    """Anomalies and the sender of their messages, on one clock."""

    def __init__(self, store: Store, *urls: SecretStr) -> None:
        self.store = store
        self.clock = VirtualClock()
        self.anomalies = Anomalies(store, self.clock)
        self.sender = AlertSender(store, self.clock, urls, group=GROUP)

    def find(self, listing_id: str, kind: Kind = Kind.OVERSOLD) -> Finding:
        finding = Finding(kind, f"Listing {listing_id} is oversold.", listing_id=listing_id)
        self.anomalies.open(finding)
        return finding

    def send(self, after_seconds: float = 60) -> int:
        self.clock.advance(after_seconds)
        return self.sender.send_due()

    def rows(self) -> list[AnyRow]:
        with self.store.read() as transaction:
            columns = (Alert.state, Alert.sent_at, Alert.next_attempt_at, Alert.attempts, Alert.error)
            return list(transaction.execute(select(*columns).order_by(Alert.id)).all())

    def states(self) -> list[AlertState]:
        return [row.state for row in self.rows()]


def test_changes_within_the_window_are_one_message_to_each_destination(store: Store, people: list[Inbox]) -> None:
    room = Room(store, *(inbox.url for inbox in people))
    room.find("L1")
    room.clock.advance(30)
    room.find("L2", Kind.CLOSE_REFUSED)

    assert room.send(29) == 0
    assert room.send(1) == 2
    for inbox in people:
        (message,) = inbox.messages
        assert message["title"] == "trueup: 2 opened"
        assert message["message"].split("\n") == [
            "[critical] opened: Listing L1 is oversold.",
            "[warning] opened: Listing L2 is oversold.",
        ]
        assert message["type"] == "failure"


def test_a_change_is_told_once(store: Store, people: list[Inbox]) -> None:
    room = Room(store, people[0].url)
    room.find("L1")
    room.find("L1")
    room.send()
    room.find("L1")

    assert [room.send() for _ in range(5)] == [0] * 5
    assert len(people[0].messages) == 1


def test_opened_and_resolved_before_its_message_is_one_line(store: Store, people: list[Inbox]) -> None:
    room = Room(store, people[0].url)
    finding = room.find("L1")
    room.anomalies.resolve([finding.fingerprint], "stock came")

    assert room.send() == 2
    (body,) = people[0].bodies
    assert body == "[critical] opened and resolved: Listing L1 is oversold. Resolved: stock came."


def test_a_later_change_is_a_message_of_its_own(store: Store, people: list[Inbox]) -> None:
    room = Room(store, people[0].url)
    finding = room.find("L1")
    room.send()
    room.anomalies.resolve([finding.fingerprint], "stock came")
    room.send()

    assert [body.split(":")[0] for body in people[0].bodies] == ["[critical] opened", "[critical] resolved"]


def test_a_destination_that_fails_does_not_block_another_and_nobody_is_told_twice(
    store: Store, people: list[Inbox]
) -> None:
    broken, well = people
    broken.status = 500
    room = Room(store, broken.url, well.url, SecretStr(f"json://127.0.0.1:{free_port()}/{TOKEN}?wait=0"))
    room.find("L1")
    with capture_logs() as lines:
        assert room.send() == 1
    broken.status = 200
    room.send(3600)

    assert len(well.messages) == 1
    assert room.states() == [AlertState.SENT]
    failed = [line["destination"] for line in lines if line["event"] == "alert_destination_failed"]
    assert failed == ["1 (json)", "3 (json)"]


def test_a_message_that_nobody_took_is_sent_again_later_and_later(store: Store, people: list[Inbox]) -> None:
    people[0].status = 503
    room = Room(store, people[0].url)
    room.find("L1")
    assert room.send() == 0
    (row,) = room.rows()
    assert (row.state, row.attempts) == (AlertState.WAITING, 1)
    assert row.next_attempt_at == room.clock.now() + timedelta(seconds=30)

    room.send(30)
    assert room.rows()[0].next_attempt_at == room.clock.now() + timedelta(seconds=60)
    people[0].status = 200
    assert room.send(59) == 0
    assert room.send(1) == 1
    assert len(people[0].messages) == 1


def test_a_message_that_fails_for_ever_is_given_up_loudly(store: Store, people: list[Inbox]) -> None:
    people[0].status = 503
    room = Room(store, people[0].url)
    room.find("L1")
    with capture_logs() as lines:
        for _ in range(MOST_ATTEMPTS + 3):
            room.send(3600)

    (row,) = room.rows()
    assert (row.state, row.attempts, row.next_attempt_at) == (AlertState.FAILED, MOST_ATTEMPTS, None)
    assert "destination 1 (json)" in row.error
    assert [line["log_level"] for line in lines if line["event"] == "alerts_given_up"] == ["error"]


def test_resolved_does_not_overtake_opened(store: Store, people: list[Inbox]) -> None:
    people[0].status = 503
    room = Room(store, people[0].url)
    finding = room.find("L1")
    for wait_seconds in (60, 30, 60):
        room.send(wait_seconds)
    room.anomalies.resolve([finding.fingerprint], "stock came")
    people[0].status = 200

    # The one that opened it is tried again two minutes after it failed the third time.
    assert room.send(119) == 0
    assert room.send(1) == 2
    assert [body.split(":")[0] for body in people[0].bodies] == ["[critical] opened and resolved"]


def test_without_anybody_to_tell_nothing_piles_up(store: Store) -> None:
    room = Room(store)
    room.find("L1")

    assert room.send() == 0
    (row,) = room.rows()
    assert (row.state, row.sent_at, row.error) == (AlertState.SENT, None, NOBODY_TO_TELL)


def test_two_processes_at_once_send_one_message(store: Store, people: list[Inbox]) -> None:
    room = Room(store, people[0].url)
    other = AlertSender(store, room.clock, [people[0].url], group=GROUP)
    for number in range(20):
        room.find(f"L{number}")
    room.clock.advance(60)
    with ThreadPoolExecutor(2) as pool:
        told = list(pool.map(lambda sender: sender.send_due(), [room.sender, other]))

    assert sorted(told) == [0, 20]
    assert len(people[0].messages) == 1


def test_a_message_under_way_is_nobody_elses(store: Store, people: list[Inbox]) -> None:
    people[0].may_answer.clear()
    room = Room(store, people[0].url)
    room.find("L1")
    room.clock.advance(60)
    with ThreadPoolExecutor(1) as pool:
        sending = pool.submit(room.sender.send_due)
        deadline = time.monotonic() + 30
        while not room.rows()[0].attempts:
            assert time.monotonic() < deadline
        assert AlertSender(store, room.clock, [people[1].url], group=GROUP).send_due() == 0
        people[0].may_answer.set()
        assert sending.result(30) == 1
    assert people[1].messages == []


def test_a_process_that_died_while_sending_repeats_after_its_lease(
    store: Store, people: list[Inbox], monkeypatch: pytest.MonkeyPatch
) -> None:
    room = Room(store, people[0].url)
    room.find("L1")

    def die(*_arguments: object) -> None:
        raise SystemExit

    with monkeypatch.context() as patched:
        patched.setattr(Destination, "send", die)
        with pytest.raises(SystemExit):
            room.send()
    assert room.send(60) == 0
    assert room.send(61) == 1


def test_an_address_shows_neither_in_rows_nor_in_the_log(store: Store, people: list[Inbox]) -> None:
    people[0].status = 500
    room = Room(store, people[0].url, SecretStr(f"nonsense://{TOKEN}/x"))
    room.find("L1")
    with capture_logs() as lines:
        room.send()

    assert TOKEN not in str(room.rows()) + str(lines)
    assert "500" in room.rows()[0].error
