"""The orders and the buyers of a run, cut into rounds: what is done in each, and what must be committed after it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from worker.demo import buyers, catalogue, replay, sales
from worker.demo.buyers import Purchase
from worker.demo.catalogue import Catalogue
from worker.demo.proof import Expected
from worker.demo.replay import LineKey, PlaceOrder, Replay, Step

PIECE_LINES = 20
"""Lines placed at a time, so that orders come in a steady flow."""


@dataclass(frozen=True, slots=True)
class Round:
    """One round's part."""

    pieces: Sequence[Replay]
    purchases: Sequence[Purchase]
    """Their moments count from the round's first line."""


@dataclass(frozen=True, slots=True)
class Flow:
    """The whole run."""

    replay: Replay
    catalogue: Catalogue
    rounds: Sequence[Round]

    def expected(self, after_rounds: int, line_ids: Mapping[LineKey, str]) -> Expected:
        """What must be once so many rounds are over, from the plan alone; `line_ids` is what the shop calls them."""
        committed: dict[LineKey, int] = {}
        for one in self.rounds[:after_rounds]:
            for piece in one.pieces:
                _carry_out(piece.steps, committed)
        links: defaultdict[str, list[tuple[str, int]]] = defaultdict(list)
        for link in self.catalogue.links:
            links[link.sku].append((link.listing_id, link.units))
        return Expected(
            sku={line_ids[key]: self.replay.lines[key].sku for key in committed},
            committed={line_ids[key]: units for key, units in committed.items()},
            links=links,
            opening={listing.listing_id: listing.opening for listing in self.catalogue.listings},
        )


def plan(rounds: int, lines_per_round: int, seed: int) -> Flow:
    """Real order lines, as many as the rounds can place."""
    planned = replay.plan(sales.read(), limit=rounds * lines_per_round)
    stock = catalogue.build(planned.committed_by_sku(), seed)
    purchases = buyers.plan(stock, len(planned.lines), seed)
    pieces = list(_pieces(planned))
    parts: list[list[Replay]] = [[] for _ in range(rounds)]
    placed = 0
    for piece in pieces:
        parts[min(rounds - 1, placed // lines_per_round)].append(piece)
        placed += _lines(piece)
    return Flow(
        planned,
        stock,
        [Round(part, list(_of_round(purchases, number, lines_per_round))) for number, part in enumerate(parts)],
    )


def _pieces(planned: Replay) -> Iterator[Replay]:
    steps: list[Step] = []
    for step in planned.steps:
        steps.append(step)
        if _lines(replace(planned, steps=steps)) >= PIECE_LINES:
            yield replace(planned, steps=steps)
            steps = []
    if steps:
        yield replace(planned, steps=steps)


def _lines(piece: Replay) -> int:
    return sum(len(step.lines) for step in piece.steps if isinstance(step, PlaceOrder))


def _of_round(purchases: Sequence[Purchase], number: int, lines: int) -> Iterator[Purchase]:
    begin = number * lines
    for purchase in purchases:
        if purchase.begins_at // lines == number:
            yield replace(purchase, begins_at=purchase.begins_at - begin, ends_at=purchase.ends_at - begin)


def _carry_out(steps: Sequence[Step], committed: dict[LineKey, int]) -> None:
    for step in steps:
        if isinstance(step, PlaceOrder):
            for position, line in enumerate(step.lines):
                committed[LineKey(step.order, position)] = line.units
        else:
            for position, units in step.parts:
                committed[LineKey(step.order, position)] -= units
