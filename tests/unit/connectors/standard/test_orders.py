"""What an order commits, and that the published schema and the parser agree on what one is."""

from __future__ import annotations

import copy
import json
import re
from collections import Counter
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, seed, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from connectors.contract import MAX_QUANTITY, Order
from connectors.errors import Unreadable
from connectors.standard.orders import LineRow, OrderRow, Rules, order_row, to_order
from connectors.standard.settings import StandardSettings
from connectors.text import legible
from tests.unit.connectors.standard.vendor import RULES, SCHEMA, committed, line, order

VALIDATOR = Draft202012Validator(SCHEMA)
BY_TIME = Rules.of(StandardSettings(ordered_by="updated_at"))


def parsed(content: Any, rules: Rules = RULES) -> Order:
    return to_order(order_row(json.dumps(content).encode()), rules, fetched_at=None)


def why_not(content: Any, rules: Rules = RULES) -> Unreadable:
    with pytest.raises(Unreadable) as caught:
        parsed(content, rules)
    assert caught.value.code == "order"
    return caught.value


# What it commits --------------------------------------------------------------------------------------------------


def test_an_order_as_the_page_shows_it() -> None:
    found = parsed(order("S-1", line("1", "A", 3, cancelled=1), line("2", "B", 5, restocked=2, item_id="i-9")))
    assert (found.order_id, found.revision, found.placed_at) == ("S-1", 7, datetime(2026, 11, 20, 9, 30, tzinfo=UTC))
    assert [(one.line_id, one.sku, one.item_key, one.committed) for one in found.lines] == [
        ("1", "A", "A", 2),
        ("2", "B", "i-9", 3),
    ]
    assert found.revision_is_exact
    assert found.excluded is None


def test_nothing_of_a_cancelled_order_counts() -> None:
    assert committed(parsed(order("S-1", line("1"), line("2"), status="cancelled"))) == {"1": 0, "2": 0}


@pytest.mark.parametrize("units", [0, 1, MAX_QUANTITY])
def test_quantities_go_as_far_as_the_store(units: int) -> None:
    assert committed(parsed(order("S-1", line(quantity=units)))) == {"1": units}


def test_a_line_without_a_sku_waits_for_a_person() -> None:
    for content in (line(sku=None), {"line_id": "1", "quantity": 1}):
        (found,) = parsed(order("S-1", content)).lines
        assert (found.sku, found.item_key) == (None, "")


def test_an_order_of_an_excluded_source_takes_nothing() -> None:
    rules = Rules.of(StandardSettings(exclude_sources=("Marketplace",)))
    found = parsed(order(source="marketPLACE"), rules)
    assert (found.excluded, found.lines) == ("source marketplace", ())
    assert parsed(order(source="till"), rules).excluded is None
    assert parsed(order(), rules).excluded is None


def test_a_channel_goes_by_version_or_by_time_and_never_by_both() -> None:
    both = order(version=7, updated_at="2026-11-21T11:00:00.000001+01:00")
    assert parsed(both).revision == 7
    assert parsed(both, BY_TIME).revision == 1795255200_000001
    assert not parsed(both, BY_TIME).revision_is_exact
    del both["version"]
    assert "has no version" in why_not(both).message
    assert "has no updated_at" in why_not(order(), BY_TIME).message


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"lines": [line(cancelled=2, restocked=2)]}, "more is cancelled and restocked"),
        ({"lines": [line("1"), line("1")]}, "there twice"),
        ({"placed_at": "2026-02-30T00:00:00Z"}, "a day that does not exist"),
        ({"placed_at": "2026-11-20"}, "no moment with its offset"),
        ({"updated_at": "yesterday"}, "updated_at is no moment"),
        ({"version": -1}, ">= 0"),
        ({"version": "7"}, "version"),
        ({"status": "shipped"}, "status"),
        ({"lines": [line(quantity=1.5)]}, "quantity"),
        ({"lines": [line(quantity=MAX_QUANTITY + 1)]}, "quantity"),
        ({"lines": [line(line_id="")]}, "a line_id is empty"),
        ({"lines": [line(sku="a\nb")]}, "the sku of line 1"),
        ({"lines": [line(sku="x" * 256)]}, "the sku of line 1"),
        ({"lines": [line(item_id="\x7f")]}, "the item_id of line 1"),
        ({"source": ""}, "source is empty"),
    ],
)
def test_what_makes_no_sense_is_refused_with_its_place(change: dict[str, Any], why: str) -> None:
    error = why_not(order("S-1", **change))
    assert why in error.message
    assert error.order_id == "S-1"
    assert legible(error.message) == error.message


@pytest.mark.parametrize("order_id", ["", "a\nb", "x" * 256, 7, None])
def test_an_order_that_cannot_be_named_is_not(order_id: Any) -> None:
    assert why_not(order(order_id)).order_id is None


# The schema -------------------------------------------------------------------------------------------------------

