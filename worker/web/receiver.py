"""`POST /hooks/{channel}`: verify, reduce, store, answer; everything else happens from the stored row.

    200  committed; a repeated delivery too
    401  not signed by its sender, or what the connector says instead
    404  no such channel, or one without webhooks
    405  not a POST
    413  the body is too large; the channel is polled instead
    503  not stored: the database is down, or more is waiting than may. The sender is asked to come again

Where the vendor would turn a webhook off for a 4xx (`EnduringHooks`), none is answered on its path: of what is too
large the beginning is stored, for a person to see, and whatever cannot be verified gets the connector's own refusal.

The answer goes out after the commit, and no vendor is called before it. Written against ASGI itself: what a framework
does for each request costs more than what we do for it.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Callable, Mapping

import structlog
from starlette.types import Message, Receive, Scope, Send

from config.logging import bind_correlation
from connectors.clock import Clock
from connectors.contract import Channel, EnduringHooks, Hooks, Receipt
from connectors.errors import InvalidSignature
from worker.intake.inbox import Incoming
from worker.store import StorageUnavailable
from worker.tracing import Tracing
from worker.web.batching import Batcher, NotStored, Overloaded
from worker.web.limits import Seldom
from worker.web.metrics import NO_CHANNEL, Meters, Outcome

log = structlog.get_logger(__name__)
_standard_log = logging.getLogger(__name__)
"""Asked whether a line would be written at all: a line that is not costs as much as verifying a delivery."""

MOST_BODY_BYTES = 64 * 1024 * 1024
"""Of all deliveries in hand at once: memory is not to be had for the asking."""
UNCOUNTED_BYTES = 64 * 1024
"""Of each delivery, which the number of connections bounds: else a few senders of large bodies, who take their time,
would keep everybody's small ones out."""
MOST_HEADER_CHARACTERS = 255
"""What a delivery's id and topic may have in their row."""
WARN_EVERY_SECONDS = 60.0
POLL_EVERY_SECONDS = 60.0
RETRY_AFTER_SECONDS = 30


class _TooLarge(Exception):  # noqa: N818
    """The body is larger than a delivery may be."""

    def __init__(self, beginning: bytes = b"") -> None:
        super().__init__()
        self.beginning = beginning


class _BrokenOff(Exception):  # noqa: N818
    """The sender went away before the body's end."""


