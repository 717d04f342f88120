"""A bundle made ready to grade frames of any size: preprocessing and network as one thing."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edge_agent.inference.bundle import Bundle
from edge_agent.inference.grader import Grader, Prediction
from edge_agent.inference.preprocess import Preprocessor


def _untimed(_: str) -> AbstractContextManager[None]:
    return nullcontext()


@dataclass(frozen=True)
class Engine:
    """One model, loaded. What grades a truck is one engine from the frame to the record, so that
    no truck is graded by parts of two models. Thread-safe."""

    grader: Grader
    preprocess: Preprocessor

    @classmethod
    def load(cls, path: Path, threads: int) -> Engine:
        """Reads the bundle and reproduces its golden images here. Raises BundleError."""
        bundle = Bundle.read(path)
        return cls(Grader(bundle, threads=threads), Preprocessor(bundle.manifest.input))

    @property
    def bundle(self) -> Bundle:
        """The bundle it was loaded from."""
        return self.grader.bundle

    @property
    def digest(self) -> str:
        """SHA-256 of the bundle's file."""
        return self.bundle.digest

    def grade(
        self,
        frame: npt.NDArray[np.uint8],
        timed: Callable[[str], AbstractContextManager[None]] = _untimed,
    ) -> Prediction:
        """Grades a whole frame, uint8 BGR (height, width, 3). timed: measures a step by its name.

        Raises BundleError, or whatever ONNX Runtime raises.
        """
        with timed("resize"):
            image = self.preprocess(frame)
        with timed("infer"):
            return self.grader.grade(image)
