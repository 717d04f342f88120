"""How long to wait before the next attempt to connect. Pure logic."""

from __future__ import annotations

import random
from typing import Final

from edge_agent.reasons import Reason

_FIRST_S: Final = 0.5
_MOST_S: Final = 15.0
# Recorders lock an account after five to ten wrong passwords, often for half an hour.
_REFUSED_FIRST_S: Final = 60.0
_REFUSED_MOST_S: Final = 900.0


class Backoff:
    """Doubles the wait from failure to failure, with jitter so that four cameras spread out."""

    def __init__(self, rng: random.Random | None = None) -> None:
        self._random = rng or random.Random()
        self._failures = 0

    def succeeded(self) -> None:
        """Pictures come: the next failure starts from the shortest wait again."""
        self._failures = 0

    def failed(self, reason: Reason) -> float:
        """Seconds to wait now."""
        refused = reason is Reason.UNAUTHORIZED
        first, most = (_REFUSED_FIRST_S, _REFUSED_MOST_S) if refused else (_FIRST_S, _MOST_S)
        wait = min(most, first * float(1 << min(self._failures, 20)))
        self._failures += 1
        return wait * self._random.uniform(0.75, 1.25)
