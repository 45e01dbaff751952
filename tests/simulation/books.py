"""The independent model: what must be committed, by a handful of rules, from what people did and nothing else.

    committed of a line = ordered - put back; 0 for a deleted or a test order
    a line takes, of every listing its SKU was linked to when it was placed, committed x units
    a line placed before its SKU's first link belongs to that link; if the link begins later, what was known is waived

It never looks into the tables of the code under test, nor at what it calls.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass(slots=True)
class SoldLine:
    """One line of an order."""

    line_id: str
    sku: int
    ordered: int
    back: int = 0
    """Units put back: cancelled, removed, or restocked by a refund."""
    states: list[int] = field(default_factory=list)
    """Every committed quantity it had, in order."""

    @property
    def committed(self) -> int:
        return self.ordered - self.back


@dataclass(slots=True)
class SoldOrder:
    """One order."""

    channel: str
    order_id: str
    placed_at: float
    """Unix seconds, as the shop stamps it."""
    lines: dict[str, SoldLine]
    test: bool
    old: bool
    """Imported so late that it waits for a person."""
    deleted: bool = False

    def committed(self, line: SoldLine) -> int:
        """What this line commits now."""
        return 0 if self.deleted or self.test or self.old else line.committed


@dataclass(frozen=True, slots=True)
class LinkPeriod:
    """A SKU link while it was in force."""

    listing: int
    units: int
    since: float
    """Unix seconds."""
    until: float | None


@dataclass(frozen=True, slots=True)
class Taken:
    """What one line must take of one listing."""

    channel: str
    line_id: str
    listing: int
    committed: int
    """In the listing's units."""
    waived: frozenset[int]
    """What may be waived of it: several values where that depends on when it was first seen. Usually just 0."""


class Books:
    """Everything sold, and everything linked."""

    def __init__(self, counted_from: int) -> None:
        self._counted_from = counted_from
        self.orders: dict[tuple[str, str], SoldOrder] = {}
        self.links: dict[tuple[str, int], list[LinkPeriod]] = defaultdict(list)
        """By channel and number of the SKU."""

    # --- orders -----------------------------------------------------------------------------------------------

    def place(
        self, channel: str, order_id: str, placed_at: float, lines: Sequence[SoldLine], *, test: bool, old: bool
    ) -> None:
        """An order was placed."""
        order = SoldOrder(channel, order_id, placed_at, {line.line_id: line for line in lines}, test, old)
        self.orders[channel, order_id] = order
        for line in lines:
            line.states.append(order.committed(line))

    @contextmanager
    def changing(self, channel: str, order_id: str) -> Iterator[dict[str, SoldLine]]:
        """Lines of an order, to be changed."""
        order = self.orders[channel, order_id]
        yield order.lines
        self._note(order)

    def enter(self, channel: str, order_id: str, placed_at: float, *, old: bool) -> None:
        """An order was placed, of which `show` says the rest."""
        self.place(channel, order_id, placed_at, (), test=False, old=old)

    def show(self, channel: str, order_id: str, lines: Mapping[str, tuple[int, int]]) -> None:
        """The shop itself says what SKU and how many units each line commits now; what it leaves out commits none."""
        order = self.orders[channel, order_id]
        for line_id, (sku, committed) in lines.items():
            line = order.lines.setdefault(line_id, SoldLine(line_id, sku, ordered=committed))
            line.back = line.ordered - committed
        for line_id in order.lines.keys() - lines.keys():
            order.lines[line_id].back = order.lines[line_id].ordered
        self._note(order)

    def delete(self, channel: str, order_id: str) -> None:
        """An order is gone."""
        order = self.orders[channel, order_id]
        order.deleted = True
        self._note(order)

    def _note(self, order: SoldOrder) -> None:
        for line in order.lines.values():
            line.states.append(order.committed(line))

    # --- links ------------------------------------------------------------------------------------------------

    def link(self, channel: str, sku: int, listings: Sequence[tuple[int, int]], now: float, *, from_now: bool) -> None:
        """The SKU is linked to exactly these listings from `now` on."""
        held = self.links[channel, sku]
        wanted = dict(listings)
        kept: list[LinkPeriod] = []
        changed: dict[int, float] = {}
        for period in held:
            if period.until is not None or wanted.get(period.listing) == period.units:
                kept.append(period)
                if period.until is None:
                    del wanted[period.listing]
                continue
            if period.listing in wanted:
                changed[period.listing] = max(now, period.since)
            end = max(now, period.since) if period.listing in wanted else now
            if period.since < end:
                kept.append(LinkPeriod(period.listing, period.units, period.since, end))
        ended = [period for period in kept if period.until is not None]
        sku_ended = max((period.until for period in ended if period.until), default=0.0)
        sku_began = min((period.since for period in kept if period.until is None), default=0.0)
        for listing, units in wanted.items():
            if listing in changed:
                since = changed[listing]
            else:
                since = now if from_now else max(float(self._counted_from), sku_ended, sku_began)
                same = [period.until for period in ended if period.listing == listing and period.until]
                since = max([since, *same])
            kept.append(LinkPeriod(listing, units, since, None))
        self.links[channel, sku] = kept

    def correct(self, channel: str, sku: int, wrong: int, right: int) -> None:
        """What was linked to the wrong listing was linked to the right one, all along."""
        self.links[channel, sku] = [
            LinkPeriod(right if period.listing == wrong else period.listing, period.units, period.since, period.until)
            for period in self.links[channel, sku]
        ]

    def in_force(self, channel: str, sku: int) -> dict[int, int]:
        """Listings and units that the SKU is linked to now."""
        return {period.listing: period.units for period in self.links[channel, sku] if period.until is None}

    # --- what must be -----------------------------------------------------------------------------------------

    def taken(self) -> Iterator[Taken]:
        """Every line and listing that belong together."""
        for order in self.orders.values():
            if order.old or order.test:
                continue
            for line in order.lines.values():
                yield from self._of_line(order, line)

    def unlinked(self) -> Iterator[tuple[SoldOrder, SoldLine]]:
        """Lines that no listing is known for."""
        for order in self.orders.values():
            if not (order.old or order.test):
                for line in order.lines.values():
                    if not list(self._of_line(order, line)):
                        yield order, line

    def _of_line(self, order: SoldOrder, line: SoldLine) -> Iterator[Taken]:
        periods = self.links[order.channel, line.sku]
        alive = [period for period in periods if period.until is None or period.until > order.placed_at]
        in_force = [period for period in alive if period.since <= order.placed_at]
        first = min((period.since for period in alive), default=0.0)
        for period in in_force or [period for period in alive if period.since == first]:
            committed = order.committed(line) * period.units
            waived = frozenset({0}) if in_force else _waivable(line.states, period.units)
            yield Taken(order.channel, line.line_id, period.listing, committed, waived)


def _waivable(states: Sequence[int], units: int) -> frozenset[int]:
    """What may be waived of a line that was first seen in any of its states: never more than it ever fell to since."""
    last = states[-1]
    lowest = [min(states[first:]) for first in range(len(states))]
    return frozenset(
        waived * units for first, low in enumerate(lowest) for waived in range(low, min(states[first], last) + 1)
    )
