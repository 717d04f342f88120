"""A load in the colours of another: shapes of commoner cane for the scarce kind.

Reinhard et al. 2001 (Color Transfer between Images, IEEE Computer Graphics and Applications 21 (5))
give an image the mean and the spread of another's L*, a* and b*. Here stalk, leaf and trash, and
the rest each get those of the same class, so that leaves of a fresh load become leaves of a burnt
one, and stalks stalks.
"""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from training.synthesis.blend import Image

_ENOUGH: Final = 0.005
"""Least part of an image that tells the colours of a class; of less, all pixels are taken."""
_MOST: Final = 2.0
"""A spread is multiplied or divided by no more than that: little contrast is mostly noise."""


def recoloured(image: Image, mask: Image, look: Image, look_mask: Image) -> Image:
    """The image in the colours of `look`, class by class: uint8 RGB (height, width, 3).

    mask, look_mask: uint8 (height, width), see `blend`; all 0 where nothing is told apart.
    """
    ours, theirs = _lab(image), _lab(look)
    for kind in np.unique(mask):
        here, there = mask == kind, look_mask == kind
        if there.mean() < _ENOUGH:
            there = np.ones_like(there)
        mean, spread = ours[here].mean(0), ours[here].std(0)
        scale = theirs[there].std(0) / np.maximum(spread, 1e-6)
        scale = np.clip(scale, 1 / _MOST, _MOST)
        ours[here] = (ours[here] - mean) * scale + theirs[there].mean(0)
    rgb = cv2.cvtColor(ours, cv2.COLOR_LAB2RGB)
    return np.rint(np.clip(rgb, 0, 1) * 255).astype(np.uint8)


def _lab(image: Image) -> npt.NDArray[np.float32]:
    """CIE L*a*b*, L* from 0 to 100."""
    scaled = image.astype(np.float32) / 255.0
    return np.asarray(cv2.cvtColor(scaled, cv2.COLOR_RGB2LAB), np.float32)
