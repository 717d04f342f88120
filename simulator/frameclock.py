"""A strip of black and white cells along the top of a frame that says when it was taken.

It lies above the graded area (rows from 4 % on), so that no model ever sees it. Cells from left
to right: 4 of synchronisation (white, black, white, black), 24 of the value with the most
significant bit first, 4 of check (the exclusive or of the value's six nibbles).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

BITS = 24
_CELLS = 4 + BITS + 4
_SYNC = (1, 0, 1, 0)
_BLACK, _WHITE = 24, 230


def _cells(value: int) -> list[int]:
    check = 0
    for shift in range(0, BITS, 4):
        check ^= value >> shift & 0xF
    bits = [value >> shift & 1 for shift in reversed(range(BITS))]
    return [*_SYNC, *bits, *(check >> shift & 1 for shift in reversed(range(4)))]


def _strip_height(height: int) -> int:
    return height // 40


def draw(luma: npt.NDArray[np.uint8], value: int) -> None:
    """Draws `value` (0 <= value < 2**24) into a luma plane, uint8 (height, width), in place."""
    if not 0 <= value < 1 << BITS:
        raise ValueError(f"frame clock value {value} does not fit in {BITS} bits")
    height, width = luma.shape
    edges = np.linspace(0, width, _CELLS + 1).astype(int)
    for bit, left, right in zip(_cells(value), edges[:-1], edges[1:], strict=True):
        luma[: _strip_height(height), left:right] = _WHITE if bit else _BLACK


def read(luma: npt.NDArray[np.uint8]) -> int | None:
    """The value drawn into a luma plane, or None if there is no whole strip."""
    height, width = luma.shape
    strip = luma[_strip_height(height) // 4 : _strip_height(height) * 3 // 4]
    cell = width / _CELLS
    bits = []
    for index in range(_CELLS):
        middle = strip[:, int(cell * (index + 0.3)) : int(cell * (index + 0.7))]
        bits.append(int(middle.mean() > 127))
    value = int("".join(map(str, bits[4 : 4 + BITS])), 2)
    return value if bits == _cells(value) else None