class Receiver:
    """The ASGI application behind every hook. Belongs to one event loop."""

    def __init__(
        self,
        channels: Mapping[str, Channel],
        clock: Clock,
        batcher: Batcher,
        meters: Meters,
        *,
        max_body_bytes: int,
        ask_for_poll: Callable[[str], None],
        tracing: Tracing | None = None,
    ) -> None:
        """`ask_for_poll` makes a channel be polled soon; it may block, and is called from a thread, seldom."""
        self._hooks = {name: channel for name, channel in channels.items() if isinstance(channel, Hooks)}
        self._clock = clock
        self._batcher = batcher
        self._meters = meters
        self._max_body_bytes = max_body_bytes
        self._most_bytes = max(MOST_BODY_BYTES, 2 * max_body_bytes)
        self._bytes_in_hand = 0
        self._ask_for_poll = ask_for_poll
        self._tracing = tracing or Tracing()
        self._warnings = Seldom(clock, WARN_EVERY_SECONDS)
        self._polls = Seldom(clock, POLL_EVERY_SECONDS)
        self._asking: set[asyncio.Future[None]] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        name = scope["path_params"]["channel"]
        hooks = self._hooks.get(name)
        if hooks is None:
            self._meters.count(NO_CHANNEL, Outcome.UNKNOWN_CHANNEL)
            await _answer(send, _NOT_FOUND)
        elif scope["method"] != "POST":
            self._meters.count(name, Outcome.WRONG_METHOD)
            await _answer(send, _NOT_ALLOWED)
        else:
            outcome, answer = await self._delivery(name, hooks, scope, receive)
            self._meters.count(name, outcome)
            await _answer(send, answer)

    async def _delivery(self, name: str, hooks: Hooks, scope: Scope, receive: Receive) -> tuple[Outcome, Message]:
        headers = {key.decode("latin-1"): value.decode("latin-1") for key, value in scope["headers"]}
        in_hand = _InHand(self)
        try:
            outcome, answer, delivery = await self._taken(name, hooks, headers, receive, in_hand)
            await self._batcher.store(delivery)
        except _TooLarge:
            return Outcome.TOO_LARGE, _TOO_LARGE
        except _BrokenOff:
            # Nobody is there to read the answer.
            return Outcome.INCOMPLETE, _BAD_REQUEST
        except InvalidSignature as error:
            self._warn("delivery_refused", name, reason=error.code or "signature", detail=error.message)
            cut = in_hand.size > self._max_body_bytes
            return Outcome.REFUSED, _refusal(hooks.refusal_status, *((_CLOSE,) if cut else ()))
        except Overloaded:
            self._warn("receiver_overloaded", name)
            return Outcome.OVERLOADED, _COME_AGAIN
        except StorageUnavailable as error:
            self._warn("delivery_not_stored", name, error=str(error))
            return Outcome.NOT_STORED, _COME_AGAIN
        except NotStored as error:
            self._poll_instead(name, f"a delivery could not be stored ({error})")
            return Outcome.NOT_STORED, _COME_AGAIN
        except Exception:
            # A connector raises InvalidSignature and nothing else. Whoever broke that, the sender must not give up on
            # the address: it counts a 5xx as our failure.
            if self._warnings.lets_through(("delivery_failed", name)):
                log.exception("delivery_failed", channel=name)
            self._poll_instead(name, "a delivery could not be read")
            return Outcome.FAILED, _refusal(hooks.refusal_status) if isinstance(hooks, EnduringHooks) else _BAD_REQUEST
        finally:
            in_hand.release()
        if _standard_log.isEnabledFor(logging.DEBUG):
            log.debug("delivery_stored", topic=delivery.topic, delivery_id=delivery.delivery_id, bytes=in_hand.size)
        return outcome, answer

    async def _taken(
        self, name: str, hooks: Hooks, headers: Mapping[str, str], receive: Receive, in_hand: _InHand
    ) -> tuple[Outcome, Message, Incoming]:
        """What is to be stored of a delivery, and its answer once it is."""
        announced = "" if isinstance(hooks, EnduringHooks) else headers.get("content-length", "")
        try:
            body = await self._body(announced, receive, in_hand)
        except _TooLarge as error:
            self._poll_instead(name, f"a delivery is larger than {self._max_body_bytes} bytes")
            if not isinstance(hooks, EnduringHooks):
                raise
            return Outcome.TOO_LARGE, _CUT, self._verified(name, hooks.receive_beginning, headers, error.beginning)
        return Outcome.STORED, _STORED, self._verified(name, hooks.receive, headers, body)

    async def _body(self, announced: str, receive: Receive, in_hand: _InHand) -> bytes:
        if announced.isdecimal() and int(announced) > self._max_body_bytes:
            raise _TooLarge
        message = await receive()
        if message["type"] == "http.request" and not message.get("more_body", False):
            body: bytes = message.get("body", b"")
            in_hand.add(len(body))
            if len(body) > self._max_body_bytes:
                raise _TooLarge(body[: self._max_body_bytes])
            return body
        chunks = bytearray()
        while True:
            if message["type"] == "http.disconnect":
                raise _BrokenOff
            chunk = message.get("body", b"")
            in_hand.add(len(chunk))
            chunks += chunk
            if len(chunks) > self._max_body_bytes:
                raise _TooLarge(bytes(chunks[: self._max_body_bytes]))
            if not message.get("more_body", False):
                return bytes(chunks)
            message = await receive()

    def _verified(
        self, name: str, take: Callable[[Mapping[str, str], bytes], Receipt], headers: Mapping[str, str], body: bytes
    ) -> Incoming:
        correlation_id = bind_correlation(channel=name)
        with self._tracing.first("receive webhook", correlation_id, channel=name, bytes=len(body)):
            receipt = take(headers, body)
        digest = hashlib.sha256(body).hexdigest()
        return Incoming(
            channel=name,
            delivery_id=_plain(receipt.delivery_id) or digest,
            digest=digest,
            topic=_plain(receipt.topic),
            kept=receipt.kept,
            raw=receipt.raw,
            received_at=self._clock.now(),
            correlation_id=correlation_id,
        )

    def _warn(self, event: str, channel: str, **facts: str) -> None:
        """One line a minute for each channel and event: anybody can send us anything."""
        if times := self._warnings.lets_through((event, channel)):
            log.warning(event, channel=channel, times=times, **facts)

    def _poll_instead(self, channel: str, why: str) -> None:
        """What we cannot take from this delivery, a poll finds."""
        self._warn("delivery_left_to_poll", channel, why=why)
        if self._polls.lets_through(channel):
            asking = asyncio.get_running_loop().run_in_executor(None, self._ask_for_poll, channel)
            self._asking.add(asking)
            asking.add_done_callback(self._asked)

    def _asked(self, asking: asyncio.Future[None]) -> None:
        self._asking.discard(asking)
        if not asking.cancelled() and (error := asking.exception()):
            log.warning("poll_not_asked_for", error=f"{type(error).__name__}: {error}"[:200])

    def take_in_hand(self, size: int) -> None:
        """Count bytes of bodies held in memory. Raises `Overloaded`."""
        self._bytes_in_hand += size
        if self._bytes_in_hand > self._most_bytes:
            raise Overloaded

    def put_down(self, size: int) -> None:
        """The counterpart of `take_in_hand`."""
        self._bytes_in_hand -= size


