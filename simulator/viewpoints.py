"""Where the station's four cameras hang and what each sees.

Station coordinates in metres: x runs from the front of the load (0) to its rear (7.5), y across
the truck (0 in the middle), z up from the floor of the truck's bed. The deck is at DECK_Z.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]

CAMERAS: Final = ("C101", "C201", "C301", "C401")
TOP_CAMERAS: Final = ("C201", "C301", "C401")
FULL_SIZE: Final = (2272, 1704)
"""Width and height of a camera frame in pixels."""

GRADED_AREA: Final = (0.0, 0.04, 1.0, 0.96)
"""Left, top, right, bottom of what is graded, as fractions of the frame."""

LOAD_TOP_Z: Final = 2.0
CAMERA_Z: Final = LOAD_TOP_Z + 2.5
DECK_Z: Final = -1.35
WINDOW: Final = (2.50, 1.875)
"""Metres a top camera sees at LOAD_TOP_Z."""


@dataclass(frozen=True)
class Viewpoint:
    """A pinhole camera. Vectors are in station coordinates, focal is in image widths."""

    name: str
    position: Floats
    right: Floats
    down: Floats
    forward: Floats
    focal: float

    def project(self, points: Floats) -> tuple[Floats, Floats]:
        """Points (..., 3) in metres -> image coordinates (..., 2) in image widths, depth in m.

        The image centre is (0.5, 0.375): frames are 4:3. Depth is kept above 5 cm.
        """
        offset = points - self.position
        depth = np.maximum(offset @ self.forward, np.float32(0.05))
        x = 0.5 + self.focal * (offset @ self.right) / depth
        y = 0.375 + self.focal * (offset @ self.down) / depth
        return np.stack([x, y], axis=-1).astype(np.float32), depth.astype(np.float32)


def graded_rows(height: int) -> tuple[int, int]:
    """First and past-the-last row of the graded area in a frame of this height."""
    return round(height * GRADED_AREA[1]), round(height * GRADED_AREA[3])


def viewpoint(camera: str, wobble: tuple[float, float, float] = (0.0, 0.0, 0.0)) -> Viewpoint:
    """The named camera of a station; wobble is its mounting error: shift x, y (m), turn (rad).

    Raises ValueError for an unknown camera.
    """
    if camera not in CAMERAS:
        raise ValueError(f"camera must be one of {', '.join(CAMERAS)}, not {camera!r}")
    if camera == "C101":
        return _looking("C101", (-6.1, 0.9 + wobble[1], 1.45), (-1.5, 0.0, 0.62), 0.82)
    index = TOP_CAMERAS.index(camera)
    x = WINDOW[0] * (index + 0.5) + wobble[0]
    c, s = np.cos(wobble[2]), np.sin(wobble[2])
    return Viewpoint(
        camera,
        np.array([x, wobble[1], CAMERA_Z], np.float32),
        np.array([c, s, 0], np.float32),
        np.array([s, -c, 0], np.float32),
        np.array([0, 0, -1], np.float32),
        (CAMERA_Z - LOAD_TOP_Z) / WINDOW[0],
    )


def _looking(
    name: str, position: tuple[float, ...], target: tuple[float, ...], focal: float
) -> Viewpoint:
    eye = np.array(position, np.float64)
    forward = np.array(target, np.float64) - eye
    forward /= np.linalg.norm(forward)
    # Facing +x with z up, the image's right is -y.
    right = np.cross(forward, np.array([0.0, 0.0, 1.0]))
    right /= np.linalg.norm(right)
    down = np.cross(forward, right)
    return Viewpoint(
        name,
        eye.astype(np.float32),
        right.astype(np.float32),
        down.astype(np.float32),
        forward.astype(np.float32),
        focal,
    )
