"""The control surface under `/_control`: what people do at the vendor, and what goes wrong with it.

JSON in and out, no authentication: it is for the machine the sandbox runs on. Every sandbox has the same clock,
switches, faults and, where it sends webhooks, delivery faults; what people can do there is its own. A refusal is
`{"error", ...}` with the status the person's own call would have got; a body that is not understood is a 422.
"""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Protocol, TypeVar

import orjson
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from .clock import MovableClock
from .faults import Fault, FaultPlan

_Model = TypeVar("_Model", bound=BaseModel)
_Asked = TypeVar("_Asked")
Path = Mapping[str, Any]


class Body(BaseModel):
    """What a body of the control surface is made of."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Nothing(Body):
    """An empty object, or no body."""


class Advance(Body):
    """How far to move the clock."""

    seconds: float = Field(ge=0)


class MadeUpWebhook(Body):
    """A delivery of any content, sent once."""

    topic: str = ""
    body: Any = None
    raw_body: str | None = Field(default=None, description="Sent as it is, instead of `body` as JSON.")
    url: str | None = Field(default=None, description="Null: to every address somebody registered.")
    signed: bool = True
    headers: Mapping[str, str] = Field(default_factory=dict, description="Replace the usual ones.")

    @property
    def content(self) -> bytes:
        """What is sent."""
        return orjson.dumps(self.body) if self.raw_body is None else self.raw_body.encode()


class Deliveries(Protocol):
    """What sends the sandbox's webhooks."""

    @property
    def pending(self) -> Mapping[str, int]:
        """What has not come to an end, by why not."""

    def flush(self) -> None:
        """Send everything that waits now."""


class Spoilt(Protocol):
    """Whatever spoils webhooks on their way."""

    faults: Any
    """The present delivery faults, a model."""


