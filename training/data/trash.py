"""How much of a load is leaf and trash, by its mask."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

STALK: Final = 1
TRASH: Final = 2
"""What masks have for stalk, and for leaf and trash; 0 for the rest."""

_STRAY: Final = 0.001
"""Of all pixels of all loads: less than that is a network's mistake."""


def shows_trash(masks: npt.NDArray[np.uint8] | None) -> bool:
    """Are there masks, and do they tell leaf and trash? Those of single things need not.

    masks: uint8 (n, height, width).
    """
    return masks is not None and bool((masks == TRASH).sum() > _STRAY * (masks != 0).sum())


def trash_share(mask: npt.NDArray[np.uint8]) -> float:
    """Leaf and trash among all pixels of the load, 0 to 100; 0 where there is no load.

    mask: uint8 (height, width).
    """
    load = int((mask != 0).sum())
    return 100.0 * int((mask == TRASH).sum()) / load if load else 0.0
