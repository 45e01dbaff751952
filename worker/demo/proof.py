"""The independent proof: is every number what it must be? Pure.

What must be comes from the replay plan, the links and the opening stock alone. What is comes from three sides, none of
which goes through a connector: the shop's public answers, the marketplace's own state, and trueup's books. No
arithmetic of trueup is used: each number here is added up anew.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

PairKey = tuple[str, str]
"""The shop's id of an order line, and a listing's id."""

TAKING = ("pending", "accepted")
"""States of a reservation whose units are taken from the stock."""


@dataclass(frozen=True, slots=True)
class Expected:
    """What the plan says."""

    sku: Mapping[str, str]
    """Of each line, by the shop's id of it."""
    committed: Mapping[str, int]
    """Units of each line in the end, by the shop's id of it."""
    links: Mapping[str, Sequence[tuple[str, int]]]
    """By SKU: listings and units."""
    opening: Mapping[str, int]
    """Stock by listing."""

    def pairs(self) -> Mapping[PairKey, int]:
        """Units of each listing that each line takes."""
        return {
            (line, listing): committed * units
            for line, committed in self.committed.items()
            for listing, units in self.links[self.sku[line]]
        }


@dataclass(frozen=True, slots=True)
class ListingNumbers:
    """What the marketplace says of one listing."""

    total: int | None
    state: str
    reserved: Mapping[str, int]
    """Units of its reservations by state."""
    own_adjustments: int
    """Net units of the adjustments that trueup made there."""


@dataclass(frozen=True, slots=True)
class PairNumbers:
    """What trueup's books say of one pair."""

    committed: int
    applied: int
    waived: int
    journalled: int
    """Applied units by the journal: every unit that moved is explained there."""


@dataclass(frozen=True, slots=True)
class Books:
    """What trueup says."""

    pairs: Mapping[PairKey, PairNumbers]
    oversold: Mapping[str, int]
    """Units missing by listing, by the open anomalies."""
    other_anomalies: Sequence[str]
    """Every other open anomaly, in words."""
    at_risk: Mapping[str, int] = field(default_factory=dict)
    """By listing: units of the marketplace's own sales that a write may have overwritten, by the open anomalies. That
    many may be in its stock and must not be.
    """
    undecided: frozenset[str] = frozenset()
    """Listings with a write of which only a person can say whether it was executed, by the open anomalies."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One number that is not what it must be."""

    kind: str
    subject: str
    """The line, pair or listing."""
    message: str


@dataclass(frozen=True, slots=True)
class Proof:
    """The outcome."""

    differences: Sequence[Difference]
    listings: int
    lines: int
    pairs: int
    units_committed: int
    """Units of listings that the shop's sales take."""
    units_applied: int
    units_pending: int
    units_waived: int
    oversold_listings: int
    units_missing: int
    closed_listings: int
    at_risk_listings: int = 0
    undecided_listings: int = 0

    @property
    def holds(self) -> bool:
        return not self.differences


def check(
    expected: Expected, shop: Mapping[str, int], marketplace: Mapping[str, ListingNumbers], books: Books
) -> Proof:
    """Compare everything. `shop` is the committed units of each line as the shop publicly answers."""
    pairs = expected.pairs()
    committed: Counter[str] = Counter()
    for (_, listing), units in pairs.items():
        committed[listing] += units
    missing = {
        listing: max(0, committed[listing] + _taken(marketplace[listing]) - opening)
        for listing, opening in expected.opening.items()
        if listing in marketplace
    }
    differences = [
        *_shop_differences(expected.committed, shop),
        *_pair_differences(pairs, books.pairs),
        *_listing_differences(expected.opening, committed, marketplace, books),
        *_oversell_differences(missing, books),
        *_sum_differences(missing, marketplace, books),
        *(
            Difference("anomaly", "", f"an anomaly is open that should not be: {words}")
            for words in books.other_anomalies
        ),
    ]
    held = books.pairs.values()
    return Proof(
        differences=differences,
        listings=len(expected.opening),
        lines=len(expected.committed),
        pairs=len(pairs),
        units_committed=sum(pairs.values()),
        units_applied=sum(pair.applied for pair in held),
        units_pending=sum(pair.committed - pair.applied - pair.waived for pair in held),
        units_waived=sum(pair.waived for pair in held),
        oversold_listings=sum(1 for units in missing.values() if units),
        units_missing=sum(missing.values()),
        closed_listings=sum(1 for listing in marketplace.values() if listing.state == "closed"),
        at_risk_listings=len(books.at_risk),
        undecided_listings=len(books.undecided),
    )


def _taken(listing: ListingNumbers) -> int:
    return sum(units for state, units in listing.reserved.items() if state in TAKING)


