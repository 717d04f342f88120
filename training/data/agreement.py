"""How far experts agree: Fleiss' kappa."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edge_agent.grades import GRADES, Grade


def fleiss_kappa(votes: Sequence[Sequence[Grade]]) -> float | None:
    """Agreement beyond chance, 1 for full agreement and 0 for what chance would give.

    votes: the votes on each image. Images with fewer than two say nothing of agreement and are
    left out. With the same number of votes on every image this is kappa of J. L. Fleiss, "Measuring
    nominal scale agreement among many raters", Psychological Bulletin 76 (1971); where the numbers
    differ, each image's agreement is taken over its own votes and every image counts alike.
    None where it is not defined: no image with two votes, or all votes for one grade.
    """
    counts = np.array(
        [[list(cast).count(grade) for grade in GRADES] for cast in votes if len(cast) > 1]
    )
    if not len(counts):
        return None
    n = counts.sum(1)
    observed = float((((counts**2).sum(1) - n) / (n * (n - 1))).mean())
    shares = counts.sum(0) / counts.sum()
    by_chance = float((shares**2).sum())
    if by_chance == 1.0:
        return None
    return (observed - by_chance) / (1.0 - by_chance)
