"""Dawid & Skene's estimate of true classes from experts of unknown reliability."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

NO_VOTE: Final = -1
_FLOOR: Final = 1e-10
"""Instead of zero, so that one odd vote does not make a class impossible."""


def posterior(
    votes: npt.NDArray[np.int64],
    classes: int,
    *,
    max_iterations: int = 1000,
    tolerance: float = 1e-6,
) -> npt.NDArray[np.float64]:
    """Probabilities of the true classes, (images, classes), given all experts' votes.

    votes: (images, experts), the class index each expert named or NO_VOTE; at least one an image.

    Expectation maximisation of A. P. Dawid and A. M. Skene, "Maximum Likelihood Estimation of
    Observer Error-Rates Using the EM Algorithm", Applied Statistics 28 (1979): equations (2.3) and
    (2.4) give the experts' error rates and the classes' shares, (2.5) the images' classes. It
    starts from the shares of the votes and ends when no probability moves by `tolerance` or more.
    """
    # (images, experts, classes): 1 where this expert named this class.
    named = (votes[:, :, None] == np.arange(classes)).astype(np.float64)
    shares = named.sum(1)
    truth: npt.NDArray[np.float64] = shares / shares.sum(1, keepdims=True)
    for _ in range(max_iterations):
        # (experts, true classes, named classes)
        errors = np.einsum("ij,ikl->kjl", truth, named)
        errors /= np.maximum(errors.sum(2, keepdims=True), _FLOOR)
        log_errors = np.log(np.maximum(errors, _FLOOR))
        log_shares = np.log(np.maximum(truth.mean(0), _FLOOR))
        logs = log_shares + np.einsum("ikl,kjl->ij", named, log_errors)
        logs -= logs.max(1, keepdims=True)
        updated = np.exp(logs)
        updated /= updated.sum(1, keepdims=True)
        moved = float(np.abs(updated - truth).max())
        truth = updated
        if moved < tolerance:
            break
    return truth
