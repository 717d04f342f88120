"""From which share of trash on a load counts as trashy: learnt from the labelled loads.

Masks show how much of a load is leaf and trash; experts said which loads are trashy. A logistic
regression of the one on the other tells what a blend counts as whose mask is known, however much
trash lay on its two loads before.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Self

import numpy as np
import numpy.typing as npt
from scipy.special import expit  # type: ignore[import-untyped]
from sklearn.linear_model import LogisticRegression  # type: ignore[import-untyped]
from sklearn.metrics import balanced_accuracy_score  # type: ignore[import-untyped]

LEAST_ACCURACY: Final = 0.75
"""Masks that tell clean and trashy loads apart less often than this are not believed."""
LEAST_LOADS: Final = 10
"""So many loads of each grade it takes; of fewer, chance would tell some apart."""


@dataclass(frozen=True)
class Boundary:
    """The fitted regression.

    share: of trash, 0 to 100, where clean and trashy would be equally likely if both were as
    frequent. slope: log-odds a point of share. accuracy: mean of both grades' recalls on the loads
    it was fitted to.
    """

    share: float
    slope: float
    accuracy: float

    @classmethod
    def of(cls, shares: npt.NDArray[np.float64], trashy: npt.NDArray[np.bool_]) -> Self | None:
        """shares: of trash, 0 to 100, (n,). trashy: what the loads are labelled, (n,).

        Both grades count alike, however many loads they have. None where one of them has too few,
        and where the shares do not tell them apart.
        """
        if min(trashy.sum(), (~trashy).sum()) < LEAST_LOADS:
            return None
        column = shares[:, None]
        model = LogisticRegression(C=1.0, class_weight="balanced").fit(column, trashy)
        slope, offset = float(model.coef_[0, 0]), float(model.intercept_[0])
        accuracy = float(balanced_accuracy_score(trashy, model.predict(column)))
        if slope <= 0 or accuracy < LEAST_ACCURACY:
            return None
        return cls(-offset / slope, slope, accuracy)

    def trashy(self, share: float) -> float:
        """The probability that a load with this share of trash is called trashy, if clean and
        trashy ones were as frequent."""
        return float(expit(self.slope * (share - self.share)))
