"""The vendor, as it describes itself, answers our connector: what that asks, and what it makes of the answers."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import structlog
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from connectors.budget import LocalBudgets
from connectors.contract import UnreadableListing, UnreadableOrder
from connectors.elasticpath import ElasticPathChannel, ElasticPathChannelSettings, ElasticPathMarketplaceSettings
from connectors.elasticpath.marketplace import ClosingMarketplace, open_marketplace
from connectors.errors import ConnectorError, Unreadable
from connectors.http import Toolbox
from connectors.sandbox.clock import VirtualClock
from tests.official.openapi.description import Description, Node, Operation
from tests.official.openapi.vendor import NAME, TEXT, Answer, Mock, Pick, answers, sampled
from tests.official.results import Result

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
ID = "30000000-0000-4000-8000-000000000003"
HOOK = "https://shop.example/hooks/shop"
SHOWN_HOOK = "https://yourwebsite.com/order-created-notification"
"""The address of the webhook that the description shows."""
ACCOUNT = {"client_id": "an-id", "client_secret": "a-secret"}
DRAWN = 40
"""Answers drawn for each operation an act asks for."""


@dataclass(frozen=True, slots=True)
class Act:
    """Something trueup does with a store."""

    name: str
    run: Callable[[Toolbox], object]
    without: str = ""
    """What the answers leave out that become a value."""


def _marketplace(act: Callable[[ClosingMarketplace], object], **changes: Any) -> Callable[[Toolbox], object]:
    given_settings = ElasticPathMarketplaceSettings.model_validate({**ACCOUNT, "close_by_status": True, **changes})

    def run(toolbox: Toolbox) -> object:
        opened = open_marketplace(given_settings, toolbox)
        assert isinstance(opened, ClosingMarketplace)
        return act(opened)

    return run


def _channel(act: Callable[[ElasticPathChannel], object]) -> Callable[[Toolbox], object]:
    given_settings = ElasticPathChannelSettings.model_validate(
        {**ACCOUNT, "refunded": "kept", "webhook_secrets": ["a-secret-of-this-channel"]}
    )
    return lambda toolbox: act(ElasticPathChannel("shop", given_settings, toolbox))


def _readable(found: Iterable[object], *unreadable: type) -> object:
    """What is told with a reason beside what could be read is an error here."""
    listed = list(found)
    for each in listed:
        if isinstance(each, unreadable):
            raise Unreadable(str(each))
    return listed


def _changed(channel: ElasticPathChannel) -> object:
    page = channel.orders(channel.cursor_at(NOW - timedelta(hours=1)))
    return _readable((*page.orders, *page.unreadable), UnreadableOrder)


def _recent(channel: ElasticPathChannel) -> object:
    pages = channel.recent(NOW - timedelta(hours=1))
    return _readable((each for page in pages for each in page), UnreadableOrder)


def _all(marketplace: ClosingMarketplace) -> object:
    return _readable((each for page in marketplace.listings() for each in page), UnreadableListing)


def _adjusted(marketplace: ClosingMarketplace, delta: int) -> object:
    # What is there, the description's own example says.
    return marketplace.adjust(ID, seen=marketplace.listing(ID).stock.total, delta=delta)


FLAVOURS: Mapping[str, Mapping[str, str]] = {
    "basic": {},
    "multi-location": {"inventory": "multi_location"},
    "one location": {"inventory": "multi_location", "location": NAME},
}
MARKETPLACE: Mapping[str, Callable[[ClosingMarketplace], object]] = {
    "a listing": lambda marketplace: marketplace.listing(ID),
    "all listings": _all,
    "an increment": lambda marketplace: _adjusted(marketplace, 2),
    "a decrement": lambda marketplace: _adjusted(marketplace, -1),
    "the history": lambda marketplace: marketplace.adjustments(ID, since=NOW - timedelta(days=400)),
    "the doctor's look": lambda marketplace: marketplace.check(),
}
CLOSING: Mapping[str, Callable[[ClosingMarketplace], object]] = {
    "closing": lambda marketplace: marketplace.close(ID),
    "opening": lambda marketplace: marketplace.open(ID),
}
CHANNEL: Mapping[str, Callable[[ElasticPathChannel], object]] = {
    "changed orders": _changed,
    "recent orders": _recent,
    "one order": lambda channel: channel.order(ID),
    "the webhooks there are": lambda channel: channel.subscriptions(HOOK),
    "registering webhooks": lambda channel: channel.subscribe(HOOK),
    "setting a webhook right": lambda channel: channel.subscribe(SHOWN_HOOK),
    "the doctor's look": lambda channel: channel.check(),
}
ACTS: Sequence[Act] = (
    *(
        Act(f"{flavour}: {name}", _marketplace(act, **changes), "locations" if flavour == "multi-location" else "")
        for flavour, changes in FLAVOURS.items()
        for name, act in MARKETPLACE.items()
    ),
    *(Act(f"products: {name}", _marketplace(act)) for name, act in CLOSING.items()),
    *(Act(f"channel: {name}", _channel(act)) for name, act in CHANNEL.items()),
    Act("channel: one order, piece by piece", _channel(CHANNEL["one order"]), "included"),
)


def check(described: Mapping[str, Description]) -> Iterator[Result]:
    """Each act: its requests, and what becomes of every answer that is described and of some that are allowed."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    for act in ACTS:
        yield from _checked(act, described)


@dataclass(frozen=True, slots=True)
class Tried:
    """An act on one set of answers."""

    outcome: object
    """What it returned or raised."""
    mock: Mock

    @property
    def is_value(self) -> bool:
        """Whether it came to an end as it should."""
        return not isinstance(self.outcome, Exception)

    @property
    def is_crash(self) -> bool:
        """Whether it ended in what nobody expects."""
        return not self.is_value and not isinstance(self.outcome, ConnectorError)


