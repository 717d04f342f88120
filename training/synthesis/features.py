"""The features of the real images, by which all sets of a run directory are judged.

A stage of its own: computing them takes longer than judging a set, and every set needs the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Self

import numpy as np
import numpy.typing as npt

from training import baselines
from training.data.dataset import ImageSet
from training.errors import RunError
from training.evaluation import Report
from training.synthesis import scores
from training.synthesis.run import Run
from training.synthesis.stages import Stage, load_array, save_array

SPACE: Final = "EfficientNet-Lite0 trained on ImageNet, pooled features (1280)"

MIRRORS: Final[Mapping[tuple[int, ...], str]] = MappingProxyType(
    {
        (1,): "upside down",
        (2,): "left to right",
        (1, 2): "turned by 180 degrees",
    }
)
"""Axes of (n, h, w, 3) as `Planner.draw` mirrors them, and what comes of it."""

_TRAIN: Final = "train.npy"
_VALIDATION: Final = "validation.npy"


def require_features() -> None:
    """Raises RunError where the packages of the features are not installed."""
    if not baselines.has_frozen_features():
        raise RunError(
            "the filter needs EfficientNet-Lite0's packages; in a checkout: "
            "pip install '.[benchmarks]'"
        )


def features_of(images: npt.NDArray[np.uint8], what: str, report: Report) -> scores.Features:
    """(n, 1280) of uint8 RGB (n, h, w, 3). what: they are, for the progress bar."""
    tick = report.loading(f"features of {what}", len(images))
    return baselines.frozen_features(images, on_image=tick)


@dataclass(frozen=True)
class RealFeatures:
    """ways: (4, n, 1280), of the training images as they are, and mirrored as MIRRORS says.
    validation: (m, 1280)."""

    ways: scores.Features
    validation: scores.Features

    @property
    def train(self) -> scores.Features:
        """(n, 1280), of the training images as they are."""
        as_they_are: scores.Features = self.ways[0]
        return as_they_are

    @classmethod
    def of(cls, train: ImageSet, validation: ImageSet, report: Report) -> Self:
        """Raises RunError where the features' packages are not installed."""
        require_features()
        ways = [features_of(train.images, "training images", report)]
        for axes, way in MIRRORS.items():
            mirrored = np.ascontiguousarray(np.flip(train.images, axes))
            ways.append(features_of(mirrored, f"training images {way}", report))
        return cls(np.stack(ways), features_of(validation.images, "validation images", report))

    @classmethod
    def read(cls, stage: Stage) -> Self:
        """What `find` has written. Raises RunError."""
        return cls(load_array(stage.folder / _TRAIN), load_array(stage.folder / _VALIDATION))


def find(run: Run, stage: Stage) -> bool:
    """Computes them, in the main process; True."""
    if run.accelerator.is_main_process:
        found = RealFeatures.of(run.train, run.validation, run.report)
        save_array(stage.folder / _TRAIN, found.ways)
        save_array(stage.folder / _VALIDATION, found.validation)
        stage.finish({**run.provenance(), "feature_space": SPACE})
    return True
