"""Listing orders by when they were modified, completely, although page numbers drift.

The vendor pages by number only. An order that is touched while pages are read leaves its place, and what follows it
moves one to the left: at a page's edge an order would be skipped. So no second page is asked for: after a full page the
next question starts at the last second seen. Only when a single second holds more than a page are numbers used, and
then the pages are read until two passes in a row have listed the same orders, which they cannot if anything had moved.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any, NamedTuple

import structlog

from connectors.budget import Priority
from connectors.errors import Rejected, Unavailable, Unreadable
from connectors.woocommerce.client import Answer, Client, InvalidParameterError
from connectors.woocommerce.orders import moment_of, order_id_in

log = structlog.get_logger()

SECOND = timedelta(seconds=1)
UNSORTED_SPAN = timedelta(hours=1)
"""How much is read at once from a site that cannot sort by modification."""
MAX_PASSES = 5
MAX_PAGES = 500
"""Of one pass: a site that always has one more page is not followed for ever."""


class Piece(NamedTuple):
    """Some orders of a window, as the rows they came in."""

    rows: Sequence[Any]
    """Those modified in the window, and those of which that cannot be told. A row may come again in the next piece."""
    asked_at: datetime
    until: datetime
    """Everything modified before this is in this piece or in one before it."""


class Scan:
    """Reads windows [since, until) of whole seconds, a piece at a time. Safe for use from several threads."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self.sorts = True
        """Whether the site sorts by modification; older ones refuse to."""

    def piece(self, since: datetime, until: datetime, fields: str, size: int, priority: Priority) -> Piece:
        """The next piece, never empty-handed: its `until` is after `since`. Pages of `size`.

        Raises what a read raises; `Rejected` from a site that does not filter by modification, `Unavailable` when the
        orders of one second never stand still.
        """
        listing = _Listing(self._client, fields, size, priority)
        if self.sorts:
            try:
                return self._sorted_piece(listing, since, until)
            except InvalidParameterError as error:
                if "orderby" not in error.parameters:
                    raise
                self.sorts = False
                log.warning("orders_unsorted", account=self._client.account)
            except _UnsortedError:
                # An order was touched between being found and being shown, or something on the site sorts anew.
                log.info("orders_out_of_order", account=self._client.account)
        end = min(until, since + UNSORTED_SPAN)
        rows, asked_at = listing.everything(since, end, "id")
        return Piece(_within(rows, since, end), asked_at, end)

    def _sorted_piece(self, listing: _Listing, since: datetime, until: datetime) -> Piece:
        answer = listing.page(since, until, "modified", 1)
        rows = listing.rows_of(answer, since)
        moments = [moment for row in rows if (moment := _moment(row)) is not None and moment < until]
        if any(later < earlier for earlier, later in pairwise(moments)):
            raise _UnsortedError
        if len(rows) < listing.size:
            return Piece(_within(rows, since, until), answer.asked_at, until)
        if moments and moments[-1] > since:
            return Piece(_within(rows, since, until), answer.asked_at, moments[-1])
        # A page full of one second, or of orders that were touched while they were being listed.
        end = since + SECOND
        rows, asked_at = listing.everything(since, end, "modified")
        return Piece(_within(rows, since, end), asked_at, end)


class _UnsortedError(Exception):
    """A page is not sorted by modification."""


class _Listing:
    """One way of asking for pages of orders."""

    def __init__(self, client: Client, fields: str, size: int, priority: Priority) -> None:
        self._client = client
        self._fields = fields
        self.size = size
        self._priority = priority

    def page(self, since: datetime, until: datetime, orderby: str, number: int) -> Answer:
        params = {
            # Documented as exclusive, verified nowhere; with a second of room both readings bring all, and what is too
            # much is left out here.
            "modified_after": stamp(since - SECOND),
            "modified_before": stamp(until),
            # Without it the site reads both in its own time zone.
            "dates_are_gmt": "true",
            "orderby": orderby,
            "order": "asc",
            "per_page": self.size,
            "page": number,
            "_fields": self._fields,
        }
        return self._client.get("orders", params, self._priority)

    def rows_of(self, answer: Answer, since: datetime) -> list[Any]:
        if not isinstance(answer.value, list):
            raise Unreadable("a page of orders is not a list")
        for row in answer.value:
            moment = _moment(row)
            if moment is not None and moment < since - SECOND:
                message = (
                    "the site lists orders that were modified long before the time asked for: its WooCommerce does not "
                    "know modified_after, or reads it in another time zone; bring it up to date"
                )
                raise Rejected(message, code="modified_after")
        return answer.value

    def everything(self, since: datetime, until: datetime, orderby: str) -> tuple[list[Any], datetime]:
        """All rows of a window, by page numbers, and when the reading that brought them started."""
        before: list[str | None] | None = None
        for _ in range(MAX_PASSES):
            rows, asked_at = self._one_pass(since, until, orderby)
            ids = [order_id_in(row) for row in rows]
            # What fits on a page needs no second look.
            if len(rows) < self.size or ids == before:
                return rows, asked_at
            before = ids
        message = (
            f"the orders modified at {stamp(since)} changed while they were being listed; they are read again later"
        )
        raise Unavailable(message)

    def _one_pass(self, since: datetime, until: datetime, orderby: str) -> tuple[list[Any], datetime]:
        found: list[Any] = []
        first_asked_at: datetime | None = None
        for number in range(1, MAX_PAGES + 1):
            answer = self.page(since, until, orderby, number)
            first_asked_at = first_asked_at or answer.asked_at
            rows = self.rows_of(answer, since)
            found += rows
            if len(rows) < self.size:
                return found, first_asked_at
        raise Unreadable(f"the site lists more than {MAX_PAGES} pages of orders modified at {stamp(since)}")


def stamp(moment: datetime) -> str:
    """A moment as the API reads one: UTC without saying so, which `dates_are_gmt` says instead."""
    return moment.strftime("%Y-%m-%dT%H:%M:%S")


def _within(rows: Iterable[Any], since: datetime, until: datetime) -> list[Any]:
    return [row for row in rows if (moment := _moment(row)) is None or since <= moment < until]


def _moment(row: Any) -> datetime | None:
    text = row.get("date_modified_gmt") if isinstance(row, dict) else None
    try:
        return moment_of(text, "date_modified_gmt") if isinstance(text, str) else None
    except ValueError:
        return None
