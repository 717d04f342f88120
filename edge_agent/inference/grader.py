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
from edge_agent.inference.level import Level
from edge_agent.inference.manifest import GoldenImage

Floats = npt.NDArray[np.float32]

RUN_LIMIT_S: Final = 5.0
"""A run that takes longer than this an image is ended; a truck's takes some hundredths of it."""


@dataclass(frozen=True)
class Prediction:
    """What the model says of one frame.

    probabilities: calibrated, by grade in class-index order, summing to 1.
    needs_person: the confidence is below the bundle's threshold.
    level: how much is leaf and trash; None of an undefined load, which has no such share, and of
        models that do not estimate it.
    """

    grade: Grade
    confidence: float
    probabilities: dict[Grade, float]
    needs_person: bool
    level: Level | None = None


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
        fault = self.golden_fault(*self.golden()) if check_golden else None
        if fault is not None:
            raise BundleError(f"model bundle {bundle.path}: {fault}")

    def probabilities(self, images: npt.NDArray[np.uint8]) -> Floats:
        """Probabilities, float32 (batch, 5), of uint8 RGB images (batch, height, width, 3)."""
        return self.answers(images)[0]

    def answers(self, images: npt.NDArray[np.uint8]) -> tuple[Floats, Floats | None]:
        """All that the model says of uint8 RGB images (batch, height, width, 3).

        Probabilities, float32 (batch, 5); low, middle and high of the level in points, float32
        (batch, 3), None of a model without it.
        """
        spec = self.bundle.manifest
        names = [spec.output_name] + ([spec.level.output_name] if spec.level else [])
        options = onnxruntime.RunOptions()
        # A thread cannot be ended from outside, but ONNX Runtime can be asked to end a run.
        patience = threading.Timer(RUN_LIMIT_S * len(images), setattr, (options, "terminate", True))
        patience.daemon = True
        patience.start()
        try:
            run = self._session.run(names, {spec.input.name: images}, options)
        finally:
            patience.cancel()
        found = cast("list[Floats]", run)
        return found[0], found[1] if spec.level else None

    def trusted_answers(self, images: npt.NDArray[np.uint8]) -> tuple[Floats, Floats | None]:
        """The same, where they can be believed.

        Raises BundleError if the output is not a probability distribution, or its level not three
        numbers in order: a network that is broken in one head is not to be believed in the other.
        """
        name = self.bundle.manifest.name
        rows, levels = self.answers(images)
        # Nothing that is no number is near to, or in order with, anything.
        if not (np.abs(rows.sum(axis=1) - 1.0) <= 1e-3).all():
            raise BundleError(f"model {name}: its output is no probability distribution")
        if levels is not None:
            low, middle, high = levels.T
            in_order = (low >= 0.0) & (low <= middle) & (middle <= high) & (high <= 100.0)
            if not in_order.all():
                raise BundleError(
                    f"model {name}: its level is not three numbers in order, 0 to 100"
                )
        return rows, levels

    def grade(self, image: npt.NDArray[np.uint8]) -> Prediction:
        """Grades one uint8 RGB image, (height, width, 3), already resized to the input size.

        Raises BundleError, see `trusted_answers`.
        """
        rows, levels = self.trusted_answers(image[None])
        row = rows[0]
        level = None if levels is None else self._level(levels[0])
        best = int(row.argmax())
        confidence = float(row[best])
        return Prediction(
            grade=GRADES[best],
            confidence=confidence,
            probabilities={grade: float(p) for grade, p in zip(GRADES, row, strict=True)},
            needs_person=confidence < self.bundle.manifest.confidence_threshold,
            level=None if GRADES[best] is Grade.UNDEFINED else level,
        )

    def _level(self, row: Floats) -> Level:
        manifest = self.bundle.manifest
        assert manifest.level is not None  # noqa: S101 - there is such an output
        low, middle, high = map(float, row)
        return Level(low, middle, high, manifest.level.coverage)

    def golden(self) -> tuple[Floats, Floats | None]:
        """What `answers` says of the bundle's golden images here. Raises BundleError."""
        try:
            return self.answers(np.stack(self.bundle.golden))
        except Exception as error:
            raise BundleError(
                f"model bundle {self.bundle.path}: it fails on its golden images "
                f"({_one_line(error)})"
            ) from error

    def golden_fault(self, got: Floats, levels: Floats | None) -> str | None:
        """What is wrong with the results of `golden`; None if the manifest expects them."""
        manifest = self.bundle.manifest
        for golden, row in zip(manifest.golden, got, strict=True):
            fault = _apart(golden, "", row, golden.probabilities, manifest.golden_tolerance)
            if fault is not None:
                return fault
        if manifest.level is None or levels is None:
            return None
        for golden, row in zip(manifest.golden, levels, strict=True):
            tolerance = manifest.level.golden_tolerance
            fault = _apart(golden, "the level of ", row, golden.level or (), tolerance)
            if fault is not None:
                return fault
        return None


def _apart(
    golden: GoldenImage, what: str, row: Floats, expected: tuple[float, ...], tolerance: float
) -> str | None:
    worst = float(np.abs(row - np.asarray(expected, np.float32)).max())
    if worst <= tolerance:
        return None
    return (
        f"{what}{golden.path} comes out {worst:.4f} off on this machine, allowed is {tolerance}; "
        "do not use it here"
    )


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
