"""Every parser against nearly right inputs: the documented errors come out, nothing else, and in bounded time."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fuzz.found import FOUND
from tests.fuzz.targets import TARGETS

DEEP = "nested as deep as goes"
HOSTILE: list[Any] = [
    *(None, True, False, 0, -1, 1.0, 1.5, 10**18, 2**63 - 1, 2**63, -(2**63), 10**400, float("inf"), float("nan")),
    *("", " ", "0", "-1", "1e999", "\x00", "a\x00b", "\ud800", "\x1b[2J", "a\r\nb", "\u202e", "x" * 300, "x" * 70_000),
    *("0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59Z", "9999-12-31T23:59:59-23:59", "2026-11-21", "2026-02-30"),
    *("2026-11-21T11:00:00", "0000-00-00T00:00:00", "_reduced_stock", "_refunded_item_id"),
    *("order.upserted", "2026-11-21T11:00:00+24:00", "cancelled", "2999-12-31T23:59:59-23:59"),
    *("gid://shopify/Order/0", "gid://shopify/Order/99999999999999999999", "gid://shopify/LineItem/1\n", DEEP),
    *([], {}, [[]], [None], {"": None}, [{}], {"id": {}}, {"uuid": ""}, {"data": []}, {"code": ["x"]}),
]

values = st.one_of(
    st.sampled_from(HOSTILE),
    st.integers(),
    st.text(max_size=20),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
        max_leaves=8,
    ),
)


def places(tree: Any) -> Iterator[tuple[Any, Any]]:
    """Every container of the tree with every key or index in it."""
    pairs = list(tree.items()) if isinstance(tree, dict) else list(enumerate(tree)) if isinstance(tree, list) else []
    for key, inner in pairs:
        yield tree, key
        yield from places(inner)


@st.composite
def altered(draw: st.DrawFn, right: list[bytes]) -> bytes:
    """A right input with a few of its parts replaced, left out or doubled; as JSON where it is."""
    data = draw(st.sampled_from(right))
    try:
        tree = json.loads(data)
    except ValueError:
        return draw(spliced(data))
    for _ in range(draw(st.integers(0, 3))):
        found = list(places(tree))
        if not found:
            break
        holder, key = found[draw(st.integers(0, len(found) - 1))]
        match draw(st.sampled_from(["replace", "replace", "leave out", "double"])):
            case "replace":
                holder[key] = copy.deepcopy(draw(values))
            case "leave out":
                del holder[key]
            case _ if isinstance(holder, list):
                holder.append(copy.deepcopy(holder[key]))
            case _:
                holder[draw(st.text(max_size=8))] = copy.deepcopy(holder[key])
    text = json.dumps(tree).replace(json.dumps(DEEP), "[" * 50_000 + "]" * 50_000)
    return draw(spliced(text.encode())) if draw(st.integers(0, 9)) == 0 else text.encode()


@st.composite
def spliced(draw: st.DrawFn, data: bytes) -> bytes:
    """Bytes with a few pieces replaced."""
    for _ in range(draw(st.integers(0, 4))):
        start = draw(st.integers(0, len(data)))
        end = min(len(data), start + draw(st.integers(0, 12)))
        piece = st.binary(max_size=12) | st.sampled_from([text.encode("utf-8", "surrogatepass") for text in TEXTS])
        data = data[:start] + draw(piece) + data[end:]
    return data


TEXTS = [value for value in HOSTILE if isinstance(value, str) and len(value) < 400] + [
    *("env:", "env:NO", "file:/dev/zero", "file:.", '"', "'", ",", "=", "[", "]", "{", "\n", "\n\n", "10" * 200, "nan"),
    *("TRUEUP_", "__", "999", "Date: Mon, 01 Jan 99999 00:00:00 GMT\n", "Retry-After: -1\n", "Content-Encoding: br\n"),
]


NEVER_TAKEN = {
    *("delivery-head", "marketplacer-delivery-head", "standard-head"),
    *("whole-answer", "shopify-token", "sharetribe-token"),
}
"""Of a token alone nobody can read a listing, and nothing here signs a head."""


@pytest.mark.parametrize("name", TARGETS)
def test_what_is_right_is_taken(name: str) -> None:
    """Else nothing but refusals would be tried."""
    target = TARGETS[name]
    assert name in NEVER_TAKEN or any(target.try_out(seed) for seed in target.seeds)


@pytest.mark.parametrize("name", FOUND)
def test_what_was_found_stays_mended(name: str) -> None:
    target, data = FOUND[name]
    TARGETS[target].try_out(data)


@pytest.mark.parametrize("name", TARGETS)
@given(data=st.data())
@settings(suppress_health_check=list(HealthCheck))
def test_only_documented_errors_come_out(name: str, data: st.DataObject) -> None:
    target = TARGETS[name]
    target.try_out(data.draw(altered(list(target.seeds)) | st.binary(max_size=200)))
