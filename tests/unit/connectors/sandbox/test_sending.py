"""One attempt to send a webhook."""

from __future__ import annotations

import asyncio

import httpx
import pytest

from connectors.sandbox.sending import Parcel, carry


async def attempt(answer: httpx.Response | Exception) -> int | None:
    def handle(request: httpx.Request) -> httpx.Response:
        if isinstance(answer, Exception):
            raise answer
        return answer

    async with httpx.AsyncClient(transport=httpx.MockTransport(handle)) as client:
        return await carry(client, Parcel("http://127.0.0.1:9/hooks/shop", {}, b"{}"), answer_seconds=5)


def test_an_attempt_is_told_by_its_status() -> None:
    assert asyncio.run(attempt(httpx.Response(503))) == 503


@pytest.mark.parametrize(
    "broken",
    [
        httpx.ReadError("reset"),
        httpx.InvalidURL("no host"),
        # What anyio raises when the connection was reset between opening it and looking at it.
        AttributeError("'NoneType' object has no attribute 'getpeername'"),
    ],
)
def test_whatever_breaks_is_an_attempt_without_an_answer(broken: Exception) -> None:
    assert asyncio.run(attempt(broken)) is None
