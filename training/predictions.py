"""predictions.csv: what a model said of every image, so that figures can be had without it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt

from edge_agent.grades import GRADES, Grade
from training import metrics
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

    def figures(self, threshold: float, *, against: Against = "label") -> dict[str, Any]:
        """See `training.metrics.evaluate`. Images without such a label are left out.

        Raises DataError when none is left.
        """
        known = self.known(against)
        if not len(known):
            raise DataError(
                f"none of {len(self.images)} images has a {against} to measure against; "
                "choose a --split or --data with labelled images"
            )
        return metrics.evaluate(
            self.probabilities[known],
            self.indices(against),
            [self.trucks[i] for i in known],
            threshold=threshold,
        )

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
    """Those of several runs on the same images as one: figures then are means over the runs.

    A truck's images of all runs stay one cluster of the bootstrap.
    """
    return Predictions(
        tuple(image for one in several for image in one.images),
        tuple(truck for one in several for truck in one.trucks),
        tuple(grade for one in several for grade in one.label),
        tuple(grade for one in several for grade in one.truth),
        np.concatenate([one.probabilities for one in several]),
    )


def _probability(cell: str) -> float:
    found = float(cell)
    if not 0.0 <= found <= 1.0 + 1e-5:  # a float32 softmax may exceed 1 by a rounding error
        raise ValueError(f"{cell!r} is no probability")
    return found


def _grade(cell: str) -> Grade | None:
    return Grade(cell) if cell else None