class ControlSurface(ABC):
    """What every sandbox's control surface has; a vendor's adds what people do there."""

    def __init__(
        self,
        *,
        clock: MovableClock,
        faults: FaultPlan,
        deliveries: Deliveries | None = None,
        spoilt: Spoilt | None = None,
        lock: AbstractContextManager[Any] | None = None,
        pass_time: Callable[[], object] = lambda: None,
    ) -> None:
        """`pass_time` lets happen what is due by now: before every request, and when the clock has been moved."""
        self._clock = clock
        self._faults = faults
        self._deliveries = deliveries
        self._spoilt = spoilt
        self._pass_time = pass_time
        self._lock: AbstractContextManager[Any] = nullcontext() if lock is None else lock

    # What a vendor's own says.

    @abstractmethod
    def own_routes(self) -> list[Route]:
        """What people do there."""

    @abstractmethod
    def switches(self) -> Any:
        """The present switches, a model."""

    @abstractmethod
    def turn(self, switches: Any) -> None:
        """Other switches, from now on."""

    @abstractmethod
    def counts(self) -> dict[str, Any]:
        """What happened so far."""

    @abstractmethod
    def state(self, request: Request) -> Any:
        """The whole, as the vendor itself knows it."""

    def refused(self, error: Exception) -> tuple[dict[str, Any], int] | None:
        """How a person is told of this error; None: it is no refusal."""
        return None

    # What all have.

    def routes(self) -> list[Route]:
        """For mounting under `/_control`."""
        standard = [
            self.get("/state", self.state),
            self.get("/counts", lambda _: self.counts()),
            self.get("/clock", lambda _: self._time()),
            self.post("/clock", Advance, lambda _, asked: self._advance(asked)),
            self.get("/switches", lambda _: self.switches().model_dump()),
            self.post("/switches", dict[str, Any], lambda _, changes: self._turn(changes)),
            self.get("/faults", lambda _: self.faulted()),
            self.post("/faults", Fault, lambda _, fault: self._arm(fault)),
            self.post("/faults/clear", Nothing, lambda *_: self._disarm()),
            self.delete("/faults", lambda *_: self._disarm()),
        ]
        if self._deliveries is not None:
            standard += [
                self.get("/quiet", lambda _: self._quiet()),
                self.post("/flush", Nothing, lambda *_: self._flush()),
                self.post("/deliveries/flush", Nothing, lambda *_: self._flush()),
            ]
        if self._spoilt is not None:
            standard += [
                self.get("/delivery_faults", lambda _: self._spoiling().model_dump()),
                self.post("/delivery_faults", dict[str, Any], lambda _, changes: self._spoil(changes)),
            ]
        return [*standard, *self.own_routes()]

    def faulted(self) -> dict[str, Any]:
        """What is armed, and how often which kind struck which operation."""
        struck: dict[str, dict[str, int]] = {}
        for (operation, kind), times in self._faults.struck.items():
            struck.setdefault(operation, {})[kind.value] = times
        return {"armed": [fault.model_dump() for fault in self._faults.armed], "struck": struck}

    def _time(self) -> Any:
        return {"now": self._clock.now()}

    def _advance(self, asked: Advance) -> Any:
        self._clock.advance(asked.seconds)
        self._pass_time()
        return self._time()

    def _turn(self, changes: Mapping[str, Any]) -> Any:
        self.turn(_changed(self.switches(), changes))
        return self.switches().model_dump()

    def _arm(self, fault: Fault) -> Any:
        self._faults.arm(fault)
        return self.faulted()

    def _disarm(self) -> Any:
        self._faults.disarm()
        return self.faulted()

    def _quiet(self) -> Any:
        pending = {} if self._deliveries is None else self._deliveries.pending
        return {**pending, "quiet": not any(pending.values())}

    def _flush(self) -> Any:
        if self._deliveries is not None:
            self._deliveries.flush()
        return self._quiet()

    def _spoiling(self) -> Any:
        assert self._spoilt is not None  # noqa: S101  the route is only there where something is spoilt
        return self._spoilt.faults

    def _spoil(self, changes: Mapping[str, Any]) -> Any:
        assert self._spoilt is not None  # noqa: S101  the route is only there where something is spoilt
        self._spoilt.faults = _changed(self._spoilt.faults, changes)
        return self._spoilt.faults.model_dump()

    # Plumbing.

    def get(self, path: str, look: Callable[[Request], Any]) -> Route:
        """A route that shows something."""

        async def endpoint(request: Request) -> Response:
            return await self._guarded(lambda: look(request))

        return Route(path, endpoint, methods=["GET"])

    def post(self, path: str, model: type[_Asked], act: Callable[[Path, _Asked], Any], method: str = "POST") -> Route:
        """A route that does something, with the path's parameters and what the body asks. `act` may be a coroutine."""
        adapter = TypeAdapter(model)

        async def endpoint(request: Request) -> Response:
            body = await request.body() or b"{}"
            return await self._guarded(lambda: act(request.path_params, adapter.validate_json(body)))

        return Route(path, endpoint, methods=[method])

    def delete(self, path: str, act: Callable[[Path, Nothing], Any]) -> Route:
        """A route that takes something away."""
        return self.post(path, Nothing, act, "DELETE")

    async def _guarded(self, work: Callable[[], Any]) -> Response:
        status = 200
        try:
            with self._lock:
                self._pass_time()
                answer = work()
            if inspect.isawaitable(answer):
                answer = await answer
        except ValidationError as error:
            details = error.errors(include_url=False, include_context=False, include_input=False)
            answer, status = {"error": "The body is not understood.", "details": details}, 422
        except Exception as error:
            refused = self.refused(error)
            if refused is None:
                raise
            answer, status = refused
        return Response(orjson.dumps(answer, option=orjson.OPT_UTC_Z), status, media_type="application/json")


def _changed(present: _Model, changes: Mapping[str, Any]) -> _Model:
    """`present` with the given fields replaced."""
    return type(present).model_validate({**present.model_dump(), **changes})
