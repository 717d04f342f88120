"""Is one model better than another on the same images? McNemar's test and an interval.

McNemar's test takes images as independent of each other, as the views of one truck are not; the
interval of the difference, by truck, does not.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import binomtest  # type: ignore[import-untyped]

from training.bootstrap import TruckBootstrap
from training.errors import RunError
from training.predictions import Against, Predictions

Right = npt.NDArray[np.bool_]


def mcnemar(first: Right, second: Right) -> float:
    """Exact two-sided p-value of McNemar's test: are both equally often right?

    first, second: (n,), is the model right about the image? Images on which both are right, or
    both wrong, say nothing; 1.0 where there are no others. Q. McNemar, "Note on the sampling error
    of the difference between correlated proportions or percentages", Psychometrika 12 (1947), with
    the binomial distribution in place of chi-squared.
    """
    only_first, only_second = int((first & ~second).sum()), int((second & ~first).sum())
    if only_first + only_second == 0:
        return 1.0
    return float(binomtest(only_first, only_first + only_second).pvalue)


def compare(
    first: Predictions, second: Predictions, *, against: Against = "label"
) -> dict[str, Any]:
    """Of two models on the same images: who is right alone how often, p, difference in accuracy.

    The difference is second - first. Raises RunError when the two were not asked about the same
    images, or those have other labels.
    """
    right = _right(first, second, against)
    return {
        "n": len(right[0]),
        "only_first_right": int((right[0] & ~right[1]).sum()),
        "only_second_right": int((right[1] & ~right[0]).sum()),
        "p_value": float(f"{mcnemar(*right):.4g}"),
        **difference(first, second, against=against),
    }


def difference(
    first: Predictions, second: Predictions, *, against: Against = "label"
) -> dict[str, Any]:
    """The difference in accuracy, second - first, with its interval by truck.

    Also of models that are `pooled` over the same seeds, whose images McNemar's test would count
    several times. Raises RunError as `compare` does.
    """
    found = _gains(first, second, against)
    resampled = TruckBootstrap([first.trucks[i] for i in first.known(against)])
    drawn = resampled.sums(found) / resampled.sums(np.ones(len(found)))
    return {
        "accuracy_difference": _mean(found),
        "accuracy_difference_ci": resampled.interval(drawn),
    }


def accuracy_difference(first: Predictions, second: Predictions) -> float:
    """That of `difference` on the labels, without the work that its interval takes."""
    return _mean(_gains(first, second, "label"))


def _gains(first: Predictions, second: Predictions, against: Against) -> npt.NDArray[np.float64]:
    """Of each image that has a label: 1 where the second alone is right, -1 where the first is."""
    right = _right(first, second, against)
    return right[1].astype(np.float64) - right[0]


def _mean(gains: npt.NDArray[np.float64]) -> float:
    return round(float(gains.mean()), 4)


def _right(first: Predictions, second: Predictions, against: Against) -> tuple[Right, Right]:
    """Of each image that has a label: are the first and the second right about it?"""
    _check_same(first, second, against)
    known, labels = first.known(against), first.indices(against)
    return (
        first.probabilities[known].argmax(1) == labels,
        second.probabilities[known].argmax(1) == labels,
    )


def _check_same(first: Predictions, second: Predictions, against: Against) -> None:
    grades = [getattr(one, against) for one in (first, second)]
    if first.images != second.images or first.trucks != second.trucks or grades[0] != grades[1]:
        odd = sorted(set(first.images) ^ set(second.images))
        what = f"such as {odd[0]}" if odd else "they differ in order, truck or label"
        raise RunError(
            f"predictions of {len(first.images)} and {len(second.images)} images cannot be "
            f"compared: not the same images ({what}); evaluate both on the same --data and --split"
        )
    if not len(first.known(against)):
        raise RunError("predictions without a label cannot be compared; evaluate labelled images")
