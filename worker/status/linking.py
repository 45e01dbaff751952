"""What a change of links would do to stock, without doing it.

It is the import itself, rolled back, and the plan of the listings it makes due: so what is shown is what happens, as
things are at that moment.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from worker.holds import Holds
from worker.links import ImportResult, Links
from worker.status.preview import LinePreview, ListingPreview, Preview
from worker.store import Store

MOST_LISTINGS = 50
"""Whose plan is made; the sums are those of all."""


@dataclass(frozen=True, slots=True)
class LinkPlan:
    """What importing a table of links would do."""

    result: ImportResult
    listings: Sequence[ListingPreview]
    """The first of those that become due, with all their pending lines."""

    def counts_by_it(self, listing_id: str, line: LinePreview) -> bool:
        """Whether this pending line of the listing waits for these links, and not for the marketplace."""
        return (line.channel, line.sku, listing_id) in {version.key for version in self.result.begun}


class LinkPlans:
    """Plans changes of links."""

    def __init__(self, store: Store, links: Links, holds: Holds) -> None:
        self._store = store
        self._links = links
        self._holds = holds

    def plan(self, table: str, *, replace: bool = False) -> LinkPlan:
        """What `Links.import_csv` would do with the same table. Takes its locks for as long as it takes, so intake of
        these channels waits meanwhile. Raises `LinkTableError`.
        """
        holds = self._holds.list()
        with self._store.write() as transaction:
            result = self._links.import_in(transaction, table, replace=replace, dry_run=True)
            listings = Preview.of_in(transaction, result.due_listings[:MOST_LISTINGS], holds)
            transaction.rollback()
        return LinkPlan(result, listings)