def _checked(act: Act, described: Mapping[str, Description]) -> Iterator[Result]:
    def base(_: str, operation: Operation) -> Answer:
        status, body = sampled(operation)
        return status, _without(body, act.without)

    first = _tried(act, described, base)
    detail = "" if first.is_value else repr(first.outcome)
    yield Result(f"{act.name}: answers as described become a value", first.is_value, detail)
    operations = first.mock.asked
    tries = [
        _tried(act, described, _but(base, name, answer))
        for name, operation in operations.items()
        for answer in answers(operation)
    ]
    yield _all_told(f"{act.name}: each of {len(tries)} described answers becomes a value or a named error", tries)
    troubles = sorted({trouble for tried in (first, *tries) for trouble in tried.mock.troubles})
    yield Result(f"{act.name}: all it asks is asked as described", not troubles, "; ".join(troubles))
    drawn = [
        _tried(act, described, _but(base, name, answer))
        for name, operation in operations.items()
        for answer in _draw(name, operation)
    ]
    yield _all_told(f"{act.name}: so does each of {len(drawn)} answers drawn from the schemas", drawn)


def _all_told(check: str, tries: Sequence[Tried]) -> Result:
    crashes = [repr(tried.outcome) for tried in tries if tried.is_crash]
    return Result(check, bool(tries) and not crashes, "; ".join(crashes[:3]))


def _without(value: Any, name: str) -> Any:
    if isinstance(value, list):
        return [_without(each, name) for each in value]
    if not isinstance(value, dict):
        return value
    return {each: _without(part, name) for each, part in value.items() if each != name}


def _tried(act: Act, described: Mapping[str, Description], pick: Pick) -> Tried:
    mock, clock = Mock(described, pick), VirtualClock(NOW)
    try:
        return Tried(act.run(Toolbox(clock, LocalBudgets(clock), random.Random(1), transport=mock)), mock)
    except Exception as error:  # noqa: BLE001  # telling which is the whole point
        return Tried(error, mock)


def _but(base: Pick, name: str, answer: Answer) -> Pick:
    """One operation answers so, the others as before."""
    return lambda asked, operation: answer if asked == name else base(asked, operation)


_drawn: dict[str, list[Answer]] = {}


def _draw(name: str, operation: Operation) -> Sequence[Answer]:
    """Answers that the schemas allow, the same in every run."""
    if name not in _drawn:
        schemas = {status: operation.schema(status) for status in operation.statuses}
        strategies = [st.tuples(st.just(status), _allowed(schema)) for status, schema in schemas.items() if schema]
        found: list[Answer] = []

        @settings(
            max_examples=DRAWN,
            derandomize=True,
            database=None,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            phases=[Phase.generate],
        )
        # Successes are the more varied: as many of them as of all refusals together.
        @given(st.one_of(strategies[0], st.one_of(strategies[1:])))
        def note(answer: Answer) -> None:
            found.append(answer)

        note()
        _drawn[name] = found
    return _drawn[name]


def _allowed(schema: Node) -> st.SearchStrategy[Any]:
    """What a schema allows, with short lists, nearly all that may be there and no names that are not described."""
    if schema.get("nullable"):
        return st.none() | _allowed({**schema, "nullable": False})
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    if parts := schema.get("allOf"):
        return st.tuples(*map(_allowed, parts)).map(_merged)
    if branches := schema.get("oneOf") or schema.get("anyOf"):
        return st.one_of(*map(_allowed, branches))
    kinds = schema.get("type", "object" if "properties" in schema else "null")
    return st.one_of(*(_of_kind(kind, schema) for kind in (kinds if isinstance(kinds, list) else [kinds])))


def _of_kind(kind: str, schema: Node) -> st.SearchStrategy[Any]:
    least, most = schema.get("minimum"), schema.get("maximum")
    match kind:
        case "object":
            parts = {name: _allowed(each) for name, each in schema.get("properties", {}).items()}
            required = set(schema.get("required", ()))
            others = schema.get("additionalProperties")
            if not parts and isinstance(others, Mapping):
                return st.dictionaries(st.just(NAME) | st.text(), _allowed(others), max_size=3)
            # With nearly everything, else little of it would be looked at.
            optional = sorted(parts.keys() - required)
            left_out = st.sets(st.sampled_from(optional), max_size=1) if optional else st.just(set())
            return st.tuples(st.fixed_dictionaries(parts), left_out).map(_but_for)
        case "array":
            return st.lists(_allowed(schema.get("items", {})), max_size=2)
        case "string":
            return _TEXTS.get(schema.get("format", ""), st.just(TEXT) | st.text(max_size=schema.get("maxLength")))
        case "integer":
            return st.integers(least, most)
        case "number":
            return st.integers(least, most) | st.floats(least, most, allow_nan=False, allow_infinity=False)
        case "boolean":
            return st.booleans()
        case _:
            return st.none()


_TEXTS: Mapping[str, st.SearchStrategy[str]] = {
    "uuid": st.uuids().map(str),
    "date-time": st.datetimes(timezones=st.just(UTC)).map(datetime.isoformat),
    "moment": st.datetimes(timezones=st.just(UTC)).map(datetime.isoformat),
    "email": st.emails(),
}


def _but_for(drawn: tuple[dict[str, Any], set[str]]) -> dict[str, Any]:
    whole, left_out = drawn
    return {name: value for name, value in whole.items() if name not in left_out}


def _merged(parts: Sequence[Any]) -> Any:
    if not all(isinstance(part, dict) for part in parts):
        return parts[0]
    return {name: value for part in parts for name, value in part.items()}
