"""Is one model better than another on the same images? McNemar's test and an interval.

McNemar's test takes images as independent of each other, as the views of one truck are not; the
interval of the difference, by truck, does not.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import binomtest  # type: ignore[import-untyped]

from training import rates
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
    first: Predictions,
    second: Predictions,
    *,
    against: Against = "label",
    mixture: npt.NDArray[np.float64] | None = None,
) -> dict[str, Any]:
    """The differences in accuracy and macro F1, second - first, with their intervals by truck.

    mixture: see `rates.at`.

    Also of models that are `pooled` over the same seeds, whose images McNemar's test would count
    several times. Raises RunError as `compare` does.
    """
    _check_same(first, second, against)
    resampled = TruckBootstrap([first.trucks[i] for i in first.known(against)])
    found, drawn = [], []
    for one in (first, second):
        cells = rates.cells(one.indices(against), one.guesses(against))
        found.append(rates.of(rates.at(mixture, cells.sum(0))))
        drawn.append(rates.of(rates.at(mixture, resampled.sums(cells))))
    (was, now), (was_drawn, now_drawn) = found, drawn
    accuracy = now.accuracy - was.accuracy, now_drawn.accuracy - was_drawn.accuracy
    macro_f1 = now.macro_f1 - was.macro_f1, now_drawn.macro_f1 - was_drawn.macro_f1
    return {
        **resampled.figure("accuracy_difference", *accuracy),
        **resampled.figure("macro_f1_difference", *macro_f1),
    }


def accuracy_difference(first: Predictions, second: Predictions) -> float:
    """That of `difference` on the labels, without the work that its interval takes."""
    right = _right(first, second, "label")
    return round(float((right[1].astype(np.float64) - right[0]).mean()), 4)


def _right(first: Predictions, second: Predictions, against: Against) -> tuple[Right, Right]:
    """Of each image that has a label: are the first and the second right about it?"""
    _check_same(first, second, against)
    labels = first.indices(against)
    return first.guesses(against) == labels, second.guesses(against) == labels


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
