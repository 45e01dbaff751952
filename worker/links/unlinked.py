"""SKUs whose sales wait because no listing is known for them, and which listing each may be.

Suggestions are made for the SKUs of one page alone, from what an index finds and a bounded number of other listings: a
page costs the same whatever the size of the catalogue.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from worker.links import repository
from worker.links.likeness import Candidate, Candidates, Precedent, Suggestion, spellings
from worker.store import AnyRow, Store, Transaction

MOST_SKUS = 20
"""Of one page."""
MOST_COMPARED = 2_000
"""Listings that a page's SKUs are compared to, beside those that an index finds."""
BESIDE = 10
"""Listings before and after a SKU in the alphabet that it is compared to in any case."""


@dataclass(frozen=True, slots=True)
class UnlinkedSku:
    """A SKU that was sold and is linked to no listing."""

    channel: str
    sku: str
    units: int
    """Sold units that wait."""
    orders: int
    since: datetime
    """When the first of them was placed."""
    suggestions: Sequence[Suggestion]
    """The surest first; none where nothing is alike."""


@dataclass(frozen=True, slots=True)
class UnlinkedPage:
    """Some of them."""

    skus: Sequence[UnlinkedSku]
    more: bool
    """Whether others come behind: ask with the channel and SKU of the last one."""


class Unlinked:
    """Looks for SKUs without a link. Changes nothing."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def page(
        self,
        *,
        channel: str | None = None,
        sku: str | None = None,
        after: tuple[str, str] | None = None,
        limit: int = MOST_SKUS,
    ) -> UnlinkedPage:
        """SKUs that wait, in the order of channel and SKU: all, or of a channel, or so spelled."""
        with self._store.read() as transaction:
            rows = repository.unlinked(transaction, channel=channel, sku=sku, after=after, limit=limit + 1)
            found = self._suggestions(transaction, [(row.channel, row.sku) for row in rows[:limit]])
        return UnlinkedPage(
            [
                UnlinkedSku(row.channel, row.sku, int(row.units), row.orders, row.since, found[row.channel, row.sku])
                for row in rows[:limit]
            ],
            more=len(rows) > limit,
        )

    def _suggestions(
        self, transaction: Transaction, asked: Sequence[tuple[str, str]]
    ) -> Mapping[tuple[str, str], Sequence[Suggestion]]:
        sellers = repository.sellers(transaction)
        wanted: dict[str, dict[str, frozenset[str]]] = defaultdict(dict)
        for channel, sku in asked:
            wanted[sellers.get(channel, "")][sku] = spellings(sku)
        rows = repository.candidates(transaction, wanted, beside=BESIDE, limit=MOST_COMPARED)
        candidates = {
            seller: Candidates(
                Candidate(row.listing_id, row.title, row.sku) for row in rows if seller in {"", row.seller_id}
            )
            for seller in wanted
        }
        known = repository.precedents(transaction, {sku for _, sku in asked}) if asked else ()
        return {
            (channel, sku): candidates[sellers.get(channel, "")].suggest(
                sku, _precedents(channel, sku, sellers.get(channel, ""), known)
            )
            for channel, sku in asked
        }


def _precedents(channel: str, sku: str, seller: str, rows: Sequence[AnyRow]) -> Sequence[Precedent]:
    """Those that say something about this channel's SKU; a listing it is linked to already is no suggestion."""
    of_sku = [row for row in rows if row.sku == sku and seller in {"", row.seller_id}]
    own = {row.listing_id for row in of_sku if row.channel == channel and row.until_at is None}
    return [
        Precedent(Candidate(row.listing_id, row.title, row.listing_sku), row.channel, row.units, row.until_at)
        for row in of_sku
        if row.listing_id not in own and (row.channel == channel) is (row.until_at is not None)
    ]
