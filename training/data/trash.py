"""How much of a load is leaf and trash, by its mask."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

STALK: Final = 1
TRASH: Final = 2
"""What masks have for stalk, and for leaf and trash; 0 for the rest."""


def trash_share(mask: npt.NDArray[np.uint8]) -> float:
    """Leaf and trash among all pixels of the load, 0 to 100; 0 where there is no load.

    mask: uint8 (height, width).
    """
    load = int((mask != 0).sum())
    return 100.0 * int((mask == TRASH).sum()) / load if load else 0.0
