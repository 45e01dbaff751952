"""The proof finds each kind of difference, planted one at a time into numbers that are right."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import pytest

from worker.demo.proof import Books, Expected, ListingNumbers, PairKey, PairNumbers, Proof, check

MUG, SIX, TEA = "listing-mug", "listing-six", "listing-tea"


@dataclass
class World:
    """Three listings: one ample, one sold out exactly, one oversold by 4.

    Line 1: 5 mugs. Line 2: 2 six-packs of SIX. Line 3: a kit of 3, which takes a mug and two teas each.
    """

    expected: Expected = field(
        default_factory=lambda: Expected(
            sku={"1": "MUG", "2": "SIXPACK", "3": "KIT"},
            committed={"1": 5, "2": 2, "3": 3},
            links={"MUG": [(MUG, 1)], "SIXPACK": [(SIX, 6)], "KIT": [(MUG, 1), (TEA, 2)]},
            opening={MUG: 20, SIX: 12, TEA: 5},
        )
    )
    shop: dict[str, int] = field(default_factory=lambda: {"1": 5, "2": 2, "3": 3})
    marketplace: dict[str, ListingNumbers] = field(
        default_factory=lambda: {
            MUG: ListingNumbers(9, "published", {"accepted": 2, "pending": 1, "declined": 7, "cancelled": 3}, -8),
            SIX: ListingNumbers(0, "closed", {"declined": 1}, -12),
            # The buyer's 3 units and 6 of the kit want 9 of the 5.
            TEA: ListingNumbers(0, "closed", {"accepted": 3}, -2),
        }
    )
    pairs: dict[PairKey, PairNumbers] = field(
        default_factory=lambda: {
            ("1", MUG): PairNumbers(5, 5, 0, 5),
            ("2", SIX): PairNumbers(12, 12, 0, 12),
            ("3", MUG): PairNumbers(3, 3, 0, 3),
            ("3", TEA): PairNumbers(6, 2, 0, 2),
        }
    )
    oversold: dict[str, int] = field(default_factory=lambda: {TEA: 4})
    others: list[str] = field(default_factory=list)
    at_risk: dict[str, int] = field(default_factory=dict)
    undecided: set[str] = field(default_factory=set)

    def proof(self) -> Proof:
        books = Books(self.pairs, self.oversold, self.others, self.at_risk, frozenset(self.undecided))
        return check(self.expected, self.shop, self.marketplace, books)

    def change(self, listing: str, **numbers: object) -> None:
        self.marketplace[listing] = replace(self.marketplace[listing], **numbers)  # type: ignore[arg-type]

    def book(self, key: PairKey, **numbers: int) -> None:
        self.pairs[key] = replace(self.pairs[key], **numbers)


def test_numbers_that_are_right_are_proved() -> None:
    proof = World().proof()

    assert proof.differences == []
    assert proof.holds
    assert (proof.units_committed, proof.units_applied, proof.units_pending, proof.units_waived) == (26, 22, 4, 0)
    assert (proof.oversold_listings, proof.units_missing, proof.closed_listings) == (1, 4, 2)


PLANTED: dict[str, tuple[Callable[[World], object], set[str]]] = {
    "a unit too few": (lambda world: world.change(MUG, total=8), {"stock"}),
    "a unit too many": (lambda world: world.change(MUG, total=10), {"stock"}),
    "stock below zero": (lambda world: world.change(TEA, total=-4), {"stock"}),
    "stock undefined": (lambda world: world.change(SIX, total=None), {"stock"}),
    "a listing that is gone": (lambda world: world.marketplace.pop(SIX), {"stock"}),
    "a listing left open at zero": (lambda world: world.change(SIX, state="published"), {"closing"}),
    "a listing left closed with stock": (lambda world: world.change(MUG, state="closed"), {"closing"}),
    "a deleted listing": (lambda world: world.change(MUG, state="deleted"), {"closing"}),
    "an oversell nobody was told of": (lambda world: world.oversold.clear(), {"oversell"}),
    "an oversell of other units": (lambda world: world.oversold.update({TEA: 3}), {"oversell"}),
    "an oversell that is none": (lambda world: world.oversold.update({MUG: 1}), {"oversell"}),
    "another open anomaly": (lambda world: world.others.append("orphan: look at it"), {"anomaly"}),
    "the shop says other units": (lambda world: world.shop.update({"1": 6}), {"shop"}),
    "the shop lost a line": (lambda world: world.shop.pop("1"), {"shop"}),
    "the shop has a line more": (lambda world: world.shop.update({"9": 1}), {"shop"}),
    "trueup misses a pair": (lambda world: world.pairs.pop(("3", MUG)), {"pair", "sum"}),
    "trueup has a pair more": (
        lambda world: world.pairs.update({("1", TEA): PairNumbers(0, 0, 0, 0)}),
        {"pair"},
    ),
    "trueup commits other units": (lambda world: world.book(("2", SIX), committed=11), {"pair", "sum"}),
    "applied twice": (lambda world: world.book(("1", MUG), applied=10, journalled=10), {"pair", "sum"}),
    "applied too little": (lambda world: world.book(("1", MUG), applied=4, journalled=4), {"sum"}),
    "a unit moved from pair to pair": (
        lambda world: world.pairs.update({("1", MUG): PairNumbers(5, 6, 0, 5), ("3", MUG): PairNumbers(3, 2, 0, 3)}),
        {"pair", "journal"},
    ),
    "waived units": (lambda world: world.book(("3", TEA), waived=4), {"pair", "sum"}),
    "units the journal does not explain": (lambda world: world.book(("1", MUG), journalled=4), {"journal"}),
    "an adjustment that no pair explains": (lambda world: world.change(SIX, own_adjustments=-13), {"sum"}),
    "a write booked that was never made": (lambda world: world.change(SIX, own_adjustments=-6), {"sum"}),
    "a buyer who was not counted": (
        lambda world: world.change(MUG, reserved={"accepted": 3, "pending": 1}),
        {"stock"},
    ),
}


@pytest.mark.parametrize("planted", PLANTED)
def test_a_planted_difference_is_found(planted: str) -> None:
    plant, kinds = PLANTED[planted]
    world = World()
    plant(world)
    proof = world.proof()

    assert not proof.holds
    assert {difference.kind for difference in proof.differences} == kinds
    assert all(difference.message for difference in proof.differences)


def test_sold_out_by_buyers_alone_is_closed_without_an_oversell() -> None:
    world = World()
    world.change(MUG, total=0, state="closed", reserved={"accepted": 12})

    assert world.proof().holds


def test_reservations_that_ended_take_nothing() -> None:
    world = World()
    world.change(MUG, reserved={"accepted": 3, "declined": 90, "cancelled": 90, "proposed": 90})

    assert world.proof().holds


def test_a_sale_that_was_overwritten_and_named_explains_its_units_and_no_more() -> None:
    world = World()
    world.at_risk = {MUG: 2}
    world.change(MUG, total=11, own_adjustments=-6)
    assert world.proof().differences == []
    assert world.proof().at_risk_listings == 1
    world.change(MUG, total=12)
    assert {difference.kind for difference in world.proof().differences} == {"stock"}
    world.change(MUG, total=11, own_adjustments=-5)
    assert {difference.kind for difference in world.proof().differences} == {"sum"}
    world.change(MUG, total=8, own_adjustments=-8)
    assert {difference.kind for difference in world.proof().differences} == {"stock"}


def test_an_overwritten_sale_may_leave_an_oversell_smaller() -> None:
    world = World()
    world.at_risk = {TEA: 1}
    world.oversold[TEA] = 3
    world.book(("3", TEA), applied=3, journalled=3)
    world.change(TEA, own_adjustments=-2)
    assert world.proof().differences == []
    world.oversold[TEA] = 2
    assert {difference.kind for difference in world.proof().differences} == {"oversell"}


def test_a_listing_that_waits_for_a_person_is_named_and_not_examined() -> None:
    world = World()
    world.undecided = {SIX}
    world.change(SIX, total=6, state="published")
    proof = world.proof()
    assert (proof.differences, proof.undecided_listings) == ([], 1)
