"""The level: how much of a load is leaf and trash, as a manifest describes it and as an answer.

Shares are in points: 0 is no trash, 100 nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Self

from pydantic import AfterValidator, ConfigDict, Field, model_validator

from edge_agent.inference.parts import Fraction, Part

Points = Annotated[float, Field(ge=0.0, le=100.0)]


def _ordered(values: tuple[float, float, float]) -> tuple[float, float, float]:
    if list(values) != sorted(values):
        raise ValueError("must be low, middle and high in this order")
    return values


GoldenLevel = Annotated[tuple[Points, Points, Points], AfterValidator(_ordered)]
"""low, middle and high that a model must give for a golden image."""


@dataclass(frozen=True)
class Level:
    """How much of a load is leaf and trash, an estimate in points.

    low, high: the interval, which is to hold the true share of `coverage` (0 to 1) of new loads.
    """

    low: float
    middle: float
    high: float
    coverage: float


class _Figures(Part):
    model_config = ConfigDict(allow_inf_nan=False)


class LevelFigures(_Figures):
    """What the estimate is worth on the loads of a split whose share is known; errors in points.

    n: how many these are. mean_absolute_error: of the middle. of_the_guess_by_grade: the error of
    the guess one has without the estimate, the training loads' median share of each grade weighted
    by its probability. better_by: the latter minus the former, better_by_ci: its interval by truck,
    None where trucks are too few. within_the_interval: share of the loads between low and high.
    mean_width: of that interval, in points.
    """

    n: int = Field(ge=2)
    mean_absolute_error: Points
    of_the_guess_by_grade: Points
    better_by: float
    better_by_ci: tuple[float, float] | None = None
    within_the_interval: Fraction
    mean_width: Points

    @property
    def earns_its_place(self) -> bool:
        """The estimate is better than the guess, and not by chance."""
        return self.better_by_ci is not None and self.better_by_ci[0] > 0


class LevelSpec(_Figures):
    """A model's second output: float32 (batch, 3), low <= middle <= high, 0 to 100.

    margin: points by which calibration has widened the interval, inside the graph; negative where
    it narrowed it. golden_tolerance: allowed difference of the golden images' levels, in points.
    validation: the margin was fitted on these loads, so `coverage` of them lie within.
    """

    output_name: str = "level"
    coverage: float = Field(gt=0.0, lt=1.0)
    margin: float = Field(ge=-100.0, le=100.0)
    golden_tolerance: float = Field(gt=0.0, le=5.0)
    validation: LevelFigures
    test: LevelFigures | None = None

    @model_validator(mode="after")
    def _earns_its_place(self) -> Self:
        if not self.validation.earns_its_place:
            raise ValueError("on validation loads the level is no better than a guess by the grade")
        return self


class LevelGate(_Figures):
    """What a smaller form makes of the level, on the loads of the split whose share is known.

    mean_absolute_error: of the form, beside the trained network's. bounds_moved: by how much low
    and high differ from the trained network's, on average. In points. The form is refused where the
    error grows by more than max_error_loss or the bounds move by more than max_bounds_moved.
    """

    loads: int = Field(ge=2)
    mean_absolute_error: Points
    mean_absolute_error_trained: Points
    max_error_loss: Points
    bounds_moved: Points
    max_bounds_moved: Points
