"""Precision against recall of one grade against the rest, and the area under that curve."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt
from sklearn.metrics import (  # type: ignore[import-untyped]
    average_precision_score,
    precision_recall_curve,
)

from training.bootstrap import Floats, TruckBootstrap

POINTS: Final = 101

Scores = npt.NDArray[np.float32]
Positive = npt.NDArray[np.bool_]


def average_precision(scores: Scores, positive: Positive) -> float | None:
    """The area under the curve as scikit-learn sums it up; None where nothing is positive.

    scores (n,): the grade's probability. positive (n,): is it the grade?
    """
    return float(average_precision_score(positive, scores)) if positive.any() else None


def interval(scores: Scores, positive: Positive, resampled: TruckBootstrap) -> list[float] | None:
    """The average precision's interval by truck; None where nothing is positive."""
    return resampled.interval(rounds(scores, positive, resampled)) if positive.any() else None


def rounds(scores: Scores, positive: Positive, resampled: TruckBootstrap) -> Floats:
    """The average precision in each round, (rounds,), of images of which some are positive; nan
    where none of these was drawn.

    It is the mean, over the positive images, of the precision among all images that score as much
    or more: sums are needed at the scores of positive images only.
    """
    order = np.argsort(-scores, kind="stable")
    falling = -scores[order]
    places = np.flatnonzero(positive[order])
    # Images with the same score come in together: the ends of those groups that have a positive
    # one, and each group's first among the positive ones.
    ends, first = np.unique(np.searchsorted(falling, falling[places], "right"), return_index=True)
    order = order[: ends[-1]]
    begins = np.append(0, ends[:-1])

    def areas(times: Floats) -> Floats:
        """Average precision of each row of how often each image was drawn, (rounds, k)."""
        hits = np.add.reduceat(times[:, places], first, axis=1)
        found = np.cumsum(hits, axis=1)
        called = np.cumsum(np.add.reduceat(times, begins, axis=1), axis=1)
        precision = np.divide(found, called, out=np.zeros_like(found), where=called > 0)
        area: Floats = (hits * precision).sum(1)
        total: Floats = found[:, -1]
        return np.divide(area, total, out=np.full_like(area, np.nan), where=total > 0)

    return resampled.weighted(areas, order)


def curve(scores: Scores, positive: Positive) -> dict[str, list[float]]:
    """Recall, rising from 0 to 1, and the precision there: at most 101 points of the curve."""
    precision, recall, _ = precision_recall_curve(positive, scores)
    recall, first = np.unique(recall[::-1], return_index=True)
    best = np.maximum.reduceat(precision[::-1], first)  # of thresholds with the same recall
    chosen = np.unique(np.linspace(0, len(recall) - 1, POINTS).round().astype(int))
    return {
        "recall": recall[chosen].round(4).tolist(),
        "precision": best[chosen].round(4).tolist(),
    }
