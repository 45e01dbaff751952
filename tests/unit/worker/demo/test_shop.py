from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import count
from typing import Any

from connectors.sandbox.clock import VirtualClock
from worker.demo import replay
from worker.demo.replay import LineKey
from worker.demo.sales import SalesLine
from worker.demo.shop import BATCH_LINES, MOST_UNSENT, Shop
from worker.demo.vendors.shopify import ShopifyShop


class Control:
    """A shop that writes down what is asked of it."""

    def __init__(self, queued: Sequence[int] = ()) -> None:
        self.asked: list[tuple[str, Mapping[str, Any]]] = []
        self.looks = 0
        self._queued = iter(queued)
        self._ids = count(1)

    def get(self, path: str) -> Any:
        assert path == "/quiet"
        self.looks += 1
        return {"queued": next(self._queued, 0), "in_flight": 0, "held": 5, "delayed": 0, "retries": 0}

    def post(self, path: str, body: Mapping[str, Any]) -> Any:
        self.asked.append((path, body))
        return {
            "orders": [
                {"id": next(self._ids), "lines": [next(self._ids) for _ in order["lines"]]}
                for order in body.get("orders", ())
            ]
        }


def placed(control: Control, *rows: tuple[str, str, int], **options: Any) -> Shop:
    channel = ShopifyShop(seed=1)
    channel.control = control  # type: ignore[assignment]
    shop = Shop(channel, VirtualClock(), **options)
    shop.place(replay.plan([SalesLine(*row) for row in rows]))
    return shop


def test_orders_are_placed_in_their_order_and_lines_known_by_position() -> None:
    control = Control()
    shop = placed(control, ("1", "A", 2), ("1", "A", 2), ("2", "B", 1))

    ((path, body),) = control.asked
    assert path == "/orders"
    assert body["orders"][0]["lines"] == [{"sku": "A", "quantity": 2}] * 2
    assert shop.line_ids == {LineKey(0, 0): "2", LineKey(0, 1): "3", LineKey(1, 0): "5"}
    assert shop.lines_placed == 3


def test_a_refund_waits_for_the_orders_before_it_and_comes_before_those_after() -> None:
    control = Control()
    shop = placed(control, ("1", "A", 2), ("2", "A", 2), ("C3", "A", -3), ("4", "A", 1))

    assert [path for path, _ in control.asked] == ["/orders", "/orders/3/refund", "/orders/1/refund", "/orders"]
    assert control.asked[1][1]["lines"] == [{"line_id": 4, "quantity": 2, "restock_type": "CANCEL"}]
    assert control.asked[2][1]["lines"] == [{"line_id": 2, "quantity": 1, "restock_type": "CANCEL"}]
    assert shop.refunds == 2


def test_a_batch_does_not_grow_without_end() -> None:
    control = Control()
    placed(control, *[(str(number), "A", 1) for number in range(2 * BATCH_LINES + 1)])

    assert [len(body["orders"]) for _, body in control.asked] == [BATCH_LINES, BATCH_LINES, 1]


def test_nothing_is_placed_while_too_many_webhooks_wait() -> None:
    control = Control([MOST_UNSENT + 1, MOST_UNSENT + 1, 0])
    placed(control, ("1", "A", 1))

    assert control.looks == 3


def test_nothing_is_placed_while_trueup_has_no_room() -> None:
    room = iter([False, False, True])
    control = Control()
    placed(control, ("1", "A", 1), has_room=lambda: next(room))

    assert control.looks == 3
    assert len(control.asked) == 1
