"""Refusals as the API words them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

INSUFFICIENT = "Your request could not be completed due to insufficient stock levels"


class ApiError(Exception):
    """A refusal. Whether its status is a number or a text depends on the API that answers."""

    def __init__(self, status: int, title: str, detail: str = "", *, meta: Mapping[str, Any] | None = None) -> None:
        super().__init__(detail or title)
        self.status = status
        self.title = title
        self.detail = detail
        self.meta = meta

    def body(self, *, text_status: bool) -> dict[str, Any]:
        """The answer's body."""
        entry: dict[str, Any] = {"status": str(self.status) if text_status else self.status, "title": self.title}
        if self.detail:
            entry["detail"] = self.detail
        if self.meta:
            entry["meta"] = self.meta
        return {"errors": [entry]}


def not_found(detail: str = "The resource could not be found") -> ApiError:
    """There is no such thing."""
    return ApiError(404, "Not Found", detail)


def bad_request(detail: str) -> ApiError:
    """The request does not have its documented shape."""
    return ApiError(400, "Bad Request", detail)


def unprocessable(detail: str) -> ApiError:
    """The state of things forbids it."""
    return ApiError(422, "Cannot complete request", detail)
