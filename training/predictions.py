"""predictions.csv: what a model said of every image, so that figures can be had without it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt

from edge_agent.grades import GRADES, Grade
from training import metrics, precision_recall, reliability
from training.bootstrap import TruckBootstrap
from training.data import tables
from training.errors import DataError

PREDICTIONS_NAME: Final = "predictions.csv"

Against = Literal["label", "truth"]

_SCORES: Final = tuple(f"p_{grade}" for grade in GRADES)
_COLUMNS: Final = ("image", "truck", "label", "truth", *_SCORES)


@dataclass(frozen=True)
class Predictions:
    """Calibrated probabilities, float32 (n, 5), of n images with what is known of each.

    images: paths relative to the data's folder. label: what the experts' votes, or the truth, made
    of it; None for disputed images. truth: the true grade where somebody knows it.
    """

    images: tuple[str, ...]
    trucks: tuple[str, ...]
    label: tuple[Grade | None, ...]
    truth: tuple[Grade | None, ...]
    probabilities: npt.NDArray[np.float32]

    def figures(
        self,
        threshold: float,
        *,
        against: Against = "label",
        mixture: npt.NDArray[np.float64] | None = None,
    ) -> dict[str, Any]:
        """See `training.metrics.evaluate`, of a mixture `at_mixture`. Images without such a label
        are left out.

        Raises DataError when none is left.
        """
        known = self.known(against)
        if not len(known):
            raise DataError(
                f"none of {len(self.images)} images has a {against} to measure against; "
                "choose a --split or --data with labelled images"
            )
        said = self.probabilities[known], self.indices(against), [self.trucks[i] for i in known]
        if mixture is not None:
            return metrics.at_mixture(*said, mixture, threshold=threshold)
        return metrics.evaluate(*said, threshold=threshold)

    def known(self, against: Against = "label") -> npt.NDArray[np.int64]:
        """Positions of the images that have such a label."""
        grades = self.label if against == "label" else self.truth
        return np.array([i for i, grade in enumerate(grades) if grade is not None], np.int64)

    def indices(self, against: Against = "label") -> npt.NDArray[np.int64]:
        """Class indices of those images' labels."""
        grades = self.label if against == "label" else self.truth
        return np.array([GRADES.index(grade) for grade in grades if grade is not None], np.int64)

    def guesses(self, against: Against = "label") -> npt.NDArray[np.int64]:
        """Class indices of the likeliest grades of those images."""
        return np.asarray(self.probabilities[self.known(against)].argmax(1), np.int64)

    def at(self, places: Sequence[int]) -> Predictions:
        """Those of some of the images, by position."""
        return Predictions(
            tuple(self.images[i] for i in places),
            tuple(self.trucks[i] for i in places),
            tuple(self.label[i] for i in places),
            tuple(self.truth[i] for i in places),
            self.probabilities[list(places)],
        )

    def write(self, path: Path) -> None:
        """Writes the file at once. Probabilities are written in full."""
        rows = [
            {
                "image": self.images[i],
                "truck": self.trucks[i],
                "label": self.label[i] or "",
                "truth": self.truth[i] or "",
                **dict(zip(_SCORES, map(str, self.probabilities[i]), strict=True)),
            }
            for i in range(len(self.images))
        ]
        tables.write(path, _COLUMNS, rows)

    @classmethod
    def read(cls, path: Path) -> Predictions:
        """From a file, or from predictions.csv in a folder. Raises DataError."""
        file = path / PREDICTIONS_NAME if path.is_dir() else path
        columns, rows = tables.read(file)
        missing = [name for name in _COLUMNS if name not in columns]
        if missing:
            raise DataError(
                f"{file}: column {', '.join(missing)} is missing; "
                "give a predictions.csv of cane-train evaluate"
            )
        scores = np.empty((len(rows), len(GRADES)), np.float32)
        for number, row in enumerate(rows):
            try:
                scores[number] = [_probability(row[name]) for name in _SCORES]
                for name in ("label", "truth"):
                    _grade(row[name])
            except ValueError as error:
                raise DataError(
                    f"{file}: row {number + 2}: {error}; make the file again with cane-train "
                    "evaluate"
                ) from error
        return cls(
            tuple(row["image"] for row in rows),
            tuple(row["truck"] for row in rows),
            tuple(_grade(row["label"]) for row in rows),
            tuple(_grade(row["truth"]) for row in rows),
            scores,
        )


def pooled(several: Sequence[Predictions]) -> Predictions:
    """Those of several runs on the same images as one: what counts images is then a mean over the
    runs. Not so what sorts or bins them all, which `means` is for.

    A truck's images of all runs stay one cluster of the bootstrap.
    """
    return Predictions(
        tuple(image for one in several for image in one.images),
        tuple(truck for one in several for truck in one.trucks),
        tuple(grade for one in several for grade in one.label),
        tuple(grade for one in several for grade in one.truth),
        np.concatenate([one.probabilities for one in several]),
    )


def means(several: Sequence[Predictions], against: Against = "label") -> dict[str, Any]:
    """Of runs on the same images the means of what ranks images by a run's own probabilities, or
    holds these against what happened: calibration_error and, by grade, average_precision, with
    their intervals by truck, named as in metrics.json.

    Together in one list, errors of runs that are too sure and of others that are not sure enough
    would cancel, and images would be ranked across runs.
    """
    first = several[0]
    labels = first.indices(against)
    resampled = TruckBootstrap([first.trucks[i] for i in first.known(against)])
    said = [one.probabilities[one.known(against)] for one in several]
    sure = [(one.max(1), one.argmax(1) == labels) for one in said]
    error = np.mean([reliability.calibration_error(*one) for one in sure])
    found: dict[str, Any] = {
        "calibration_error": round(float(error), 4),
        "calibration_error_ci": reliability.interval_of_mean(sure, resampled),
        "average_precision": dict.fromkeys(GRADES),
        "average_precision_ci": dict.fromkeys(GRADES),
    }
    for index, grade in enumerate(GRADES):
        ours = labels == index
        if not ours.any():
            continue
        scores = [one[:, index] for one in said]
        areas = [precision_recall.average_precision(one, ours) or 0.0 for one in scores]
        drawn = np.stack([precision_recall.rounds(one, ours, resampled) for one in scores])
        found["average_precision"][grade] = round(float(np.mean(areas)), 4)
        found["average_precision_ci"][grade] = resampled.interval(drawn.mean(0))
    return found


def _probability(cell: str) -> float:
    found = float(cell)
    if not 0.0 <= found <= 1.0 + 1e-5:  # a float32 softmax may exceed 1 by a rounding error
        raise ValueError(f"{cell!r} is no probability")
    return found


def _grade(cell: str) -> Grade | None:
    return Grade(cell) if cell else None
