"""The things a load is made of, as arrays: one row a thing.

A thing is a ribbon between two points: a stalk, a leaf, a clod, a board. `raster` gives its
outline; inside it, every pixel knows where along (u, 0 to 1) and across (v, -1 to 1) it lies, so
the texture and the roundness of thousands of things are computed for all pixels at once.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from enum import IntEnum
from typing import Final

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]


class Kind(IntEnum):
    """What a thing is; decides its shader and its class in the mask."""

    GROUND = 0
    STALK = 1
    FACE = 2
    LEAF = 3
    SHEATH = 4
    CLOD = 5
    STONE = 6
    BOARD = 7
    BED = 8
    PANEL = 9


TONES: Final = 12
"""Columns of `Items.tone`; their meaning is in the shaders (textures.py)."""

MASK_CLASS: Final = np.array([0, 1, 1, 2, 2, 2, 2, 0, 0, 0], np.uint8)
"""Mask value of each Kind: 0 other, 1 stalk, 2 leaf and trash."""


@dataclass
class Items:
    """n things. Lengths in metres, station or truck coordinates (see viewpoints.py)."""

    kind: npt.NDArray[np.uint8]
    """(n,) Kind."""
    start: Floats
    """(n, 3) one end of the axis."""
    end: Floats
    """(n, 3) the other end."""
    half: Floats
    """(n, 2) half width at the start and at the end."""
    bend: Floats
    """(n, 2) sideways bow, and sideways S, of the axis."""
    ends: Floats
    """(n, 6) how far the outline falls short of each end at v = -1, 0, 1: ragged cuts."""
    taper: Floats
    """(n, 2) width left at the start and at the end, as a share: leaves taper, stalks do not."""
    tone: Floats
    """(n, TONES) appearance."""

    def __len__(self) -> int:
        return len(self.kind)

    def take(self, rows: npt.NDArray[np.integer] | npt.NDArray[np.bool_]) -> Items:
        """The things at these rows, in this order."""
        return Items(**{f.name: getattr(self, f.name)[rows] for f in fields(self)})


def make_items(n: int, kind: Kind) -> Items:
    """n things of one kind with everything else zero (no taper)."""

    def zeros(columns: int) -> Floats:
        return np.zeros((n, columns), np.float32)

    return Items(
        kind=np.full(n, kind, np.uint8),
        start=zeros(3),
        end=zeros(3),
        half=zeros(2),
        bend=zeros(2),
        ends=zeros(6),
        taper=np.ones((n, 2), np.float32),
        tone=zeros(TONES),
    )


def join_items(parts: list[Items]) -> Items:
    """All things of these parts, in order."""
    return Items(
        **{f.name: np.concatenate([getattr(p, f.name) for p in parts]) for f in fields(Items)}
    )
