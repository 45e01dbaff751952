"""Every case the vendor's behaviour is known or feared to produce."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.shopify.orders import Refunded, committed_units

UNTOUCHED: list[Refunded] = []


@pytest.mark.parametrize(
    ("case", "ordered", "current", "refunded", "committed"),
    [
        ("as ordered", 3, 3, UNTOUCHED, 3),
        ("nothing ordered", 0, 0, UNTOUCHED, 0),
        ("an edit brought 3 to 1: quantity stays", 3, 1, UNTOUCHED, 1),
        ("a line removed by an edit stays listed", 1, 0, UNTOUCHED, 0),
        ("one of two refunded without restock is gone from the shelf", 2, 1, [Refunded("NO_RESTOCK", 1)], 2),
        ("one of two put back before it was shipped", 2, 1, [Refunded("CANCEL", 1)], 1),
        ("one of two sent back and put back", 2, 1, [Refunded("RETURN", 1)], 1),
        ("old data: put back, nobody knows why", 2, 1, [Refunded("LEGACY_RESTOCK", 1)], 1),
        ("cancelled with refund and restock", 2, 0, [Refunded("CANCEL", 2)], 0),
        ("cancelled with refund, not put back", 2, 0, [Refunded("NO_RESTOCK", 2)], 2),
        ("one put back, one not", 4, 2, [Refunded("CANCEL", 1), Refunded("NO_RESTOCK", 1)], 3),
        ("one edited away, one refunded without restock", 4, 2, [Refunded("NO_RESTOCK", 1)], 3),
        ("refund visible before current moved, put back", 2, 2, [Refunded("CANCEL", 2)], 0),
        ("refund visible before current moved, not put back", 2, 2, [Refunded("NO_RESTOCK", 1)], 2),
        ("an edit's removal that shows as a refund", 3, 1, [Refunded("CANCEL", 2)], 1),
        ("money back first, the unit back later", 2, 1, [Refunded("NO_RESTOCK", 1), Refunded("RETURN", 1)], 1),
        ("refunded oftener than ordered", 1, 0, [Refunded("NO_RESTOCK", 1), Refunded("NO_RESTOCK", 1)], 1),
        ("an unknown restock type that moves nothing", 2, 2, [Refunded("TELEPORT", 0)], 2),
    ],
)
def test_committed(case: str, ordered: int, current: int, refunded: list[Refunded], committed: int) -> None:
    assert committed_units(ordered=ordered, current=current, refunded=refunded) == committed, case


@pytest.mark.parametrize(
    ("case", "ordered", "current", "refunded", "committed"),
    [
        ("no refund, current moved", 2, 0, UNTOUCHED, 0),
        ("no refund, current did not move", 2, 2, UNTOUCHED, 0),
        ("refund without restock, current moved", 2, 0, [Refunded("NO_RESTOCK", 2)], 2),
        ("refund without restock, current did not move", 2, 2, [Refunded("NO_RESTOCK", 2)], 2),
        ("one of them lost before, the rest put back", 3, 0, [Refunded("NO_RESTOCK", 1), Refunded("CANCEL", 2)], 1),
    ],
)
@pytest.mark.parametrize("removed_units_return", [True, False])
def test_cancelled_before_anything_was_shipped(
    case: str, ordered: int, current: int, refunded: list[Refunded], committed: int, removed_units_return: bool
) -> None:
    found = committed_units(
        ordered=ordered,
        current=current,
        refunded=refunded,
        cancelled_unshipped=True,
        removed_units_return=removed_units_return,
    )
    assert found == committed, case


@pytest.mark.parametrize(
    ("case", "ordered", "current", "refunded", "committed"),
    [
        ("an edit brought 3 to 1", 3, 1, UNTOUCHED, 3),
        ("removed, and one put back by a refund", 3, 1, [Refunded("CANCEL", 1)], 2),
        ("nothing removed", 3, 3, UNTOUCHED, 3),
        ("everything put back by a refund", 3, 0, [Refunded("RETURN", 3)], 0),
        ("everything lost", 3, 0, [Refunded("NO_RESTOCK", 3)], 3),
    ],
)
def test_removed_units_stay_committed_where_the_shop_says_so(
    case: str, ordered: int, current: int, refunded: list[Refunded], committed: int
) -> None:
    found = committed_units(ordered=ordered, current=current, refunded=refunded, removed_units_return=False)
    assert found == committed, case


def test_more_left_than_ordered_is_a_contradiction() -> None:
    with pytest.raises(ValueError, match="current quantity 3 is above the ordered 2"):
        committed_units(ordered=2, current=3)


def test_units_with_an_unknown_restock_type_are_not_guessed() -> None:
    with pytest.raises(ValueError, match="restock type"):
        committed_units(ordered=2, current=1, refunded=[Refunded("TELEPORT", 1)])


_UNITS = st.integers(0, 2**63 - 1)
_REFUNDS = st.lists(
    st.builds(Refunded, st.sampled_from(["CANCEL", "RETURN", "NO_RESTOCK", "LEGACY_RESTOCK"]), _UNITS), max_size=5
)


@given(_UNITS, _UNITS, _REFUNDS, st.booleans(), st.booleans())
def test_committed_is_never_below_zero_nor_above_ordered(
    ordered: int, current: int, refunded: list[Refunded], cancelled: bool, removed_units_return: bool
) -> None:
    committed = committed_units(
        ordered=max(ordered, current),
        current=min(ordered, current),
        refunded=refunded,
        cancelled_unshipped=cancelled,
        removed_units_return=removed_units_return,
    )
    assert 0 <= committed <= max(ordered, current)
