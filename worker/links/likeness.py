"""Which listing a SKU may be: how alike the two are, as a score, and why, in words. Pure.

A suggestion links nothing: people spell things as they like, and two sizes of one shirt differ in a letter. So nothing
but the same SKU scores 100, and what is merely spelled alike never reaches what something tells.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from rapidfuzz import fuzz, process

MOST_SUGGESTIONS = 3
"""Of one SKU."""
LEAST_SCORE = 60
"""Below it two things are spelled differently."""
MOST_BEHIND = 25
"""Points behind the best one, after which a suggestion only distracts."""

SAME_SKU = 100
SAME_BARCODE = 98
SOLD_ELSEWHERE = 96
SAME_BUT_FOR_MARKS = 95
LINKED_BEFORE = 90
NEAR_SKU = 89
"""For one that were spelled the same in every letter."""
NEAR_TITLE = 80
OTHER_NUMBERS = 0.75
"""What is left of a score where the numbers within differ: another size, another model."""

SHORTLIST = 25
LONGEST = 200
"""Characters of a text that are compared."""
SHORTEST = 3
"""Letters and digits of a SKU that is compared to titles: fewer are in nearly every title."""
BARCODE_LENGTHS = (8, 12, 13, 14)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A listing that the channel may be linked to."""

    listing_id: str
    title: str
    sku: str | None


