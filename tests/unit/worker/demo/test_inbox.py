from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import httpx
import orjson
import pytest
from pydantic import SecretStr

from connectors.signing import key_of, signature
from worker.demo.inbox import MOST_BYTES, Inbox

BODY = orjson.dumps({"type": "anomaly.opened", "data": {"message": "Listing L is oversold"}})


@pytest.fixture
def inbox() -> Iterator[Inbox]:
    with Inbox() as listening:
        yield listening


def send(inbox: Inbox, message_id: str, body: bytes = BODY, *, signed: bytes = BODY) -> int:
    sent_at = str(int(datetime.now(UTC).timestamp()))
    headers = {
        "webhook-id": message_id,
        "webhook-timestamp": sent_at,
        "webhook-signature": signature([key_of(SecretStr(inbox.secret))], message_id, sent_at, signed),
    }
    return httpx.post(inbox.url, content=body, headers=headers, trust_env=False).status_code


def test_a_message_is_told_once_however_often_it_comes(inbox: Inbox) -> None:
    told: list[tuple[str, str]] = []
    assert send(inbox, "earlier") == 204
    assert inbox.tell(lambda *message: told.append(message)) == 1
    assert [send(inbox, name) for name in ("now", "now", "earlier")] == [204, 204, 204]
    assert told == [("anomaly.opened", "Listing L is oversold")]


def test_what_is_not_signed_or_too_large_is_not_told(inbox: Inbox) -> None:
    told: list[tuple[str, str]] = []
    inbox.tell(lambda *message: told.append(message))
    assert httpx.post(inbox.url, content=BODY, trust_env=False).status_code == 401
    assert send(inbox, "changed", BODY.replace(b"oversold", b"fine")) == 401
    large = b" " * (MOST_BYTES + 1)
    assert send(inbox, "large", large, signed=large) == 413
    assert told == []
