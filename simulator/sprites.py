"""Photographed stalks in place of drawn ones: cut out, measured, packed into one picture."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from simulator.items import Floats

_WIDE: Final = 32  # pixels across a stalk in the packed picture
_LONG: Final = 256
_MOST: Final = 400
_SUFFIXES: Final = frozenset({".jpg", ".jpeg", ".png"})


@dataclass(frozen=True, eq=False)
class Sprites:
    """n cut-out photographs, each stretched to _LONG x _WIDE linear RGB."""

    strips: tuple[Floats, ...]
    """Levels of (n, long, wide, 3), each half the size of the one before."""

    def __len__(self) -> int:
        return len(self.strips[0])

    def colours(
        self, choice: npt.NDArray[np.int64], u: Floats, v: Floats, pixels_across: float
    ) -> Floats:
        """Linear RGB (k, 3) of sprites `choice` at u (0 to 1 along) and v (-1 to 1 across).

        pixels_across is how wide a stalk is in the frame; it picks the level.
        """
        level = int(np.clip(np.log2(_WIDE / max(pixels_across, 1.0)), 0, len(self.strips) - 1))
        strips = self.strips[level]
        n, long, wide = strips.shape[:3]
        i = np.clip(u * long, 0, long - 1).astype(np.intp)
        j = np.clip((v * 0.5 + 0.5) * wide, 0, wide - 1).astype(np.intp)
        return np.asarray(strips[choice % n, i, j])


@lru_cache(maxsize=2)
def load_sprites(folder: Path) -> Sprites:
    """Cut the stalks out of all photographs under `folder`: one stalk each, on black.

    At most 400 are kept, spread over the folder. Raises ValueError when none can be used.
    """
    files = _photographs(folder)
    spread = np.linspace(0, len(files) - 1, min(len(files), _MOST)).astype(int)
    cut = [strip for i in spread if (strip := _cut_out(files[i])) is not None]
    if not cut:
        raise ValueError(f"{folder}: no photograph of a single stalk on black was found")
    level = np.stack(cut)
    levels = [level]
    for _ in range(4):
        n, long, wide = level.shape[:3]
        level = level.reshape(n, long // 2, 2, wide // 2, 2, 3).mean((2, 4), dtype=np.float32)
        levels.append(level)
    return Sprites(tuple(levels))


def folder_digest(folder: Path) -> str:
    """SHA-256 over the photographs that `load_sprites` looks at, in hexadecimal."""
    total = hashlib.sha256()
    for file in _photographs(folder):
        total.update(hashlib.sha256(file.read_bytes()).digest())
    return total.hexdigest()


def _photographs(folder: Path) -> list[Path]:
    return sorted(p for p in folder.rglob("*") if p.suffix.lower() in _SUFFIXES)


def _cut_out(file: Path) -> Floats | None:
    """The stalk straightened to (_LONG, _WIDE, 3), linear RGB; None when there is not one."""
    picture = cv2.imread(str(file), cv2.IMREAD_COLOR)
    if picture is None:
        return None
    if picture.shape[1] > picture.shape[0]:
        picture = cv2.rotate(picture, cv2.ROTATE_90_CLOCKWISE)
    grey = cv2.GaussianBlur(cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY), (0, 0), 1.5)
    _, mask = cv2.threshold(grey, 0, 255, cv2.THRESH_BINARY + cv2.THRESH_OTSU)
    shapes, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    if not shapes:
        return None
    shape = max(shapes, key=cv2.contourArea)
    _, top, width, height = cv2.boundingRect(shape)
    if height < 3 * width or height < 200:
        return None
    solid = np.zeros_like(mask)
    cv2.drawContours(solid, [shape], -1, 255, -1)
    # Straighten: every row of the strip runs from the stalk's left edge to its right edge.
    rows = np.linspace(top + 0.03 * height, top + 0.97 * height, _LONG).astype(int)
    spans = [np.flatnonzero(solid[y]) for y in rows]
    if any(len(span) < 8 for span in spans):
        return None
    lefts = _calm(np.array([s[0] for s in spans], np.float32)) + 1.5
    rights = _calm(np.array([s[-1] for s in spans], np.float32)) - 1.5
    share = (np.arange(_WIDE, dtype=np.float32) + 0.5) / _WIDE
    x = lefts[:, None] + (rights - lefts)[:, None] * share
    y = np.repeat(rows[:, None].astype(np.float32), _WIDE, 1)
    shrunk = cv2.GaussianBlur(picture, (0, 0), 0.8)
    strip = cv2.remap(shrunk, x.astype(np.float32), y, cv2.INTER_LINEAR)
    light = (strip[..., ::-1].astype(np.float32) / 255) ** np.float32(2.2)
    return np.asarray(light, np.float32)


def _calm(edge: Floats) -> Floats:
    """Running median of an edge: splinters stick out of it, the stalk does not."""
    padded = np.pad(edge, 6, mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(padded, 13)
    return np.median(windows, axis=1).astype(np.float32)