class _InHand:
    """How many bytes one request holds in memory."""

    __slots__ = ("_receiver", "_size")

    def __init__(self, receiver: Receiver) -> None:
        self._receiver = receiver
        self._size = 0

    def add(self, size: int) -> None:
        counted = self._counted
        self._size += size
        self._receiver.take_in_hand(self._counted - counted)

    def release(self) -> None:
        self._receiver.put_down(self._counted)

    @property
    def size(self) -> int:
        """All of them."""
        return self._size

    @property
    def _counted(self) -> int:
        return max(0, self._size - UNCOUNTED_BYTES)


def _plain(text: str) -> str:
    """A header as it may stand in a row or a log line: printable and bounded."""
    if len(text) <= MOST_HEADER_CHARACTERS and text.isprintable():
        return text
    return "".join(character for character in text if character.isprintable())[:MOST_HEADER_CHARACTERS]


# Answers ----------------------------------------------------------------------------------------------------------


def _start(status: int, *headers: tuple[bytes, bytes]) -> Message:
    return {"type": "http.response.start", "status": status, "headers": [(b"content-length", b"0"), *headers]}


# What is left of a body that we do not want is not read: the connection ends with the answer.
_CLOSE = (b"connection", b"close")

_STORED = _start(200)
_CUT = _start(200, _CLOSE)
_NOT_FOUND = _start(404, _CLOSE)
_NOT_ALLOWED = _start(405, (b"allow", b"POST"), _CLOSE)
_TOO_LARGE = _start(413, _CLOSE)
_BAD_REQUEST = _start(400)
_COME_AGAIN = _start(503, (b"retry-after", str(RETRY_AFTER_SECONDS).encode()), _CLOSE)
_END: Message = {"type": "http.response.body", "body": b""}


def _refusal(status: int, *headers: tuple[bytes, bytes]) -> Message:
    return _start(status, *headers)


async def _answer(send: Send, start: Message) -> None:
    await send(start)
    await send(_END)
