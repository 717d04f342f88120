"""Grading one resized frame with ONNX Runtime."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Final, cast

import numpy as np
import numpy.typing as npt
import onnxruntime

from edge_agent.errors import BundleError
from edge_agent.grades import GRADES, Grade
from edge_agent.inference.bundle import Bundle

RUN_LIMIT_S: Final = 5.0
"""A run that takes longer than this an image is ended; a truck's takes some hundredths of it."""


@dataclass(frozen=True)
class Prediction:
    """What the model says of one frame.

    probabilities: calibrated, by grade in class-index order, summing to 1.
    needs_person: the confidence is below the bundle's threshold.
    """

    grade: Grade
    confidence: float
    probabilities: dict[Grade, float]
    needs_person: bool


class Grader:
    """One ONNX Runtime session for one bundle, with a fixed thread budget. Thread-safe."""

    def __init__(self, bundle: Bundle, *, threads: int = 1, check_golden: bool = True) -> None:
        """Loads the model and reproduces its golden images on this CPU.

        Raises BundleError if it does not load or a golden image comes out differently.
        """
        self.bundle = bundle
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        # Spinning threads would eat the cores the camera readers need.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 3
        try:
            self._session = onnxruntime.InferenceSession(
                bundle.model, options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:
            raise BundleError(
                f"model bundle {bundle.path}: ONNX Runtime cannot load it ({_one_line(error)})"
            ) from error
        fault = self.golden_fault(self.golden()) if check_golden else None
        if fault is not None:
            raise BundleError(f"model bundle {bundle.path}: {fault}")

    def probabilities(self, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Probabilities, float32 (batch, 5), of uint8 RGB images (batch, height, width, 3)."""
        spec = self.bundle.manifest
        options = onnxruntime.RunOptions()
        # A thread cannot be ended from outside, but ONNX Runtime can be asked to end a run.
        patience = threading.Timer(RUN_LIMIT_S * len(images), setattr, (options, "terminate", True))
        patience.daemon = True
        patience.start()
        try:
            (output,) = self._session.run([spec.output_name], {spec.input.name: images}, options)
        finally:
            patience.cancel()
        return cast("npt.NDArray[np.float32]", output)

    def grade(self, image: npt.NDArray[np.uint8]) -> Prediction:
        """Grades one uint8 RGB image, (height, width, 3), already resized to the input size.

        Raises BundleError if the output is not a probability distribution.
        """
        row = self.probabilities(image[None])[0]
        if not np.isfinite(row).all() or abs(float(row.sum()) - 1.0) > 1e-3:
            raise BundleError(
                f"model {self.bundle.manifest.name}: its output is no probability distribution"
            )
        best = int(row.argmax())
        confidence = float(row[best])
        return Prediction(
            grade=GRADES[best],
            confidence=confidence,
            probabilities={grade: float(p) for grade, p in zip(GRADES, row, strict=True)},
            needs_person=confidence < self.bundle.manifest.confidence_threshold,
        )

    def golden(self) -> npt.NDArray[np.float32]:
        """Probabilities, float32 (n, 5), of the bundle's golden images here. Raises BundleError."""
        try:
            return self.probabilities(np.stack(self.bundle.golden))
        except Exception as error:
            raise BundleError(
                f"model bundle {self.bundle.path}: it fails on its golden images "
                f"({_one_line(error)})"
            ) from error

    def golden_fault(self, got: npt.NDArray[np.float32]) -> str | None:
        """What is wrong with the results of `golden`; None if the manifest expects them."""
        manifest = self.bundle.manifest
        for golden, row in zip(manifest.golden, got, strict=True):
            worst = float(np.abs(row - np.asarray(golden.probabilities, np.float32)).max())
            if not worst <= manifest.golden_tolerance:
                return (
                    f"{golden.path} comes out {worst:.4f} off on this machine, allowed is "
                    f"{manifest.golden_tolerance}; do not use it here"
                )
        return None


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
