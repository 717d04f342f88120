"""Making a trained network's confidence honest, on the validation split only."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy


def temperature(logits: Tensor, labels: Tensor) -> float:
    """The T that makes softmax(logits / T) fit the labels best (Guo et al. 2017).

    logits (n, classes), labels (n,). Limited to 0.25 .. 8: a validation set on which the network
    makes no mistake would ask for T = 0.
    """
    log_t = torch.zeros((), dtype=torch.float64, requires_grad=True)
    logits = logits.detach().double()
    optimiser = torch.optim.LBFGS([log_t], max_iter=100, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimiser.zero_grad()
        loss = cross_entropy(logits / log_t.exp(), labels)
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    optimiser.step(closure)  # type: ignore[no-untyped-call]
    found = float(log_t.detach().exp())
    return min(max(found, 0.25), 8.0) if np.isfinite(found) else 1.0


def confidence_threshold(
    probabilities: npt.NDArray[np.float32],
    labels: npt.NDArray[np.int64],
    *,
    accuracy: float = 0.98,
    most_to_a_person: float = 0.15,
    least: float = 0.5,
) -> float:
    """The lowest confidence at which the model may grade alone.

    Above it at least `accuracy` of the decisions are right, unless that would send more than
    `most_to_a_person` of the loads to a person: then it is the confidence that sends just those.
    Never under `least`: a grade that is more likely wrong than right is a person's in any case.
    """
    confidence = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == labels
    order = np.argsort(confidence)
    # kept[i]: accuracy of all decisions that are at least as sure as the i-th least sure one
    kept = right[order][::-1].cumsum()[::-1] / np.arange(len(labels), 0, -1)
    most = int(most_to_a_person * len(labels))
    good = np.flatnonzero(kept[: most + 1] >= accuracy)
    index = int(good[0]) if len(good) else most
    if index == 0:
        return least
    return max(least, float(np.floor(confidence[order[index]] * 1e4) / 1e4))