TEXTS = ["S-1", "é", "\N{GRINNING FACE}", "x" * 255, "x" * 256, "", "a\nb", "a\n", "\n", "\x00", "\x7f", "\x80", " "]
NUMBERS = [0, 1, 5, -1, MAX_QUANTITY, MAX_QUANTITY + 1, 10**30, 1.5, 3.0, True]
MOMENTS = [
    *("2026-11-20T09:30:00z", "2026-11-20 09:30:00Z", "2026-11-20T09:30:00", "2026-11-20", "2026-11-20T09:30Z", ""),
    *("2026-11-20T09:30:00.123456789-05:30", "2026-11-20T24:00:00Z", "2026-11-20T09:30:60Z", "2026-13-01T00:00:00Z"),
    *("2026-11-20T09:30:00+24:00", "2026-11-20T09:30:00Z\n", "2026-02-29T00:00:00Z", "2026-02-30T00:00:00Z"),
    *("1999-12-31T23:59:59Z", "2999-12-31T23:59:59-23:59", "3000-01-01T00:00:00Z", "2026-11-20T09:30:00.1234567890Z"),
]
OTHERS: list[Any] = [None, [], {}, "open", "cancelled", "OPEN", [{}], [None]]

ids = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=4)
numbers = st.integers(0, 5)
moments = st.datetimes(datetime(2000, 1, 1), datetime(2999, 12, 31), timezones=st.just(UTC))  # noqa: DTZ001
texts = moments.map(datetime.isoformat) | moments.map(lambda moment: f"{moment:%Y-%m-%dT%H:%M:%S}Z")
lines = st.fixed_dictionaries(
    {"line_id": ids, "quantity": st.integers(4, 10)},
    optional={"sku": ids | st.none(), "item_id": ids, "cancelled": numbers, "restocked": numbers, "price": numbers},
)
plausible = st.fixed_dictionaries(
    {"order_id": ids, "placed_at": texts, "lines": st.lists(lines, max_size=3), "version": numbers},
    optional={"updated_at": texts, "status": st.sampled_from(["open", "cancelled"]), "source": ids, "customer": ids},
)


@st.composite
def orders(draw: st.DrawFn) -> Any:
    """A plausible order, as it is or with a value or two replaced, left out or put in."""
    found: Any = draw(plausible)
    for _ in range(draw(st.integers(0, 2))):
        holder = draw(st.sampled_from([found, *(one for one in found["lines"] if isinstance(one, dict))]))
        known = [*SCHEMA["properties"]] if holder is found else [*SCHEMA["$defs"]["line"]["properties"]]
        name = draw(st.sampled_from(known))
        if draw(st.integers(0, 5)):
            holder[name] = copy.deepcopy(draw(st.sampled_from([*TEXTS, *NUMBERS, *MOMENTS, *OTHERS])))
        else:
            holder.pop(name, None)
        if not isinstance(found.get("lines"), list):
            break
    return found


def allowed_beyond_the_schema(content: Any, rules: Rules) -> bool:
    """What the schema's description says that it cannot say, for orders that it allows."""
    if rules.ordered_by not in content:
        return False
    line_ids = [one["line_id"] for one in content["lines"]]
    days = [content[name] for name in ("placed_at", "updated_at") if name in content]
    return (
        len(set(line_ids)) == len(line_ids)
        and all(one.get("cancelled", 0) + one.get("restocked", 0) <= one["quantity"] for one in content["lines"])
        and all(exists(day) for day in days)
        and not has_decimal_point(content)
    )


def exists(moment: str) -> bool:
    try:
        datetime.strptime(moment[:10], "%Y-%m-%d")  # noqa: DTZ007
    except ValueError:
        return False
    return True


def has_decimal_point(content: Any) -> bool:
    """To JSON Schema 3.0 is an integer; here a number of units is written as one."""
    found = [content.get("version"), *(one.get(name) for one in content["lines"] for name in UNITS)]
    return any(isinstance(number, float) for number in found)


UNITS = ("quantity", "cancelled", "restocked")


@given(orders(), st.sampled_from([RULES, BY_TIME]))
@settings(max_examples=300)
def test_schema_and_parser_agree(content: Any, rules: Rules) -> None:
    should = VALIDATOR.is_valid(content) and allowed_beyond_the_schema(content, rules)
    try:
        parsed(content, rules)
    except Unreadable:
        assert not should
    else:
        assert should


def test_what_is_compared_are_orders_and_what_is_none() -> None:
    """Else nothing but refusals, or nothing but orders, would have been compared."""
    seen: Counter[bool] = Counter()

    @seed(1)
    @given(orders())
    @settings(max_examples=200, database=None)
    def look(content: Any) -> None:
        seen[VALIDATOR.is_valid(content) and allowed_beyond_the_schema(content, RULES)] += 1

    look()
    assert min(seen[True], seen[False]) > 30


def test_the_schema_is_a_schema() -> None:
    Draft202012Validator.check_schema(SCHEMA)


def test_every_field_of_the_schema_is_one_of_the_parser() -> None:
    assert tuple(sorted(SCHEMA["properties"])) == tuple(sorted(OrderRow.__struct_fields__))
    assert tuple(sorted(SCHEMA["$defs"]["line"]["properties"])) == tuple(sorted(LineRow.__struct_fields__))
    assert all(re.compile(SCHEMA["$defs"][name]["pattern"]) for name in ("id", "moment"))
