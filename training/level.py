"""The second head: how much of a load is leaf and trash, 0 to 100, with an interval.

It shares the classifier's features and is trained with it where `trash_share` is known: three
quantiles by the pinball loss (Koenker and Bassett 1978). The outer two are then moved by what
validation loads ask for, so that LEVEL_COVERAGE of new loads lie within (conformalised quantile
regression, Romano et al. 2019, arXiv:1905.03222). What it is worth is its error beside that of the
guess one has without it: the median share of the training loads of each grade, weighted by the
classifier's probabilities.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, cast

import numpy as np
import numpy.typing as npt
import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from edge_agent.grades import GRADES, Grade
from training.bootstrap import TruckBootstrap
from training.config import LEVEL_COVERAGE
from training.data.dataset import ImageSet
from training.data.manifest import Row
from training.errors import DataError

QUANTILES: Final = ((1 - LEVEL_COVERAGE) / 2, 0.5, (1 + LEVEL_COVERAGE) / 2)
LEAST: Final = 20
"""Loads of a known share that training and validation must have at least."""
LEAST_TRUCKS: Final = 10
"""Of the loads that calibrate: views of one truck err alike, and count as one."""
_SURE: Final = 1e-6
"""With less than this for all other grades, a load called undefined says nothing of its trash."""
_UNDEFINED: Final = GRADES.index(Grade.UNDEFINED)

Floats = npt.NDArray[np.float64]


class WithLevel(nn.Module):
    """A classifier of this project and the second head on its features.

    Images as the classifier takes them -> float (batch, 5 + 3): its logits, then three quantiles of
    the share of trash, as fractions, not limited.
    """

    def __init__(self, network: nn.Module, head: str) -> None:
        """head: name of the classifier's last layer, which says how many features there are."""
        super().__init__()
        self.network = network
        features = cast("Tensor", network.get_submodule(head).weight).shape[1]
        self.level = nn.Linear(features, len(QUANTILES))
        nn.init.zeros_(self.level.weight)
        with torch.no_grad():
            self.level.bias.copy_(torch.tensor([0.1, 0.3, 0.6]))

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        features = self.network.features(x)  # type: ignore[operator]
        logits = self.network.last(features)  # type: ignore[operator]
        return torch.cat([logits, self.level(features)], dim=1)


class LevelCard(BaseModel):
    """What must be known of a second head to use it.

    margin: points by which validation loads widen the interval; negative where they narrow it.
    grade_medians: of the training loads' shares, by grade; what the guess is made of.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    margin: float
    grade_medians: tuple[float, ...] = Field(min_length=len(GRADES), max_length=len(GRADES))


def shares(loads: ImageSet) -> Floats:
    """Each load's share of trash, 0 to 100, (n,); nan where unknown, and of undefined loads."""
    known = [math.nan if row.trash_share is None else row.trash_share for row in loads.rows]
    return np.where(loads.labels == _UNDEFINED, math.nan, np.array(known, np.float64))


def digest(rows: Sequence[Row]) -> str:
    """SHA-256 over the images' names and shares: what the head learns from, beside the images."""
    lines = sorted(f"{row.image} {row.trash_share}" for row in rows)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def require(loads: ImageSet, split: str, manifest: Path) -> None:
    """Raises DataError where too few loads of a split have a known share."""
    known = np.isfinite(shares(loads))
    trucks = {row.truck for row, is_known in zip(loads.rows, known, strict=True) if is_known}
    if known.sum() < LEAST or len(trucks) < LEAST_TRUCKS:
        raise DataError(
            f"{manifest}: the {split} split has {known.sum()} loads of {len(trucks)} trucks whose "
            f"trash_share is known, the level needs {LEAST} of {LEAST_TRUCKS}: fill that column (0 "
            "to 100), or leave --level-weight out"
        )


