"""Dawid & Skene's estimate of true classes from experts of unknown reliability."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

_FLOOR: Final = 1e-10
"""Instead of zero, so that one odd vote does not make a class impossible."""

Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Votes:
    """One entry a vote, (n,): of which image, by which expert, for which class; each an index.

    Of a country's experts each has seen few images: a table of all by all would be empty mostly.
    """

    images: Indices
    experts: Indices
    named: Indices


def posterior(
    votes: Votes, classes: int, *, max_iterations: int = 1000, tolerance: float = 1e-6
) -> Floats:
    """Probabilities of the true classes, (images, classes), given all votes; every image up to the
    last that has a vote must have one.

    Expectation maximisation of A. P. Dawid and A. M. Skene, "Maximum Likelihood Estimation of
    Observer Error-Rates Using the EM Algorithm", Applied Statistics 28 (1979): equations (2.3) and
    (2.4) give the experts' error rates and the classes' shares, (2.5) the images' classes. It
    starts from the shares of the votes and ends when no probability moves by `tolerance` or more.
    """
    images, experts = int(votes.images.max()) + 1, int(votes.experts.max()) + 1
    of_image = votes.images * classes + votes.named
    shares = np.bincount(of_image, minlength=images * classes).reshape(images, classes)
    truth: Floats = shares / shares.sum(1, keepdims=True)
    of_expert = votes.experts * classes + votes.named
    for _ in range(max_iterations):
        # (experts, true classes, named classes)
        errors = _summed(truth[votes.images], of_expert, experts * classes)
        errors = errors.reshape(experts, classes, classes).transpose(0, 2, 1)
        errors = errors / np.maximum(errors.sum(2, keepdims=True), _FLOOR)
        log_errors = np.log(np.maximum(errors, _FLOOR))
        log_shares = np.log(np.maximum(truth.mean(0), _FLOOR))
        said = log_errors[votes.experts, :, votes.named]
        logs = log_shares + _summed(said, votes.images, images)
        logs -= logs.max(1, keepdims=True)
        updated = np.exp(logs)
        updated /= updated.sum(1, keepdims=True)
        moved = float(np.abs(updated - truth).max())
        truth = updated
        if moved < tolerance:
            break
    return truth


def _summed(values: Floats, of: Indices, count: int) -> Floats:
    """Sums (count, k) of the values (n, k) that are of each of `count`, by `of` (n,)."""
    return np.stack([np.bincount(of, column, minlength=count) for column in values.T], axis=1)
