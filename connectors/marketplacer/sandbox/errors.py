"""Refusals. The vendor documents their status alone."""

from __future__ import annotations


class ApiError(Exception):
    """A refusal."""

    def __init__(self, status: int, title: str, detail: str = "", pointer: str = "") -> None:
        super().__init__(detail or title)
        self.status = status
        self.title = title
        self.detail = detail
        self.pointer = pointer


def unauthorized(detail: str) -> ApiError:
    """Nobody is let in like this."""
    return ApiError(401, "Unauthorized", detail)


def not_found(what: str) -> ApiError:
    """There is no such thing, or it is another seller's."""
    return ApiError(404, "Not Found", f"{what} was not found")


def unprocessable(detail: str, pointer: str = "") -> ApiError:
    """A value that cannot be, or a step that the state of things forbids."""
    return ApiError(422, "Unprocessable Entity", detail, pointer)
