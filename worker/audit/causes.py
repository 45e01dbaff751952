"""Who moved a number, as far as anybody says. Pure."""

from __future__ import annotations

from enum import StrEnum

from connectors.contract import Author


class Cause(StrEnum):
    """Who moved a number."""

    OURS = "ours"
    """A channel's sales and returns, written by us."""
    MARKETPLACE = "marketplace"
    """A sale on the marketplace itself, or its end."""
    PROVIDER = "provider"
    """Somebody edited the number."""
    ACCEPTED = "accepted"
    """Nothing explains it, and a person has looked at it and lets it stand."""
    UNTOLD = "untold"
    """Somebody moved it, and this marketplace does not tell who: nothing is wrong, and nothing is proved."""
    UNEXPLAINED = "unexplained"
    """Made with our credentials and claimed by none of our writes, or by an author that is not known yet."""


def cause_of(
    *, operation: int | None, by_purchase: bool, author: Author | None, open_claim: bool, tells_authors: bool = True
) -> Cause:
    """The cause of one remote adjustment.

    `operation`: the write of ours that claims it. `by_purchase`: a transaction of the marketplace caused it.
    `open_claim`: it is kept as ours, and nobody has accounted for it. `tells_authors`: the marketplace names authors.
    """
    if operation is not None:
        return Cause.OURS
    if by_purchase:
        return Cause.MARKETPLACE
    match author:
        case Author.OTHER:
            return Cause.PROVIDER
        case Author.OURS:
            return Cause.UNEXPLAINED if open_claim else Cause.ACCEPTED
        case None:
            return Cause.UNEXPLAINED if tells_authors else Cause.UNTOLD
