"""Who may do what: named users with a role, whose passwords stand in station.yaml as hashes."""

from __future__ import annotations

import hashlib
import os
import threading
import time
from typing import Final

from cryptography.exceptions import InvalidKey
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from edge_agent.config import AccessSection, UserSection
from edge_agent.errors import TooManyGuessesError

_MEMORY_KIB: Final = 19 * 1024
_ITERATIONS: Final = 2
_LANES: Final = 1
"""The least that OWASP's Password Storage Cheat Sheet advises for Argon2id: a station PC grades."""
_AFTER_WRONG_S: Final = 1.0
_AT_ONCE: Final = 4
"""Guesses that may wait for their turn; each holds a thread, and trucks need threads too."""


def hash_password(password: str) -> str:
    """The password as station.yaml keeps it: Argon2id (RFC 9106) in PHC form, salted."""
    kdf = Argon2id(
        salt=os.urandom(16),
        length=32,
        iterations=_ITERATIONS,
        lanes=_LANES,
        memory_cost=_MEMORY_KIB,
    )
    return kdf.derive_phc_encoded(password.encode())


class Users:
    """The users of one station. Thread-safe."""

    def __init__(self, section: AccessSection) -> None:
        self._users = {user.name: user for user in section.users}
        self._unknown = hash_password("nobody")
        self._guessing = threading.Lock()
        self._waiting = threading.BoundedSemaphore(_AT_ONCE)

    def __bool__(self) -> bool:
        """Whether there is anybody."""
        return bool(self._users)

    def password_mark(self, name: str) -> str | None:
        """Says of a cookie whether that user's password has changed since. None: no such user."""
        user = self._users.get(name)
        return hashlib.sha256(user.password_hash.encode()).hexdigest()[:16] if user else None

    def check(self, name: str, password: str) -> UserSection | None:
        """The user if the password is theirs. Blocks, one guess at a time and slower after a wrong
        one, so that guessing gains nothing and does not take the cores from grading.

        Raises TooManyGuessesError while several others wait.
        """
        if not self._waiting.acquire(blocking=False):
            raise TooManyGuessesError
        user = self._users.get(name)
        try:
            with self._guessing:
                # A name that does not exist takes as long as one that does.
                if _fits(password, user.password_hash if user else self._unknown) and user:
                    return user
                time.sleep(_AFTER_WRONG_S)
        finally:
            self._waiting.release()
        return None


def _fits(password: str, phc: str) -> bool:
    try:
        Argon2id.verify_phc_encoded(password.encode(), phc)
    except (InvalidKey, ValueError):
        return False
    return True
