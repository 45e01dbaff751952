"""What the receiver does with what a connector hands it, without a server around it."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import pytest
from prometheus_client import CollectorRegistry
from starlette.types import Message
from structlog.testing import capture_logs

from connectors.contract import Channel, Notice, Receipt, Subscription
from connectors.errors import InvalidSignature
from connectors.sandbox.clock import VirtualClock
from worker.intake.inbox import Incoming
from worker.web import receiver as receiver_module
from worker.web.batching import Batcher
from worker.web.metrics import Meters
from worker.web.receiver import Receiver

CHANNEL = "shop"
OTHER = "other-shop"


class Trusting:
    """Believes everybody and passes headers on as they are, as a careless connector might."""

    refusal_status = 403

    def receive(self, headers: Mapping[str, str], body: bytes) -> Receipt:
        if body == b"forged":
            raise InvalidSignature("the delivery is not signed", code="signature")
        if body == b"bug":
            raise KeyError("id")
        return Receipt(headers.get("id", ""), headers.get("topic", ""), body, raw=False)

    def read(self, topic: str, kept: bytes) -> Sequence[Notice]:
        return ()

    def subscriptions(self, address: str) -> Sequence[Subscription]:
        return ()

    def subscribe(self, address: str) -> Sequence[Subscription]:
        return ()


class Enduring(Trusting):
    """Of a vendor that turns a webhook off for a 4xx."""

    refusal_status = 503

    def receive_beginning(self, headers: Mapping[str, str], beginning: bytes) -> Receipt:
        if headers.get("secret") != "good":
            raise InvalidSignature("the delivery is not signed", code="signature")
        return Receipt(headers["id"], "", beginning, raw=True)


class Stage:
    """A receiver, what it stored, and which polls it asked for."""

    def __init__(self, *, max_body_bytes: int = 1000, hooks: Trusting | None = None) -> None:
        self._hooks = hooks or Trusting()
        self.clock = VirtualClock()
        self.registry = CollectorRegistry()
        self.stored: list[Incoming] = []
        self.polls: list[str] = []
        self._max_body_bytes = max_body_bytes

    def post(self, *requests: tuple[Mapping[str, str], Sequence[bytes]], method: str = "POST") -> list[int]:
        """Send these one after the other, each body in its pieces, to the channel that a header names; returns the
        statuses.
        """
        return asyncio.run(self._post(requests, method))

    async def _post(self, requests: Sequence[tuple[Mapping[str, str], Sequence[bytes]]], method: str) -> list[int]:
        batcher = Batcher(self.stored.extend)
        receiver = Receiver(
            {name: cast("Channel", self._hooks) for name in (CHANNEL, OTHER)},
            self.clock,
            batcher,
            Meters(self.registry, [CHANNEL, OTHER]),
            max_body_bytes=self._max_body_bytes,
            ask_for_poll=self.polls.append,
        )
        statuses = []
        for headers, pieces in requests:
            messages: list[Message] = [
                {"type": "http.request", "body": piece, "more_body": number + 1 < len(pieces)}
                for number, piece in enumerate(pieces)
            ] or [{"type": "http.disconnect"}]
            sent: list[Message] = []
            scope: dict[str, Any] = {
                "type": "http",
                "method": method,
                "path_params": {"channel": headers.get("channel", CHANNEL)},
                "headers": [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()],
            }
            await receiver(scope, self._receive(messages), self._send(sent))
            statuses.append(sent[0]["status"])
        await batcher.close()
        return statuses

    def _receive(self, messages: list[Message]) -> Callable[[], Any]:
        async def receive() -> Message:
            return messages.pop(0) if messages else {"type": "http.disconnect"}

        return receive

    def _send(self, sent: list[Message]) -> Callable[[Message], Any]:
        async def send(message: Message) -> None:
            sent.append(message)

        return send

    def count(self, outcome: str) -> float:
        value = self.registry.get_sample_value("trueup_deliveries_total", {"channel": CHANNEL, "outcome": outcome})
        assert value is not None
        return value


def test_headers_are_plain_and_bounded_before_they_reach_a_row() -> None:
    stage = Stage()
    stage.post(({"id": "a\r\nb\x1b[31m\x00" + "x" * 300, "topic": "orders\n{'event': 'forged'}"}, [b"{}"]))

    (row,) = stage.stored
    assert row.delivery_id == ("ab[31m" + "x" * 300)[:255]
    assert row.topic == "orders{'event': 'forged'}"


def test_headers_are_plain_before_they_reach_the_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, logger=receiver_module.__name__)
    with capture_logs() as lines:
        Stage().post(({"id": "a\nlevel=critical", "topic": "t\r"}, [b"{}"]))

    (line,) = [line for line in lines if line["event"] == "delivery_stored"]
    assert (line["delivery_id"], line["topic"]) == ("alevel=critical", "t")


def test_a_delivery_without_an_id_is_known_by_its_body() -> None:
    stage = Stage()
    stage.post(({"id": "\x07"}, [b"{}"]))

    assert stage.stored[0].delivery_id == stage.stored[0].digest == hashlib.sha256(b"{}").hexdigest()


def test_every_delivery_gets_a_correlation_id_of_its_own() -> None:
    stage = Stage()
    stage.post(({"id": "1"}, [b"{}"]), ({"id": "2"}, [b"{}"]))

    assert len({row.correlation_id for row in stage.stored}) == 2


def test_a_body_in_pieces_is_put_together() -> None:
    stage = Stage()

    assert stage.post(({"id": "1"}, [b"a", b"", b"bc", b"d"])) == [200]
    assert stage.stored[0].kept == b"abcd"


def test_a_body_of_exactly_the_limit_is_taken_and_a_byte_more_is_not() -> None:
    stage = Stage(max_body_bytes=10)

    assert stage.post(({"id": "1"}, [b"x" * 10]), ({"id": "2"}, [b"x" * 11]), ({"id": "3"}, [b"x" * 6] * 2)) == [
        200,
        413,
        413,
    ]
    assert [row.delivery_id for row in stage.stored] == ["1"]


def test_an_oversize_delivery_asks_for_a_poll_once_in_a_while() -> None:
    stage = Stage(max_body_bytes=10)
    stage.post(*[({"content-length": "11"}, [b"x" * 11])] * 5)

    assert stage.polls == [CHANNEL]
    assert stage.count("too_large") == 5


def test_a_sender_that_goes_away_leaves_nothing() -> None:
    stage = Stage()
    stage.post(({"id": "1"}, []))

    assert stage.stored == []
    assert stage.count("incomplete") == 1


def test_memory_for_bodies_is_bounded_and_given_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(receiver_module, "MOST_BODY_BYTES", 0)
    stage = Stage(max_body_bytes=10)  # So that twice a body's limit may be in hand.
    statuses = stage.post(*[({"id": str(number)}, [b"x" * 10]) for number in range(10)])

    assert statuses == [200] * 10


def test_a_bad_signature_gets_the_connectors_status_and_leaves_nothing() -> None:
    stage = Stage()
    with capture_logs() as lines:
        assert stage.post(*[({"id": "1"}, [b"forged"])] * 20) == [403] * 20

    assert stage.stored == []
    assert stage.count("refused") == 20
    assert [line["event"] for line in lines] == ["delivery_refused"]


def test_a_flood_of_bad_signatures_hides_no_other_channels_warning() -> None:
    stage = Stage()
    with capture_logs() as lines:
        stage.post(*[({}, [b"forged"])] * 5, ({"channel": OTHER}, [b"forged"]))

    assert [line["channel"] for line in lines] == [CHANNEL, OTHER]


def test_a_connector_that_breaks_its_contract_is_no_server_error_and_loses_nothing() -> None:
    stage = Stage()
    with capture_logs() as lines:
        assert stage.post(*[({"id": "1"}, [b"bug"])] * 3) == [400] * 3

    assert stage.polls == [CHANNEL]
    assert [line["event"] for line in lines].count("delivery_failed") == 1


def test_whatever_is_wrong_a_vendor_that_would_turn_its_webhook_off_gets_no_4xx() -> None:
    stage = Stage(max_body_bytes=10, hooks=Enduring())
    announced, mine = {"content-length": "11", "id": "1"}, {"id": "2", "secret": "good"}
    with capture_logs():
        statuses = stage.post(
            (announced, [b"x" * 11]),
            (mine, [b"x" * 6, b"y" * 6]),
            ({"id": "3"}, [b"bug"]),
            ({"id": "4"}, [b"forged"]),
        )

    assert statuses == [503, 200, 503, 503]
    assert [(row.delivery_id, row.kept, row.raw) for row in stage.stored] == [("2", b"xxxxxxyyyy", True)]
    assert stage.polls == [CHANNEL]


def test_other_methods_are_refused() -> None:
    stage = Stage()

    assert stage.post(({"id": "1"}, [b"{}"]), method="PUT") == [405]
    assert stage.stored == []
