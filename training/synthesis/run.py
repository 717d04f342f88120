"""What all stages of a synthesis share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Protocol

import numpy as np
import numpy.typing as npt
from accelerate import Accelerator  # type: ignore[import-untyped]

from training import provenance
from training.data.dataset import Dataset, ImageSet
from training.evaluation import Report as EvaluationReport
from training.synthesis import segment
from training.synthesis.config import SynthesisConfig
from training.synthesis.stages import Stage, load_array
from training.synthesis.steps import Report as StepReport

CHECKPOINT_NAME: Final = "last.pt"
WEIGHTS_NAME: Final = "model.safetensors"
CLASSES_NAME: Final = "classes.npy"
CANDIDATES_NAME: Final = "candidates.csv"


class Report(EvaluationReport, StepReport, Protocol):
    """Whoever wants to know how it goes."""

    def begin(self, what: str) -> None:
        """The steps that follow are those of `what`."""


@dataclass(frozen=True)
class Run:
    """A call of the pipeline. Images in memory are of the configuration's size.

    deadline: of time.monotonic().
    """

    dataset: Dataset
    train: ImageSet
    validation: ImageSet
    config: SynthesisConfig
    accelerator: Accelerator
    report: Report
    deadline: float

    def provenance(self) -> dict[str, Any]:
        """What each stage's result says of where it comes from, as JSON types."""
        return {
            **provenance.of_result("diffusers", "scipy"),
            "config": self.config.model_dump(mode="json"),
            "data": self.dataset.digest,
            "processes": self.accelerator.num_processes,
        }

    def as_drawn(self, loads: ImageSet, predicted: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        """The masks of loads of this dataset; see `segment.as_drawn`. Raises DataError."""
        folder, cut = self.dataset.manifest.folder, self.dataset.description.cut
        return segment.as_drawn(loads, predicted, folder, cut)


def classes_of(segmented: Stage) -> npt.NDArray[np.uint8]:
    """What the U-Net took each pixel of the training images for: uint8 (n, size, size), values as
    in `segment.CLASSES`. Raises RunError."""
    return load_array(segmented.folder / CLASSES_NAME)


def has_masks(segmented: Stage) -> bool:
    """Whether the U-Net was trained at all."""
    done = segmented.done()
    return bool(done and done["has_masks"])


def masks_of(run: Run, segmented: Stage) -> npt.NDArray[np.uint8] | None:
    """Of all training images: those that were drawn, and where there are none, what the U-Net took
    each pixel for. None where no image has a mask. Raises TrainingError."""
    if not has_masks(segmented):
        return None
    return run.as_drawn(run.train, classes_of(segmented))
