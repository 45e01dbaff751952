"""What each reason for a hold means, and what lifts it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from worker.holds.service import AS_CONFIGURED, HoldView
from worker.store.tables import HoldReason


@dataclass(frozen=True, slots=True)
class Explanation:
    """One reason, for people."""

    title: str
    """A few words, as a heading."""
    lifted: str
    """What lifts it: a sentence, in which commands stand between backticks."""
    by_a_word: bool
    """Whether a person lifts it just by saying so; else its cause has to go."""


_LOOKED_AT = "An operator who has looked into it: what was found on the marketplace stands then."
EXPLANATIONS: Mapping[HoldReason, Explanation] = {
    HoldReason.SHADOW: Explanation(
        "In shadow",
        "An operator who has seen what the new channel would do, and confirms it.",
        by_a_word=True,
    ),
    HoldReason.PAUSED: Explanation("Paused", "An operator who resumes it.", by_a_word=True),
    HoldReason.REAUTHORISATION: Explanation(
        "Credentials refused",
        "Renewed credentials: put them into the configuration, restart, then `trueup doctor` lifts it.",
        by_a_word=False,
    ),
    HoldReason.ORPHAN: Explanation("An adjustment of nobody", _LOOKED_AT, by_a_word=True),
    HoldReason.RESTORED: Explanation(
        "Restored from a copy", f"`trueup recover`, which books what matches. {_LOOKED_AT}", by_a_word=True
    ),
    HoldReason.PLAN_TOO_LARGE: Explanation(
        "Plan too large",
        "An operator who has seen the plan, and confirms it; mend its cause first where it is wrong.",
        by_a_word=True,
    ),
    HoldReason.BREAKER: Explanation(
        "Does not answer", "Time: the account is tried again by itself, and written once it answers.", by_a_word=False
    ),
}
_CONFIGURED = Explanation(
    "Paused", "The configuration: take `paused = true` out of the channel's table, and restart.", by_a_word=False
)


def explain(hold: HoldView) -> Explanation:
    """Why it is there and what lifts it."""
    as_configured = hold.reason is HoldReason.PAUSED and hold.note == AS_CONFIGURED
    return _CONFIGURED if as_configured else EXPLANATIONS[hold.reason]
