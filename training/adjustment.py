"""Grades said sooner, or later, than a network says them by itself: logit adjustment.

A network that has seen few images of a grade says it seldom, and further images of whatever source
make it say it oftener, whether it tells it better or not. One number chosen on the validation split
does so too, and shows which of the two a gain is. Menon et al. 2021, "Long-tail learning via logit
adjustment", arXiv:2007.07314, section 4.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final, Self, TypeVar

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict

from edge_agent.grades import GRADES
from training import rates
from training.predictions import Predictions

TAUS: Final = tuple(np.linspace(-1.0, 2.0, 61).round(2).tolist())
"""Below 0 scarce grades are said later than by the network itself."""

TOWARDS: Final = (0.0, 0.25, 0.5, 0.75, 1.0)
"""From as the network says it to Bayes' rule, for one that holds all grades for equally common."""
LEAST_SHARE: Final = 0.005
"""Of a mixture: a grade that is not to come may come all the same."""

Floats = npt.NDArray[np.floating]


def shares_of(labels: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """Of the grades among labels (n,), in the order of GRADES."""
    return np.bincount(labels, minlength=len(GRADES)) / len(labels)


def adjusted(probabilities: Floats, shares: Floats, tau: float) -> Floats:
    """Probabilities (n, 5), each divided by its grade's share (5,) to the power of tau; sum 1."""
    return moved(probabilities, Adjustment(tau=tau, shares=tuple(shares.tolist())).offsets)


def moved(probabilities: Floats, offsets: npt.NDArray[np.float64]) -> Floats:
    """Probabilities (n, 5) with offsets (5,) added to their logarithms; sum 1."""
    found = probabilities * np.exp(offsets)
    return np.asarray(found / found.sum(1, keepdims=True), probabilities.dtype)


class Adjustment(BaseModel):
    """How one model's probabilities are adjusted.

    shares: of the grades among the training images, in the order of GRADES.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    tau: float
    shares: tuple[float, ...]

    @classmethod
    def chosen(
        cls,
        probabilities: Floats,
        labels: npt.NDArray[np.int64],
        shares: npt.NDArray[np.float64],
        mixture: npt.NDArray[np.float64] | None = None,
    ) -> Self:
        """The tau under which images not learned from have the best macro F1, of equals the nearest
        to 0.

        probabilities (n, 5), labels (n,): of the validation split. shares: of the training split,
        without synthetic images. mixture: see `rates.at`.
        """
        tried = [cls(tau=tau, shares=tuple(shares.round(6).tolist())) for tau in TAUS]
        return best(tried, probabilities, labels, mixture)

    @property
    def offsets(self) -> npt.NDArray[np.float64]:
        """What it adds to the logarithm of each grade's probability, (5,)."""
        shares = np.array(self.shares)
        # A grade never learned stays as it is.
        return -self.tau * np.log(np.where(shares > 0, shares, 1.0))

    def of(self, said: Predictions) -> Predictions:
        """What the model would have said."""
        return replace(said, probabilities=moved(said.probabilities, self.offsets))


class MixtureAdjustment(Adjustment):
    """The same where a model is to grade loads of a mixture: each probability is besides multiplied
    by the grade's share of it, (5,), to the power of `toward`.

    Grades that come often there are then said sooner, as Bayes' rule has it; tau remains for what
    the network has seen too few of. Shares below LEAST_SHARE count as that.
    """

    toward: float
    mixture: tuple[float, ...]

    @classmethod
    def chosen_for(
        cls,
        probabilities: Floats,
        labels: npt.NDArray[np.int64],
        shares: npt.NDArray[np.float64],
        mixture: npt.NDArray[np.float64],
    ) -> Self:
        """The two numbers under which validation images, counted by the mixture, have the best
        macro F1; of equals those that move least. As of `chosen`."""
        told = {"shares": tuple(shares.tolist()), "mixture": tuple(mixture.tolist())}
        tried = [cls(tau=tau, toward=toward, **told) for toward in TOWARDS for tau in TAUS]
        return best(tried, probabilities, labels, mixture)

    @property
    def offsets(self) -> npt.NDArray[np.float64]:
        """See `Adjustment.offsets`."""
        return super().offsets + self.toward * np.log(np.maximum(self.mixture, LEAST_SHARE))


Kind = TypeVar("Kind", bound=Adjustment)


def best(
    tried: Sequence[Kind],
    probabilities: Floats,
    labels: npt.NDArray[np.int64],
    mixture: npt.NDArray[np.float64] | None,
) -> Kind:
    """The one with the best macro F1, of equals one that moves least. As of `Adjustment.chosen`."""

    def goodness(how: Kind) -> tuple[float, float, float]:
        guesses = moved(probabilities, how.offsets).argmax(1)
        found = rates.of(rates.at(mixture, rates.cells(labels, guesses).sum(0)))
        apart = float(np.ptp(how.offsets))  # what all have in common moves nothing
        # Rounded: the last bits of a sum must not decide between equals.
        return round(float(found.macro_f1), 12), -round(apart, 12), -abs(how.tau)

    return max(tried, key=goodness)
