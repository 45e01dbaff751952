"""Transit: what is read, what is written, and that nothing a caller sends is more than a refusal."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.sharetribe.sandbox.codec import CODECS, MAX_DEPTH, decoded
from connectors.sharetribe.sandbox.errors import ApiError
from connectors.sharetribe.sandbox.transit import TransitCodec, TransitError
from connectors.sharetribe.sandbox.values import Geolocation, Id, Money

CODEC = TransitCodec()
UUID = "9009efe1-25ec-4ed5-9413-e80c584ff6bf"
NEW_YEAR = datetime(2020, 1, 1, tzinfo=UTC)


def read(text: str) -> Any:
    return CODEC.decode(text.encode())


def written(value: Any) -> str:
    return CODEC.encode(value).decode()


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({}, '["^ "]'),
        ({"listingId": Id(UUID)}, f'["^ ","~:listingId","~u{UUID}"]'),
        ([True, None, 1.5, 7], "[true,null,1.5,7]"),
        ([2**53 - 1, 2**53, -(2**53)], '[9007199254740991,"~i9007199254740992","~i-9007199254740992"]'),
        (["~tilde", "^hat", "`tick", "plain"], '["~~tilde","~^hat","~`tick","plain"]'),
        ([NEW_YEAR], '["~m1577836800000"]'),
        ([Money(1590, "USD")], '[["~#mn",[1590,"USD"]]]'),
        ([Geolocation(40.6, -74.0)], '[["~#geo",[40.6,-74.0]]]'),
    ],
)
def test_what_is_written(value: Any, text: str) -> None:
    assert written(value) == text


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('["^ "]', {}),
        (f'["^ ","~:id","~u{UUID}","plain","~:published"]', {"id": UUID, "plain": "published"}),
        ('["~m1577836800000","~t2020-01-01T01:00:00.000+01:00"]', ["2020-01-01T00:00:00.000Z"] * 2),
        ('[["~#mn",[1590,"USD"]],["~#geo",[1,2]]]', [{"amount": 1590, "currency": "USD"}, {"lat": 1, "lng": 2}]),
        ('[["~#set",[1]],["~#list",["a"]]]', [[1], ["a"]]),
        ('["~f1.5","~i9007199254740993","~~a","~^b","~`c"]', [1.5, 9007199254740993, "~a", "^b", "`c"]),
        ('["~#\'","quoted"]', "quoted"),
        ("[]", []),
        # The verbose form.
        ('{"~:data":{"~:price":{"~#mn":[5,"EUR"]}}}', {"data": {"price": {"amount": 5, "currency": "EUR"}}}),
    ],
)
def test_what_is_read(text: str, value: Any) -> None:
    assert read(text) == value


def test_a_key_that_came_before_is_read_by_its_code() -> None:
    body = '["^ ","~:privateData",["^ ","~:sku","A","~:nested",["^ ","^1","B"]]]'
    assert read(body) == {"privateData": {"sku": "A", "nested": {"sku": "B"}}}


def test_short_keys_ids_and_ordinary_text_take_no_place_in_the_cache() -> None:
    body = f'[["^ ","~:a","text that is long"],"~u{UUID}",["^ ","~:listingId",1],["^ ","^0",2]]'
    assert read(body) == [{"a": "text that is long"}, UUID, {"listingId": 1}, {"listingId": 2}]


def test_tags_and_plain_keys_take_places_in_the_cache() -> None:
    body = '[["~#mn",[1,"USD"]],["^ ","plain",1],["^ ","^1",2],["^0",[3,"EUR"]]]'
    assert read(body) == [
        {"amount": 1, "currency": "USD"},
        {"plain": 1},
        {"plain": 2},
        {"amount": 3, "currency": "EUR"},
    ]


def filled() -> list[Any]:
    """A map whose keys fill the cache to its last place."""
    return ["^ ", *(part for number in range(44 * 44) for part in (f"~:key{number:04}", 0))]


@pytest.mark.parametrize(
    ("code", "key"), [("^0", "key0000"), ("^[", "key0043"), ("^10", "key0044"), ("^[[", "key1935")]
)
def test_codes_have_one_character_or_two(code: str, key: str) -> None:
    assert CODEC.decode(orjson.dumps([filled(), ["^ ", code, 1]]))[1] == {key: 1}


def test_a_full_cache_begins_anew() -> None:
    one_more = ["^ ", "one more", 0]
    assert CODEC.decode(orjson.dumps([filled(), one_more, ["^ ", "^0", 1]]))[2] == {"one more": 1}
    with pytest.raises(TransitError):
        CODEC.decode(orjson.dumps([filled(), one_more, ["^ ", "^1", 1]]))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "not JSON",
        '["^0"]',
        '["^"]',
        '["^000"]',
        '["^ ","~:key"]',
        '["^ ",1,2]',
        '["^ ",["^ "],2]',
        '["^ ","~#mn",2]',
        '["~#mn"]',
        '["~#mn",[1]]',
        '["~#mn",[1,"USD"],3]',
        '["~#set",5]',
        '["~#unheard",[1]]',
        '"~#mn"',
        '["~zNaN"]',
        '["~"]',
        '["~i1.5"]',
        '["~i9223372036854775808"]',
        f'["~i{"9" * 5000}"]',
        '["~fNaN"]',
        '["~finfinity"]',
        '["~m99999999999999999"]',
        '["~m-99999999999999"]',
        '["~t2020-01-01"]',
        '["~tyesterday"]',
        '["~t0001-01-01T00:00:00+14:00"]',
        "[" * 500 + "]" * 500,
    ],
)
def test_what_cannot_be_read_is_refused(text: str) -> None:
    with pytest.raises(ApiError) as refused:
        decoded(CODEC.media_type, text.encode())
    assert (refused.value.status, refused.value.code) == (400, "bad-request")


@pytest.mark.parametrize("content_type", ["application/json", "application/transit+json"])
def test_bodies_may_be_nested_so_deep_and_no_deeper(content_type: str) -> None:
    def body(depth: int) -> bytes:
        return b'{"a":' * (depth - 1) + b"{}" + b"}" * (depth - 1)

    assert decoded(content_type, body(MAX_DEPTH))
    with pytest.raises(ApiError):
        decoded(content_type, body(MAX_DEPTH + 1))


texts = st.text(max_size=8) | st.sampled_from(["~a", "^ ", "^0", "`", "~#mn", "~:key", "same-key", "other-key"])
whole = st.integers(-(2**63), 2**63 - 1)
times = st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30), timezones=st.just(UTC))  # noqa: DTZ001
leaves = (
    st.none()
    | st.booleans()
    | whole
    | st.floats(allow_nan=False, allow_infinity=False, min_value=-1e300, max_value=1e300)
    | texts
    | st.uuids().map(lambda uuid: Id(str(uuid)))
    | times.map(lambda moment: moment.replace(microsecond=moment.microsecond // 1000 * 1000))
    | st.builds(Money, whole, st.text(max_size=3))
    | st.builds(Geolocation, st.floats(-90, 90), st.floats(-180, 180))
)
values = st.recursive(
    leaves, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4), max_leaves=20
)


def plain(value: Any) -> Any:
    """What reading is to make of a value that was written."""
    match value:
        case datetime():
            return value.isoformat(timespec="milliseconds")[:-6] + "Z"
        case Money():
            return {"amount": value.amount, "currency": value.currency}
        case Geolocation():
            return {"lat": value.lat, "lng": value.lng}
        case dict():
            return {key: plain(inner) for key, inner in value.items()}
        case list():
            return [plain(inner) for inner in value]
    return value


@given(values)
def test_what_was_written_is_read_as_it_was(value: Any) -> None:
    assert CODEC.decode(CODEC.encode([value])) == [plain(value)]


class Caching:
    """Writes as the official client does, with the rolling cache: made by the format's rules, for the test alone."""

    def __init__(self) -> None:
        self._places: dict[str, int] = {}

    def text(self, text: str, *, is_key: bool) -> str:
        if len(text) < 4 or not (is_key or text.startswith(("~:", "~#"))):
            return text
        if text in self._places:
            high, low = divmod(self._places[text], 44)
            return "^" + "".join(chr(48 + digit) for digit in ([high, low] if high else [low]))
        if len(self._places) == 44 * 44:
            self._places.clear()
        self._places[text] = len(self._places)
        return text

    def value(self, value: Any) -> Any:
        match value:
            case ["^ ", *parts]:
                pairs = zip(parts[::2], parts[1::2], strict=True)
                return [
                    "^ ",
                    *(part for key, inner in pairs for part in (self.text(key, is_key=True), self.value(inner))),
                ]
            case list():
                return [self.value(inner) for inner in value]
            case str():
                return self.text(value, is_key=False)
        return value


@given(values)
def test_the_cached_form_reads_like_the_plain_one(value: Any) -> None:
    uncached = CODEC.encode([value, value])
    cached = orjson.dumps(Caching().value(orjson.loads(uncached)))
    assert CODEC.decode(cached) == CODEC.decode(uncached)


garbage = st.recursive(
    st.none() | st.booleans() | st.floats() | whole | st.text("~^`:#$uimtnfd'[0 \u00e9abc-.9", max_size=10) | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6) | texts, inner, max_size=4),
    max_leaves=20,
)


@given(garbage.map(orjson.dumps) | st.binary(max_size=40), st.sampled_from(["application/json", CODEC.media_type]))
def test_any_body_is_an_object_or_a_refusal_and_can_be_answered(body: bytes, content_type: str) -> None:
    with suppress(ApiError):
        content = decoded(content_type, body)
        assert isinstance(content, dict)
        for codec in CODECS.values():
            codec.encode(content)


def test_times_are_written_by_the_millisecond_they_are_in() -> None:
    assert written([NEW_YEAR + timedelta(microseconds=1999)]) == '["~m1577836800001"]'
