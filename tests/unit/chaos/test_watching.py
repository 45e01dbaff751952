"""What the chaos run hears on its lines."""

from __future__ import annotations

import re

from tests.chaos.watching import Calls, Deliveries, Scanner

REQUEST = b"POST /hooks/shop HTTP/1.1\r\nHost: here\r\nX-Shopify-Webhook-Id: %s\r\nContent-Length: 2\r\n\r\n{}"
ANSWER = b"HTTP/1.1 %d OK\r\ncontent-length: 0\r\n\r\n"


def test_a_pattern_is_found_once_wherever_the_pieces_end() -> None:
    stream = b"x" * 700 + b"<a>" + b"y" * 600 + b"<b><c>"
    for size in (1, 2, 7, 100, 5000):
        scanner = Scanner(re.compile(rb"<(.)>"))
        found = [match[1] for at in range(0, len(stream), size) for match in scanner.found(stream[at : at + size])]
        assert found == [b"a", b"b", b"c"], size


def test_only_what_was_answered_with_200_is_acknowledged() -> None:
    deliveries = Deliveries()
    one, other = deliveries.ear(), deliveries.ear()
    one.asked(REQUEST % b"first")
    other.asked(REQUEST % b"second")
    one.answered(ANSWER % 503)
    one.asked(REQUEST % b"third")
    one.answered((ANSWER % 200)[:10])
    one.answered((ANSWER % 200)[10:])
    assert deliveries.acknowledged == {"third"}
    assert deliveries.statuses == {503: 1, 200: 1}


def test_the_busiest_second_is_looked_for_inside_the_windows() -> None:
    moments = iter([0.0, 0.1, 0.2, 5.0, 5.5, 5.9, 6.4, 9.0])
    calls = Calls(lambda: next(moments))
    ear = calls.ear()
    for _ in range(8):
        ear.asked(b"GET /v1/stock HTTP/1.1\r\n\r\n")
    assert calls.most_in_a_second([(0.0, 10.0)]) == 3
    assert calls.most_in_a_second([(5.6, 8.0), (8.5, 9.5)]) == 2
    assert calls.most_in_a_second([]) == 0
