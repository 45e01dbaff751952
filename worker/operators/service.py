"""Who may sign in to the console, and with which rights."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from connectors.clock import Clock
from worker.operators import repository
from worker.operators.actions import ActionLog, Actor, Verb
from worker.operators.passwords import Passwords, why_not
from worker.store import AnyRow, Store, Transaction
from worker.store.tables import Role

NAME = re.compile(r"[a-z0-9][a-z0-9._@-]{0,62}")
"""Part of the log for ever: short, plain, and written in one way."""


class OperatorRefusedError(Exception):
    """This cannot be done to this operator; nothing was changed. The text says why and what to do."""


@dataclass(frozen=True, slots=True)
class OperatorView:
    """One operator."""

    name: str
    role: Role
    created_at: datetime
    password_set_at: datetime
    sessions: int
    """Browsers in which the operator is signed in."""


class Operators:
    """Adding, changing and removing operators. What takes a right away ends every session at once."""

    def __init__(self, store: Store, clock: Clock, actions: ActionLog, passwords: Passwords) -> None:
        self._store = store
        self._clock = clock
        self._actions = actions
        self._passwords = passwords

    def list(self) -> Sequence[OperatorView]:
        """By name."""
        with self._store.read() as transaction:
            return [OperatorView(*row) for row in repository.operators(transaction)]

    def add(self, name: str, password: str, role: Role, *, by: Actor) -> None:
        """Raises `OperatorRefusedError` when the name is taken or not one, or the password too short."""
        if NAME.fullmatch(name) is None:
            raise OperatorRefusedError(
                f"{name!r} is no name: use small letters, digits and . _ @ -, 63 at most, a letter or digit first."
            )
        hashed = self._hashed(password)
        now = self._clock.now()
        values = {"name": name, "role": role, "password_hash": hashed, "created_at": now, "password_set_at": now}
        with self._store.write() as transaction:
            if not repository.add_operator(transaction, values):
                message = f"There is an operator {name} already. `trueup operators password {name}` sets a password."
                raise OperatorRefusedError(message)
            self._actions.record_in(transaction, by, Verb.OPERATOR_ADDED, "operator", name, after={"role": role.value})

    def remove(self, name: str, *, by: Actor) -> None:
        """What the operator did stays in the log. Raises `OperatorRefusedError`."""
        with self._store.write() as transaction:
            held = self._held(transaction, name)
            repository.end_sessions(transaction, name)
            repository.remove_operator(transaction, name)
            self._actions.record_in(
                transaction, by, Verb.OPERATOR_REMOVED, "operator", name, before={"role": held.role.value}
            )

    def set_password(self, name: str, password: str, *, by: Actor) -> None:
        """Sessions begun with the old one end. Raises `OperatorRefusedError`."""
        hashed = self._hashed(password)
        with self._store.write() as transaction:
            self._held(transaction, name)
            repository.set_password(transaction, name, hashed, self._clock.now())
            repository.end_sessions(transaction, name)
            self._actions.record_in(transaction, by, Verb.PASSWORD_SET, "operator", name)

    def set_role(self, name: str, role: Role, *, by: Actor) -> None:
        """In force with the operator's next request. Raises `OperatorRefusedError`."""
        with self._store.write() as transaction:
            held = self._held(transaction, name)
            repository.set_role(transaction, name, role)
            self._actions.record_in(
                transaction,
                by,
                Verb.ROLE_SET,
                "operator",
                name,
                before={"role": held.role.value},
                after={"role": role.value},
            )

    def _hashed(self, password: str) -> str:
        if wrong := why_not(password):
            raise OperatorRefusedError(wrong)
        return self._passwords.hash(password)

    @staticmethod
    def _held(transaction: Transaction, name: str) -> AnyRow:
        held = repository.lock_operator(transaction, name)
        if held is None:
            raise OperatorRefusedError(f"There is no operator {name}. `trueup operators list` shows those there are.")
        return held
