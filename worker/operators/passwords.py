"""Passwords are kept as Argon2id hashes, and every check of one costs the same."""

from __future__ import annotations

import threading

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

LEAST_CHARACTERS = 12
MOST_CHARACTERS = 1024
"""Hashing costs by length: nobody may hand in a book."""
AT_ONCE = 2
"""Hashes computed at the same time by one process: each takes 64 MiB, and strangers ask for them."""


class Passwords:
    """Hashes and checks passwords. Thread-safe."""

    def __init__(self, hasher: PasswordHasher | None = None) -> None:
        self._hasher = hasher or PasswordHasher()
        self._turn = threading.BoundedSemaphore(AT_ONCE)
        self._nobodys: str | None = None

    def hash(self, password: str) -> str:
        with self._turn:
            return self._hasher.hash(password)

    def fits(self, password: str, kept: str | None) -> bool:
        """Whether it is the password of this hash; False when there is none, after as much work as if there were."""
        with self._turn:
            # Made at the first check of all, whoever's it is: what that one takes longer says nothing about its name.
            self._nobodys = self._nobodys or self._hasher.hash("nobody's")
            try:
                self._hasher.verify(kept or self._nobodys, password)
            except (VerificationError, InvalidHashError):
                return False
            return kept is not None

    def is_outdated(self, kept: str) -> bool:
        """Whether this hash was made with other parameters than today's."""
        return self._hasher.check_needs_rehash(kept)


def why_not(password: str) -> str | None:
    """What is wrong with a new password; None when nothing is. Length alone counts: rules about signs make it worse."""
    if len(password) < LEAST_CHARACTERS:
        return f"The password has fewer than {LEAST_CHARACTERS} characters."
    if len(password) > MOST_CHARACTERS:
        return f"The password has more than {MOST_CHARACTERS:,} characters."
    return None