@dataclass(frozen=True, slots=True)
class Precedent:
    """What our own links say of the SKU: another channel's link in force, or this channel's former one."""

    candidate: Candidate
    channel: str
    units: int
    until_at: datetime | None
    """When this channel's own link ended; None for another channel's."""


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A listing that the SKU may be."""

    listing_id: str
    title: str
    listing_sku: str | None
    units: int
    """Of the listing, for one sold: 1 unless a precedent says otherwise."""
    score: int
    """From `LEAST_SCORE` to 100, the surest."""
    why: str


def spellings(sku: str) -> frozenset[str]:
    """How the marketplace may spell this very SKU: what to look for in an index."""
    stripped = sku.strip()
    found = {sku, stripped, stripped.upper(), stripped.lower()}
    if (barcode := _barcode(sku)) is not None:
        digits = barcode.lstrip("0")
        found |= {digits.zfill(length) for length in BARCODE_LENGTHS if len(digits) <= length}
    return frozenset(found)


class Candidates:
    """Listings, made ready to be compared to many SKUs."""

    def __init__(self, candidates: Iterable[Candidate]) -> None:
        self._all = list({candidate.listing_id: candidate for candidate in candidates}.values())
        self._by_plain: dict[str, list[Candidate]] = {}
        for candidate in self._all:
            if candidate.sku is not None:
                self._by_plain.setdefault(_plain(candidate.sku), []).append(candidate)
        self._plain = [None if candidate.sku is None else _plain(candidate.sku) for candidate in self._all]
        self._words = [None if candidate.sku is None else _words(candidate.sku) for candidate in self._all]
        self._titles = [_words(candidate.title) for candidate in self._all]

    def suggest(self, sku: str, precedents: Iterable[Precedent] = ()) -> Sequence[Suggestion]:
        """The likeliest listings of a SKU, the surest first; each once, by its best reason."""
        best: dict[str, Suggestion] = {}
        for suggestion in (
            *self._same(sku),
            *(_by_precedent(precedent) for precedent in precedents),
            *self._near_sku(sku),
            *self._near_title(sku),
        ):
            held = best.get(suggestion.listing_id)
            if suggestion.score >= LEAST_SCORE and (held is None or held.score < suggestion.score):
                best[suggestion.listing_id] = suggestion
        ranked = sorted(best.values(), key=lambda found: (-found.score, found.listing_id))[:MOST_SUGGESTIONS]
        return [found for found in ranked if found.score >= ranked[0].score - MOST_BEHIND]

    def _same(self, sku: str) -> Iterable[Suggestion]:
        barcode = _barcode(sku)
        for candidate in self._by_plain.get(_plain(sku), ()) if _plain(sku) else ():
            if candidate.sku == sku:
                yield _suggested(candidate, SAME_SKU, "The marketplace keeps the same SKU for it.")
            else:
                why = f"Its SKU {candidate.sku} differs in case, blanks or punctuation alone."
                yield _suggested(candidate, SAME_BUT_FOR_MARKS, why)
        for candidate in self._all if barcode is not None else ():
            if candidate.sku is not None and candidate.sku != sku and _barcode(candidate.sku) == barcode:
                why = f"Its SKU {candidate.sku} is the same barcode, written otherwise."
                yield _suggested(candidate, SAME_BARCODE, why)

    def _near_sku(self, sku: str) -> Iterable[Suggestion]:
        for asked, choices, scorer in (
            (_plain(sku), self._plain, fuzz.ratio),
            (_words(sku), self._words, fuzz.token_sort_ratio),
        ):
            for _, likeness, index in _nearest(asked, choices, scorer):
                candidate = self._all[index]
                why = f"Its SKU {candidate.sku} is spelled nearly so."
                share = 1.0
                theirs = _numbers(candidate.sku or "")
                if (ours := _numbers(sku)) and theirs and sorted(ours) != sorted(theirs):
                    share, why = OTHER_NUMBERS, f"{why[:-1]}, but with other numbers."
                yield _suggested(candidate, round(likeness * share * NEAR_SKU / 100), why)

    def _near_title(self, sku: str) -> Iterable[Suggestion]:
        if len(_plain(sku)) < SHORTEST:
            return
        words, numbers = _words(sku), set(_numbers(sku))
        for title, likeness, index in _nearest(words, self._titles, fuzz.token_set_ratio):
            candidate = self._all[index]
            # The first says how much of the shorter is in the longer; the second, how much else there is.
            both = (likeness + fuzz.token_sort_ratio(words, title)) / 2
            shared = [word for word in dict.fromkeys(title.split()) if word in words.split()]
            why = f"Its title has “{' '.join(shared)}” too." if shared else "Its title is spelled nearly so."
            share = 1.0
            if (theirs := set(_numbers(title))) and numbers - theirs:
                share, why = OTHER_NUMBERS, f"{why[:-1]}, but with other numbers."
            yield _suggested(candidate, round(both * share * NEAR_TITLE / 100), why)


def _nearest(
    asked: str, choices: Sequence[str | None], scorer: Callable[..., float]
) -> Iterable[tuple[str, float, int]]:
    if not asked:
        return ()
    return process.extract(asked, choices, scorer=scorer, limit=SHORTLIST, score_cutoff=LEAST_SCORE)


def _suggested(candidate: Candidate, score: int, why: str) -> Suggestion:
    return Suggestion(candidate.listing_id, candidate.title, candidate.sku, 1, score, why)


def _by_precedent(precedent: Precedent) -> Suggestion:
    candidate = precedent.candidate
    if precedent.until_at is None:
        score, why = SOLD_ELSEWHERE, f"Channel {precedent.channel} sells the same SKU as this listing."
    else:
        score, why = LINKED_BEFORE, f"The SKU was linked to it until {precedent.until_at:%Y-%m-%d}."
    return Suggestion(candidate.listing_id, candidate.title, candidate.sku, precedent.units, score, why)


def _words(text: str) -> str:
    """Letters and digits apart, in one case, everything else a blank: `MUG-6pack` is `mug 6 pack`."""
    known = unicodedata.normalize("NFKC", text[:LONGEST]).casefold()
    return " ".join(re.findall(r"[^\W\d_]+|\d+", known))


def _plain(text: str) -> str:
    return _words(text).replace(" ", "")


def _numbers(text: str) -> Sequence[int]:
    return [int(word) for word in re.findall(r"\d+", _words(text))]


def _barcode(sku: str) -> str | None:
    """A GTIN (EAN, UPC) with its check digit right, as 14 digits, however it is written; None for anything else."""
    digits = re.sub(r"[\s-]", "", sku)
    if not (digits.isascii() and digits.isdecimal() and len(digits) in BARCODE_LENGTHS):
        return None
    whole = digits.zfill(14)
    weighed = sum(int(digit) * (3 if index % 2 == 0 else 1) for index, digit in enumerate(whole[:-1]))
    return whole if (weighed + int(whole[-1])) % 10 == 0 else None
