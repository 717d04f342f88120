"""Tileable noise, the raw material of every surface, looked up by the million."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]

_BITS: Final = 10
_SIZE: Final = 1 << _BITS
_UNIT: Final = 36.0  # int8 steps a standard deviation

CLOUD, BLOTCH, GRAIN, STREAK = range(4)
"""Channels: soft clouds, patches with edges, fine grain, streaks along x."""


def _shaped(rng: np.random.Generator, spectrum: Floats) -> Floats:
    field = np.fft.irfft2(np.fft.rfft2(rng.normal(0, 1, (_SIZE, _SIZE))) * spectrum)
    field -= field.mean()
    return np.asarray(field / field.std(), np.float32)


@lru_cache(maxsize=1)
def _pyramid() -> list[npt.NDArray[np.uint32]]:
    """Four channels of int8 packed in a word, 1 mm a texel, then 2, 4, 8 and 16 mm."""
    rng = np.random.default_rng(20)
    fy = np.fft.fftfreq(_SIZE)[:, None] * _SIZE
    fx = np.fft.rfftfreq(_SIZE)[None] * _SIZE
    f = np.hypot(fx, fy) + 1e-3
    stretched = np.hypot(fx * 14, fy) + 1e-3
    cloud = _shaped(rng, f**-1.15 * (f > 3))
    blotch = np.tanh(2.2 * _shaped(rng, f**-1.7 * (f > 9)))
    grain = _shaped(rng, f**-0.25 * (f > 40))
    streak = _shaped(rng, stretched**-0.9 * (stretched > 20))
    level = np.stack([cloud, blotch / blotch.std(), grain, streak], -1)
    levels = []
    for _ in range(5):
        packed = np.clip(np.round(level * _UNIT), -127, 127).astype(np.int8)
        levels.append(np.ascontiguousarray(packed).view(np.uint32)[..., 0].ravel())
        half = (level.shape[1] // 2, level.shape[0] // 2)
        level = cv2.resize(level, half, interpolation=cv2.INTER_AREA)
    return levels


def noise_at(x: Floats, y: Floats, texels_per_pixel: float) -> Floats:
    """Noise (4, n), about unit variance, at x, y in texels of 1 mm.

    texels_per_pixel picks the level, so that far surfaces do not glitter.
    """
    wanted = round(float(np.log2(max(texels_per_pixel, 1.0))))
    level = min(max(wanted, 0), 4)
    bits = _BITS - level
    mask = (1 << bits) - 1
    scale = np.float32(1.0 / (1 << level))
    i = (x * scale).astype(np.int32) & mask
    j = (y * scale).astype(np.int32) & mask
    words = _pyramid()[level].take((j << bits) | i)
    planes = words.view(np.int8).reshape(-1, 4).T
    return np.multiply(planes, np.float32(1 / _UNIT), order="C", dtype=np.float32)


def linear(rgb: tuple[int, int, int]) -> Floats:
    """Linear light (3,) of an sRGB colour."""
    return np.asarray((np.array(rgb, np.float32) / 255) ** np.float32(2.2), np.float32)


def smooth(low: float, high: float, x: Floats) -> Floats:
    """Smooth step from 0 at low to 1 at high."""
    t = np.clip((x - np.float32(low)) * np.float32(1 / (high - low)), 0, 1)
    return np.asarray(t * t * (3 - 2 * t))