def pinball(found: Tensor, target: Tensor) -> Tensor:
    """Sum of the pinball losses of quantiles (n, 3) of fractions (n,); nan counts for nothing."""
    known = torch.isfinite(target)
    gap = target[known][:, None] - found[known]
    at = gap.new_tensor(QUANTILES)
    return torch.maximum(at * gap, (at - 1) * gap).sum()


def card_of(raw: Floats, validation: ImageSet, train: ImageSet, learned: ImageSet) -> LevelCard:
    """raw: quantiles (n, 3) in points, of the validation loads. train: the real training loads,
    learned: with synthetic ones, which are evenly strewn with trash, as loads are not: they make
    the guess for grades alone of which no real load's share is known."""
    true = shares(validation)
    known = np.isfinite(true)
    low, _, high = np.sort(raw[known], axis=1).T
    outside = np.sort(np.maximum(low - true[known], true[known] - high))
    rank = min(len(outside), math.ceil((len(outside) + 1) * LEVEL_COVERAGE))
    medians = []
    for index in range(len(GRADES)):
        of_grade = (shares(loads)[loads.labels == index] for loads in (train, learned))
        sources = (*of_grade, shares(learned))
        medians.append(next(float(np.nanmedian(s)) for s in sources if np.isfinite(s).any()))
    return LevelCard(margin=float(outside[rank - 1]), grade_medians=tuple(medians))


def estimates(raw: Floats, card: LevelCard) -> Floats:
    """Low, middle and high, (n, 3), in points from 0 to 100, of quantiles in points."""
    ordered = np.sort(raw, axis=1) + np.array([-card.margin, 0.0, card.margin])
    ordered[:, 0] = np.minimum(ordered[:, 0], ordered[:, 1])
    ordered[:, 2] = np.maximum(ordered[:, 2], ordered[:, 1])
    return cast("Floats", ordered.clip(0.0, 100.0))


def figures(
    found: Floats, probabilities: npt.NDArray[np.float32], loads: ImageSet, card: LevelCard
) -> dict[str, Any] | None:
    """What the head is worth on these loads; None where fewer than two have a known share.

    found: see `estimates`. better_by: how much smaller its mean absolute error is than the
    guess's, in points, with the interval by truck; earns_its_place: that interval is above 0.
    """
    true = shares(loads)
    known = np.isfinite(true)
    if known.sum() < 2:
        return None
    middle = found[known, 1]
    of_grades = probabilities[known].astype(np.float64)
    of_grades[:, _UNDEFINED] = 0  # these loads have a share: they are none
    of_grades[of_grades.sum(1) < _SURE, :_UNDEFINED] = 1
    of_grades /= of_grades.sum(1, keepdims=True)
    guess = of_grades @ np.array(card.grade_medians)
    error, of_guess = np.abs(middle - true[known]), np.abs(guess - true[known])
    trucks = [row.truck for row, is_known in zip(loads.rows, known, strict=True) if is_known]
    bootstrap = TruckBootstrap(trucks)
    drawn = bootstrap.sums(np.stack([of_guess - error, np.ones_like(error)], axis=1))
    interval = bootstrap.interval(drawn[:, 0] / drawn[:, 1])
    near = closeness(found[known], true[known])
    return {
        "n": int(known.sum()),
        "mean_absolute_error": near["mean_absolute_error"],
        "of_the_guess_by_grade": float(of_guess.mean()),
        "better_by": float((of_guess - error).mean()),
        "better_by_ci": interval,
        "earns_its_place": bool(interval and interval[0] > 0),
        "within_the_interval": near["within_the_interval"],
        "mean_width": near["mean_width"],
    }


def closeness(found: Floats, true: Floats) -> dict[str, float]:
    """How near estimates (n, 3), see `estimates`, come to the true shares (n,), in points."""
    low, middle, high = found.T
    return {
        "mean_absolute_error": float(np.abs(middle - true).mean()),
        "within_the_interval": float(((true >= low) & (true <= high)).mean()),
        "mean_width": float((high - low).mean()),
    }
