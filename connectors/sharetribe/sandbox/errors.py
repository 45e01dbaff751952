"""Refusals as the API words them (API reference, error codes)."""

from __future__ import annotations

from typing import Any, Literal


class ApiError(Exception):
    """A refusal with its status, code and, where one part of the request is to blame, the path to it."""

    def __init__(
        self,
        status: int,
        code: str,
        title: str,
        *,
        path: tuple[str, ...] = (),
        part: Literal["body", "query"] = "body",
    ) -> None:
        super().__init__(title)
        self.status = status
        self.code = code
        self.title = title
        self.path = path
        self.part = part

    def body(self, error_id: str) -> dict[str, Any]:
        """The answer's body, before encoding."""
        error: dict[str, Any] = {"id": error_id, "status": self.status, "code": self.code, "title": self.title}
        if self.path:
            error["source"] = {"path": list(self.path), "type": self.part}
        return {"errors": [error]}


def not_found(what: str) -> ApiError:
    """A read of something that is not there."""
    return ApiError(404, "not-found", f"{what} was not found.")


def conflict(code: str, title: str) -> ApiError:
    """A command that cannot be completed as things stand."""
    return ApiError(409, code, title)
