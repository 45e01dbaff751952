"""Which listing a SKU may be, and how sure that is."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from worker.links.likeness import (
    LEAST_SCORE,
    MOST_SUGGESTIONS,
    NEAR_SKU,
    Candidate,
    Candidates,
    Precedent,
    Suggestion,
    spellings,
)


def best(sku: str, *listings: tuple[str, str | None]) -> Suggestion | None:
    """The surest of listings with these titles and SKUs, which are named by their place."""
    found = Candidates(Candidate(str(place), *listing) for place, listing in enumerate(listings)).suggest(sku)
    return found[0] if found else None


@pytest.mark.parametrize(
    ("sku", "title", "kept", "score", "why"),
    [
        ("MUG-BLUE", "", "MUG-BLUE", 100, "The marketplace keeps the same SKU for it."),
        ("mug blue", "", "MUG-BLUE", 95, "Its SKU MUG-BLUE differs in case, blanks or punctuation alone."),
        ("012345678905", "", "0012345678905", 98, "Its SKU 0012345678905 is the same barcode, written otherwise."),
        ("4 006381-333931", "", "04006381333931", 98, "Its SKU 04006381333931 is the same barcode, written otherwise."),
        ("MUG-BLUE", "", "MUG-BLEU", 78, "Its SKU MUG-BLEU is spelled nearly so."),
        ("BLUE-MUG-350", "", "MUG-BLUE-350", 89, "Its SKU MUG-BLUE-350 is spelled nearly so."),
        ("MUG-BLUE-300", "", "MUG-BLUE-350", 61, "Its SKU MUG-BLUE-350 is spelled nearly so, but with other numbers."),
        ("TEAPOT-BROWN", "Teapot, brown", None, 80, "Its title has “teapot brown” too."),
        ("Café-Crème", "Cafe au lait, crème", "x", None, ""),
    ],
)
def test_the_surer_the_reason_the_higher_the_score(
    sku: str, title: str, kept: str | None, score: int | None, why: str
) -> None:
    found = best(sku, (title, kept))
    assert (found and found.score, found.why if found else "") == (score, why)


@pytest.mark.parametrize(
    ("sku", "kept"),
    [
        # Its last digit is no check digit: a number of that length, not a barcode.
        ("012345678906", "0012345678906"),
        ("CHAIR", "TEAPOT"),
        ("A", "B"),
        ("---", "..."),
        (" ", ""),
    ],
)
def test_what_is_not_alike_is_not_suggested_as_sure(sku: str, kept: str) -> None:
    found = best(sku, ("", kept))
    assert found is None or found.score <= NEAR_SKU


def test_a_short_sku_is_found_in_no_title() -> None:
    assert best("A", ("A mug", None)) is None


def test_a_listing_is_suggested_once_by_its_best_reason_the_surest_first() -> None:
    listings = [("Blue mug", "MUG-BLUE"), ("Blue mug", "MUG-BLUEE"), ("Blue mugs", "MUGS-BLUE")]
    many = [*listings, *((f"Blue mug {n}", f"MUG-BLUE-{n}") for n in range(20))]
    found = Candidates(Candidate(str(place), *listing) for place, listing in enumerate(many)).suggest("MUG-BLUE")
    assert found[0].listing_id == "0"
    assert len(found) == len({entry.listing_id for entry in found}) <= MOST_SUGGESTIONS
    assert [entry.score for entry in found] == sorted((entry.score for entry in found), reverse=True)


def test_what_only_distracts_from_a_sure_one_is_left_out() -> None:
    both = Candidates([Candidate("same", "", "MUG-BLUE-350"), Candidate("other", "", "MUG-BLUE-250")])
    assert [found.listing_id for found in both.suggest("MUG-BLUE-350")] == ["same"]
    assert [(found.listing_id, found.score) for found in both.suggest("MUG-BLUE-300")] == [("same", 61)]


def test_what_our_own_links_say_comes_with_its_units() -> None:
    candidate = Candidate("L", "Mug", None)
    elsewhere = Precedent(candidate, "other-shop", 6, None)
    former = Precedent(candidate, "shop", 2, datetime(2026, 11, 1, tzinfo=UTC))
    nothing = Candidates([])
    (found,) = nothing.suggest("SIX", [former])
    assert (found.units, found.score, found.why) == (2, 90, "The SKU was linked to it until 2026-11-01.")
    (found,) = nothing.suggest("SIX", [former, elsewhere])
    assert (found.units, found.score) == (6, 96)
    assert found.why == "Channel other-shop sells the same SKU as this listing."


def test_a_barcode_is_looked_for_in_every_length_it_can_have() -> None:
    assert {"00012345678905", "0012345678905", "012345678905"} <= spellings("0012345678905")
    assert spellings(" mug ") == {" mug ", "mug", "MUG"}


TEXTS = st.text(max_size=40) | st.text("ABab 0-", max_size=300)


@settings(max_examples=50)
@given(TEXTS, st.lists(st.tuples(TEXTS, st.none() | TEXTS), max_size=4))
def test_whatever_is_spelled_how_ever(sku: str, listings: list[tuple[str, str | None]]) -> None:
    candidates = [Candidate(str(place), *listing) for place, listing in enumerate(listings)]
    for found in Candidates(candidates).suggest(sku):
        assert LEAST_SCORE <= found.score <= 100
        assert (found.score == 100) is (found.listing_sku == sku)
    assert sku in spellings(sku)
