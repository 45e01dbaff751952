"""Signing in and out: a secret in the browser's cookie, its digest in the database, and a throttle against guessing.

A session ends after a while without use, after a longer while in any case, by signing out, and when the operator's
password is changed or the operator removed. Every sign-in makes a new secret: one planted before is worth nothing.
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog

from connectors.clock import Clock
from worker.operators import repository
from worker.operators.actions import ActionLog, Actor, Verb, Via
from worker.operators.passwords import MOST_CHARACTERS, Passwords
from worker.store import Store
from worker.store.tables import Role

log = structlog.get_logger(__name__)

SECRET_BYTES = 32
TOUCH_AFTER = timedelta(minutes=1)
"""A session's last use is written down this exactly: not every page is a write."""

WINDOW = timedelta(minutes=15)
MOST_OF_BOTH, MOST_OF_NAME, MOST_OF_ADDRESS = 5, 30, 20
"""Failed sign-ins within the window: of one name from one address, of one name from anywhere, from one address. The
second bounds guessing from many addresses, and is wide, because it also keeps the operator out."""


class SignInRefusedError(Exception):
    """Nobody was signed in. The text is for whoever tried, and the same whether or not there is such an operator."""


@dataclass(frozen=True, slots=True)
class Session:
    """Whose browser it is."""

    operator: str
    role: Role
    created_at: datetime

    @property
    def actor(self) -> Actor:
        return Actor(self.operator, Via.CONSOLE)


class Sessions:
    """The rules of signing in. Thread-safe."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        actions: ActionLog,
        passwords: Passwords,
        *,
        idle: timedelta,
        absolute: timedelta,
    ) -> None:
        """A session ends `idle` after its last use and `absolute` after it began."""
        self._store = store
        self._clock = clock
        self._actions = actions
        self._passwords = passwords
        self._idle = idle
        self._absolute = absolute

    def sign_in(self, name: str, password: str, *, address: str, replacing: str | None = None) -> str:
        """The secret of a new session; the one whose secret is `replacing` ends. Raises `SignInRefusedError`."""
        name = name.strip().lower()
        address = address[:64]
        typed = self._counted(name, address)
        with self._store.read() as transaction:
            held = repository.operator(transaction, name[:64])
        kept = None if held is None else held.password_hash
        if not self._passwords.fits(password[:MOST_CHARACTERS], kept):
            log.warning("sign_in_failed", address=address)
            raise SignInRefusedError("Name or password is wrong.")
        assert kept is not None  # noqa: S101  it fits somebody
        renewed = self._passwords.hash(password) if self._passwords.is_outdated(kept) else None
        secret = secrets.token_urlsafe(SECRET_BYTES)
        with self._store.write() as transaction:
            # Between the check and now the operator may have been removed, or given another password.
            repository.lock_operator(transaction, name)
            now_held = repository.operator(transaction, name)
            if now_held is None or now_held.password_hash != kept:
                raise SignInRefusedError("Name or password is wrong.")
            if renewed is not None:
                repository.renew_hash(transaction, name, kept, renewed)
            if replacing is not None:
                repository.end_session(transaction, _digest(replacing))
            repository.begin_session(transaction, _digest(secret), name, self._clock.now())
            repository.remove_attempts(transaction, typed, address)
            self._actions.record_in(transaction, Actor(name, Via.CONSOLE), Verb.SIGNED_IN, "operator", name)
        return secret

    def _counted(self, name: str, address: str) -> str:
        """Count an attempt before it is looked at, so that many at once are no way around the throttle. Returns the
        digest it is counted under.
        """
        digest, now = hashlib.sha256(name.encode()).hexdigest(), self._clock.now()
        with self._store.write() as transaction:
            attempt = repository.add_attempt(transaction, digest, address, now)
        with self._store.write() as transaction:
            both, of_name, of_address = repository.count_attempts(transaction, digest, address, now - WINDOW)
            if both <= MOST_OF_BOTH and of_name <= MOST_OF_NAME and of_address <= MOST_OF_ADDRESS:
                return digest
            # Not looked at, so not counted: else whoever goes on trying would keep the operator out for ever.
            repository.remove_attempt(transaction, attempt)
        log.warning("sign_in_throttled", address=address)
        minutes = int(WINDOW.total_seconds() // 60)
        raise SignInRefusedError(f"Too many sign-ins have failed. Try again in {minutes} minutes.")

    def of(self, secret: str, *, in_use: bool = True) -> Session | None:
        """The session of this secret, if it is still one; `in_use` notes that somebody is there."""
        digest, now = _digest(secret), self._clock.now()
        with self._store.read() as transaction:
            held = repository.session(transaction, digest)
        if held is None or now - held.seen_at > self._idle or now - held.created_at > self._absolute:
            return None
        if in_use and now - held.seen_at > TOUCH_AFTER:
            with self._store.write() as transaction:
                repository.touch_session(transaction, digest, now)
        return Session(held.name, held.role, held.created_at)

    def sign_out(self, secret: str, *, by: Actor) -> None:
        """End this session."""
        with self._store.write() as transaction:
            if repository.end_session(transaction, _digest(secret)):
                self._actions.record_in(transaction, by, Verb.SIGNED_OUT, "operator", by.name)

    def sign_out_everywhere(self, operator: str, *, by: Actor) -> int:
        """End every session of an operator. Returns how many there were."""
        with self._store.write() as transaction:
            ended = repository.end_sessions(transaction, operator)
            self._actions.record_in(
                transaction, by, Verb.SIGNED_OUT_EVERYWHERE, "operator", operator, before={"sessions": ended}
            )
        return ended

    def forget(self) -> None:
        """Drop what has ended by itself."""
        now = self._clock.now()
        with self._store.write() as transaction:
            repository.forget_sessions(transaction, now - self._absolute)
            repository.forget_attempts(transaction, now - WINDOW)


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
