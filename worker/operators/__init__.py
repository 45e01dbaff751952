"""The people who run trueup: who may sign in, and what they did."""

from worker.operators.actions import ActionLog, ActionView, Actor, Via
from worker.operators.desk import Desk
from worker.operators.service import OperatorRefusedError, Operators, OperatorView
from worker.operators.sessions import Session, Sessions, SignInRefusedError

__all__ = [
    "ActionLog",
    "ActionView",
    "Actor",
    "Desk",
    "OperatorRefusedError",
    "OperatorView",
    "Operators",
    "Session",
    "Sessions",
    "SignInRefusedError",
    "Via",
]
