"""What a case can come to besides passing: the contract is broken, or it could not be shown."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import pytest

from connectors.errors import ConnectorError

T = TypeVar("T")
E = TypeVar("E", bound=ConnectorError)


ANOTHER_GUARD = "another guard"
"""What a marketplace lacks for cases about a guard that it does not have: nothing."""


class ContractBroken(AssertionError):  # noqa: N818  # what happened, as pytest prints it
    """The connector does not keep a promise of the contract: which one, what was seen, what to mend."""

    def __init__(self, promise: str, *, seen: str, mend: str) -> None:
        super().__init__(f"\n  promise: {promise}\n  seen:    {seen}\n  mend:    {mend}")
        self.promise = promise
        self.seen = seen
        self.mend = mend


class NotShown(pytest.skip.Exception):  # type: ignore[name-defined, misc]  # pytest gives its exceptions no plain names
    """This case cannot be shown of this connector, and why. No failure, but reported by name.

    A sandbox raises it from any method for what its vendor cannot do: `raise NotShown("an order has one line")`.
    """

    def __init__(self, reason: str, *, lacks: str = "") -> None:
        """`lacks` names the protocol that is not implemented, as `not_shown` of a kit may."""
        super().__init__(reason)
        self.reason = reason
        self.lacks = lacks


def require(kept: object, promise: str, *, seen: str, mend: str) -> None:
    """Raise `ContractBroken` unless `kept`."""
    __tracebackhide__ = True
    if not kept:
        raise ContractBroken(promise, seen=seen, mend=mend)


def said(error: BaseException) -> str:
    """An exception, short enough for one line of a message."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:300]}" if text else type(error).__name__


def told(result: object) -> str:
    """What a call came to, for a message."""
    return said(result) if isinstance(result, ConnectorError) else f"{result!r:.300}"


def outcome(call: Callable[[], T], doing: str) -> T | ConnectorError:
    """What a call comes to: a value or an error of `connectors.errors`. Anything else breaks the contract."""
    __tracebackhide__ = True
    try:
        return call()
    except ConnectorError as error:
        return error
    except (AssertionError, pytest.skip.Exception):  # a verdict of the sandbox or the kit
        raise
    except NotImplementedError as error:
        raise ContractBroken(
            "a connector does what the protocols say whose methods it has",
            seen=f"{doing} is not written yet ({said(error)})",
            mend="write it; an ability that the vendor does not have is declared by leaving the methods out",
        ) from error
    except Exception as error:
        raise ContractBroken(
            "every answer becomes a value or one of the errors of connectors.errors",
            seen=f"{doing} raised {said(error)}",
            mend="check the shape of an answer where it is parsed and raise Unreadable for what is not as documented; "
            "call out by connectors.http.Http, which maps trouble on the wire",
        ) from error


def value(call: Callable[[], T], doing: str) -> T:
    """What a call gives that has no reason to fail."""
    __tracebackhide__ = True
    result = outcome(call, doing)
    if isinstance(result, ConnectorError):
        raise ContractBroken(
            "with nothing wrong at the vendor, a call gives a value",
            seen=f"{doing} raised {said(result)}",
            mend="compare what the connector asks with what the sandbox expects and answers",
        ) from result
    return result


def error_of(call: Callable[[], object], doing: str, *, expected: type[E], promise: str, mend: str) -> E:
    """The error of a call that has to fail with `expected`."""
    __tracebackhide__ = True
    result = outcome(call, doing)
    if not isinstance(result, expected):
        raise ContractBroken(promise, seen=f"{doing} came to {told(result)} instead of {expected.__name__}", mend=mend)
    return result
