"""Stage 2: the edges of an image, by Canny, with thresholds from the image's own statistics.

Canny (1986): gradients of a smoothed image, thinned to ridges, kept where they exceed `high`, and
where they exceed `low` and hang together with such. Fixed thresholds would find nothing at night
and everything in the sun. Here `high` is the value that a fixed share of the gradients exceeds,
so that each image has about as many edges, and low is 0.4 of it: Canny's own ratio of two to three.
"""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

STRONG_SHARE: Final = 0.15
"""Share of pixels whose gradient makes a strong edge, before thinning."""
LOW_TO_HIGH: Final = 0.4
_SIGMA: Final = 0.8
"""Of the Gaussian that takes the sensor's noise away, in pixels."""
_LEAST: Final = 12.0
"""Least `high` (sum of absolute Sobel derivatives): below it there is noise only."""


def canny(image: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Edges of a uint8 RGB image (height, width, 3): uint8 (height, width), 0 or 255."""
    grey = cv2.GaussianBlur(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), (0, 0), _SIGMA)
    across = cv2.Sobel(grey, cv2.CV_16S, 1, 0)
    down = cv2.Sobel(grey, cv2.CV_16S, 0, 1)
    # |gx| + |gy|, as Canny's own norm in OpenCV (L2gradient=False).
    strength = np.abs(across.astype(np.int32)) + np.abs(down.astype(np.int32))
    high = max(_LEAST, float(np.quantile(strength, 1 - STRONG_SHARE)))
    return np.asarray(cv2.Canny(across, down, LOW_TO_HIGH * high, high), np.uint8)


def shapes(
    edges: npt.NDArray[np.uint8], classes: npt.NDArray[np.uint8], count: int = 3
) -> npt.NDArray[np.uint8]:
    """The edges split by what they belong to: (count, height, width), 0 or 255.

    classes: (height, width) with values 0 to count - 1, as masks have them. Plane k holds the edges
    of class (k + 1) % count, so that shapes 1, 2, 3 are stalk, leaf and trash, and other.
    """
    order = [(k + 1) % count for k in range(count)]
    return np.stack([np.where(classes == k, edges, np.uint8(0)) for k in order])
