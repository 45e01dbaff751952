"""From sales lines to what happens on the shop, and to what must be committed when it has happened. Pure.

A line's identity is its order and its position there: an order may hold the same product twice, at the same price and
in the same quantity. A cancellation does not name the order it cancels, so its units are taken from the earlier orders
of that product, the latest first.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from worker.demo.sales import SalesLine

NOT_PRODUCTS = frozenset({"POST", "DOT", "M", "D", "C2", "S", "CRUK", "DCGSSGIRL", "BANK CHARGES", "AMAZONFEE"})
"""Codes of the data that stand for postage, discounts, fees and corrections."""


@dataclass(frozen=True, slots=True)
class LineKey:
    """Which line: the order's place in the replay, and the line's place in the order. Both count from 0."""

    order: int
    position: int


@dataclass(frozen=True, slots=True)
class Sold:
    """One line as ordered."""

    sku: str
    units: int


@dataclass(frozen=True, slots=True)
class PlaceOrder:
    """A step: an order is placed."""

    order: int
    invoice: str
    lines: Sequence[Sold]


@dataclass(frozen=True, slots=True)
class GiveBack:
    """A step: units of one order are refunded and put back on sale."""

    order: int
    parts: Sequence[tuple[int, int]]
    """Position and units; a position once."""


Step = PlaceOrder | GiveBack


@dataclass(frozen=True, slots=True)
class Replay:
    """The whole plan."""

    steps: Sequence[Step]
    lines: Mapping[LineKey, Sold]
    committed: Mapping[LineKey, int]
    """Units of each line that must be committed in the end: ordered less given back."""
    orders: int
    not_products: int
    """Lines left out because their code is no product."""
    write_offs: int
    """Lines left out because they are stock written off: below zero without being a cancellation."""
    unmatched_units: int
    """Cancelled units that no earlier order of the replay had: most cancel sales of earlier months."""
    unmatched_lines: int
    inexpressible_units: int = 0
    """Cancelled units that stay sold, because the shop cannot take back a part of an order."""

    @property
    def units_committed(self) -> int:
        return sum(self.committed.values())

    def committed_by_sku(self) -> Mapping[str, int]:
        """The net demand."""
        units: Counter[str] = Counter()
        for key, committed in self.committed.items():
            units[self.lines[key].sku] += committed
        return units


@dataclass(slots=True)
class _Left:
    """What can still be given back of one line."""

    key: LineKey
    units: int


@dataclass(slots=True)
class _Planning:
    steps: list[Step] = field(default_factory=list)
    lines: dict[LineKey, Sold] = field(default_factory=dict)
    committed: dict[LineKey, int] = field(default_factory=dict)
    left: defaultdict[str, list[_Left]] = field(default_factory=lambda: defaultdict(list))
    """By SKU, the latest line last."""
    orders: int = 0
    unmatched: list[int] = field(default_factory=list)

    def sell(self, invoice: str, lines: Sequence[SalesLine]) -> None:
        order = self.orders
        self.orders += 1
        sold = [Sold(line.stock_code, line.quantity) for line in lines]
        self.steps.append(PlaceOrder(order, invoice, sold))
        for position, line in enumerate(sold):
            key = LineKey(order, position)
            self.lines[key] = line
            self.committed[key] = line.units
            self.left[line.sku].append(_Left(key, line.units))

    def cancel(self, lines: Sequence[SalesLine]) -> None:
        back: defaultdict[int, Counter[int]] = defaultdict(Counter)
        for line in lines:
            units = -line.quantity
            earlier = self.left[line.stock_code]
            while units and earlier:
                latest = earlier[-1]
                taken = min(units, latest.units)
                units -= taken
                latest.units -= taken
                self.committed[latest.key] -= taken
                back[latest.key.order][latest.key.position] += taken
                if not latest.units:
                    earlier.pop()
            if units:
                self.unmatched.append(units)
        self.steps += [GiveBack(order, tuple(parts.items())) for order, parts in back.items()]


def plan(lines: Iterable[SalesLine], *, limit: int = 0) -> Replay:
    """Plan the replay of `lines`, in their order; with a limit, only until so many lines have been sold."""
    planning = _Planning()
    not_products = write_offs = sold = 0
    invoices: dict[str, list[SalesLine]] = {}
    for line in lines:
        if limit and sold >= limit:
            break
        if line.stock_code in NOT_PRODUCTS:
            not_products += 1
        elif line.quantity < 0 and not line.is_cancellation:
            write_offs += 1
        else:
            # An invoice is placed whole, where its first line stands.
            invoices.setdefault(line.invoice, []).append(line)
            sold += not line.is_cancellation
    for invoice, members in invoices.items():
        if members[0].is_cancellation:
            planning.cancel(members)
        else:
            planning.sell(invoice, members)
    return Replay(
        steps=planning.steps,
        lines=planning.lines,
        committed=planning.committed,
        orders=planning.orders,
        not_products=not_products,
        write_offs=write_offs,
        unmatched_units=sum(planning.unmatched),
        unmatched_lines=len(planning.unmatched),
    )


def whole_orders_only(planned: Replay) -> Replay:
    """The same for a shop that takes back whole orders or nothing.

    An order of which nothing remains is cancelled where its last part was given back. Of every other order all stays
    sold.
    """
    kept = {key.order for key, committed in planned.committed.items() if committed}
    units: dict[int, list[tuple[int, int]]] = defaultdict(list)
    for key, line in planned.lines.items():
        units[key.order].append((key.position, line.units))
    last = {step.order: index for index, step in enumerate(planned.steps) if isinstance(step, GiveBack)}
    steps: list[Step] = []
    inexpressible = 0
    for index, step in enumerate(planned.steps):
        if isinstance(step, PlaceOrder):
            steps.append(step)
        elif step.order in kept:
            inexpressible += sum(given for _, given in step.parts)
        elif last[step.order] == index:
            steps.append(GiveBack(step.order, tuple(units[step.order])))
    committed = {key: line.units if key.order in kept else 0 for key, line in planned.lines.items()}
    return replace(planned, steps=steps, committed=committed, inexpressible_units=inexpressible)


def one_order_for_each_line(planned: Replay) -> Replay:
    """The same for a shop whose orders have one line: each line becomes an order of its own."""
    number = {key: order for order, key in enumerate(planned.lines)}
    steps: list[Step] = []
    for step in planned.steps:
        if isinstance(step, PlaceOrder):
            for position, line in enumerate(step.lines):
                steps.append(PlaceOrder(number[LineKey(step.order, position)], step.invoice, (line,)))
        else:
            for position, units in step.parts:
                steps.append(GiveBack(number[LineKey(step.order, position)], ((0, units),)))
    return replace(
        planned,
        steps=steps,
        lines={LineKey(number[key], 0): line for key, line in planned.lines.items()},
        committed={LineKey(number[key], 0): units for key, units in planned.committed.items()},
        orders=len(planned.lines),
    )
