"""A load in the colours of another: shapes of commoner cane for the scarce kind.

Stalk, leaf and trash, and the rest each get the colours of the same class, so that leaves of a
fresh load become leaves of a burnt one, and stalks stalks. Two ways:

    moments        the mean and the spread of the other's L*, a* and b*: Reinhard et al. 2001 (Color
                   Transfer between Images, IEEE Computer Graphics and Applications 21 (5))
    distribution   all of its colours, as often as they are there: Pitié et al. 2007 (Automated
                   colour grading using colour distribution transfer, Computer Vision and Image
                   Understanding 107), which matches the pixels' ranks along turned axes, time after
                   time

By either, the spread of L*, a* and b* is at most doubled: what differs little is mostly noise.
Of a burnt load some stalks are black and others are not. Mean and spread make all of them a little
darker; with the distribution some get black, those that were the darkest.
"""

from __future__ import annotations

from typing import Final, Literal

import cv2
import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata, special_ortho_group  # type: ignore[import-untyped]

from training.synthesis.blend import Image

Floats = npt.NDArray[np.float32]
Transfer = Literal["moments", "distribution"]

_ENOUGH: Final = 0.005
"""Least part of an image that tells the colours of a class; of less, all pixels are taken."""
_MOST: Final = 2.0
"""The spread of L*, a* and b* is multiplied by no more; by moments, divided by no more either."""
DISTRIBUTION: Final = "spread at most doubled"
"""To be changed whenever `distribution` draws other images: sets and runs of before are others."""
_DECIMALS: Final = 3
"""What differs by less counts as one colour: it may be rounding alone."""
_TURNS: Final = special_ortho_group.rvs(3, size=6, random_state=0).astype(np.float32)
"""Axes that distributions are matched along, (6, 3, 3)."""


def recoloured(
    image: Image, mask: Image, look: Image, look_mask: Image, *, transfer: Transfer = "moments"
) -> Image:
    """The image in the colours of `look`, class by class: uint8 RGB (height, width, 3).

    mask, look_mask: uint8 (height, width), see `blend`; all 0 where nothing is told apart.
    """
    ours, theirs = _lab(image), _lab(look)
    colours = _moments if transfer == "moments" else _distribution
    for kind in np.unique(mask):
        here, there = mask == kind, look_mask == kind
        if there.mean() < _ENOUGH:
            there = np.ones_like(there)
        ours[here] = colours(ours[here], theirs[there])
    rgb = cv2.cvtColor(ours, cv2.COLOR_LAB2RGB)
    return np.rint(np.clip(rgb, 0, 1) * 255).astype(np.uint8)


def _moments(ours: Floats, theirs: Floats) -> Floats:
    """Colours (n, 3) with the mean and the spread of others, (m, 3)."""
    mean, spread = ours.mean(0), ours.std(0)
    scale = theirs.std(0) / np.maximum(spread, 1e-6)
    scale = np.clip(scale, 1 / _MOST, _MOST)
    return np.asarray((ours - mean) * scale + theirs.mean(0))


def _distribution(ours: Floats, theirs: Floats) -> Floats:
    """Colours (n, 3) distributed as others, (m, 3), which are drawn towards their mean first where
    they spread more than `_MOST` times as wide. What is of one colour stays so."""
    mean, spread = theirs.mean(0), theirs.std(0)
    theirs = mean + (theirs - mean) * np.minimum(1, _MOST * ours.std(0) / np.maximum(spread, 1e-6))
    places = (np.arange(len(theirs)) + 0.5) / len(theirs)
    for axes in _TURNS:
        turned, wanted = (ours @ axes).round(_DECIMALS), np.sort(theirs @ axes, axis=0)
        ranks = (rankdata(turned, axis=0) - 0.5) / len(ours)
        columns = zip(ranks.T, wanted.T, strict=True)
        found = [np.interp(rank, places, column) for rank, column in columns]
        ours = (np.stack(found, axis=1) @ axes.T).astype(np.float32)
    return ours


def _lab(image: Image) -> Floats:
    """CIE L*a*b*, L* from 0 to 100."""
    scaled = image.astype(np.float32) / 255.0
    return np.asarray(cv2.cvtColor(scaled, cv2.COLOR_RGB2LAB), np.float32)
