"""Making a trained network's confidence honest, on the validation split only."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt
import torch
from scipy.optimize import brentq  # type: ignore[import-untyped]
from torch import Tensor

COLDEST: Final = 0.25
HOTTEST: Final = 8.0


def temperature(logits: Tensor, labels: Tensor, weights: Tensor | None = None) -> float:
    """The T that makes softmax(logits / T) fit the labels best (Guo et al. 2017).

    logits (n, classes), finite; labels (n,). weights (n,): how much each image counts; None: all
    alike. Limited to 0.25 .. 8: a validation set on which the network makes no mistake would ask
    for T = 0.
    """
    logits = logits.detach().double()
    right = logits.gather(1, labels[:, None])[:, 0]
    weights = torch.ones_like(right) if weights is None else weights

    def slope(inverse: float) -> float:
        """Of the mean cross-entropy over 1 / T, in which it is convex."""
        expected = (torch.softmax(logits * inverse, dim=1) * logits).sum(1)
        return float((weights * (expected - right)).mean())

    if slope(1 / COLDEST) <= 0:
        return COLDEST
    if slope(1 / HOTTEST) >= 0:
        return HOTTEST
    return float(1 / brentq(slope, 1 / HOTTEST, 1 / COLDEST))


def calibrated(
    logits: Tensor, labels: npt.NDArray[np.int64], weights: npt.NDArray[np.float64] | None = None
) -> tuple[float, float]:
    """`temperature` and `confidence_threshold` of a network, logits (n, 5), labels (n,)."""
    by = None if weights is None else torch.from_numpy(weights)
    t = temperature(logits, torch.from_numpy(labels), by)
    return t, confidence_threshold((logits / t).softmax(1).numpy(), labels, weights)


def confidence_threshold(
    probabilities: npt.NDArray[np.float32],
    labels: npt.NDArray[np.int64],
    weights: npt.NDArray[np.float64] | None = None,
    *,
    accuracy: float = 0.98,
    most_to_a_person: float = 0.15,
    least: float = 0.5,
) -> float:
    """The lowest confidence at which the model may grade alone.

    Above it at least `accuracy` of the decisions are right, unless that would send more than
    `most_to_a_person` of the loads to a person: then it is the confidence that sends just those.
    Never under `least`: a grade that is more likely wrong than right is a person's in any case.
    weights: as of `temperature`.
    """
    weights = np.ones(len(labels)) if weights is None else weights
    counted = weights > 0
    confidence = probabilities[counted].max(axis=1)
    right = probabilities[counted].argmax(axis=1) == labels[counted]
    order = np.argsort(confidence)
    # kept[i]: accuracy of all decisions that are at least as sure as the i-th least sure one
    counts = weights[counted][order]
    kept = (right[order] * counts)[::-1].cumsum()[::-1] / counts[::-1].cumsum()[::-1]
    most = int((counts.cumsum() <= most_to_a_person * counts.sum()).sum())
    good = np.flatnonzero(kept[: most + 1] >= accuracy)
    index = int(good[0]) if len(good) else most
    if index == 0:
        return least
    return max(least, float(np.floor(confidence[order[index]] * 1e4) / 1e4))
