"""A system that answers as it is told, signed messages, and the smallest true orders to put into either."""

from __future__ import annotations

import base64
import hmac
import io
import json
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import httpx
import respx
from jsonschema import Draft202012Validator
from referencing import Registry, Resource

from connectors.budget import LocalBudgets
from connectors.contract import FileEntry, Order, UnreadableOrder
from connectors.http import Toolbox
from connectors.sandbox.clock import VirtualClock
from connectors.standard import StandardChannel, StandardSettings, open_channel
from connectors.standard.files import OrderFile
from connectors.standard.orders import Rules

NOW = datetime(2026, 11, 21, 12, 0, 0, tzinfo=UTC)
TIMESTAMP = str(int(NOW.timestamp()))
URL = "https://shop.test/api/orders"
TOKEN = "token-0123456789"
KEY = b"thirty-two bytes of a secret key"
SECRET = f"whsec_{base64.b64encode(KEY).decode()}"
SCHEMA = json.loads((Path(__file__).parents[4] / "connectors" / "standard" / "schema.json").read_text(encoding="utf-8"))


def schema_of(part: str) -> Draft202012Validator:
    """What validates a `message` or a `page` of the published schema."""
    registry: Registry[Any] = Registry().with_resource("schema", Resource.from_contents(SCHEMA))
    return Draft202012Validator({"$ref": f"schema#/$defs/{part}"}, registry=registry)


Answer = Any
"""A JSON value, a whole response, what goes wrong, or what makes one of these from the request."""


def settings(**changes: Any) -> StandardSettings:
    return StandardSettings.model_validate({"webhook_secrets": [SECRET], **changes})


RULES = Rules.of(settings())


def toolbox(clock: VirtualClock, transport: httpx.BaseTransport | None = None) -> Toolbox:
    return Toolbox(clock=clock, budgets=LocalBudgets(clock), random=random.Random(1), transport=transport)


def channel(clock: VirtualClock | None = None, **changes: Any) -> StandardChannel:
    return open_channel("till", settings(**changes), toolbox(clock or VirtualClock(NOW)))


# Orders -----------------------------------------------------------------------------------------------------------


def line(line_id: str = "1", sku: str | None = "A", quantity: Any = 3, **changes: Any) -> dict[str, Any]:
    return {"line_id": line_id, "sku": sku, "quantity": quantity, "engraving": "For Bob", **changes}


def order(order_id: Any = "S-1", *lines: Mapping[str, Any], version: Any = 7, **changes: Any) -> dict[str, Any]:
    return {
        "order_id": order_id,
        "version": version,
        "placed_at": "2026-11-20T09:30:00Z",
        "customer": {"name": "Ada Lovelace", "email": "ada@example.com"},
        "lines": list(lines) or [line()],
        **changes,
    }


# Messages ---------------------------------------------------------------------------------------------------------


def message(content: Any, kind: str = "order.upserted") -> bytes:
    return json.dumps({"type": kind, "timestamp": "2026-11-21T12:00:00Z", "data": content}).encode()


def signed(
    body: bytes, *keys: bytes, message_id: str = "msg_1", timestamp: str = TIMESTAMP, **headers: str
) -> dict[str, str]:
    text = f"{message_id}.{timestamp}.".encode("utf-8", "surrogateescape") + body
    digests = [base64.b64encode(hmac.digest(key, text, "sha256")).decode() for key in keys or (KEY,)]
    return {
        "content-type": "application/json",
        "webhook-id": message_id,
        "webhook-timestamp": timestamp,
        "webhook-signature": " ".join(f"v1,{digest}" for digest in digests),
        **{name.replace("_", "-"): value for name, value in headers.items()},
    }


# Files ------------------------------------------------------------------------------------------------------------

HEADER = "order_id,version,placed_at,line_id,sku,quantity"


def csv(*rows: str, header: str = HEADER) -> bytes:
    return "".join(f"{row}\n" for row in (header, *rows)).encode()


def row(order_id: str = "S-1", line_id: str = "1", sku: str = "A", quantity: Any = 3, version: Any = 7) -> str:
    return f"{order_id},{version},2026-11-20T09:30:00Z,{line_id},{sku},{quantity}"


def entries(content: bytes, *, time_zone: str | None = None, rules: Rules = RULES) -> list[FileEntry]:
    file = OrderFile(io.BytesIO(content), rules, time_zone=time_zone, fetched_at=NOW)
    return list(file.entries())


def orders_in(found: Sequence[FileEntry]) -> list[Order]:
    return [entry.content for entry in found if isinstance(entry.content, Order)]


def troubles_in(found: Sequence[FileEntry]) -> list[tuple[int, str | None, str]]:
    return [
        (entry.line, entry.content.order_id, entry.content.reason)
        for entry in found
        if isinstance(entry.content, UnreadableOrder)
    ]


def committed(order: object) -> dict[str, int]:
    assert isinstance(order, Order)
    return {line.line_id: line.committed for line in order.lines}


# A system that can be asked ---------------------------------------------------------------------------------------


@dataclass
class Vendor:
    """Answers with what was queued; the last answer of the queue is given for ever."""

    clock: VirtualClock
    skew_seconds: float = 0.0
    dated: bool = True
    asked: list[httpx.Request] = field(default_factory=list)
    answers: list[Answer] = field(default_factory=list)

    def will(self, *answers: Answer) -> None:
        self.answers = list(answers)

    @property
    def params(self) -> list[dict[str, str]]:
        return [dict(request.url.params) for request in self.asked]

    def handle(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Callable):  # type: ignore[arg-type]
            answer = answer(request)
        if isinstance(answer, Exception):
            raise answer
        if isinstance(answer, httpx.Response):
            return httpx.Response(answer.status_code, headers=answer.headers, content=answer.content)
        return httpx.Response(200, headers=self.headers(), json=answer)

    def headers(self) -> dict[str, str]:
        moment = datetime.fromtimestamp(self.clock.now().timestamp() + self.skew_seconds, UTC)
        return {"Date": format_datetime(moment, usegmt=True)} if self.dated else {}

    def transport(self) -> httpx.MockTransport:
        router = respx.Router(assert_all_called=False)
        router.route(url__startswith=URL).mock(side_effect=self.handle)
        return httpx.MockTransport(router.handler)


def page(*orders: Mapping[str, Any], following: str | None = None) -> dict[str, Any]:
    return {"orders": list(orders), "next": following}
