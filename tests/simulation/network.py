"""Between our processes and the vendors: real requests to the real sandboxes, without a socket, and their fates.

A request leaves, is executed when it arrives, and is answered later; a process may be dead or asleep by any of these
moments, and the vendor neither knows nor cares.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any
from urllib.parse import unquote

import httpx
from starlette.types import ASGIApp, Message

from tests.simulation.events import Call, Fate, SpoilCall, Trouble
from tests.simulation.scheduler import Process, Scheduler, Signal

READ_TIMEOUT_SECONDS = 10.0
"""After which our client gives an answer up; see `connectors.http.Timeouts`."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a vendor says."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes


def run(awaitable: Awaitable[object]) -> None:
    """Drive what never really waits."""
    steps = awaitable.__await__()
    try:
        next(steps)
    except StopIteration:
        return
    raise RuntimeError("an application waited for something that only an event loop brings")


def ask(app: ASGIApp, request: httpx.Request, client: str, path_params: dict[str, str] | None = None) -> Answer:
    """Let an ASGI application answer a request."""
    url = request.url
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": request.method,
        "scheme": url.scheme,
        "path": unquote(url.path),
        "raw_path": url.raw_path.partition(b"?")[0],
        "query_string": url.query,
        "root_path": "",
        "headers": [(name.lower(), value) for name, value in request.headers.raw],
        "client": (client, 40000),
        "server": (url.host, 443),
    }
    if path_params is not None:
        scope["path_params"] = path_params
    said: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": request.content, "more_body": False}

    async def send(message: Message) -> None:
        said.append(message)

    run(app(scope, receive, send))
    start, *bodies = said
    return Answer(start["status"], list(start["headers"]), b"".join(part.get("body", b"") for part in bodies))


@dataclass(slots=True)
class Vendor:
    """One vendor as the network knows it, and what it suffers from."""

    name: str
    app: ASGIApp
    call_of: Callable[[httpx.Request], Call]
    """What a request to it is."""
    trouble: Trouble | None = None
    trouble_until: float = 0.0
    spoilt: list[list[Any]] = field(default_factory=list)
    """Calls to spoil: the event, and how many more pass before it strikes."""

    def fate_of(self, call: Call) -> SpoilCall | None:
        """What strikes this call, if anything; used up by it."""
        for entry in self.spoilt:
            spoil: SpoilCall = entry[0]
            if call is not spoil.call:
                continue
            if entry[1]:
                entry[1] -= 1
                continue
            self.spoilt.remove(entry)
            return spoil
        return None


@dataclass(slots=True)
class Exchange:
    """One request under way."""

    process: Process
    vendor: Vendor
    call: Call
    request: httpx.Request
    answered: Signal = field(default_factory=Signal)
    notes: Any = None
    """What a witness made of it when it was sent."""


class Witness:
    """Sees every call leave and arrive; overridden by who wants to know."""

    def sending(self, exchange: Exchange) -> None:
        """It leaves its process."""

    def executing(self, exchange: Exchange) -> None:
        """It has arrived and is about to be executed."""

    def executed(self, exchange: Exchange, answer: Answer) -> None:
        """It was executed; whether anybody hears of the answer is another matter."""

    def fated(self, exchange: Exchange, fate: str) -> None:
        """It goes wrong in this way."""


