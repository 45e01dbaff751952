"""Pages for what went wrong: a sentence and a way on."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ExceptionHandler

from worker.console.rendering import Rendering
from worker.store import StorageUnavailable

SENTENCES = {
    404: "There is nothing here. It may have been dropped after its time, or the address has a slip.",
    405: "This address does something else.",
}


class Errors:
    """What the application answers to exceptions."""

    def __init__(self, rendering: Rendering) -> None:
        self._rendering = rendering

    def handlers(self) -> Mapping[type[Exception], ExceptionHandler]:
        return {HTTPException: self._refused, StorageUnavailable: self._no_database, Exception: self._unexpected}

    async def _refused(self, _request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)  # noqa: S101  by which it is called
        said = SENTENCES.get(error.status_code, error.detail)
        return self._page(error.status_code, said)

    async def _no_database(self, _request: Request, _error: Exception) -> Response:
        return self._page(
            503, "The database cannot be used at the moment. Nothing is lost: trueup goes on when it is back."
        )

    async def _unexpected(self, _request: Request, _error: Exception) -> Response:
        return self._page(500, "Something went wrong here; the log says what. Nothing was done.")

    def _page(self, status: int, said: str) -> Response:
        return self._rendering.plain("error.html", {"status": status, "said": said}, status=status)
