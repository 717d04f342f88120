"""What all annotation tools have in common: labelled regions on images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from pycocotools import mask as rle  # type: ignore[import-untyped]

Mask = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Region:
    """One region somebody drew.

    label: what it was called. polygons: float (n, 2) each, x and y in pixels from the upper left
    corner of the image; together they are the region. bitmap: bool (height, width), instead.
    """

    label: str
    polygons: tuple[npt.NDArray[np.float64], ...] = ()
    bitmap: npt.NDArray[np.bool_] | None = None

    def paint(self, mask: Mask, value: int) -> None:
        """Gives the region's pixels this value: those whose centre lies in it."""
        if self.bitmap is not None:
            mask[self.bitmap] = value
        elif self.polygons:
            flat = [polygon.ravel().tolist() for polygon in self.polygons]
            coded = rle.merge(rle.frPyObjects(flat, *mask.shape))
            mask[rle.decode(coded).astype(bool)] = value


@dataclass(frozen=True)
class Drawing:
    """All regions of one image, in the order in which they cover each other.

    image: its path or name, as the tool knows it. width, height: of the image there.
    """

    image: str
    width: int
    height: int
    regions: Sequence[Region]
