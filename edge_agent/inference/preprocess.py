"""From a frame to the model's input: RGB, cut to the graded area, resized by area.

The frame is the one that evidence is written from (edge_agent.cameras.pictures.bgr), the resize
the one that training reads images with: a network trained on evidence sees at the station what it
saw then, to the last bit but for the JPEG (docs/adr/0004-one-conversion-one-resize.md).
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from edge_agent.inference.manifest import InputSpec


class Preprocessor:
    """Resizes frames for one model. Thread-safe."""

    def __init__(self, spec: InputSpec) -> None:
        self._spec = spec

    def __call__(self, frame: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        """The model's input, uint8 RGB (height, width, 3), of a whole frame in BGR, of any size."""
        left, top, right, bottom = self._spec.graded_area.pixels(frame.shape[1], frame.shape[0])
        size = (self._spec.width, self._spec.height)
        graded = frame[top:bottom, left:right]
        if (graded.shape[1], graded.shape[0]) != size:
            graded = cv2.resize(graded, size, interpolation=cv2.INTER_AREA).astype(np.uint8)
        return np.ascontiguousarray(graded[:, :, ::-1])
