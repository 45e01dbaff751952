"""Messages about anomalies, sent to real local HTTP servers: through Apprise, and as signed webhooks."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from pydantic import SecretStr
from sqlalchemy import select
from standardwebhooks import Webhook as Library
from structlog.testing import capture_logs

from config.alerts import QuietHours
from connectors.sandbox.clock import VirtualClock
from tests.inbox import TOKEN, Inbox
from tests.servers import free_port
from worker.alerts import Anomalies, Finding, Kind, outbox
from worker.alerts.destinations import Address
from worker.alerts.outbox import Standing
from worker.alerts.repository import forget_alerts
from worker.alerts.routing import Destination
from worker.alerts.sender import FAILING_AFTER, GIVE_UP_AFTER, LEASE, NOBODY_TO_TELL, NOBODY_WANTS_IT, AlertSender
from worker.alerts.times import Times
from worker.alerts.webhook import Webhook
from worker.store import AnyRow, Store
from worker.store.tables import Alert, AlertState, Severity, Telling

GROUP = timedelta(seconds=60)
SECRETS = ("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_b25jZSB1cG9uIGEgdGltZSBhIG5ldyBvbmUgY2FtZQ==")
WAITING, SENT, FAILED = AlertState.WAITING, AlertState.SENT, AlertState.FAILED
NIGHT = QuietHours(datetime.min.time().replace(hour=22), datetime.min.time().replace(hour=7))


@pytest.fixture
def people() -> Iterator[list[Inbox]]:
    with ExitStack() as stack:
        made = [Inbox(), Inbox()]
        for inbox in made:
            stack.callback(inbox.close)
        yield made


def to(inbox: Inbox, name: str = "chat", **times: Any) -> Destination:
    return Destination(name, Address(inbox.url), Times(**{"group": GROUP, **times}))


class Room:
    """Anomalies and the sender of their messages, on one clock."""

    def __init__(self, store: Store, *destinations: Destination) -> None:
        self.store = store
        self.clock = VirtualClock()
        self.anomalies = Anomalies(store, self.clock)
        self.sender = self.another(*destinations)

    def another(self, *destinations: Destination) -> AlertSender:
        return AlertSender(self.store, self.clock, self.anomalies, destinations)

    def find(self, listing_id: str, kind: Kind = Kind.OVERSOLD) -> Finding:
        finding = Finding(kind, f"Listing {listing_id} is oversold.", listing_id=listing_id)
        self.anomalies.open(finding)
        return finding

    def send(self, after_seconds: float = 60) -> int:
        self.clock.advance(after_seconds)
        return self.sender.send_due()

    def send_for(self, hours: float, *, every_minutes: float = 30) -> None:
        """As the schedule does, but more seldom."""
        for _ in range(round(hours * 60 / every_minutes)):
            self.send(every_minutes * 60)

    def until(self, hour: int, minute: int = 0) -> None:
        """Go to the next time that it is so late, in UTC."""
        now = self.clock.now()
        wanted = now.replace(hour=hour, minute=minute, second=0, microsecond=0)
        self.clock.advance((wanted - now).total_seconds() % timedelta(days=1).total_seconds())

    def rows(self) -> list[AnyRow]:
        with self.store.read() as transaction:
            columns = (Alert.state, Alert.sent_at, Alert.next_attempt_at, Alert.error)
            return list(transaction.execute(select(*columns).order_by(Alert.id)).all())

    def states(self) -> list[AlertState]:
        return [row.state for row in self.rows()]

    def tellings(self) -> list[tuple[str, AlertState]]:
        with self.store.read() as transaction:
            columns = (Telling.destination, Telling.state)
            return [
                (row.destination, row.state)
                for row in transaction.execute(select(*columns).order_by(Telling.alert_id, Telling.destination))
            ]

    def standing(self, name: str = "chat") -> Standing:
        with self.store.read() as transaction:
            return outbox.standings(transaction)[name]


def test_changes_within_the_window_are_one_message_to_each_destination(store: Store, people: list[Inbox]) -> None:
    room = Room(store, to(people[0], "a"), to(people[1], "b"))
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
    room = Room(store, to(people[0]))
    room.find("L1")
    room.find("L1")
    room.send()
    room.find("L1")

    assert [room.send() for _ in range(5)] == [0] * 5
    assert len(people[0].messages) == 1


def test_opened_and_resolved_before_its_message_is_one_line(store: Store, people: list[Inbox]) -> None:
    room = Room(store, to(people[0]))
    finding = room.find("L1")
    room.anomalies.resolve([finding.fingerprint], "stock came")

    assert room.send() == 2
    (body,) = people[0].bodies
    assert body == "[critical] opened and resolved: Listing L1 is oversold. Resolved: stock came."


def test_a_later_change_is_a_message_of_its_own(store: Store, people: list[Inbox]) -> None:
    room = Room(store, to(people[0]))
    finding = room.find("L1")
    room.send()
    room.anomalies.resolve([finding.fingerprint], "stock came")
    room.send()

    assert [body.split(":")[0] for body in people[0].bodies] == ["[critical] opened", "[critical] resolved"]


# --- what fails ---------------------------------------------------------------------------------------------------


def test_a_destination_that_fails_blocks_no_other_and_is_told_later_and_nobody_is_told_twice(
    store: Store, people: list[Inbox]
) -> None:
    broken, well = people
    broken.status = 500
    nowhere = Destination("nowhere", Address(SecretStr(f"json://127.0.0.1:{free_port()}/{TOKEN}?wait=0")))
    room = Room(store, to(broken, "broken"), to(well, "well"), nowhere)
    room.find("L1")
    with capture_logs() as lines:
        assert room.send() == 1
    assert room.states() == [SENT]
    assert room.tellings() == [("broken", WAITING), ("nowhere", WAITING), ("well", SENT)]
    failed = [line["destination"] for line in lines if line["event"] == "alert_destination_failed"]
    assert sorted(failed) == ["broken", "nowhere"]

    broken.status = 200
    assert room.send(29) == 0
    assert room.send(1) == 1
    # The last one fails for the third time, and the others hear of it.
    assert [room.send(3600) for _ in range(3)] == [0, 1, 0]
    assert (len(broken.messages), len(well.messages)) == (2, 2)
    assert broken.bodies[0] == well.bodies[0] == "[critical] opened: Listing L1 is oversold."
    assert well.bodies[1].startswith("[warning] opened: Alerts do not reach the destination nowhere")


def test_what_was_not_taken_is_sent_again_later_and_later(store: Store, people: list[Inbox]) -> None:
    people[0].status = 503
    room = Room(store, to(people[0]))
    room.find("L1")
    waits = []
    assert room.send() == 0
    for _ in range(10):
        assert (room.states()[0], room.tellings()) == (WAITING, [("chat", WAITING)])
        retry_at = room.standing().retry_at
        assert retry_at is not None
        waits.append((retry_at - room.clock.now()).total_seconds())
        assert room.send(waits[-1] - 1) == 0
        assert room.send(1) == 0

    assert waits == [30, 60, 120, 240, 480, 960, 1920, 3600, 3600, 3600]
    assert room.standing().failures == 11
    people[0].status = 200
    assert room.send(3600) == 1
    assert len(people[0].messages) == 1
    assert room.standing().failures == 0


def test_a_rest_keeps_new_messages_too_and_they_are_one_message_after_it(store: Store, people: list[Inbox]) -> None:
    people[0].status = 503
    room = Room(store, to(people[0]))
    finding = room.find("L1")
    for wait_seconds in (60, 30, 60):
        room.send(wait_seconds)
    room.anomalies.resolve([finding.fingerprint], "stock came")
    people[0].status = 200

    # It rests for two minutes after it has failed the third time.
    assert room.send(119) == 0
    assert room.send(1) == 2
    assert people[0].words == ["[critical] opened and resolved"]


def test_what_a_destination_does_not_take_for_a_week_is_given_up_loudly(store: Store, people: list[Inbox]) -> None:
    broken, well = people
    broken.status = 503
    room = Room(store, to(broken, "broken"), replace(to(well, "well"), kinds=frozenset({Kind.ORPHAN.value})))
    room.find("L1")
    room.find("L2", Kind.ORPHAN)
    with capture_logs() as lines:
        room.send_for(GIVE_UP_AFTER / timedelta(hours=1), every_minutes=24 * 60)
        assert room.states()[:2] == [WAITING, SENT]
        room.send(3600)

    assert room.states()[:2] == [FAILED, SENT]
    assert room.tellings()[:3] == [("broken", FAILED), ("broken", FAILED), ("well", SENT)]
    assert "destination broken" in room.rows()[0].error
    assert [line["count"] for line in lines if line["event"] == "alerts_given_up"] == [2]
    with store.read() as transaction:
        assert outbox.anything_due(transaction, room.clock.now()) is False


def test_what_was_owed_while_nobody_sent_is_sent_however_old_it_is(store: Store, people: list[Inbox]) -> None:
    room = Room(store, to(people[0]))
    room.find("L1")

    assert room.send(10 * GIVE_UP_AFTER.total_seconds()) == 1
    assert len(people[0].messages) == 1


def test_that_one_fails_is_an_anomaly_that_is_told_to_the_others_and_heals(store: Store, people: list[Inbox]) -> None:
    broken, well = people
    broken.status = 500
    room = Room(store, to(broken, "broken"), to(well, "well"))
    room.find("L1")
    for failure in range(1, FAILING_AFTER + 1):
        assert room.anomalies.count_open() == {"oversold": 1}
        room.send(3600)
        assert room.standing("broken").failures == failure
    assert room.anomalies.count_open() == {"oversold": 1, "alerts-not-taken": 1}
    room.send_for(4, every_minutes=60)
    (found,) = room.anomalies.list(kind=Kind.ALERTS_NOT_TAKEN)
    assert "500" in found.message
    assert TOKEN not in found.message + str(found.detail)
    told = [body for body in well.bodies if "Alerts do not reach" in body]
    assert [body.split(":")[0] for body in told] == ["[warning] opened"]

    broken.status = 200
    room.send_for(2)
    assert room.anomalies.count_open() == {"oversold": 1}
    assert well.words[-1] == "[warning] resolved"
    assert broken.words == ["[critical] opened"]


def test_where_all_fail_nothing_grows(store: Store, people: list[Inbox]) -> None:
    for inbox in people:
        inbox.status = 500
    room = Room(store, to(people[0], "a"), to(people[1], "b"))
    room.find("L1")
    room.send_for(12, every_minutes=60)

    # The sale, and of each that the other one is told of it.
    assert len(room.tellings()) == 2 + 2
    for inbox in people:
        inbox.status = 200
    room.send_for(4)
    assert room.anomalies.count_open() == {"oversold": 1}
    assert {state for _, state in room.tellings()} == {SENT}
    assert max(len(inbox.messages) for inbox in people) <= 3


def test_what_waits_for_a_destination_that_was_taken_out_is_let_go_a_day_later(
    store: Store, people: list[Inbox]
) -> None:
    people[0].status = 500
    room = Room(store, to(people[0], "old"))
    room.find("L1")
    room.send_for(2)
    room.sender = room.another(to(people[1], "new"))
    room.find("L2")
    room.send()
    room.sender.forget()
    assert room.anomalies.count_open()["alerts-not-taken"] == 1
    assert room.states().count(WAITING) == 1

    room.clock.advance(timedelta(days=1, minutes=2).total_seconds())
    room.sender.forget()
    room.send()
    assert room.states().count(WAITING) == 0
    assert "alerts-not-taken" not in room.anomalies.count_open()
    assert [view.name for view in room.sender.destinations()] == ["new"]


def test_without_anybody_to_tell_nothing_piles_up(store: Store) -> None:
    room = Room(store)
    room.find("L1")

    assert room.send() == 0
    (row,) = room.rows()
    assert (row.state, row.sent_at, row.error) == (SENT, None, NOBODY_TO_TELL)


# --- whom, and when -----------------------------------------------------------------------------------------------


def test_each_is_told_what_concerns_it(store: Store, people: list[Inbox]) -> None:
    pager, chat = people
    room = Room(
        store,
        replace(to(pager, "pager"), severities=frozenset({Severity.CRITICAL})),
        replace(to(chat, "chat"), kinds=frozenset({Kind.CLOSE_REFUSED.value})),
    )
    room.find("L1")
    room.find("L2", Kind.CLOSE_REFUSED)
    room.find("L3", Kind.WRITE_REJECTED)
    assert room.send() == 2

    assert pager.bodies == ["[critical] opened: Listing L1 is oversold."]
    assert chat.bodies == ["[warning] opened: Listing L2 is oversold."]
    assert room.states() == [SENT] * 3
    assert room.rows()[2].error == NOBODY_WANTS_IT
    assert room.send() == 0


def test_quiet_hours_keep_all_but_what_passes_until_they_end(store: Store, people: list[Inbox]) -> None:
    room = Room(store, to(people[0], quiet=NIGHT, zone=ZoneInfo("Europe/Berlin")))
    room.clock.advance((datetime(2026, 12, 1, 20, 30, tzinfo=UTC) - room.clock.now()).total_seconds())
    room.find("L1", Kind.WRITE_REJECTED)
    assert room.send() == 1
    # Half past nine there when it begins; the night lasts until six in UTC.
    room.until(21)
    waiting = room.find("L2", Kind.WRITE_REJECTED)
    room.find("L3")
    room.send_for(8.5)
    assert people[0].bodies[1:] == ["[critical] opened: Listing L3 is oversold."]

    room.anomalies.resolve([waiting.fingerprint], "mended")
    room.find("L4", Kind.CLOSE_REFUSED)
    room.until(6)
    assert room.sender.send_due() == 3
    assert people[0].words[2:] == ["[warning] opened"]
    assert "[error] opened and resolved: Listing L2" in people[0].bodies[2]


def test_a_digest_gathers_what_can_wait_for_its_hour(store: Store, people: list[Inbox]) -> None:
    room = Room(store, to(people[0], digest_at=datetime.min.time().replace(hour=8)))
    room.until(9)
    room.find("L1", Kind.CLOSE_REFUSED)
    room.find("L2", Kind.WRITE_REJECTED)
    room.send_for(22)
    assert people[0].bodies == ["[error] opened: Listing L2 is oversold."]

    room.find("L3", Kind.UNLINKED_SKU)
    room.until(8)
    room.find("L4", Kind.UNLINKED_SKU)
    room.send()
    assert people[0].bodies[1].split("\n") == [
        "[warning] opened: Listing L1 is oversold.",
        "[warning] opened: Listing L3 is oversold.",
        "[warning] opened: Listing L4 is oversold.",
    ]


def test_what_is_still_open_is_told_again_and_again_until_it_is_seen_to(store: Store, people: list[Inbox]) -> None:
    room = Room(store, to(people[0], remind=timedelta(hours=6)))
    first, second = room.find("L1"), room.find("L2")
    room.send()
    room.send_for(5.5)
    assert len(people[0].messages) == 1
    room.send_for(0.5)
    assert people[0].messages[1]["title"] == "trueup: 2 still open"

    (known,) = [entry for entry in room.anomalies.list() if entry.fingerprint == first.fingerprint]
    room.anomalies.acknowledge(known.id, "ada")
    room.send_for(6)
    assert people[0].messages[2]["title"] == "trueup: 1 still open"
    assert "Listing L2" in people[0].bodies[2]

    room.anomalies.resolve([second.fingerprint], "stock came")
    room.send_for(24)
    assert len(people[0].messages) == 4
    # One that comes back is a new story.
    room.find("L2")
    room.send_for(6.5)
    assert [message["title"] for message in people[0].messages[4:]] == ["trueup: 1 opened", "trueup: 1 still open"]


def test_what_nobody_is_reminded_of_any_more_costs_nothing_and_is_forgotten(store: Store, people: list[Inbox]) -> None:
    room = Room(store)
    room.sender = room.another(hook(people[0], room.clock, remind=timedelta(hours=6)))
    resolved, _acknowledged = room.find("L1"), room.find("L2")
    room.send(0)
    room.anomalies.resolve([resolved.fingerprint], "stock came")
    (known,) = room.anomalies.list()
    room.anomalies.acknowledge(known.id, "ada")
    room.send(0)
    assert len(people[0].messages) == 3

    room.clock.advance(timedelta(hours=7).total_seconds())
    with store.write() as transaction:
        assert outbox.anything_due(transaction, room.clock.now()) is False
        assert forget_alerts(transaction, room.clock.now(), 10) == 1
    room.sender.forget()
    with store.write() as transaction:
        assert forget_alerts(transaction, room.clock.now(), 10) == 2
    assert room.tellings() == []


def test_a_reminder_keeps_to_quiet_hours_and_the_digest(store: Store, people: list[Inbox]) -> None:
    room = Room(
        store, to(people[0], remind=timedelta(hours=1), quiet=NIGHT, digest_at=datetime.min.time().replace(hour=8))
    )
    room.until(20, 30)
    room.find("L1", Kind.WRITE_REJECTED)
    room.send()
    room.send_for(10)
    assert [message["title"] for message in people[0].messages] == ["trueup: 1 opened", "trueup: 1 still open"]
    room.until(7, 5)
    room.send(0)
    assert len(people[0].messages) == 3

    room.until(7, 30)
    room.find("L2", Kind.CLOSE_REFUSED)
    room.send_for(12)
    digested = [body for body in people[0].bodies if "Listing L2" in body]
    assert len(digested) == 1


def test_a_test_is_sent_at_any_hour_and_ends_a_rest(store: Store, people: list[Inbox]) -> None:
    people[0].status = 500
    always = QuietHours(datetime.min.time(), datetime.min.time().replace(hour=23, minute=59))
    room = Room(store, to(people[0]), to(people[1], "sleeper", quiet=always, passes=frozenset()))
    room.find("L1")
    room.send()
    people[0].status = 200
    for name in ("chat", "sleeper"):
        assert room.sender.test(name) is None
        with store.write() as transaction:
            room.sender.note_test_in(transaction, name, None)

    assert [inbox.messages[0]["title"] for inbox in people] == ["trueup: a test"] * 2
    assert room.send(0) == 1
    assert people[0].words[1] == "[critical] opened"


# --- several processes, and kills ---------------------------------------------------------------------------------


def test_two_processes_at_once_send_one_message(store: Store, people: list[Inbox]) -> None:
    room = Room(store, to(people[0]))
    other = room.another(to(people[0]))
    for number in range(20):
        room.find(f"L{number}")
    room.clock.advance(60)
    with ThreadPoolExecutor(2) as pool:
        told = list(pool.map(lambda sender: sender.send_due(), [room.sender, other]))

    assert sorted(told) == [0, 20]
    assert len(people[0].messages) == 1


def test_a_message_under_way_is_nobody_elses_and_holds_up_no_other(store: Store, people: list[Inbox]) -> None:
    people[0].may_answer.clear()
    room = Room(store, to(people[0], "slow"))
    other = room.another(to(people[0], "slow"), to(people[1], "quick"))
    room.find("L1")
    room.clock.advance(60)
    with ThreadPoolExecutor(1) as pool:
        sending = pool.submit(room.sender.send_due)
        waited_for(lambda: people[0].tried == 1)
        room.find("L2")
        room.clock.advance(60)
        assert other.send_due() == 1
        assert people[1].bodies == ["[critical] opened: Listing L2 is oversold."]
        people[0].may_answer.set()
        assert sending.result(30) == 1
    assert room.send() == 1
    assert people[0].bodies == [f"[critical] opened: Listing {name} is oversold." for name in ("L1", "L2")]


def waited_for(condition: Any) -> None:
    deadline = time.monotonic() + 240
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_process_that_died_before_it_sent_loses_nothing(
    store: Store, people: list[Inbox], monkeypatch: pytest.MonkeyPatch
) -> None:
    room = Room(store, to(people[0]))
    room.find("L1")

    def die(*_arguments: object) -> None:
        raise SystemExit

    for dies_at in ("claim_unrouted", "close", "lease", "untold"):
        with monkeypatch.context() as patched:
            patched.setattr(outbox, dies_at, die)
            with pytest.raises(SystemExit):
                room.send()
    with monkeypatch.context() as patched:
        patched.setattr(Address, "send", die)
        with pytest.raises(SystemExit):
            room.send()
    assert room.send(LEASE.total_seconds() - 1) == 0
    assert room.send(1) == 1
    assert room.send() == 0
    assert len(people[0].messages) == 1


def test_a_process_that_died_before_it_wrote_down_what_was_taken_repeats_that_one_message(
    store: Store, people: list[Inbox], monkeypatch: pytest.MonkeyPatch
) -> None:
    room = Room(store, to(people[0], "a"), to(people[1], "b"))
    room.find("L1")
    note_told = outbox.note_told

    def die_for_a(transaction: Any, destination: str, *arguments: Any, **named: Any) -> None:
        note_told(transaction, destination, *arguments, **named)
        if destination == "a":
            raise SystemExit

    with monkeypatch.context() as patched:
        patched.setattr(outbox, "note_told", die_for_a)
        with pytest.raises(SystemExit):
            room.send()
    assert [room.send() for _ in range(4)] == [0, 1, 0, 0]
    assert (len(people[0].messages), len(people[1].messages)) == (2, 1)


KILLED = """
import sys
from datetime import datetime, timedelta
from pydantic import SecretStr
from connectors.sandbox.clock import VirtualClock
from worker.alerts import Anomalies
from worker.alerts.routing import Destination
from worker.alerts.sender import AlertSender
from worker.alerts.webhook import Webhook
from worker.store import Store
store, clock = Store(sys.argv[1]), VirtualClock(datetime.fromisoformat(sys.argv[2]))
webhook = Webhook(SecretStr(sys.argv[3]), (SecretStr(sys.argv[4]),), clock)
AlertSender(store, clock, Anomalies(store, clock), [Destination("machine", webhook)]).send_due()
"""


def test_a_process_that_is_killed_while_it_waits_for_the_answer_repeats_once(store: Store, people: list[Inbox]) -> None:
    room = Room(store)
    room.sender = room.another(hook(people[0], room.clock))
    room.find("L1")
    people[0].may_answer.clear()
    address = store.url.render_as_string(hide_password=False)
    arguments = [address, room.clock.now().isoformat(), people[0].hook.get_secret_value(), SECRETS[0]]
    process = subprocess.Popen([sys.executable, "-c", KILLED, *arguments])
    try:
        waited_for(lambda: people[0].tried or process.poll() is not None)
    finally:
        process.kill()
        process.wait()
    people[0].may_answer.set()

    assert len(people[0].messages) == 1
    assert room.send(LEASE.total_seconds() - 1) == 0
    assert room.send(1) == 1
    assert [room.send(3600) for _ in range(3)] == [0] * 3
    assert len(people[0].messages) == 2
    assert len({headers["webhook-id"] for headers in people[0].headers}) == 1


# --- machines -----------------------------------------------------------------------------------------------------


def hook(inbox: Inbox, clock: VirtualClock, *secrets: str, **times: Any) -> Destination:
    made = Webhook(inbox.hook, tuple(map(SecretStr, secrets or SECRETS[:1])), clock)
    return Destination("machine", made, Times(**times))


def test_a_webhook_is_one_signed_message_for_each_change_in_order(store: Store, people: list[Inbox]) -> None:
    room = Room(store)
    room.sender = room.another(hook(people[0], room.clock, *SECRETS))
    finding = room.find("L1")
    room.anomalies.resolve([finding.fingerprint], "stock came")
    opened_at = room.clock.now()

    assert room.send(0) == 2
    first, second = people[0].messages
    assert (first["type"], second["type"]) == ("anomaly.opened", "anomaly.resolved")
    assert datetime.fromisoformat(first["timestamp"]) == opened_at
    assert first["data"] == {
        "anomaly": 1,
        "transition": 1,
        "kind": "oversold",
        "severity": "critical",
        "state": "open",
        "channel": None,
        "listing_id": "L1",
        "order_id": None,
        "message": "Listing L1 is oversold.",
    }
    for headers, body in zip(people[0].headers, people[0].bodies_as_sent, strict=True):
        at = datetime.fromtimestamp(int(headers["webhook-timestamp"]), UTC)
        assert at == room.clock.now().replace(microsecond=0)
        # As somebody else's library signs it, with each of the secrets.
        expected = [Library(secret).sign(headers["webhook-id"], at, body.decode()) for secret in SECRETS]
        assert headers["webhook-signature"].split(" ") == expected
    assert len({headers["webhook-id"] for headers in people[0].headers}) == 2


def test_a_webhook_goes_on_where_it_was_refused_under_the_same_id(store: Store, people: list[Inbox]) -> None:
    room = Room(store)
    room.sender = room.another(hook(people[0], room.clock))
    for name in ("L1", "L2", "L3"):
        room.find(name)
    people[0].then = [200, 503]
    with capture_logs() as lines:
        assert room.send(0) == 1
    assert [line["reason"] for line in lines if "reason" in line] == ["it answered 503"]
    assert room.tellings() == [("machine", SENT), ("machine", WAITING), ("machine", WAITING)]
    assert room.send(30) == 2
    assert [message["data"]["listing_id"] for message in people[0].messages] == ["L1", "L2", "L3"]


def test_what_a_killed_process_had_sent_comes_again_under_the_same_ids(
    store: Store, people: list[Inbox], monkeypatch: pytest.MonkeyPatch
) -> None:
    room = Room(store)
    room.sender = room.another(hook(people[0], room.clock, remind=timedelta(hours=1)))
    room.find("L1")
    room.find("L2")

    def die(*_arguments: object, **_named: object) -> None:
        raise SystemExit

    ids: list[str] = []
    for after_seconds in (0, 3600):
        with monkeypatch.context() as patched:
            patched.setattr(outbox, "note_told", die)
            with pytest.raises(SystemExit):
                room.send(after_seconds)
        assert room.send(LEASE.total_seconds()) == 2
        ids = [headers["webhook-id"] for headers in people[0].headers]
        assert ids[-4:-2] == ids[-2:]
    assert len(set(ids)) == 4
    assert [message["type"] for message in people[0].messages] == ["anomaly.opened"] * 4 + ["anomaly.still_open"] * 4


def test_more_than_one_round_holds_is_sent_all_the_same(
    store: Store, people: list[Inbox], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.alerts.webhook.MOST_MESSAGES", 3)
    room = Room(store)
    room.sender = room.another(hook(people[0], room.clock))
    for number in range(8):
        room.find(f"L{number}")

    assert room.send(0) == 8
    assert [message["data"]["listing_id"] for message in people[0].messages] == [f"L{number}" for number in range(8)]


# --- secrets ------------------------------------------------------------------------------------------------------


def test_an_address_shows_neither_in_rows_nor_in_the_log(store: Store, people: list[Inbox]) -> None:
    people[0].status = 500
    room = Room(store)
    elsewhere = Webhook(SecretStr(f"http://127.0.0.1:{free_port()}/{TOKEN}"), (SecretStr(SECRETS[0]),), room.clock)
    room.sender = room.another(
        to(people[0]),
        Destination("nonsense", Address(SecretStr(f"nonsense://{TOKEN}/x"))),
        hook(people[0], room.clock),
        Destination("elsewhere", elsewhere),
    )
    room.find("L1")
    with capture_logs() as lines:
        room.send()

    errors = [str(room.standing(name).error) for name in ("chat", "machine", "elsewhere")]
    assert TOKEN not in str(errors) + str(lines) + str(room.rows())
    assert SECRETS[0] not in str(lines)
    assert "500" in errors[0]
    assert errors[1:] == ["it answered 500", "ConnectError when sending"]
