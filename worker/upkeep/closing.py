"""Whether a listing must be closed or opened. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from connectors.contract import ListingState, Stock, StockKind


class Action(StrEnum):
    """What a look at a listing calls for."""

    NOTHING = "nothing"
    CLOSE = "close"
    OPEN = "open"
    UNMARK = "unmark"
    """Somebody else changed the state of a listing that we had closed: it is theirs now."""


@dataclass(frozen=True, slots=True)
class ClosingPolicy:
    """The operator's choices about closing."""

    enabled: bool = True
    close_after: timedelta = timedelta(minutes=20)
    linked_only: bool = False


@dataclass(frozen=True, slots=True)
class Episode:
    """What we remember of a listing between two looks."""

    zero_since: datetime | None
    close_done: bool
    """We closed it in this zero episode already: if it is open again, somebody wanted that."""
    closed_by_us: bool
    linked: bool
    undone: bool = False
    """We closed it, and an opening of ours that had been taken for absent was executed since: nobody else wanted it."""

    @property
    def may_close(self) -> bool:
        """Whether closing is not yet done in this zero episode, or undone by ourselves."""
        return not self.close_done or self.undone


def waits_until(episode: Episode, policy: ClosingPolicy, total: int | None) -> datetime | None:
    """Until when a listing at zero is left alone; None when there is nothing to wait for."""
    if episode.zero_since is None or total is None or total > 0 or not episode.may_close:
        return None
    return episode.zero_since + policy.close_after


def decide(state: ListingState, stock: Stock, episode: Episode, policy: ClosingPolicy, now: datetime) -> Action:
    """Decide from a fresh read of one listing.

    Undefined and unlimited stock, drafts and listings that wait for approval are never touched; what we did not close
    is never opened; what somebody reopened while it was empty stays open until it has been stocked again.
    """
    empty = stock.kind is StockKind.COUNTED and stock.total <= 0
    if episode.closed_by_us and state is not ListingState.CLOSED and not (episode.undone and empty):
        return Action.UNMARK
    if stock.kind is not StockKind.COUNTED:
        # Stock that became unlimited is stock: what we closed for want of it must be on sale again.
        reopen = episode.closed_by_us and stock.kind is StockKind.UNLIMITED
        return Action.OPEN if reopen else Action.NOTHING
    if stock.total > 0:
        return Action.OPEN if episode.closed_by_us else Action.NOTHING
    if not policy.enabled or state is not ListingState.PUBLISHED or not episode.may_close:
        return Action.NOTHING
    if policy.linked_only and not episode.linked:
        return Action.NOTHING
    ripe = waits_until(episode, policy, stock.total)
    return Action.CLOSE if ripe is not None and ripe <= now else Action.NOTHING
