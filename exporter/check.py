"""Checking a bundle with the agent's own code: what a station will do with it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import onnx

from edge_agent.inference.bundle import Bundle
from edge_agent.inference.grader import Grader
from exporter.errors import ExportError

BATCHES: Final = (1, 3)


@dataclass(frozen=True)
class Checked:
    """What was found of a bundle that passed.

    golden_difference: max |dp| of its golden images on this machine.
    """

    bundle: Bundle
    size_bytes: int
    golden_difference: float


def check(path: Path) -> Checked:
    """Reads a bundle as a station does, runs ONNX's checker, reproduces the golden images.

    Also tries several batch sizes: one image alone and the same in company must come out the same.
    Raises BundleError or ExportError that says which check failed.
    """
    bundle = Bundle.read(path)
    try:
        onnx.checker.check_model(onnx.load_model_from_string(bundle.model), full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        fault = " ".join(str(error).split())[:160]
        raise ExportError(f"{path}: ONNX's checker refuses model.onnx: {fault}") from error
    grader = Grader(bundle)
    images = np.stack(bundle.golden)
    together = grader.probabilities(images)
    for batch in BATCHES:
        parts = [
            grader.probabilities(images[start : start + batch])
            for start in range(0, len(images), batch)
        ]
        if not np.allclose(np.concatenate(parts), together, atol=1e-4):
            raise ExportError(f"{path}: the result depends on the batch size; export it again")
    for image in bundle.golden:
        grader.grade(image)
    expected = np.array([golden.probabilities for golden in bundle.manifest.golden])
    return Checked(bundle, path.stat().st_size, float(np.abs(together - expected).max()))