class Network:
    """Carries requests. One for a history."""

    def __init__(self, scheduler: Scheduler, random: Random, witness: Witness) -> None:
        self._scheduler = scheduler
        self._random = random
        self._witness = witness
        self.vendors: dict[str, Vendor] = {}
        """By host."""
        self.flawless = True
        """Set before the faults begin, and when they have stopped."""
        self.boundary: Callable[[Process], None] = lambda _process: None
        """Where a process may die or stand still: before a call leaves, and after its answer came."""

    def transport(self, process: Process) -> httpx.BaseTransport:
        """The network as one process sees it."""
        return _Transport(self, process)

    def send(self, process: Process, request: httpx.Request) -> httpx.Response:
        """Carry one request of the running task; park until there is an answer, or none."""
        process.live()
        vendor = self.vendors[request.url.host]
        call = vendor.call_of(request)
        if call is Call.TOKEN:
            # Asked for under a lock that other tasks of the process wait for: it is one step.
            return self._token(process, vendor, request)
        self.boundary(process)
        exchange = Exchange(process, vendor, call, request)
        self._witness.sending(exchange)
        self._dispatch(exchange)
        outcome = self._scheduler.wait(exchange.answered)
        self.boundary(process)
        if isinstance(outcome, Exception):
            raise outcome
        answer: Answer = outcome
        return httpx.Response(answer.status, headers=answer.headers, content=answer.body, request=request)

    def _token(self, process: Process, vendor: Vendor, request: httpx.Request) -> httpx.Response:
        trouble = self._trouble(vendor)
        if trouble is Trouble.DOWN:
            raise httpx.ConnectError("the vendor is down", request=request)
        if trouble is Trouble.UNAUTHORISED:
            return httpx.Response(401, content=b"Unauthorized", request=request)
        answer = ask(vendor.app, request, process.name)
        return httpx.Response(answer.status, headers=answer.headers, content=answer.body, request=request)

    def _trouble(self, vendor: Vendor) -> Trouble | None:
        if vendor.trouble is not None and vendor.trouble_until <= self._scheduler.now:
            vendor.trouble = None
        return vendor.trouble

    def _dispatch(self, exchange: Exchange) -> None:
        spoil = None if self.flawless else exchange.vendor.fate_of(exchange.call)
        there = self._travel()
        if spoil is None:
            self._execute(exchange, there, there + self._travel())
            return
        self._witness.fated(exchange, spoil.fate.value)
        request = exchange.request
        match spoil.fate:
            case Fate.REFUSED:
                self._fail(exchange, there, httpx.ConnectError("connection refused", request=request))
            case Fate.LOST_BEFORE:
                self._fail(exchange, there, httpx.RemoteProtocolError("server disconnected", request=request))
            case Fate.LOST_AFTER:
                self._execute(exchange, there, None)
                self._fail(exchange, there * 2, httpx.ReadError("connection reset", request=request))
            case Fate.LATE:
                self._execute(exchange, max(spoil.seconds, there), None)
                patience = min(READ_TIMEOUT_SECONDS, there + Random(spoil.seed).uniform(0.0, 12.0))
                self._fail(exchange, patience, httpx.ReadTimeout("no answer", request=request))
            case Fate.SLOW:
                self._execute(exchange, there, there + min(spoil.seconds, READ_TIMEOUT_SECONDS - 0.5))
            case Fate.THROTTLED:
                wait = [(b"retry-after", str(int(spoil.seconds)).encode())] if spoil.seconds else []
                self._answer(exchange, there * 2, Answer(429, wait, b'{"errors": "too many requests"}'))
            case Fate.ERROR_BEFORE:
                self._answer(exchange, there * 2, Answer(500, [], b"<html>500</html>"))
            case Fate.ERROR_AFTER:
                self._execute(exchange, there, None)
                self._answer(exchange, there * 2, Answer(502, [], b"<html>502</html>"))
            case Fate.GARBLED:
                self._execute(exchange, there, None)
                self._answer(exchange, there * 2, Answer(200, [], b"<html>welcome</html>"))
            case Fate.TOKEN_EXPIRED:
                self._answer(
                    exchange, there * 2, Answer(401, [], b'{"errors": [{"code": "auth-invalid-access-token"}]}')
                )

    def _execute(self, exchange: Exchange, after: float, answered: float | None) -> None:
        """Execute on arrival; answer then, or never."""

        def arrive() -> None:
            trouble = self._trouble(exchange.vendor)
            if trouble is not None:
                self._troubled(exchange, trouble)
                return
            self._witness.executing(exchange)
            answer = ask(exchange.vendor.app, exchange.request, exchange.process.name)
            self._witness.executed(exchange, answer)
            if answered is not None:
                self._answer(exchange, answered - after, answer)

        self._scheduler.after(after, arrive)

    def _troubled(self, exchange: Exchange, trouble: Trouble) -> None:
        self._witness.fated(exchange, trouble.value)
        match trouble:
            case Trouble.DOWN:
                self._fail(exchange, 0.0, httpx.ConnectError("the vendor is down", request=exchange.request))
            case Trouble.UNAUTHORISED:
                self._answer(exchange, 0.0, Answer(401, [], b'{"errors": [{"code": "auth-invalid-access-token"}]}'))
            case Trouble.THROTTLING:
                self._answer(exchange, 0.0, Answer(429, [(b"retry-after", b"3")], b'{"errors": "too many requests"}'))

    def _answer(self, exchange: Exchange, after: float, answer: Answer) -> None:
        self._scheduler.after(after, lambda: self._scheduler.set(exchange.answered, answer))

    def _fail(self, exchange: Exchange, after: float, error: Exception) -> None:
        self._scheduler.after(after, lambda: self._scheduler.set(exchange.answered, error))

    def _travel(self) -> float:
        """Seconds for one way: mostly short, now and then long enough for others to come in between."""
        if self.flawless:
            return 0.01
        random = self._random.random()
        return 0.005 + 0.1 * random if random < 0.95 else 4.0 * (random - 0.94) * 16


class _Transport(httpx.BaseTransport):
    def __init__(self, network: Network, process: Process) -> None:
        self._network = network
        self._process = process

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """See `httpx.BaseTransport`."""
        request.read()
        return self._network.send(self._process, request)
