"""Trying a password on behalf of several cameras, so that a wrong one does not lock the account.

Recorders lock an account after five to ten wrong passwords, often for half an hour, and four
cameras of one recorder share one account.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from typing import Final

from edge_agent.cameras.backoff import Backoff
from edge_agent.reasons import Reason

_ANOTHERS_TURN_S: Final = 0.1
_OTHERS_FIRST_S: Final = 1.0


class Login:
    """One account at one host, shared by the readers of its cameras. Thread-safe.

    While no camera streams with it, the readers try it one after the other; a refusal makes all of
    them wait. While one streams, the password is right: a refusal is the other camera's own, such
    as a missing permission, and keeps nobody else waiting.
    """

    def __init__(
        self, now: Callable[[], float] = time.monotonic, rng: random.Random | None = None
    ) -> None:
        self._now = now
        self._lock = threading.Lock()
        self._backoff = Backoff(rng)
        self._streaming: set[str] = set()
        self._trying: str | None = None
        self._refused: str | None = None
        self._next_try = float("-inf")

    def refused(self) -> str | None:
        """The camera whose refusal all wait for; None if the account is not known to be refused."""
        with self._lock:
            return self._refused

    def ask(self, camera: str) -> float:
        """0: connect now, then tell of it by `opened` and `ended`; else ask again in so many s."""
        with self._lock:
            if self._streaming:
                return 0.0
            wait = self._next_try - self._now()
            if camera == self._refused:
                # It may be the only one that lacks a permission: another one tries first.
                wait += _OTHERS_FIRST_S
            if wait > 0:
                return wait
            if self._trying not in (None, camera):
                return _ANOTHERS_TURN_S
            self._trying = camera
            return 0.0

    def opened(self, camera: str) -> None:
        """The camera lets us in."""
        with self._lock:
            self._streaming.add(camera)
            self._trying = self._refused = None
            self._backoff.succeeded()

    def ended(self, camera: str, reason: Reason) -> bool:
        """The attempt, or what it opened, is over; True if all must wait because of it."""
        with self._lock:
            self._streaming.discard(camera)
            if self._trying == camera:
                self._trying = None
            if reason is not Reason.UNAUTHORIZED or self._streaming:
                return False
            self._refused = camera
            self._next_try = self._now() + self._backoff.failed(reason)
            return True
