"""When a new model does so much worse than the one before it that nobody should be asked first."""

from __future__ import annotations

import math
from typing import Final

from edge_agent.records.ledger import Tally

WINDOW: Final = 200
"""Trucks before the swap that a new model is compared with, and trucks after it that count."""
LEAST: Final = 8
"""With fewer trucks than this nothing can be said."""
_LEAST_RATE: Final = 0.02
"""Few mills have a model that is never in doubt; a record without doubt must not make the first
doubtful truck alarming."""
_LEAST_RISE: Final = 0.2
"""A rise that is certain but smaller than this is for people to judge."""
_CHANCE: Final = 1e-4
"""A false alarm in so many looks: at one look a truck, about one in ten thousand trucks watched."""


def jump(before: Tally, after: Tally) -> str | None:
    """Whether doubtful trucks have jumped with the new model; the reason in words, or None.

    One-sided binomial test of the trucks after against the rate before, smoothed by Laplace's rule
    so that a short history counts for little.
    """
    if after.trucks < LEAST or before.trucks < LEAST:
        return None
    rate = max(_LEAST_RATE, (before.doubtful + 1) / (before.trucks + 2))
    found = after.doubtful / after.trucks
    if found - rate < _LEAST_RISE or _tail(after.doubtful, after.trucks, rate) >= _CHANCE:
        return None
    return (
        f"{after.doubtful} of {after.trucks} trucks without a sure grade, before the swap "
        f"{before.doubtful} of {before.trucks}"
    )


def _tail(least: int, n: int, rate: float) -> float:
    """P(X >= least) of X from the binomial distribution of n and rate."""
    return sum(math.comb(n, k) * rate**k * (1 - rate) ** (n - k) for k in range(least, n + 1))