def _shop_differences(planned: Mapping[str, int], shop: Mapping[str, int]) -> Iterator[Difference]:
    for line in planned.keys() - shop.keys():
        yield Difference("shop", line, f"the shop does not show line {line}, which was placed there")
    for line in shop.keys() - planned.keys():
        yield Difference("shop", line, f"the shop shows line {line}, which nobody placed")
    for line in planned.keys() & shop.keys():
        if shop[line] != planned[line]:
            yield Difference("shop", line, f"the shop says {shop[line]} units of line {line}, the plan {planned[line]}")


def _pair_differences(planned: Mapping[PairKey, int], held: Mapping[PairKey, PairNumbers]) -> Iterator[Difference]:
    """P1 for each pair: committed = applied + pending + waived, with nothing pending below zero."""
    for line, listing in planned.keys() - held.keys():
        yield Difference("pair", f"{line} {listing}", f"trueup does not know that line {line} takes from {listing}")
    for line, listing in held.keys() - planned.keys():
        yield Difference(
            "pair", f"{line} {listing}", f"trueup takes from {listing} for line {line}, which is not linked"
        )
    for key in planned.keys() & held.keys():
        line, listing = key
        pair, subject = held[key], f"{line} {listing}"
        if pair.committed != planned[key]:
            yield Difference(
                "pair", subject, f"line {line} commits {planned[key]} units of {listing}, trueup says {pair.committed}"
            )
        pending = planned[key] - pair.applied - pair.waived
        if pair.waived or not 0 <= pending <= planned[key]:
            yield Difference(
                "pair",
                subject,
                f"line {line} and {listing}: {planned[key]} committed are not {pair.applied} applied, {pending} pending"
                f" and {pair.waived} waived, where nothing may be waived",
            )
        if pair.journalled != pair.applied:
            yield Difference(
                "journal",
                subject,
                f"line {line} and {listing}: {pair.applied} units are applied, the journal explains {pair.journalled}",
            )


def _listing_differences(
    opening: Mapping[str, int], committed: Mapping[str, int], marketplace: Mapping[str, ListingNumbers], books: Books
) -> Iterator[Difference]:
    """The stock itself, and closed exactly where it is 0."""
    for listing in opening.keys() - marketplace.keys():
        yield Difference("stock", listing, f"the marketplace does not show listing {listing}")
    for listing, opened in opening.items():
        found = marketplace.get(listing)
        if found is None or listing in books.undecided:
            continue
        taken = _taken(found)
        must_be = max(0, opened - taken - committed[listing])
        total = found.total
        if total is None or not must_be <= total <= must_be + books.at_risk.get(listing, 0):
            yield Difference(
                "stock",
                listing,
                f"listing {listing} has {found.total} units and must have {must_be}: it opened with {opened}, buyers"
                f" hold {taken}, the shop sold {committed[listing]}",
            )
        must_be_closed = (total if listing in books.at_risk else must_be) == 0
        if found.state != ("closed" if must_be_closed else "published"):
            yield Difference(
                "closing", listing, f"listing {listing} is {found.state} with {must_be} units that it must have"
            )


def _oversell_differences(missing: Mapping[str, int], books: Books) -> Iterator[Difference]:
    for listing in sorted(missing.keys() | books.oversold.keys()):
        units, said = missing.get(listing, 0), books.oversold.get(listing, 0)
        if listing not in books.undecided and not units - books.at_risk.get(listing, 0) <= said <= units:
            yield Difference(
                "oversell", listing, f"listing {listing} is oversold by {units} units, the open anomaly says {said}"
            )


def _sum_differences(
    missing: Mapping[str, int], marketplace: Mapping[str, ListingNumbers], books: Books
) -> Iterator[Difference]:
    """P1 for each listing: what is applied is the net of trueup's own adjustments there, what is pending is missing."""
    held, at_risk = books.pairs, books.at_risk
    applied: defaultdict[str, int] = defaultdict(int)
    pending: defaultdict[str, int] = defaultdict(int)
    for (_, listing), pair in held.items():
        applied[listing] += pair.applied
        pending[listing] += pair.committed - pair.applied - pair.waived
    for listing, found in marketplace.items():
        overwritten = applied[listing] + found.own_adjustments
        if listing not in books.undecided and not 0 <= overwritten <= at_risk.get(listing, 0):
            yield Difference(
                "sum",
                listing,
                f"listing {listing}: {applied[listing]} units are applied, but trueup's adjustments there took"
                f" {-found.own_adjustments}",
            )
    for listing, units in missing.items():
        short = units - pending[listing]
        if listing not in books.undecided and not 0 <= short <= at_risk.get(listing, 0):
            yield Difference(
                "sum", listing, f"listing {listing}: {pending[listing]} units are pending, {units} are missing"
            )
